"""Models and adapters that read well but cannot work: one fault each in a sound file, for the native code behind.

`tests.damaged_models` makes what the readers of headers must refuse; these pass them, or nearly.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from tests.gguf_surgery import BOOL, F32, I32, STRING, U32, U64, Change, Parts, Tensor, take_apart
from tests.hostile_templates import HUGE, NESTED

_HUGE = (1 << 32) - 1
_QUANTISED = {"q4_0": (2, 32, 18), "q4_k": (12, 256, 144), "q8_0": (8, 32, 34), "iq2_xxs": (16, 256, 66)}


def _number(key: str, value: int, kind: int = U32) -> Change:
    return lambda parts: parts.set(key, kind, value)


def _without(*names: str) -> Change:
    def change(parts: Parts) -> None:
        for name in names:
            parts.keys.pop(name, None)
            parts.tensors.pop(name, None)

    return change


def _filled(name: str, value: float) -> Change:
    def change(parts: Parts) -> None:
        tensor = parts.tensors[name]
        tensor.data = struct.pack("<f", value) * (len(tensor.data) // 4)

    return change


def _shaped(name: str, shape: tuple[int, ...]) -> Change:
    def change(parts: Parts) -> None:
        parts.tensors[name].shape = shape

    return change


def _placed(name: str, offset: int) -> Change:
    def change(parts: Parts) -> None:
        parts.tensors[name].offset = offset

    return change


def _typed(name: str, kind: int) -> Change:
    def change(parts: Parts) -> None:
        parts.tensors[name].kind = kind

    return change


def _quantised(name: str, how: str) -> Change:
    """Noise in a quantised type: infinities and nonsense scales."""

    def change(parts: Parts) -> None:
        kind, weights, size = _QUANTISED[how]
        tensor = parts.tensors[name]
        count = len(tensor.data) // 4 // weights
        tensor.kind, tensor.data = kind, b"\xff" * (count * size)

    return change


def _twice(name: str) -> Change:
    return lambda parts: parts.extra.append((name, parts.tensors[name]))


def _model_changes() -> Iterator[tuple[str, Change]]:
    for value in (0, 1, 2, 7, 1 << 20, 1 << 31, _HUGE):
        yield f"context-{value}", _number("llama.context_length", value)
    yield "context-64-bit", _number("llama.context_length", 1 << 63, U64)
    yield "context-text", lambda parts: parts.set("llama.context_length", STRING, "many")
    yield "context-negative", _number("llama.context_length", -5, I32)
    yield "context-missing", _without("llama.context_length")
    for key in ("embedding_length", "block_count", "feed_forward_length", "attention.head_count",
                "attention.head_count_kv", "rope.dimension_count", "vocab_size"):  # fmt: skip
        for value in (0, 1, 3, 5, 128, 65_535, 1 << 31, _HUGE):
            yield f"{key}-{value}", _number(f"llama.{key}", value)
        yield f"{key}-text", lambda parts, key=key: parts.set(f"llama.{key}", STRING, "x")  # type: ignore[misc]
        yield f"{key}-missing", _without(f"llama.{key}")
    for value in (float("nan"), 0.0, -1.0, float("inf")):
        yield f"epsilon-{value}", lambda parts, v=value: parts.set("llama.attention.layer_norm_rms_epsilon", F32, v)  # type: ignore[misc]
        yield f"rope-{value}", lambda parts, v=value: parts.set("llama.rope.freq_base", F32, v)  # type: ignore[misc]
    yield (
        "experts",
        lambda parts: (parts.set("llama.expert_count", U32, 9), parts.set("llama.expert_used_count", U32, 99))[0],
    )
    yield "window", _number("llama.attention.sliding_window", 1)
    for name in ("unknown", "", "bert", "clip", "mamba", "t5", "gemma3", "qwen2", "llama4", "x" * 10_000):
        yield f"architecture-{name[:9]}", lambda parts, n=name: parts.set("general.architecture", STRING, n)  # type: ignore[misc]
    yield "architecture-missing", _without("general.architecture")
    yield "architecture-number", _number("general.architecture", 7)
    yield (
        "mmproj",
        lambda parts: (parts.set("general.architecture", STRING, "clip"), parts.set("general.type", STRING, "mmproj"))[
            0
        ],
    )
    yield "an-adapter", lambda parts: parts.set("general.type", STRING, "adapter")
    yield "split", lambda parts: (parts.set("split.count", U32, 3), parts.set("split.no", U32, 0))[0]
    yield "split-last", lambda parts: (parts.set("split.count", U32, 3), parts.set("split.no", U32, 7))[0]
    yield "split-many", _number("split.count", 65_535)
    yield from _tokenizer_changes()
    yield from _tensor_changes()
    for name, source in {**HUGE, **NESTED}.items():
        yield f"template-{name}", lambda parts, s=source: parts.set("tokenizer.chat_template", STRING, s)  # type: ignore[misc]
    yield "template-long", lambda parts: parts.set("tokenizer.chat_template", STRING, "{{ 1 }}" * 300_000)
    yield "template-number", _number("tokenizer.chat_template", 3)


def _tokenizer_changes() -> Iterator[tuple[str, Change]]:
    for key in ("model", "pre", "tokens", "token_type", "merges", "bos_token_id", "eos_token_id"):
        yield f"tokenizer-no-{key}", _without(f"tokenizer.ggml.{key}")
        yield f"tokenizer-number-{key}", _number(f"tokenizer.ggml.{key}", 5)
    for name in ("llama", "bert", "t5", "rwkv", "none", "plamo2", "unknown", ""):
        yield f"tokenizer-{name}", lambda parts, n=name: parts.set("tokenizer.ggml.model", STRING, n)  # type: ignore[misc]
    yield "tokenizer-pre", lambda parts: parts.set("tokenizer.ggml.pre", STRING, "nobody-knows")
    for name in ("bos", "eos", "unknown", "padding", "eot", "fim_pre"):
        for value in (448, 1 << 31, _HUGE, 0):
            yield f"{name}-{value}", _number(f"tokenizer.ggml.{name}_token_id", value)
    yield "tokens-none", lambda parts: parts.set_texts("tokenizer.ggml.tokens", [])
    yield "tokens-few", lambda parts: parts.set_texts("tokenizer.ggml.tokens", [b"a", b"b"])
    yield "tokens-many", lambda parts: parts.set_texts("tokenizer.ggml.tokens", [b"%d" % n for n in range(1000)])
    yield "tokens-same", lambda parts: parts.set_texts("tokenizer.ggml.tokens", [b"a"] * 448)
    yield "tokens-empty", lambda parts: parts.set_texts("tokenizer.ggml.tokens", [b""] * 448)
    yield (
        "tokens-bytes",
        lambda parts: parts.set_texts("tokenizer.ggml.tokens", [b"\xff\xfe%d" % n for n in range(448)]),
    )
    yield (
        "tokens-long",
        lambda parts: parts.set_texts("tokenizer.ggml.tokens", [b"x" * 40_000 + b"%d" % n for n in range(448)]),
    )
    yield "tokens-numbers", lambda parts: parts.set_numbers("tokenizer.ggml.tokens", [1] * 448)
    yield "types-few", lambda parts: parts.set_numbers("tokenizer.ggml.token_type", [1])
    yield "types-odd", lambda parts: parts.set_numbers("tokenizer.ggml.token_type", [-99] * 448)
    yield "types-all-control", lambda parts: parts.set_numbers("tokenizer.ggml.token_type", [3] * 448)
    yield "types-all-unused", lambda parts: parts.set_numbers("tokenizer.ggml.token_type", [5] * 448)
    yield (
        "merges-odd",
        lambda parts: parts.set_texts("tokenizer.ggml.merges", [b"", b" ", b"a", b"a b c", b"\xff \xfe", b"zz qq"]),
    )
    yield "merges-none", lambda parts: parts.set_texts("tokenizer.ggml.merges", [])
    yield "add-bos", lambda parts: parts.set("tokenizer.ggml.add_bos_token", BOOL, True)


def _tensor_changes() -> Iterator[tuple[str, Change]]:
    names = (
        "token_embd.weight",
        "output_norm.weight",
        "blk.0.attn_q.weight",
        "blk.1.ffn_down.weight",
        "blk.0.attn_norm.weight",
    )
    for name in names:
        yield f"no-{name}", _without(name)
        yield f"nan-{name}", _filled(name, float("nan"))
        yield f"infinite-{name}", _filled(name, float("inf"))
        yield f"twice-{name}", _twice(name)
        yield f"flat-{name}", _shaped(name, (1,))
        yield f"zero-{name}", _shaped(name, (0, 64))
        yield f"beyond-{name}", _placed(name, 1 << 40)
        yield f"wraps-{name}", _placed(name, (1 << 64) - 32)
        yield f"overlaps-{name}", _placed(name, 32)
        yield f"odd-{name}", _placed(name, 5)
        for kind in (4, 5, 31, 36, 42, 99, 0x7FFFFFFF, _HUGE):
            yield f"type-{kind}-{name}", _typed(name, kind)
        yield f"integers-{name}", _typed(name, 26)
    for how in _QUANTISED:
        yield f"{how}-noise", _quantised("blk.0.ffn_gate.weight", how)
        yield f"{how}-noise-embedding", _quantised("token_embd.weight", how)
    yield "turned", _shaped("token_embd.weight", (448, 64))
    yield "five-dimensions", _shaped("token_embd.weight", (64, 448, 1, 1, 1))
    yield "huge-dimensions", _shaped("token_embd.weight", (1 << 62, 1 << 62))
    yield "no-tensors", lambda parts: parts.tensors.clear()
    yield "one-tensor", lambda parts: [parts.tensors.pop(n) for n in list(parts.tensors)[1:]] and None
    yield "more", lambda parts: parts.extra.extend((f"more.{n}", Tensor((4,), 0, b"\0" * 16)) for n in range(2000))
    yield "long-name", lambda parts: parts.extra.append(("n" * 60_000, Tensor((4,), 0, b"\0" * 16)))


def _adapter_changes() -> Iterator[tuple[str, Change]]:
    a, b = "blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"
    yield "no-alpha", _without("adapter.lora.alpha")
    for value in (float("nan"), float("inf"), 0.0, -1e30):
        yield f"alpha-{value}", lambda parts, v=value: parts.set("adapter.lora.alpha", F32, v)  # type: ignore[misc]
    yield "alpha-text", lambda parts: parts.set("adapter.lora.alpha", STRING, "x")
    yield "kind-missing", _without("adapter.type")
    yield "kind-other", lambda parts: parts.set("adapter.type", STRING, "dora")
    yield "kind-number", _number("adapter.type", 1)
    yield "type-missing", _without("general.type")
    yield "architecture-other", lambda parts: parts.set("general.architecture", STRING, "qwen2")
    yield "architecture-missing", _without("general.architecture")
    yield "half", _without(b)
    yield "other-half", _without(a)
    yield "no-tensors", lambda parts: parts.tensors.clear()
    yield "rank-differs", _shaped(a, (32, 8))
    yield "rank-zero", lambda parts: (_shaped(a, (64, 0))(parts), _shaped(b, (0, 64))(parts))[0]
    yield "turned", _shaped(a, (4, 64))
    yield "flat", _shaped(a, (256,))
    yield "three-dimensions", _shaped(a, (64, 2, 2))
    yield "nan", _filled(a, float("nan"))
    yield "infinite", _filled(b, float("inf"))
    yield "integers", _typed(a, 26)
    yield "unknown-type", _typed(a, 99)
    yield "removed-type", _typed(a, 4)
    yield "beyond", _placed(a, 1 << 40)
    yield "odd-place", _placed(b, 5)
    yield "twice", _twice(a)
    yield "quantised", _quantised(a, "q8_0")
    yield "other-name", lambda parts: parts.extra.append(("strange.tensor", Tensor((4,), 0, b"\0" * 16)))
    yield "other-layer", lambda parts: parts.extra.append(("blk.99.attn_q.weight.lora_a", parts.tensors[a]))
    yield (
        "norm",
        lambda parts: parts.extra.extend(
            (f"output_norm.weight.lora_{h}", parts.tensors[t]) for h, t in (("a", a), ("b", b))
        ),
    )
    yield "tokens", lambda parts: parts.set_numbers("adapter.alora.invocation_tokens", [1 << 30, -1])


def write_hostile_models(sound: Path, folder: Path) -> list[Path]:
    """Write a model for each fault; `sound` is the tiny llama."""
    return list(_written(sound, folder, _model_changes()))


def write_hostile_adapters(sound: Path, folder: Path) -> list[Path]:
    """Write an adapter for each fault; `sound` is a tiny adapter of it."""
    return list(_written(sound, folder, _adapter_changes()))


def _written(sound: Path, folder: Path, changes: Iterator[tuple[str, Change]]) -> Iterator[Path]:
    for name, change in changes:
        parts = take_apart(sound)
        change(parts)
        yield parts.write(folder / f"{name}.gguf")
