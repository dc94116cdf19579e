"""What fits: the estimate in words, and what an engine that is loaded really takes. Plain functions, no widgets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.ui.widgets.words import number, size

if TYPE_CHECKING:
    from fmstudio.models.fit import Fit


@dataclass(frozen=True, slots=True)
class Measured:
    """Resident memory of an engine with this model, in bytes, and the estimate for its settings."""

    resident: int
    predicted: int
    n_ctx: int


@dataclass(frozen=True, slots=True)
class FitReport:
    """The estimate, and the measured figure where an engine holds the model."""

    fit: Fit
    measured: Measured | None = None


def report_fit(path: Path, engine: dict[str, Any] | None) -> FitReport:
    """Read the header and the state of the computer. Off the main thread.

    Args:
        engine: ``pid``, ``n_ctx`` and ``vram`` of a ready engine that holds this model; None = none does.

    Raises:
        UserError: The file is damaged.
    """
    import psutil

    from fmstudio.models.fit import estimate, suggest

    vram = int((engine or {}).get("vram") or 0)
    fit = suggest(path, int(psutil.virtual_memory().available), vram)
    if not engine or not engine.get("pid"):
        return FitReport(fit)
    try:
        resident = int(psutil.Process(int(engine["pid"])).memory_info().rss)
    except psutil.Error:
        return FitReport(fit)
    n_ctx = int(engine.get("n_ctx") or fit.memory.n_ctx)
    return FitReport(fit, Measured(resident, estimate(path, n_ctx=n_ctx).total, n_ctx))


def fit_sentences(report: FitReport) -> list[str]:
    """The estimate, why these settings, and the measured figure."""
    fit, memory = report.fit, report.fit.memory
    parts = f"{size(memory.weights)} weights, {size(memory.cache)} cache for {number(memory.n_ctx)} tokens, {size(memory.compute)} compute"
    found = [f"Estimate: chatting takes about {size(memory.total)} of memory ({parts}); {size(fit.free)} is free now."]
    found.append(_reason(fit))
    if fit.vram:
        found.append(f"{fit.n_gpu_layers} of {memory.n_layers + 1} layers fit on the GPU ({size(fit.vram)} free).")
    if report.measured:
        one = report.measured
        share = one.resident / one.predicted - 1 if one.predicted else 0.0
        found.append(
            f"Measured: the engine takes {size(one.resident)} with {number(one.n_ctx)} tokens of context; "
            f"{size(one.predicted)} was estimated ({share:+.0%})."
        )
    return found


def _reason(fit: Fit) -> str:
    context, kv = number(fit.memory.n_ctx), fit.memory.kv_type
    whole = " (all the model was trained for)" if fit.memory.n_ctx == fit.n_ctx_train else ""
    return {
        "whole": f"Suggested: a context of {context} tokens{whole}; it fits with an exact cache.",
        "shorter": f"Suggested: a context of {context} tokens; a longer one would not fit beside the weights.",
        "compressed": f"Suggested: a context of {context} tokens{whole} with a {kv} cache; an exact one would not fit.",
        "too-large": "It may not fit: close other programs, take a smaller quantisation, or put layers on a GPU.",
    }[fit.reason]
