"""The dataset card: YAML front matter as the Hub reads it, and a page that says what the rows are and how they came."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fmstudio.api import DatasetFacts
from fmstudio_export.column_statistics import ColumnTallies, Tally

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
          (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"),
          (10**12, "100B<n<1T"))  # fmt: skip
"""The Hub's size categories (huggingface_hub, dataset card template)."""

_TASKS = {
    "conversation": ["text-generation"],
    "prompt_completion": ["text-generation"],
    "text": ["text-generation"],
    "preference": ["text-generation"],
    "unpaired_preference": ["text-generation"],
    "image_caption": ["image-to-text"],
}
_TAGS = {"conversation": "conversational", "preference": "preference", "unpaired_preference": "preference"}
_WHAT = {
    "conversation": "Conversations: each row holds `messages` with `role` and `content`.",
    "prompt_completion": "Prompts and their completions.",
    "text": "Texts.",
    "table": "A table.",
    "preference": "Preferences: a `chosen` and a `rejected` answer.",
    "unpaired_preference": "Answers with a `label`: good or bad.",
    "image_caption": "Images and their captions.",
}
_LANGUAGE = re.compile(r"^[a-z]{2,3}$")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Split:
    """A split as it was written: `bytes` in memory, `files` in number."""

    name: str
    rows: int
    bytes: int
    files: int


def card_text(facts: DatasetFacts, splits: Sequence[Split], tallies: ColumnTallies, description: str = "") -> str:
    """Give the whole ``README.md``."""
    import yaml

    front = yaml.safe_dump(_front(facts, splits, tallies), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{front}---\n\n" + "\n".join(_body(facts, splits, tallies, description)) + "\n"


def _front(facts: DatasetFacts, splits: Sequence[Split], tallies: ColumnTallies) -> dict[str, Any]:
    front: dict[str, Any] = {"pretty_name": facts.name, "license": facts.license or "unknown"}
    codes = [code for code, _ in tallies.languages().most_common() if _LANGUAGE.match(code)]
    if codes:
        front["language"] = codes[:_SHOWN]
    if facts.kind in _TASKS:
        front["task_categories"] = _TASKS[facts.kind]
    front["size_categories"] = [next((name for most, name in _SIZES if tallies.rows < most), "n>1T")]
    if facts.kind in _TAGS:
        front["tags"] = [_TAGS[facts.kind]]
    files = [{"split": s.name, "path": f"data/{s.name}-*.parquet"} for s in splits]
    front["configs"] = [{"config_name": "default", "data_files": files}]
    return front


def _body(facts: DatasetFacts, splits: Sequence[Split], tallies: ColumnTallies, description: str) -> Iterator[str]:
    version = f"version {facts.version}" + (f" (“{facts.version_name}”)" if facts.version_name else "")
    yield f"# {inline(facts.name)}"
    yield ""
    yield description.strip() or _WHAT.get(facts.kind, "A table.")
    yield ""
    made = time.strftime("%Y-%m-%d", time.gmtime(facts.created))
    yield f"{counted(tallies.rows, 'row')}, {version} of the dataset, exported on {made} with {inline(facts.app)}."
    if facts.where:
        yield f"Only the rows that match `{code(facts.where)}`."
    yield from ("", "## Splits", "")
    yield from table(("split", "rows", "files"), ((s.name, f"{s.rows:,}", s.files) for s in splits))
    yield from ("", "## Columns", "")
    yield from table(
        ("column", "type", "missing", "measure", "least", "mean", "most", "values"),
        (_statistics(tally, tallies.rows) for tally in tallies.tallies),
    )
    if languages := tallies.languages():
        yield from ("", "## Languages", "")
        shares = languages.most_common(_SHOWN)
        yield from table(("language", "rows", "share"), ((k, f"{n:,}", f"{n / tallies.rows:.1%}") for k, n in shares))
    yield from _history(facts)


def _history(facts: DatasetFacts) -> Iterator[str]:
    yield from ("", "## How it was made", "")
    for operation in facts.operations:
        dropped = f", {operation['dropped']:,} dropped" if operation.get("dropped") else ""
        of = f"{inline(operation['dataset'])}, " if operation.get("dataset") else ""
        yield f"- {of}version {operation['version']}, {inline(operation['operation'])}: {counted(operation['rows'], 'row')}{dropped}."
        for step in operation.get("steps", []):
            yield f"    - {_step(step)}"
    edits = [
        f"{counted(count, noun)} {done}" for key, (noun, done) in _EDITS.items() if (count := facts.edits.get(key, 0))
    ]
    if edits:
        yield f"\nThen edited by hand: {', '.join(edits)}."
    if facts.sources:
        yield from ("", "## Source files", "")
        rows = ((s.get("name", ""), f"{s.get('bytes', 0):,}", f"`{s.get('sha256', '')}`") for s in facts.sources)
        yield from table(("file", "bytes", "SHA-256"), rows)
    yield from _losses(facts)


_EDITS = {"cells": ("cell", "changed"), "added": ("row", "added"), "deleted": ("row", "deleted")}


def _step(step: dict[str, Any]) -> str:
    settings = ", ".join(f"{key} = {value}" for key, value in (step.get("params") or {}).items())
    counts = [f"{step[key]:,} {key}" for key in ("dropped", "changed") if step.get(key)]
    name = inline(str(step.get("operator", "")))
    return f"`{name}`" + (f" (`{code(settings)}`)" if settings else "") + (f": {', '.join(counts)}" if counts else "")


def _losses(facts: DatasetFacts) -> Iterator[str]:
    yield from ("", "## What is not in it", "")
    if not facts.dropped and not facts.rejected:
        yield "No row was dropped, and every piece of the source files could be read."
    if facts.rejected:
        yield f"{counted(facts.rejected, 'piece')} of the source files could not be read.\n"
    if facts.dropped:
        shown = sorted(facts.dropped, key=lambda d: -int(d["rows"]))
        yield from table(
            ("version", "operator", "reason", "rows"),
            ((d["version"], d["operator"], d["reason"], f"{d['rows']:,}") for d in shown[:_SHOWN]),
        )
        if rest := sum(int(d["rows"]) for d in shown[_SHOWN:]):
            yield f"\n{rest:,} more rows were dropped for {len(shown) - _SHOWN:,} further reasons."


def _statistics(tally: Tally, rows: int) -> tuple[object, ...]:
    missing = f"{tally.missing:,} ({tally.missing / rows:.1%})" if tally.missing else "0"
    mean = "" if tally.mean is None else f"{tally.mean:,.4g}"
    values = ", ".join(
        f"{value[:24]} ({count:,})" for value, count in tally.values.most_common(5) if tally.is_repeating
    )
    measure = tally.measure if tally.low is not None else ""
    return tally.name, str(tally.kind), missing, measure, _figure(tally.low), mean, _figure(tally.high), values


def _figure(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def table(names: Sequence[str], rows: Iterator[Sequence[object]]) -> Iterator[str]:
    """Give a Markdown table; what would break it is escaped."""
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(inline(str(cell)) for cell in row)} |"


def counted(count: int, noun: str) -> str:
    """Give a number with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def inline(text: str) -> str:
    """Make text safe inside a line of Markdown: no line ends, no cell ends, no HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def code(text: str) -> str:
    """Make text safe between backticks."""
    return " ".join(text.split()).replace("`", "'")
