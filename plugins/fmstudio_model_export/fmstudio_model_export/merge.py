"""`GgufMerger`: a GGUF adapter written into the weights of its GGUF base.

W + scale · (alpha ÷ r) · B · A, computed in fp32 on dequantised weights; what the adapter does not touch keeps its values
(in the precision that is written). llama.cpp adds the same product to activations at run time.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from fmstudio.api import Exporter, Field, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio.api.gguf_header import GgufHeader, read_gguf_header, require_chat_model, require_matching_adapter
from fmstudio_model_export.gguf_writing import FILE_TYPES, PlannedTensor, new_gguf, precision_of, write_tensors

_DERIVED = ("GGUF.", "general.architecture", "general.file_type", "general.quantization_version", "split.")


class MergeParams(AnyParams):
    """Settings of a merge."""

    precision: Literal["F16", "F32"] = Field(
        default="F16", title="Precision", description="Of the merged weights; a smaller type can be chosen afterwards."
    )
    scale: float = Field(default=1.0, ge=-4, le=4, title="Strength", description="1 = as it was trained.")


class GgufMerger(Exporter):
    """Writes ``<base>-<adapter>-<precision>.gguf``."""

    Params: ClassVar[type[AnyParams]] = MergeParams

    def export(self, source: Path, base_model: Path, out_dir: Path, params: AnyParams, ctx: TaskContext) -> Path:
        """See `Exporter.export`; `source` is the adapter.

        Raises:
            UserError: The adapter does not belong to the base, or the disk is too small.
        """
        import gguf

        assert isinstance(params, MergeParams)
        base, adapter = read_gguf_header(base_model), read_gguf_header(source)
        require_chat_model(base)
        require_matching_adapter(adapter, base)
        _refuse_what_does_not_merge(adapter, base)
        out_dir.mkdir(parents=True, exist_ok=True)
        path = out_dir / f"{base_model.stem}-{source.stem}-{params.precision}.gguf"
        weights, changes = gguf.GGUFReader(base_model), _Changes(gguf.GGUFReader(source), params.scale)
        planned = [_planned(tensor, changes, params.precision) for tensor in weights.tensors]
        with new_gguf(path, base.architecture) as writer:
            copy_settings(weights, writer)
            writer.add_file_type(FILE_TYPES[params.precision])
            write_tensors(writer, path, planned, ctx)
        ctx.log(f"Merged {len(changes.targets)} weights of {len(planned)} at strength {params.scale:g}.")
        return path


def _refuse_what_does_not_merge(adapter: GgufHeader, base: GgufHeader) -> None:
    targets = {t.name.rpartition(".")[0] for t in adapter.tensors}
    is_tied = not any(t.name == "output.weight" for t in base.tensors)
    if base.is_split:
        raise UserError(f"“{base.path.name}” is one part of a split model.", remedy="Join its parts first.")
    if is_tied and "token_embd.weight" in targets:
        raise UserError(
            "The adapter changes the token embedding, which this model uses as its output too: a merge would change both.",
            remedy="Keep the adapter beside its base instead.",
        )


class _Changes:
    """What an adapter adds to each weight it names."""

    def __init__(self, adapter: Any, scale: float) -> None:
        self._halves = {tensor.name: tensor for tensor in adapter.tensors}
        self.targets = {name.rpartition(".")[0] for name in self._halves}
        alpha = adapter.get_field("adapter.lora.alpha")
        self._alpha = float(alpha.contents()) if alpha is not None else 0.0
        self._scale = scale

    def of(self, name: str) -> Any:
        """The product to add, in fp32 and in numpy's order of dimensions."""
        a, b = (dequantised(self._halves[f"{name}.lora_{half}"]) for half in "ab")
        if name == "token_embd.weight":  # llama.cpp looks its rows up: a is (vocabulary, r), b is (width, r)
            rank, product = a.shape[1], a @ b.T
        else:
            rank, product = a.shape[-2], b @ a
        # Without an alpha llama.cpp takes the scale as it is (llama-adapter.h, get_scale).
        return product * (self._scale * (self._alpha / rank if self._alpha else 1.0))


def dequantised(tensor: Any) -> Any:
    """A tensor's values in fp32, outermost dimension first."""
    import gguf
    import numpy as np

    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return values.reshape([int(n) for n in reversed(tensor.shape)]).astype(np.float32, copy=False)


def _planned(tensor: Any, changes: _Changes, precision: str) -> PlannedTensor:
    shape = tuple(int(n) for n in reversed(tensor.shape))
    return PlannedTensor(tensor.name, shape, precision_of(shape, precision), partial(_merged, tensor, changes))


def _merged(tensor: Any, changes: _Changes) -> Any:
    values = dequantised(tensor)
    return values + changes.of(tensor.name) if tensor.name in changes.targets else values


def copy_settings(reader: Any, writer: Any) -> None:
    """Copy all settings of a GGUF, but those that follow from how the new file is written."""
    import gguf

    for field in reader.fields.values():
        if not field.name.startswith(_DERIVED):
            element = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=element)
