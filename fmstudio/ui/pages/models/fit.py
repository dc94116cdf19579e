"""Whether a model fits into memory: an estimate from its header, marked as one. Plain functions, no widgets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmstudio.api.gguf_header import GgufHeader

DEFAULT_CONTEXT = 4096
"""Context length the engine takes when none is asked for (LlamaCppParams.n_ctx)."""
OVERHEAD = 1.1
"""Compute buffers and allocator slack on top of weights and cache: a rule of thumb, hence an estimate."""
F16_BYTES = 2


@dataclass(frozen=True, slots=True)
class Fit:
    """An estimate of the memory chatting takes, beside what is free now; all in bytes.

    Attributes:
        cache: Key and value cache for `n_ctx` tokens in f16; 0 when the header does not tell.
    """

    weights: int
    cache: int
    n_ctx: int
    free: int

    @property
    def needed(self) -> int:
        """Weights, cache and overhead."""
        return int((self.weights + self.cache) * OVERHEAD)

    @property
    def fits(self) -> bool:
        """Whether the estimate is below what is free."""
        return self.needed < self.free


def cache_bytes(header: GgufHeader, n_ctx: int) -> int:
    """Size of the attention cache: 2 × layers × key/value heads × head size × tokens × 2 bytes.

    Sliding windows and recurrent layers need less; 0 when the header lacks a number.
    """
    arch = header.architecture
    layers = header.number(f"{arch}.block_count")
    heads = header.number(f"{arch}.attention.head_count")
    kv_heads = header.number(f"{arch}.attention.head_count_kv") or heads
    width = header.number(f"{arch}.embedding_length")
    if not heads or not layers:
        return 0
    key = header.number(f"{arch}.attention.key_length") or width // heads
    value = header.number(f"{arch}.attention.value_length") or width // heads
    return layers * kv_heads * (key + value) * n_ctx * F16_BYTES


def estimate_fit(path: Path) -> Fit:
    """Estimate for a GGUF model at the engine's default context. Reads the header: off the main thread.

    Raises:
        UserError: The file is damaged.
    """
    import psutil

    from fmstudio.api.gguf_header import read_gguf_header

    header = read_gguf_header(path)
    n_ctx = min(DEFAULT_CONTEXT, header.context_length or DEFAULT_CONTEXT)
    return Fit(path.stat().st_size, cache_bytes(header, n_ctx), n_ctx, int(psutil.virtual_memory().available))
