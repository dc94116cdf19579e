"""What fits, in words: the estimate, why these settings, and what an engine really took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmstudio.ui.widgets.words import ago, number, size

if TYPE_CHECKING:
    from fmstudio.models.fit import Fit
    from fmstudio.models.fit_report import FitReport


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
        when = "the engine takes" if report.is_live else f"{ago(one.measured)} the engine took"
        kv = "" if one.kv_type == "f16" else f" and a {one.kv_type} cache"
        found.append(
            f"Measured: {when} {size(one.resident)} with {number(one.n_ctx)} tokens of context{kv}; "
            f"{size(one.predicted)} was estimated ({share:+.0%})."
        )
    if report.notes:
        found.append(f"Loaded with: {' '.join(report.notes)}")
    return found


def _reason(fit: Fit) -> str:
    context, kv = number(fit.memory.n_ctx), fit.memory.kv_type
    whole = " (all the model was trained for)" if fit.memory.n_ctx == fit.n_ctx_train else ""
    by_itself = f"Suggested, and what the engine takes by itself: a context of {context} tokens"
    return {
        "whole": f"{by_itself}{whole}; it fits with an exact cache.",
        "share": f"{by_itself}; a longer one would take more than a quarter of the memory beside the weights.",
        "shorter": f"Suggested: a context of {context} tokens; the {number(fit.automatic)} that the engine takes by itself "
        "would not fit.",
        "compressed": f"Suggested: a context of {context} tokens{whole} with a {kv} cache; an exact one would not fit.",
        "too-large": "It may not fit: close other programs, take a smaller quantisation, or put layers on a GPU.",
    }[fit.reason]
