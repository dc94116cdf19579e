"""What fits here, and what an engine that holds the model really takes: figures only, the words are the callers'."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fmstudio.api.gguf_context import free_memory
from fmstudio.api.gguf_memory import KV_BYTES, KvType
from fmstudio.models.fit import Fit, estimate, suggest


@dataclass(frozen=True, slots=True)
class Measured:
    """Resident memory of an engine with this model, in bytes, and the estimate for its settings.

    Attributes:
        measured: When, seconds since 1970.
    """

    resident: int
    predicted: int
    n_ctx: int
    kv_type: str = "f16"
    measured: float = 0.0

    @classmethod
    def of(cls, value: Any) -> Measured | None:
        """As kept with a model (`ModelEntry.metrics`, key ``memory``); None when it is not there or of another form."""
        if not isinstance(value, Mapping):
            return None
        try:
            return cls(**{name: value[name] for name in ("resident", "predicted", "n_ctx", "kv_type", "measured")})
        except KeyError:
            return None

    def to_dict(self) -> dict[str, Any]:
        """To be kept with the model."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FitReport:
    """The estimate, and the measured figure where there is one.

    Attributes:
        is_live: An engine holds the model now.
        notes: What that engine chose by itself when it loaded the model, and why.
    """

    fit: Fit
    measured: Measured | None = None
    is_live: bool = False
    notes: tuple[str, ...] = ()


def report_fit(path: Path, engine: Mapping[str, Any] | None, kept: Measured | None = None) -> FitReport:
    """Read the header and the state of the computer.

    Args:
        engine: See `engine_facts` of the window: of a ready engine that holds this model; None = none does.
        kept: What was measured earlier.

    Raises:
        UserError: The file is damaged.
    """
    fit = suggest(path, free_memory(), int((engine or {}).get("vram") or 0))
    live = measure(path, engine) if engine else None
    notes = tuple((engine or {}).get("notes") or ()) if live else ()
    return FitReport(fit, live or kept, live is not None, notes)


def measure(path: Path, engine: Mapping[str, Any]) -> Measured | None:
    """What an engine with this model takes now; None when its process is gone.

    Args:
        engine: See `report_fit`.
    """
    import psutil

    try:
        resident = int(psutil.Process(int(engine["pid"])).memory_info().rss)
    except (psutil.Error, KeyError, TypeError):
        return None
    kv_type: KvType = next((kind for kind in KV_BYTES if kind == engine.get("kv_type")), "f16")
    memory = estimate(path, n_ctx=int(engine.get("n_ctx") or 0) or 4096, kv_type=kv_type)
    return Measured(resident, memory.total, memory.n_ctx, kv_type, time.time())


def is_news(found: Measured, kept: Measured | None) -> bool:
    """Whether a measurement tells more than the one that is kept: other settings, or another figure by 2 %."""
    if kept is None or (kept.n_ctx, kept.kv_type) != (found.n_ctx, found.kv_type):
        return True
    return abs(found.resident - kept.resident) > 0.02 * kept.resident
