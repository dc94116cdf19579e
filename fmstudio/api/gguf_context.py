"""How long a context is when nobody chose one: one rule, for the engine that loads and the page that says beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from fmstudio.api.gguf_header import GgufHeader
from fmstudio.api.gguf_memory import CONTEXTS, DEFAULT_BATCH, KvType, memory_of

MAX_CONTEXT: Final = 1 << 22
LEAST_CONTEXT: Final = 2048
"""Taken where memory holds no longer one: fewer tokens are of little use in a chat."""
SHARE: Final = 4
"""Part of the memory left beside the weights that the context may take: other programs want some, too."""

ContextReason = Literal["trained", "most", "share", "least"]


@dataclass(frozen=True, slots=True)
class ContextChoice:
    """A context length and why it is no longer.

    Attributes:
        n_ctx: Tokens.
        reason: ``trained`` (all the model was trained for), ``most`` (the most that is chosen by itself), ``share`` (more
            would take over a `SHARE`-th of what is free beside the weights), ``least`` (even this takes more).
        takes: Bytes of cache and compute buffer.
        beside: Bytes free beside the weights.
    """

    n_ctx: int
    reason: ContextReason
    takes: int
    beside: int


def trained_context(header: GgufHeader) -> int:
    """Tokens the model was trained for, as far as its file says so; never beyond what the engine can count."""
    return min(header.context_length or LEAST_CONTEXT, MAX_CONTEXT)


def automatic_context(
    header: GgufHeader, free: int, *, kv_type: KvType = "f16", n_batch: int = DEFAULT_BATCH
) -> ContextChoice:
    """Choose the longest context, up to the first of `CONTEXTS`, that takes a `SHARE`-th of what the weights leave.

    Args:
        free: Free bytes where the context will lie: of GPUs where layers go there, else of the computer.
    """
    n_train = trained_context(header)
    least = min(LEAST_CONTEXT, n_train)
    beside = max(0, free - memory_of(header, n_ctx=1, kv_type=kv_type).weights)
    tries = {n for n in (min(n_train, CONTEXTS[0]), *CONTEXTS) if least <= n <= n_train}
    takes = 0
    for n_ctx in sorted(tries, reverse=True):
        memory = memory_of(header, n_ctx=n_ctx, kv_type=kv_type, n_batch=n_batch)
        takes = memory.cache + memory.compute
        if takes <= beside // SHARE:
            reason: ContextReason = "trained" if n_ctx == n_train else "most" if n_ctx == CONTEXTS[0] else "share"
            return ContextChoice(n_ctx, reason, takes, beside)
    return ContextChoice(least, "least", takes, beside)


def free_memory() -> int:
    """Bytes of memory a new process here may still take; a container's limit is taken into account."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        return free if limit == "max" else max(0, min(free, int(limit) - used))
    except (OSError, ValueError):
        return free
