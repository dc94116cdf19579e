"""Which base models an adapter belongs to: by architecture, and by the shape of every pair of tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from fmstudio.api.errors import UserError
from fmstudio.api.gguf_header import read_gguf_header, require_matching_adapter
from fmstudio.models.inspect import read_tensors

_PEFT = re.compile(r"^base_model\.model\.(.+)\.lora_(A|B)(?:\.default)?\.weight$")
_LAYER = re.compile(r"^(?:model\.)?(?:language_model\.)?(?:model\.)?layers\.(\d+)\.(.+)$")
_GGUF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.qkv_proj": "attn_qkv", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up",
}  # fmt: skip
"""transformers' name of a projection → llama.cpp's (the families that FM Studio trains)."""

Sizes = tuple[int, int]


def require_base(adapter: Path, adapter_format: str, base: Path, base_format: str) -> None:
    """Refuse an adapter that does not fit this base; reads both heads, no weights.

    Args:
        adapter_format: ``gguf`` or ``peft``. base_format: ``gguf`` or ``hf``.

    Raises:
        UserError: Names the first thing that does not fit.
    """
    if adapter_format == "gguf" and base_format == "gguf":
        require_matching_adapter(read_gguf_header(adapter), read_gguf_header(base))
        return
    if adapter_format == "gguf":
        raise UserError(
            f"“{adapter.name}” is a GGUF adapter; “{base.name}” is a folder for training.",
            remedy="Add the base model as a GGUF file too.",
        )
    pairs = _peft_pairs(adapter)
    sizes, name_of = (_gguf_sizes(base), _gguf_name) if base_format == "gguf" else (_hf_sizes(base), _hf_name)
    why = _misfit(pairs, sizes, name_of)
    if why:
        raise UserError(
            f"“{adapter.name}” does not belong to “{base.name}”: {why}.",
            remedy="Choose the base model it was trained on.",
        )


def fitting(
    adapter: Path, adapter_format: str, bases: Iterable[tuple[str, Path, str]]
) -> tuple[list[str], list[UserError]]:
    """Ids of the bases it fits, and why the others are not.

    Args:
        bases: (id, path, format) of each.

    Raises:
        UserError: The adapter itself is damaged, or holds nothing to compare.
    """
    if adapter_format == "peft":
        _peft_pairs(adapter)
    found: list[str] = []
    refusals: list[UserError] = []
    for base_id, path, base_format in bases:
        try:
            require_base(adapter, adapter_format, path, base_format)
        except UserError as error:
            refusals.append(error)
        else:
            found.append(base_id)
    return found, refusals


def _peft_pairs(folder: Path) -> dict[str, Sizes]:
    """Module → (out, in) it is made for."""
    halves: dict[tuple[str, str], tuple[int, ...]] = {}
    for name, tensor in read_tensors(folder, "adapter_model").items():
        match = _PEFT.match(name)
        if match and len(tensor.shape) == 2:
            halves[match[1], match[2]] = tensor.shape
    pairs: dict[str, Sizes] = {}
    for module, _ in halves:
        a, b = halves.get((module, "A")), halves.get((module, "B"))
        if a is None or b is None or a[0] != b[1]:
            raise UserError(
                f"“{folder.name}” is damaged: “{module[:100]}” has only one half of its LoRA pair"
                if a is None or b is None
                else f"“{folder.name}” is damaged: the two halves of “{module[:100]}” have different ranks",
                remedy="Copy the adapter's folder again.",
            )
        pairs[module] = (b[0], a[1])
    if not pairs:
        raise UserError(f"“{folder.name}” holds no LoRA pairs.", remedy="Choose a LoRA adapter.")
    return pairs


def _hf_sizes(folder: Path) -> dict[str, Sizes]:
    tensors = read_tensors(folder, "model")
    return {name: (t.shape[0], t.shape[1]) for name, t in tensors.items() if len(t.shape) == 2}


def _gguf_sizes(path: Path) -> dict[str, Sizes]:
    return {t.name: (t.shape[1], t.shape[0]) for t in read_gguf_header(path).tensors if len(t.shape) == 2}


def _hf_name(module: str) -> str:
    return f"{module}.weight"


def _gguf_name(module: str) -> str:
    match = _LAYER.match(module)
    if match and match[2] in _GGUF_NAMES:
        return f"blk.{match[1]}.{_GGUF_NAMES[match[2]]}.weight"
    return {"model.embed_tokens": "token_embd.weight", "lm_head": "output.weight"}.get(module, "")


def _misfit(pairs: dict[str, Sizes], sizes: dict[str, Sizes], name_of: Callable[[str], str]) -> str:
    for module, wanted in pairs.items():
        there = sizes.get(name_of(module))
        if there is None:
            return f"the model has no “{module}”"
        if there != wanted:
            return f"“{module}” is made for {wanted[1]}×{wanted[0]} weights, the model has {there[1]}×{there[0]}"
    return ""
