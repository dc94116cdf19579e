"""`PeftToGgufExporter`: a PEFT LoRA adapter as a GGUF adapter that llama.cpp attaches to the base at run time.

The tensors keep their values. The one change is the order of rows of lora_B for q and k of the llama family: GGUF files
of that family pair neighbouring rotary dimensions where transformers pairs halves (llama.cpp, ``LlamaModel.permute``).
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from fmstudio.api import Exporter, Field, TaskContext, UserError
from fmstudio.api import Params as AnyParams

# transformers' model_type → (general.architecture, whether q and k rows are reordered)
ARCHITECTURES: dict[str, tuple[str, bool]] = {
    "llama": ("llama", True),
    "mistral": ("llama", True),
    "qwen2": ("qwen2", False),
    "qwen3": ("qwen3", False),
    "gemma3_text": ("gemma3", False),
    "phi3": ("phi3", False),
}
_OF_GGUF = {"llama": True, "qwen2": False, "qwen3": False, "gemma3": False, "phi3": False}

TENSORS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.gate_up_proj": "ffn_up",
}
"""transformers' name of a projection → llama.cpp's."""
_NAME = re.compile(r"^base_model\.model\.model\.layers\.(\d+)\.(.+)\.lora_([AB])\.weight$")


class GgufParams(AnyParams):
    """Settings of the export."""

    dtype: Literal["f32", "f16"] = Field(
        default="f32", title="Number format", description="f32 keeps the trained values; f16 halves the file."
    )


class PeftToGgufExporter(Exporter):
    """Writes ``<name of the adapter folder>.gguf``; of the base model only the head (or ``config.json``) is read."""

    Params: ClassVar[type[AnyParams]] = GgufParams

    def export(self, source: Path, base_model: Path, out_dir: Path, params: AnyParams, ctx: TaskContext) -> Path:
        """See `Exporter.export`."""
        assert isinstance(params, GgufParams)
        config = _adapter_config(source)
        architecture, heads = _architecture(base_model)
        tensors = _read(source)
        out_dir.mkdir(parents=True, exist_ok=True)
        path = out_dir / f"{source.name}.gguf"
        part = path.with_suffix(".part")
        _write(part, architecture, heads, config, tensors, params.dtype, ctx)
        os.replace(part, path)
        ctx.log(f"Wrote {len(tensors)} tensors, {path.stat().st_size / 1e6:.1f} MB.")
        return path


def _adapter_config(source: Path) -> dict[str, Any]:
    path = source / "adapter_config.json"
    if not path.is_file():
        raise UserError(f"{source} is no PEFT adapter: it has no adapter_config.json.")
    try:
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}.", remedy="Train again, or copy the adapter again.") from error
    if config.get("peft_type") != "LORA":
        raise UserError(f"Adapters of the kind {config.get('peft_type')} cannot be written as GGUF; LoRA can.")
    for key, what in (
        ("use_dora", "DoRA"),
        ("rank_pattern", "different ranks per layer"),
        ("alpha_pattern", "different alphas per layer"),
        ("modules_to_save", "fully trained layers"),
        ("lora_bias", "trained biases"),
        ("fan_in_fan_out", "transposed layers"),
    ):
        if config.get(key):
            raise UserError(f"The adapter uses {what}, which a GGUF adapter cannot hold.", remedy="Train without it.")
    return config


def _architecture(base_model: Path) -> tuple[str, tuple[int, int] | None]:
    """Give general.architecture, and (heads, kv heads) when q and k rows are to be reordered."""
    if base_model.is_dir():
        kind, heads, kv_heads = _of_folder(base_model)
        name, permuted = ARCHITECTURES.get(kind, ("", False))
    else:
        kind, heads, kv_heads = _of_gguf(base_model)
        name, permuted = (kind, _OF_GGUF[kind]) if kind in _OF_GGUF else ("", False)
    if not name:
        raise UserError(
            f"Adapters for models of the kind “{kind}” cannot be written as GGUF yet.",
            remedy=f"The kinds that can: {', '.join(ARCHITECTURES)}.",
        )
    return name, (heads, kv_heads) if permuted else None


def _of_folder(folder: Path) -> tuple[str, int, int]:
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"The base model {folder} has no config.json.", remedy="Choose the model's own folder.")
    config = json.loads(path.read_text("utf-8"))
    heads = int(config.get("num_attention_heads", 0))
    return str(config.get("model_type", "")), heads, int(config.get("num_key_value_heads") or heads)


def _of_gguf(path: Path) -> tuple[str, int, int]:
    from fmstudio.api.gguf_header import read_gguf_header

    metadata = read_gguf_header(path).metadata
    kind = str(metadata.get("general.architecture", ""))
    heads = metadata.get(f"{kind}.attention.head_count", 0)
    kv_heads = metadata.get(f"{kind}.attention.head_count_kv", heads)
    return kind, int(str(heads)), int(str(kv_heads))


def _read(source: Path) -> dict[tuple[int, str, str], Any]:
    """Adapter values by (layer, projection, ``"a"`` or ``"b"``), as fp32 arrays."""
    import numpy as np
    from safetensors import SafetensorError, safe_open

    path = source / "adapter_model.safetensors"
    if not path.is_file():
        raise UserError(
            f"{source} has no adapter_model.safetensors.",
            remedy="Pickled adapters (adapter_model.bin) are not opened, as they can run code; save as safetensors.",
        )
    tensors: dict[tuple[int, str, str], Any] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                key = _key(name)
                tensors[key] = np.ascontiguousarray(file.get_tensor(name).float().numpy())
    except SafetensorError as error:
        raise UserError(f"{path} is damaged: {error}.", remedy="Train again, or copy the adapter again.") from error
    pairs = {key[:2] for key in tensors}
    lone = [pair for pair in pairs if (*pair, "a") not in tensors or (*pair, "b") not in tensors]
    if lone or not tensors:
        raise UserError(f"{path} is incomplete: half of layer {lone[0] if lone else '—'} is missing.")
    return tensors


def _key(name: str) -> tuple[int, str, str]:
    match = _NAME.match(name)
    if not match or match[2] not in TENSORS:
        raise UserError(
            f"The adapter's tensor {name} has no counterpart in llama.cpp.",
            remedy="Train attention and MLP projections only (not lm_head or embed_tokens).",
        )
    return int(match[1]), match[2], match[3].lower()


def _write(
    path: Path,
    architecture: str,
    heads: tuple[int, int] | None,
    config: dict[str, Any],
    tensors: dict[tuple[int, str, str], Any],
    dtype: str,
    ctx: TaskContext,
) -> None:
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, _alpha(config))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32 if dtype == "f32" else gguf.LlamaFileType.MOSTLY_F16)
    for done, ((layer, projection, part), values) in enumerate(sorted(tensors.items())):
        ctx.check_cancelled()
        if part == "b" and heads and projection in ("self_attn.q_proj", "self_attn.k_proj"):
            values = _permute(values, heads[0] if projection.endswith("q_proj") else heads[1])
        values = values.astype(np.float16 if dtype == "f16" else np.float32)
        writer.add_tensor(f"blk.{layer}.{TENSORS[projection]}.weight.lora_{part}", values)
        ctx.progress(done + 1, len(tensors), "tensors")
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _alpha(config: dict[str, Any]) -> float:
    """llama.cpp acts with alpha ÷ r; rank-stabilised LoRA acts with alpha ÷ √r, so its alpha is rescaled."""
    alpha, rank = float(config["lora_alpha"]), int(config["r"])
    return float(alpha * rank**0.5) if config.get("use_rslora") else alpha


def _permute(b: Any, heads: int) -> Any:
    """Reorder rows ``(heads · 2 · half, r)``: first and second halves of each head become neighbours."""
    rows, rank = b.shape
    return b.reshape(heads, 2, rows // heads // 2, rank).swapaxes(1, 2).reshape(rows, rank).copy()
