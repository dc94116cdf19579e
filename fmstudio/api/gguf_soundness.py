"""What native code takes for granted of a GGUF file, and ends its process over when it is not so.

Each check stands for an assertion or a crash of llama.cpp that a file can bring about: named beside it. A file that
merely does not fit together, which llama.cpp itself refuses in words, is none of this module's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from fmstudio.api.errors import UserError
from fmstudio.api.gguf_header import STRING, GgufArray, GgufHeader

MAX_LAYERS: Final = 512  # LLAMA_MAX_LAYERS, llama-hparams.h
_INTEGERS: Final = frozenset({24, 25, 26, 27, 28})  # I8 … I64 and F64: nothing multiplies by them
_PLAIN: Final = frozenset({0, 1, 30})  # F32, F16, BF16
_NORMS: Final = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon", "attention.group_norm_epsilon")


def require_sound_model(header: GgufHeader) -> None:
    """Refuse a model that would end the process which loads it.

    Raises:
        UserError: Names the first setting or tensor that is wrong.
    """
    _refuse_first(header, _model_faults(header))


def require_sound_adapter(header: GgufHeader) -> None:
    """Refuse an adapter that would end the process which opens it.

    Raises:
        UserError: Names the first setting or tensor that is wrong.
    """
    _refuse_first(header, _adapter_faults(header))


def _refuse_first(header: GgufHeader, faults: Iterator[str]) -> None:
    fault = next(faults, "")
    if fault:
        raise UserError(
            f"“{header.path.name}” is faulty: {fault}.",
            remedy="It cannot be used as it is: get it from another source, or convert it again.",
        )


def _model_faults(header: GgufHeader) -> Iterator[str]:
    if header.is_split and header.number("split.no"):
        return  # only the first part says what the model is
    arch = header.architecture
    layers = header.metadata.get(f"{arch}.block_count")
    if isinstance(layers, int) and not 0 < layers <= MAX_LAYERS:
        yield f"it claims {layers:,} layers"  # llama-model.cpp: n_layer > 0 && n_layer <= LLAMA_MAX_LAYERS
    experts, used = header.number(f"{arch}.expert_count"), header.number(f"{arch}.expert_used_count")
    if used > experts:
        yield f"it uses {used:,} of {experts:,} experts"  # llama-model.cpp: n_expert_used <= n_expert
    for name in _NORMS:
        value = header.metadata.get(f"{arch}.{name}", 0.0)
        if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
            yield f"“{name}” is {value}"  # ops.cpp: eps >= 0
    yield from _tokenizer_faults(header)
    yield from _tensor_faults(header)


def _tokenizer_faults(header: GgufHeader) -> Iterator[str]:
    kind = header.metadata.get("tokenizer.ggml.model")
    if kind in ("none", "no_vocab"):
        yield "it has no tokenizer"  # llama-vocab.cpp: the tokenizer is not initialised
    tokens = _tokens(header)
    if tokens is None:
        return
    kept = {token for token in tokens if token}
    if len(kept) < sum(1 for token in tokens if token):  # llama-vocab.cpp: id_to_token.size() == token_to_id.size()
        yield "its tokenizer has a token twice"
    if kind == "llama" and not all(b"<0x%02X>" % n in kept or bytes((n,)) in kept for n in range(256)):
        yield "its tokenizer does not know every byte"  # llama-vocab.cpp: byte_to_token throws, and nobody catches it


def _tokens(header: GgufHeader) -> list[bytes] | None:
    """The tokenizer's tokens, read from the file; None when there is no list of texts."""
    found = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(found, tuple):
        return [token.encode("utf-8", "replace") for token in found if isinstance(token, str)]
    if not isinstance(found, GgufArray) or found.element_type != STRING:
        return None
    tokens = []
    with header.path.open("rb", buffering=1 << 18) as stream:
        stream.seek(found.offset)
        for _ in range(found.length):
            tokens.append(stream.read(int.from_bytes(stream.read(8), "little")))
    return tokens


def _tensor_faults(header: GgufHeader) -> Iterator[str]:
    for tensor in header.tensors:
        is_norm = len(tensor.shape) == 1 and tensor.name.endswith("norm.weight")
        if is_norm and tensor.type_id not in _PLAIN:
            yield f"the tensor “{tensor.name[:100]}” is of the type {tensor.type_name}"  # ggml_mul: no such operation
        elif tensor.type_id in _INTEGERS and _is_multiplied(tensor.name):
            yield f"the tensor “{tensor.name[:100]}” is of the type {tensor.type_name}"  # no buffer type can hold it


def _is_multiplied(name: str) -> bool:
    is_table = "tid2eid" in name  # which expert a token goes to: numbers indeed
    return name.endswith(".weight") and not is_table and any(p in name for p in ("attn", "ffn", "token_embd", "output"))


def _adapter_faults(header: GgufHeader) -> Iterator[str]:
    alpha = header.metadata.get("adapter.lora.alpha", 0.0)
    if not isinstance(alpha, float) or not math.isfinite(alpha):
        yield f"its alpha is {alpha!r}"  # gguf.cpp: the type of the value
    for tensor in header.tensors:
        if tensor.type_id in _INTEGERS:
            yield f"the tensor “{tensor.name[:100]}” is of the type {tensor.type_name}"
