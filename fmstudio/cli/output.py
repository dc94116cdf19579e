"""What commands print: words for people, or one JSON document with ``--json``; everything else goes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from fmstudio.core.jsonfile import to_json
from fmstudio.core.plain_value import plain_text
from fmstudio.core.words import amount, time_left, visible
from fmstudio.jobs.spec import Job

CELL_WIDTH = 60
PROGRESS_INTERVAL_S = 2.0


def say(text: str) -> None:
    """A line for the person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """The one JSON document on stdout; what JSON has no number for (NaN, Infinity) is text there."""
    print(to_json(_jsonable(value), indent=1, allow_nan=False))


def _jsonable(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(plain(key)): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    return _jsonable(plain(value))


def plain(value: Any) -> Any:
    """Make dataclasses, paths and sets JSON-able."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, bytes):
        return plain_text(value)
    return str(value)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, is_data: bool = False) -> None:
    """A table with columns as wide as their cells, cut at 60 characters.

    Args:
        is_data: Whether these are the user's own values: numbers stand as they are, for 2024 may be a year and what is
            shown be typed again; else they are counts, in groups of three digits.
    """
    names = [one_line(name, is_data=True) for name in columns]
    cells = [[_cut(one_line(value, is_data=is_data)) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(names)]
    for row in [names, ["─" * width for width in widths], *cells]:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def one_line(value: Any, *, is_data: bool) -> str:
    """A value as a table shows it, but whole, and without what would steer the terminal; see `print_table`."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in value)
    ):
        value = " · ".join(f"{m['role']}: {m['content']}" for m in value)
    if isinstance(value, list | tuple | dict | bytes):
        value = plain_text(value)  # as it is typed in again
    text = f"{value:,}" if type(value) is int and not is_data else str(value)
    return visible(" ".join(text.split()))


def _cut(text: str) -> str:
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 1] + "…"


class JobNarrator:
    """Tells on stderr how a job goes, a line every two seconds."""

    def __init__(self) -> None:
        self._last = 0.0
        self._said = ""

    def __call__(self, job: Job) -> None:
        """Say something if it is new and time."""
        progress = job.progress
        if not progress.done and not progress.text:
            return
        step = f" ({job.spec.steps[job.step_index].name})" if len(job.spec.steps) > 1 else ""
        left = job.seconds_left() if job.step_index == len(job.spec.steps) - 1 else None
        more = "" if left is None else f", {time_left(left)}"
        text = f"  {job.title}{step}: {amount(progress.done, progress.total, progress.text)}{more}"
        if text != self._said and time.monotonic() - self._last > PROGRESS_INTERVAL_S:
            self._said, self._last = text, time.monotonic()
            say(text)
