"""Which settings fit for a GGUF model here: context, cache type and layers on the GPU. No engine is asked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, Literal

from fmstudio.api.gguf_context import automatic_context, trained_context
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

FitReason = Literal["whole", "share", "shorter", "compressed", "too-large"]
_KV_TYPES: Final[tuple[KvType, ...]] = ("f16", "q8_0")


@dataclass(frozen=True, slots=True)
class Fit:
    """What fits here.

    Attributes:
        memory: The estimate for the suggested settings.
        free: RAM free now, bytes. vram: free memory of the GPU, 0 without one.
        n_gpu_layers: Layers that fit on the GPU (0 without one; `n_layers` + 1 = all).
        fits: Whether even these settings fit.
        reason: Why these settings: ``whole`` (no shorter than it need be), ``share`` (as the engine chooses: more would take
            over a quarter of what is free beside the weights), ``shorter``, ``compressed``, ``too-large``.
        n_ctx_train: Context the model was trained for. automatic: the one the engine takes where none is set.
    """

    memory: Memory
    free: int
    vram: int
    n_gpu_layers: int
    fits: bool
    reason: FitReason
    n_ctx_train: int
    automatic: int

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

    What the engine chooses by itself (`automatic_context`); where that does not fit, the same with a cache of 8 bits (an
    eighth of a percent of quality), then ever shorter ones.

    Raises:
        UserError: The file is damaged.
    """
    header = read_gguf_header(path)
    n_train = trained_context(header)
    chosen = automatic_context(header, vram or free, n_batch=n_batch)
    why: FitReason = "whole" if chosen.reason in ("trained", "most") else "share"
    contexts = [chosen.n_ctx, *(n for n in CONTEXTS if n < chosen.n_ctx)]
    for n_ctx, kv_type in product(contexts, _KV_TYPES):
        memory = memory_of(header, n_ctx=n_ctx, kv_type=kv_type, n_batch=n_batch)
        layers = gpu_layers(memory, vram)
        if memory.total - _on_gpu(memory, layers) <= free * HEADROOM:
            reason: FitReason = "compressed" if kv_type != "f16" else why if n_ctx == chosen.n_ctx else "shorter"
            return Fit(memory, free, vram, layers, True, reason, n_train, chosen.n_ctx)
    smallest = memory_of(header, n_ctx=contexts[-1], kv_type="q8_0", n_batch=n_batch)
    return Fit(smallest, free, vram, gpu_layers(smallest, vram), False, "too-large", n_train, chosen.n_ctx)


def _on_gpu(memory: Memory, layers: int) -> int:
    return int((memory.weights + memory.cache) * layers / (memory.n_layers + 1))
