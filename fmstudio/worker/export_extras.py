"""What goes beside an export: rows that did not fit, rejected and dropped rows, and where all of it came from."""

from __future__ import annotations

import base64
import json
import shutil
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from fmstudio.api import DatasetFacts, ExportReport, TaskContext
from fmstudio.core.parquet import read_batches, schema_of

if TYPE_CHECKING:
    import numpy as np

_REASON_COLUMNS = ("step", "operator", "reason")
Dropped = Sequence[dict[str, Any]]
"""Dropped rows of each version: ``version``, ``operation``, ``files``."""


class RowIds:
    """Ids of the rows an exporter was given, by position; a stretch without gaps takes no memory."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._parts: list[range | np.ndarray[Any, Any]] = []
        self.count = 0

    def append(self, ids: np.ndarray[Any, Any]) -> None:
        """Take in the ids of a batch, ascending."""
        first, last = int(ids[0]), int(ids[-1])
        self._starts.append(self.count)
        self._parts.append(range(first, last + 1) if last - first + 1 == len(ids) else ids)
        self.count += len(ids)

    def __getitem__(self, position: int) -> int:
        """The id at a position."""
        part = bisect_right(self._starts, position) - 1
        return int(self._parts[part][position - self._starts[part]])

    def runs(self, without: set[int]) -> Iterator[tuple[int, int]]:
        """Stretches (first id, last id) of the ids, but for these positions."""
        first = last = -2
        for start, part in zip(self._starts, self._parts, strict=True):
            for place, row_id in enumerate(part, start):
                if place in without:
                    continue
                if row_id != last + 1:
                    if first >= 0:
                        yield first, last
                    first = int(row_id)
                last = int(row_id)
        if first >= 0:
            yield first, last


class Report(ExportReport):
    """Counts and lists the rows left out; a context manager.

    Args:
        path: Where the list is written until it is known where it belongs.

    Attributes:
        given: Ids of the rows that the exporter was given.
        left_out: Reason → number of rows.
        notes: What the exporter said.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        self.given = RowIds()
        self.left_out: Counter[str] = Counter()
        self.positions: set[int] = set()
        self.notes: list[str] = []

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def leave_out(self, row: int, reason: str) -> None:
        """See `ExportReport.leave_out`."""
        self._file = self._file or self._path.open("w", encoding="utf-8")
        self.left_out[reason] += 1
        self.positions.add(row)
        self._file.write(json.dumps({"row_id": self.given[row], "reason": reason}, ensure_ascii=False) + "\n")

    def note(self, text: str) -> None:
        """See `ExportReport.note`."""
        if text not in self.notes:
            self.notes.append(text)

    def losses(self) -> list[str]:
        """A sentence for each reason why rows were left out."""
        words = {True: "row is", False: "rows are"}
        return [f"{count:,} {words[count == 1]} left out: {reason}" for reason, count in self.left_out.most_common()]

    def keep(self, path: Path) -> None:
        """Put the list where it belongs, if there is one."""
        if self._path.exists():
            self._path.replace(path)


def write_rejected(rejects: Sequence[Path], target: Path, report: Report) -> None:
    """Copy the pieces of the imported files that could not be read."""
    if not rejects:
        report.note("Nothing was rejected at import, so there is no file of rejected rows.")
        return
    with target.open("wb") as file:
        for path in rejects:
            with path.open("rb") as source:
                shutil.copyfileobj(source, file)


def write_dropped(dropped: Dropped, target: Path, report: Report, ctx: TaskContext) -> None:
    """Write the rows that cleaning dropped on the way to this version, each with step, operator, reason and version."""
    if not dropped:
        report.note("No row was dropped on the way to this version, so there is no file of dropped rows.")
        return
    with target.open("w", encoding="utf-8") as file:
        for part in dropped:
            place = {"dropped_by_version": part["version"], "operation": part["operation"]}
            for batch in read_batches([Path(path) for path in part["files"]]):
                ctx.check_cancelled()
                rows = ({**row, **place} for row in batch.to_pylist())
                file.writelines(json.dumps(row, ensure_ascii=False, default=_jsonable) + "\n" for row in rows)


def _jsonable(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def dropped_reasons(dropped: Dropped) -> list[dict[str, Any]]:
    """Count dropped rows by version, step, operator and reason."""
    found: Counter[tuple[Any, ...]] = Counter()
    for part in dropped:
        for path in map(Path, part["files"]):
            columns = _story_columns(schema_of([path]).names)
            for batch in read_batches([path], columns):
                stories = zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
                found.update((part["version"], *story) for story in stories)
    names = ("version", *_REASON_COLUMNS)
    return [{**dict(zip(names, key, strict=True)), "rows": count} for key, count in found.items()]


def _story_columns(names: Sequence[str]) -> list[str]:
    """The columns that say why a row was dropped; they step aside where the rows have columns of these names."""
    return [f"dropped_{name}" if f"dropped_{name}" in names else name for name in _REASON_COLUMNS]


def write_provenance(facts: DatasetFacts, exporter: str, report: Report, target: Path) -> None:
    """Write where the rows came from: files, operations, edits, and the id of each row in the order of the export."""
    story = {
        **facts.to_dict(),
        "exporter": exporter,
        "left_out": dict(report.left_out),
        "rows": facts.rows - sum(report.left_out.values()),
    }
    head = json.dumps(story, ensure_ascii=False, indent=1, default=str)
    with target.open("w", encoding="utf-8") as file:
        # Stretches [first, last] one by one: ids full of gaps would not fit into memory as one document.
        file.write(head.removesuffix("\n}") + ',\n "row_ids": [')
        for number, (first, last) in enumerate(report.given.runs(report.positions)):
            file.write(f"{',' if number else ''}\n  [{first}, {last}]")
        file.write("\n ]\n}\n")
