"""Preferences as TRL takes them (documentation, "Dataset formats and types"): pairs for DPO, single answers for KTO."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import DatasetExporter, DatasetFacts, ExportReport, Params, TaskContext, UserError
from fmstudio_export.json_text import write_lines
from fmstudio_export.originals import originals_column
from fmstudio_export.plain_values import PlainValues, numbered_rows
from fmstudio_export.turns import as_messages, dialogs, is_text_or_messages, tell_unwritten

if TYPE_CHECKING:
    import pyarrow as pa

Pair = tuple[Any, Any, Any]


class DpoExporter(DatasetExporter):
    """Writes ``{"prompt": …, "chosen": …, "rejected": …}``, texts or lists of messages as the dataset has them.

    Where both answers begin with the same messages, these become the prompt, as TRL's ``extract_prompt`` does.
    """

    Params = Params

    def check(self, schema: pa.Schema, params: Any) -> None:
        """See `DatasetExporter.check`."""
        if not _has(schema, "chosen", "rejected"):
            raise UserError(
                f"Preference pairs need the columns “chosen” and “rejected”; the columns here are {_names(schema)}.",
                remedy="Name them so with Rename columns, join a dataset with worse answers, "
                "or rate the answers and export good and bad ones (KTO).",
            )

    def write(
        self,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        target: Path,
        params: Any,
        facts: DatasetFacts,
        report: ExportReport,
        ctx: TaskContext,
    ) -> list[Path]:
        """See `DatasetExporter.write`."""
        names = ("prompt", "chosen", "rejected")
        tell_unwritten(schema, names, report)
        rows = (_without_none(names, pair) for pair in _pairs(batches, schema, report))
        write_lines(target, rows)
        return [target]


class KtoExporter(DatasetExporter):
    """Writes ``{"prompt": …, "completion": …, "label": true}``.

    From completions with a label, from pairs (each gives a good and a bad answer), or from rated rows: a rating of 1 is
    good, of -1 bad.
    """

    Params = Params

    def check(self, schema: pa.Schema, params: Any) -> None:
        """See `DatasetExporter.check`."""
        if not _kto_source(schema):
            raise UserError(
                "Good and bad answers need “completion” and a yes-or-no column “label”, “chosen” and “rejected”, or "
                f"answers with a “rating”; the columns here are {_names(schema)}.",
                remedy="Rate the rows in the table (thumbs up or down), or make “label” with Compute a column.",
            )

    def write(
        self,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        target: Path,
        params: Any,
        facts: DatasetFacts,
        report: ExportReport,
        ctx: TaskContext,
    ) -> list[Path]:
        """See `DatasetExporter.write`."""
        tell_unwritten(schema, (*_KTO_READ, originals_column(schema)), report)
        make = {"label": _labelled, "pairs": _halves, "rating": _rated}[_kto_source(schema)]
        write_lines(target, make(batches, schema, report))
        return [target]


_KTO_READ = ("prompt", "completion", "label", "chosen", "rejected", "messages", "rating")


def _has(schema: pa.Schema, *names: str) -> bool:
    return all(name in schema.names and is_text_or_messages(schema.field(name).type) for name in names)


def _names(schema: pa.Schema) -> str:
    return ", ".join(schema.names) or "none"


def _kto_source(schema: pa.Schema) -> str:
    import pyarrow as pa

    kinds = {field.name: field.type for field in schema}
    if _has(schema, "completion") and "label" in kinds and pa.types.is_boolean(kinds["label"]):
        return "label"
    if _has(schema, "chosen", "rejected"):
        return "pairs"
    has_answers = "messages" in kinds or _has(schema, "prompt", "completion")
    return "rating" if has_answers and "rating" in kinds and pa.types.is_integer(kinds["rating"]) else ""


def _without_none(names: tuple[str, ...], values: tuple[Any, ...]) -> dict[str, Any]:
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _pairs(batches: Iterator[pa.RecordBatch], schema: pa.Schema, report: ExportReport) -> Iterator[Pair]:
    has_prompt = "prompt" in schema.names
    for position, row in numbered_rows(batches, PlainValues(report)):
        prompt, chosen, rejected = row.get("prompt"), row["chosen"], row["rejected"]
        reason = ""
        if not chosen or not rejected:
            reason = f"It has no {'chosen' if not chosen else 'rejected'} answer."
        elif chosen == rejected:
            reason = "Both answers are the same."
        elif has_prompt and prompt is None and isinstance(chosen, str):
            reason = "It has no prompt."
        if reason:
            report.leave_out(position, reason)
        else:
            yield _split_prompt(prompt, chosen, rejected)


def _split_prompt(prompt: Any, chosen: Any, rejected: Any) -> Pair:
    """Bring prompt and answers to one form: all texts, or all messages with the shared beginning in the prompt."""
    if not any(isinstance(value, list) for value in (prompt, chosen, rejected)):
        return prompt, chosen, rejected
    good, bad = as_messages(chosen, "assistant"), as_messages(rejected, "assistant")
    count = 0
    while count < min(len(good), len(bad)) - 1 and good[count] == bad[count]:
        count += 1
    given = [] if prompt is None else as_messages(prompt, "user")
    return _beginning(given, good[:count]) or None, good[count:], bad[count:]


def _beginning(given: list[dict[str, Any]], shared: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A prompt beside answers that hold it, too (UltraFeedback's form), is said once."""
    if not given or given in (shared[: len(given)], shared[-len(given) :]):
        return shared
    return [*given, *shared]


def _labelled(batches: Iterator[pa.RecordBatch], schema: pa.Schema, report: ExportReport) -> Iterator[dict[str, Any]]:
    names = [name for name in ("prompt", "completion", "label") if name in schema.names]
    for position, row in numbered_rows(batches, PlainValues(report)):
        missing = next((name for name in names if row[name] is None), "")
        if missing:
            report.leave_out(position, f"It has no {missing}.")
            continue
        if any(isinstance(row[name], list) for name in names):
            row["completion"] = as_messages(row["completion"], "assistant")
            row["prompt"] = as_messages(row.get("prompt"), "user")
        yield {name: row[name] for name in names}


def _halves(batches: Iterator[pa.RecordBatch], schema: pa.Schema, report: ExportReport) -> Iterator[dict[str, Any]]:
    names, count = ("prompt", "completion", "label"), 0
    for prompt, chosen, rejected in _pairs(batches, schema, report):
        yield _without_none(names, (prompt, chosen, True))
        yield _without_none(names, (prompt, rejected, False))
        count += 1
    report.note(
        f"Each pair gives two rows, the chosen answer as good, the rejected one as bad: {count:,} give {2 * count:,}."
    )


def _rated(batches: Iterator[pa.RecordBatch], schema: pa.Schema, report: ExportReport) -> Iterator[dict[str, Any]]:
    for position, messages, row in dialogs(batches, schema, report):
        if not row["rating"]:
            report.leave_out(position, "It is not rated.")
        elif messages[-1]["role"] != "assistant" or len(messages) == 1:
            report.leave_out(position, "It has no prompt with an answer after it.")
        elif isinstance(row.get("prompt"), str) and isinstance(row.get("completion"), str) and len(messages) == 2:
            yield {"prompt": row["prompt"], "completion": row["completion"], "label": row["rating"] > 0}
        else:
            yield {"prompt": messages[:-1], "completion": messages[-1:], "label": row["rating"] > 0}
