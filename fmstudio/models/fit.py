"""Which settings fit for a GGUF model here: context, cache type and layers on the GPU. No engine is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fmstudio.api.gguf_header import read_gguf_header
from fmstudio.api.gguf_memory import (
    CONTEXTS,
    DEFAULT_BATCH,
    DEFAULT_CONTEXT,
    HEADROOM,
    KvType,
    Memory,
    gpu_layers,
    memory_of,
)

WANTED_CONTEXT: Final = 8192
"""Context worth a smaller cache type: a longer chat rarely needs more, a shorter one is felt."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What fits here.

    Attributes:
        memory: The estimate for the suggested settings.
        free: RAM free now, bytes. vram: free memory of the GPU, 0 without one.
        n_gpu_layers: Layers that fit on the GPU (0 without one; `n_layers` + 1 = all).
        fits: Whether even these settings fit.
        reason: Why these settings: ``whole``, ``shorter``, ``compressed``, ``too-large``.
        n_ctx_train: Context the model was trained for.
    """

    memory: Memory
    free: int
    vram: int
    n_gpu_layers: int
    fits: bool
    reason: str
    n_ctx_train: int

    @property
    def settings(self) -> dict[str, int | str]:
        """The suggested settings, by the engine's names."""
        chosen: dict[str, int | str] = {"n_ctx": self.memory.n_ctx, "kv_type": self.memory.kv_type}
        return {**chosen, "n_gpu_layers": self.n_gpu_layers} if self.vram else chosen


def estimate(
    path: Path, *, n_ctx: int = DEFAULT_CONTEXT, kv_type: KvType = "f16", n_batch: int = DEFAULT_BATCH
) -> Memory:
    """Estimate for given settings; reads the header.

    Raises:
        UserError: The file is damaged.
    """
    return memory_of(read_gguf_header(path), n_ctx=n_ctx, kv_type=kv_type, n_batch=n_batch)


def suggest(path: Path, free: int, vram: int = 0, n_batch: int = DEFAULT_BATCH) -> Fit:
    """Choose context, cache type and GPU layers for what is free.

    The longest context up to `WANTED_CONTEXT` with an exact cache; where that does not fit, the same with a cache of 8
    bits (an eighth of a percent of quality) before the context is cut below half.

    Raises:
        UserError: The file is damaged.
    """
    header = read_gguf_header(path)
    n_train = header.context_length or DEFAULT_CONTEXT
    wanted = min(WANTED_CONTEXT, n_train)
    contexts = [n for n in CONTEXTS if n < wanted]
    tries: list[tuple[int, KvType]] = [(wanted, "f16"), (wanted, "q8_0")]
    for n in contexts:
        tries += [(n, "f16"), (n, "q8_0")]
    room = free * HEADROOM
    for n_ctx, kv_type in tries:
        memory = memory_of(header, n_ctx=n_ctx, kv_type=kv_type, n_batch=n_batch)
        layers = gpu_layers(memory, vram)
        if memory.total - _on_gpu(memory, layers) <= room:
            reason = "whole" if n_ctx == wanted else "shorter"
            reason = "compressed" if kv_type != "f16" else reason
            return Fit(memory, free, vram, layers, True, reason, n_train)
    smallest = memory_of(header, n_ctx=min(CONTEXTS[-1], n_train), kv_type="q8_0", n_batch=n_batch)
    return Fit(smallest, free, vram, gpu_layers(smallest, vram), False, "too-large", n_train)


def _on_gpu(memory: Memory, layers: int) -> int:
    return int((memory.weights + memory.cache) * layers / (memory.n_layers + 1))
