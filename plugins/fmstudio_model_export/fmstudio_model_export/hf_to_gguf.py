"""`HfToGguf`: a Hugging Face folder of the llama, mistral, qwen2 and qwen3 families as a GGUF file.

Names, the order of rotary rows and the settings follow llama.cpp's converter; a wrong guess would give a model that talks
nonsense, so whatever is not known for certain is refused.
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from fmstudio.api import Exporter, Field, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_model_export.gguf_writing import FILE_TYPES, PlannedTensor, new_gguf, precision_of, write_tensors
from fmstudio_model_export.hf_vocabulary import read_vocabulary
from fmstudio_model_export.safetensors_file import StoredTensor, read_folder

# transformers' model_type → (general.architecture, whether q and k rows are reordered)
FAMILIES = {"llama": ("llama", True), "mistral": ("llama", True), "qwen2": ("qwen2", False), "qwen3": ("qwen3", False)}

_TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight"}  # fmt: skip
_LAYER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
_SKIPPED = ("rotary_emb.inv_freq",)


class HfParams(AnyParams):
    """Settings of the conversion."""

    precision: Literal["F16", "F32"] = Field(
        default="F16", title="Precision", description="F16 halves the file; a smaller type can be chosen afterwards."
    )


class HfToGguf(Exporter):
    """Writes ``<folder>-<precision>.gguf`` with weights, vocabulary, chat template and settings."""

    Params: ClassVar[type[AnyParams]] = HfParams

    def export(self, source: Path, base_model: Path, out_dir: Path, params: AnyParams, ctx: TaskContext) -> Path:
        """See `Exporter.export`; `base_model` is not used.

        Raises:
            UserError: The family, the tokenizer, the rotary scaling or a tensor is of a kind that is not known.
        """
        assert isinstance(params, HfParams)
        config = _config(source)
        architecture, permutes = _family(config)
        stored = read_folder(source)
        shape = _Shape(config)
        planned = _plan(stored, shape, permutes, params.precision, is_tied=bool(config.get("tie_word_embeddings")))
        rows = next((t.shape[0] for t in planned if t.name == "token_embd.weight"), 0)
        vocabulary = read_vocabulary(source, rows, config)
        planned += _rope_factors(config, shape)
        out_dir.mkdir(parents=True, exist_ok=True)
        path = out_dir / f"{source.name}-{params.precision}.gguf"
        with new_gguf(path, architecture) as writer:
            writer.add_name(source.name)
            _add_settings(writer, architecture, config, shape)
            writer.add_vocab_size(rows)
            writer.add_file_type(FILE_TYPES[params.precision])
            vocabulary.add_to(writer)
            write_tensors(writer, path, planned, ctx)
        return path


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}.", remedy="Copy the folder again.") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is no JSON object.", remedy="Copy the folder again.")
    return value


def _family(config: dict[str, Any]) -> tuple[str, bool]:
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        raise UserError(
            f"Models of the kind “{kind}” cannot be converted to GGUF here.",
            remedy=f"The kinds that can: {', '.join(FAMILIES)}. For others ask for the model's GGUF file.",
        )
    if config.get("quantization_config"):
        raise UserError("The folder's weights are quantised already.", remedy="Choose the model's unquantised version.")
    return FAMILIES[kind]


class _Shape:
    """The numbers of a ``config.json`` that the conversion needs."""

    def __init__(self, config: dict[str, Any]) -> None:
        try:
            self.width = int(config["hidden_size"])
            self.layers = int(config["num_hidden_layers"])
            self.inner = int(config["intermediate_size"])
            self.heads = int(config["num_attention_heads"])
            self.kv_heads = int(config.get("num_key_value_heads") or self.heads)
            self.head = int(config.get("head_dim") or self.width // self.heads)
            self.context = int(config["max_position_embeddings"])
            self.epsilon = float(config["rms_norm_eps"])
            rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
            self.rope: dict[str, Any] = rope
            self.theta = float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise UserError(
                f"config.json lacks a number or has a wrong one: {error}.", remedy="Copy it again."
            ) from error


def _add_settings(writer: Any, architecture: str, config: dict[str, Any], shape: _Shape) -> None:
    import gguf

    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(shape.theta)
    if architecture == "llama":
        writer.add_rope_dimension_count(shape.head)
    kind = shape.rope.get("rope_type") or shape.rope.get("type") or "default"
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(shape.rope["factor"]))
    elif kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(float(shape.rope["factor"]))
        writer.add_rope_scaling_orig_ctx_len(int(shape.rope.get("original_max_position_embeddings") or shape.context))
    elif kind not in ("default", "llama3"):
        raise UserError(
            f"The model scales its rotary positions in the way “{kind}”, which cannot be converted.",
            remedy="Ask for the model's GGUF file.",
        )


def _plan(
    stored: dict[str, StoredTensor], shape: _Shape, permutes: bool, precision: str, *, is_tied: bool
) -> list[PlannedTensor]:
    planned = []
    for name, tensor in stored.items():
        if name.endswith(_SKIPPED) or (is_tied and name == "lm_head.weight"):
            continue
        new_name, module = _name(name)
        heads = {"self_attn.q_proj": shape.heads, "self_attn.k_proj": shape.kv_heads}.get(module, 0) if permutes else 0
        values = partial(_permuted, tensor, heads) if heads else tensor.values
        planned.append(PlannedTensor(new_name, tensor.shape, precision_of(tensor.shape, precision), values))
    return planned


def _name(name: str) -> tuple[str, str]:
    """llama.cpp's name of a tensor, and the layer's module it belongs to."""
    if name in _TOP:
        return _TOP[name], ""
    head, _, rest = name.partition("model.layers.")
    number, _, inside = rest.partition(".")
    module, _, part = inside.rpartition(".")
    if head or not number.isdecimal() or module not in _LAYER or part not in ("weight", "bias"):
        raise UserError(
            f"The tensor {name} has no known counterpart in llama.cpp.", remedy="Ask for the model's GGUF file."
        )
    return f"blk.{number}.{_LAYER[module]}.{part}", module


def _permuted(tensor: StoredTensor, heads: int) -> Any:
    """Bring the two halves of each head's rotary rows together (llama.cpp, LlamaModel.permute)."""
    values = tensor.values()
    rows = values.shape[0]
    return values.reshape(heads, 2, rows // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def _rope_factors(config: dict[str, Any], shape: _Shape) -> list[PlannedTensor]:
    """Llama 3.1's scaling of rotary frequencies, as the tensor ``rope_freqs.weight`` (llama.cpp's converter)."""
    if (shape.rope.get("rope_type") or shape.rope.get("type")) != "llama3":
        return []
    import numpy as np

    try:
        factor, low, high = (float(shape.rope[k]) for k in ("factor", "low_freq_factor", "high_freq_factor"))
        old = float(shape.rope["original_max_position_embeddings"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"The rotary scaling in config.json lacks a number: {error}.", remedy="Copy it again."
        ) from error
    found = []
    for step in range(0, shape.head, 2):
        wave = 2 * math.pi * shape.theta ** (step / shape.head)
        smooth = (old / wave - low) / (high - low)
        between = 1 / ((1 - smooth) / factor + smooth) if 0 < smooth < 1 else 1.0
        found.append(1.0 if wave < old / high else factor if wave > old / low else between)
    values = np.array(found, np.float32)
    return [PlannedTensor("rope_freqs.weight", values.shape, "F32", lambda: values)]
