"""What a job gave and what its worker said, as plain text. No widgets."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from fmstudio.jobs.launcher import log_tail
from fmstudio.ui.widgets import words

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job

NAMES = {
    "rows_in": "Rows before",
    "rows": "Rows",
    "dropped": "Rows dropped, each with its reason",
    "rejected": "Pieces that could not be read",
    "bytes": "Size on disk",
    "embedder": "Embedder",
    "dim": "Numbers per row",
    "resumed_rows": "Rows kept from before",
    "train_rows": "Rows trained on",
    "eval_rows": "Rows held out",
    "eval_loss_before": "Held-out loss before (nats per token)",
    "eval_loss_after": "Held-out loss after (nats per token)",
    "train_tokens": "Tokens trained on",
    "tokens_per_second": "Tokens per second",
    "train_seconds": "Time in training steps",
    "peak_rss_mb": "Most memory the trainer held",
    "export_bytes": "Size of the adapter for the engine",
    "top1_agreement": "Engine and trainer choose the same token",
    "greedy_parity": "Engine and trainer give the same answer",
    "top1_agreement_served": "Same token, on the quantised file as served",
    "greedy_parity_served": "Same answer, on the quantised file as served",
    "n_prompts": "Prompts measured on",
    "kl_mean": "KL divergence from the original, mean (nats)",
    "kl_p95": "KL divergence, 95 % of the positions below (nats)",
    "greedy_agreement": "Same greedy answers as the original",
    "perplexity_before": "Perplexity of the original",
    "perplexity_after": "Perplexity of the new model",
    "tokens_per_second_before": "Tokens per second of the original",
    "tokens_per_second_after": "Tokens per second of the new model",
    "same_tokens": "Texts read as the same tokens",
    "same_answers": "Questions answered the same",
    "verified": "Files with the published checksum",
    "path": "Written to",
}
"""Keys of step results → what the number is, in the order they are shown."""
OF_MODELS = {"top1_agreement": "Same likeliest token as the original", "export_bytes": "Size on disk"}
"""The same keys in jobs that make models of models, where nothing was trained."""
MODEL_KINDS = ("convert", "merge", "model_quality", "model_export", "model_fetch")
STEP_WORDS = {
    "import": "Reading the files",
    "recipe": "Running the recipe",
    "embed": "Embedding the rows",
    "train": "Training",
    "export": "Writing the adapter for the engine",
    "dataset_export": "Writing the dataset",
    "evaluate": "Comparing the engine with the trainer",
    "fold": "Folding in the edits",
    "fetch": "Downloading and checking",
    "convert": "Writing the new precision",
    "read": "Reading the folder as a GGUF",
    "merge": "Writing the adapter into the weights",
    "quantise": "Quantising",
    "quality": "Measuring what that did",
    "vocabulary": "Comparing the vocabularies",
    "proof": "Asking both the same questions",
}
MODEL_STEP_WORDS = {"export": "Writing the folder"}
METRICS = {
    "train_loss": ("Training loss", "nats per token"),
    "eval_loss": ("Held-out loss", "nats per token"),
    "learning_rate": ("Learning rate", ""),
    "tokens_per_second": ("Tokens per second", "tokens/s"),
}
"""Metric → its name in words, and its unit."""
_SHARES = (
    "top1_agreement", "greedy_parity", "top1_agreement_served", "greedy_parity_served", "greedy_agreement", "same_tokens",
    "same_answers",
)  # fmt: skip
_HIDDEN_AT_ZERO = ("rejected", "resumed_rows")


def step_words(name: str, kind: str = "") -> str:
    """A step's name in words; `kind` of the job, where the same name means another thing."""
    found = MODEL_STEP_WORDS.get(name) if kind in MODEL_KINDS else None
    return found or STEP_WORDS.get(name, name.replace("_", " ").capitalize())


def result_place(job: Job) -> tuple[str, dict[str, str]] | None:
    """The page where the result of a job that succeeded is, and the page's arguments; None when it is nowhere."""
    meta = job.spec.meta
    if job.state != "succeeded":
        return None
    if job.kind == "train":
        return "training", {"job_id": job.id}
    if job.kind in ("convert", "merge", "model_fetch"):
        return "models", {"model_id": job.id}
    if job.kind in ("model_quality", "model_export"):
        return "models", {"model_id": str(meta.get("model_id", ""))}
    return ("data", {"dataset_id": str(meta["dataset_id"])}) if meta.get("dataset_id") else None


def metric_words(name: str) -> tuple[str, str]:
    """A metric's name in words, and its unit (empty when it is not known)."""
    return METRICS.get(name, (name.replace("_", " ").capitalize(), ""))


def result_lines(job: Job) -> list[tuple[str, str]]:
    """The numbers a person wants to see of a job's results, in the order of `NAMES`."""
    found, names = job.result, NAMES
    if job.kind in MODEL_KINDS:
        names = {
            key: name for key, name in {**NAMES, **OF_MODELS}.items() if key != "bytes" or job.kind == "model_fetch"
        }
    else:
        names = {key: name for key, name in NAMES.items() if key != "path" or job.kind == "dataset_export"}
    return [(name, _shown(key, found[key])) for key, name in names.items() if _is_worth_showing(key, found.get(key))]


def notes(job: Job) -> list[str]:
    """What the steps found worth a remark."""
    return [str(note) for step in job.results.values() for note in step.get("notes") or ()]


def log_text(job: Job) -> str:
    """What the job reported; without that, the end of what its worker wrote by itself."""
    return "\n".join(job.log) or log_tail(job.folder / "worker.log").strip()


def details_text(job: Job) -> str:
    """All that is known of a job, for a report."""
    parts = [f"{job.title} ({job.kind}, {job.id}): {job.state}", str(job.folder)]
    if job.error is not None:
        parts += [str(job.error), job.error.details]
    parts += [json.dumps(job.results, ensure_ascii=False, indent=1, default=str), log_text(job)]
    return "\n".join(part for part in parts if part) + "\n"


def _is_worth_showing(key: str, value: Any) -> bool:
    if isinstance(value, str):
        return bool(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and not (value == 0 and key in _HIDDEN_AT_ZERO)


def _shown(key: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if key in ("bytes", "export_bytes"):
        return words.size(value)
    if key == "peak_rss_mb":
        return words.size(value * 1e6)
    if key == "train_seconds":
        return words.duration(value)
    if key in _SHARES:
        return f"{100 * value:.1f} %"
    return words.number(value) if float(value).is_integer() or abs(value) >= 100 else f"{value:.4g}"
