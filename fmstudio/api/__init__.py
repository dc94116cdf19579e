"""The plugin contract: all that a plugin may import of FM Studio.

`fmstudio.api.page` (pages, needs Qt) and `fmstudio.api.testing` (fakes and the conformance test) are imported by name.

Names are imported at first use: the window, which opens in under a second, needs the errors but not pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmstudio.api.chat_backend import (
        AdapterScale,
        ChatBackend,
        Chunk,
        ControlVector,
        EmbedRequest,
        FinishReason,
        GenerateRequest,
        HeldConversation,
        ModelInfo,
        Speculation,
        SpeculationMethod,
        TokenLogprob,
        ToolCall,
    )
    from fmstudio.api.context import LogLevel, TaskContext
    from fmstudio.api.dataset_exporter import DatasetExporter, DatasetFacts, ExportReport
    from fmstudio.api.embedder import Embedder
    from fmstudio.api.errors import Cancelled, UserError
    from fmstudio.api.importer import Importer, ImportReport, Part, Reject
    from fmstudio.api.operator import (
        Annotator,
        Clusters,
        Decision,
        Deduplicator,
        Expander,
        Filter,
        Mapper,
        Operator,
    )
    from fmstudio.api.params import Field, Params
    from fmstudio.api.rows import CANONICAL_COLUMNS, ROW_ID, Message, SchemaKind, message_keys, text_array
    from fmstudio.api.sampling import DRY_BREAKERS, SAMPLERS, Sampling
    from fmstudio.api.trainer import EvalRecord, Evaluator, Exporter, Trainer, TrainRequest, TrainResult

_HOMES = {
    "chat_backend": (
        "AdapterScale ChatBackend Chunk ControlVector EmbedRequest FinishReason GenerateRequest HeldConversation ModelInfo "
        "Speculation SpeculationMethod TokenLogprob ToolCall"
    ),
    "context": "LogLevel TaskContext",
    "dataset_exporter": "DatasetExporter DatasetFacts ExportReport",
    "embedder": "Embedder",
    "errors": "Cancelled UserError",
    "importer": "ImportReport Importer Part Reject",
    "operator": "Annotator Clusters Decision Deduplicator Expander Filter Mapper Operator",
    "params": "Field Params",
    "rows": "CANONICAL_COLUMNS Message ROW_ID SchemaKind message_keys text_array",
    "sampling": "DRY_BREAKERS SAMPLERS Sampling",
    "trainer": "EvalRecord Evaluator Exporter TrainRequest TrainResult Trainer",
}

__all__ = [
    "CANONICAL_COLUMNS",
    "DRY_BREAKERS",
    "ROW_ID",
    "SAMPLERS",
    "AdapterScale",
    "Annotator",
    "Cancelled",
    "ChatBackend",
    "Chunk",
    "Clusters",
    "ControlVector",
    "DatasetExporter",
    "DatasetFacts",
    "Decision",
    "Deduplicator",
    "EmbedRequest",
    "Embedder",
    "EvalRecord",
    "Evaluator",
    "Expander",
    "ExportReport",
    "Exporter",
    "Field",
    "Filter",
    "FinishReason",
    "GenerateRequest",
    "HeldConversation",
    "ImportReport",
    "Importer",
    "LogLevel",
    "Mapper",
    "Message",
    "ModelInfo",
    "Operator",
    "Params",
    "Part",
    "Reject",
    "Sampling",
    "SchemaKind",
    "Speculation",
    "SpeculationMethod",
    "TaskContext",
    "TokenLogprob",
    "ToolCall",
    "TrainRequest",
    "TrainResult",
    "Trainer",
    "UserError",
    "message_keys",
    "text_array",
]

_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
