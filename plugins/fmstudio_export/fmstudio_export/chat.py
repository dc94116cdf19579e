"""Conversations: OpenAI's ``messages`` in JSON Lines, and ShareGPT's ``conversations`` in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import DatasetExporter, DatasetFacts, ExportReport, Field, Params, TaskContext
from fmstudio_export.json_text import write_array, write_lines
from fmstudio_export.originals import originals_column
from fmstudio_export.turns import check_dialogs, dialogs, tell_extras, tell_unwritten, tools_of

if TYPE_CHECKING:
    import pyarrow as pa

_SHAREGPT = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation"}
"""Role names of ShareGPT as LLaMA-Factory's data/README.md lists them."""


class ChatParams(Params):
    """Settings of both formats."""

    system: str = Field(
        default="",
        title="System message",
        description="Put first in every conversation that has none; empty = leave them as they are.",
    )
    only_answered: bool = Field(
        default=False,
        title="Only with an answer last",
        description="Leaves out conversations whose last message is not the assistant's: fine-tuning needs one to learn.",
    )


class ShareGptParams(ChatParams):
    """Settings of ShareGPT."""

    system_as: Literal["message", "field"] = Field(
        default="message", title="System message as", description="“field” writes it as “system” beside the turns."
    )


class MessagesExporter(DatasetExporter):
    """Writes JSON Lines as OpenAI's fine-tuning takes them, with tool calls and pictures; a column ``tools`` goes along."""

    Params = ChatParams

    def check(self, schema: pa.Schema, params: Any) -> None:
        """See `DatasetExporter.check`."""
        check_dialogs(schema, "OpenAI's format")

    def write(
        self,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        target: Path,
        params: Any,
        facts: DatasetFacts,
        report: ExportReport,
        ctx: TaskContext,
    ) -> list[Path]:
        """See `DatasetExporter.write`."""
        tell_unwritten(schema, ("messages", originals_column(schema), "prompt", "completion", "tools"), report)
        found = _conversations(dialogs(batches, schema, report), params, report)
        write_lines(target, ({"messages": messages, **tools_of(row, report)} for messages, row in found))
        return [target]


class ShareGptExporter(DatasetExporter):
    """Writes ``[{"conversations": [{"from": "human", "value": …}, …]}, …]``."""

    Params = ShareGptParams

    def check(self, schema: pa.Schema, params: Any) -> None:
        """See `DatasetExporter.check`."""
        check_dialogs(schema, "ShareGPT")

    def write(
        self,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        target: Path,
        params: Any,
        facts: DatasetFacts,
        report: ExportReport,
        ctx: TaskContext,
    ) -> list[Path]:
        """See `DatasetExporter.write`."""
        tell_unwritten(schema, ("messages", "prompt", "completion"), report)
        found = _conversations(dialogs(batches, schema, report, is_texts_only=True), params, report)
        write_array(target, (_sharegpt(messages, params.system_as == "field", report) for messages, _ in found))
        return [target]


def _conversations(
    found: Iterator[tuple[int, list[dict[str, Any]], dict[str, Any]]], params: ChatParams, report: ExportReport
) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    for position, messages, row in found:
        if params.only_answered and messages[-1]["role"] != "assistant":
            report.leave_out(position, "Its last message is not the assistant's.")
            continue
        if params.system and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": params.system}, *messages]
        yield messages, row


def _sharegpt(messages: list[dict[str, Any]], is_apart: bool, report: ExportReport) -> dict[str, Any]:
    tell_extras(messages, report)
    system = {}
    if is_apart and messages[0]["role"] == "system":
        system, messages = {"system": messages[0]["content"]}, messages[1:]
    turns = [{"from": _SHAREGPT.get(m["role"], m["role"]), "value": m["content"]} for m in messages]
    return {"conversations": turns, **system}
