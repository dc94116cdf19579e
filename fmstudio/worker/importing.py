"""What importing and its preview share: choose the importer, name columns safely, map rows, gather rejects."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, Importer, ImportReport, Params, Reject, TaskContext, UserError
from fmstudio.core.addresses import as_text
from fmstudio.core.canonical import apply
from fmstudio.core.checking import make_params
from fmstudio.core.detection import detect, detections
from fmstudio.core.schemas import Mapping, completed, is_partial
from fmstudio.plugin_manager import Contribution, PluginManager
from fmstudio.worker.choosing import file_candidates, folder_candidates

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_ROWS = 200
"""Rows from which the schema is detected."""

STORED_REJECTS = 10_000
"""Rejects kept with their raw text; those beyond are counted exactly, with their reasons."""


def candidates(path: Path, plugins: PluginManager) -> list[Contribution]:
    """Importers that fit a file or folder, the likeliest first."""
    return folder_candidates(path, plugins) if path.is_dir() else file_candidates(path, plugins)


def open_importer(
    path: Path, importer_id: str | None, values: dict[str, Any] | None, plugins: PluginManager
) -> tuple[Contribution, Importer, Params]:
    """Choose and make the importer of a file.

    Raises:
        UserError: The file is not there, no importer fits, or a parameter is wrong.
    """
    if not path.exists():
        raise UserError(f"{path} is not there.", remedy="Choose a file.")
    if path.is_file() and path.stat().st_size == 0:
        raise UserError(f"{path.name} is empty (0 bytes).", remedy="Choose a file with content.")
    there = [plugins.contribution("importer", importer_id)] if importer_id else candidates(path, plugins)
    if not there:
        raise UserError(f"No importer is installed for {path.name}.", remedy="See the Plugins page.")
    kind = there[0].load()
    return there[0], kind(), make_params(kind, values or {}, there[0].title)


STORED_FLAGS = 1_000
"""Suspicious values that are listed; those beyond are counted."""


@dataclass
class Report(ImportReport):
    """Notes, rejects and flags of all files; rejects are written as JSON Lines where a file is given.

    Attributes:
        sink: Where rejects are written.
        file: What is being read, as the user knows it.
        is_silent: Takes nothing in: what is read was read before, and what it said is known.
    """

    sink: IO[str] | None = None
    file: str = ""
    is_silent: bool = False
    rejected: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    flags: list[dict[str, Any]] = field(default_factory=list)
    flagged: int = 0

    def reject(self, reject: Reject) -> None:
        """See `ImportReport.reject`."""
        self.add(reject, row=None)

    def add(self, reject: Reject, row: int | None) -> None:
        """Keep a reject; `row` is the 1-based number of a row that was read but did not fit the mapping."""
        if self.is_silent:
            return
        self.rejected += 1
        record = {
            "file": self.file, "line": reject.line, "byte": reject.byte, "row": row,
            "reason": reject.reason, "raw": reject.raw[:2000] if self.rejected <= STORED_REJECTS else "",
        }  # fmt: skip
        if len(self.first) < 20:
            self.first.append(record)
        if self.sink is not None:
            self.sink.write(as_text(json.dumps(record, ensure_ascii=False)) + "\n")

    def note(self, text: str) -> None:
        """See `ImportReport.note`; the same note is kept once."""
        if text not in self.notes and not self.is_silent:
            self.notes.append(text)

    def flag(self, column: str, row: int, reason: str, value: str) -> None:
        """See `ImportReport.flag`."""
        if self.is_silent:
            return
        self.flagged += 1
        if len(self.flags) < STORED_FLAGS:
            self.flags.append({"file": self.file, "column": column, "row": row, "reason": reason, "value": value[:200]})

    def restart(self) -> None:
        """Forget the rejects that an earlier run has written."""
        if self.sink is not None:
            self.sink.truncate(0)

    def state(self) -> dict[str, Any]:
        """All of it, as JSON; see `restore`."""
        if self.sink is not None:
            self.sink.flush()
        written = os.fstat(self.sink.fileno()).st_size if self.sink is not None else 0
        kept = {name: getattr(self, name) for name in ("rejected", "flagged")}
        lists = {name: list(getattr(self, name)) for name in ("first", "notes", "flags")}
        return {**kept, **lists, "written": written}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; what was written after it is cut off."""
        if self.sink is not None:
            self.sink.truncate(state["written"])
        self.rejected, self.flagged = state["rejected"], state["flagged"]
        self.first, self.notes, self.flags = state["first"], state["notes"], state["flags"]


class Naming:
    """Gives columns names that every engine takes: none empty, none twice (case aside), `row_id` kept free."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._names: dict[tuple[str, int], str] = {}
        self._taken = {ROW_ID}

    def state(self) -> list[list[Any]]:
        """The names given so far, as JSON; see `restore`."""
        return [[name, nth, fresh] for (name, nth), fresh in self._names.items()]

    def restore(self, state: list[list[Any]]) -> None:
        """Go on from a `state`."""
        self._names = {(name, nth): fresh for name, nth, fresh in state}
        self._taken = {ROW_ID, *(fresh.lower() for fresh in self._names.values())}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rename the columns of a batch, the same way in every batch."""
        seen = Counter[str]()
        names = []
        for number, name in enumerate(batch.schema.names, 1):
            seen[name] += 1  # Arrow and Parquet allow several columns of one name
            names.append(self._safe(name, number, seen[name]))
        return batch if names == batch.schema.names else batch.rename_columns(names)

    def _safe(self, name: str, number: int, nth: int) -> str:
        if (name, nth) not in self._names:
            fresh = "source_row_id" if name.lower() == ROW_ID else name or f"column_{number}"
            while fresh.lower() in self._taken:
                fresh += "_2"
            self._taken.add(fresh.lower())
            self._names[name, nth] = fresh
            if fresh != name:
                self._report.note(f"Column “{name}” is stored as “{fresh}”.")
        return self._names[name, nth]


def raw_batches(
    importer: Importer, path: Path, params: Params, report: Report, ctx: TaskContext, naming: Naming, name: str = ""
) -> Iterator[pa.RecordBatch]:
    """Yield a file's batches with safe column names; `name` is what the user knows the file as."""
    report.file = name or path.name
    for batch in importer.read(path, params, report, ctx):
        if batch.num_rows:
            yield naming(batch)


def first_batches(batches: Iterator[pa.RecordBatch], rows: int) -> list[pa.RecordBatch]:
    """Take batches until they hold `rows` rows; the others stay in the iterator."""
    taken: list[pa.RecordBatch] = []
    count = 0
    while count < rows and (batch := next(batches, None)) is not None:
        taken.append(batch)
        count += batch.num_rows
    return taken


def choose_mapping(given: dict[str, Any] | Mapping | None, sample: Sequence[pa.RecordBatch]) -> Mapping:
    """Take the user's mapping, or detect one from the first rows; what a partial one says is put into the detected one.

    Raises:
        UserError: The user's mapping names a column that is not there, or what it says fits no reading.
    """
    columns = list(dict.fromkeys(name for batch in sample for name in batch.schema.names))
    if isinstance(given, dict) and given and is_partial(given):
        found = detections(columns, sample_rows(sample, SAMPLE_ROWS), given.get("roles"))
        return completed(given, [one.mapping for one in found])
    if given:
        mapping = given if isinstance(given, Mapping) else Mapping.of(given)
        mapping.check(columns)
        return mapping
    return detect(columns, sample_rows(sample, SAMPLE_ROWS))


def sample_rows(batches: Sequence[pa.RecordBatch], limit: int) -> list[dict[str, Any]]:
    """Give the first rows as Python values."""
    rows: list[dict[str, Any]] = []
    for batch in batches:
        if len(rows) >= limit:
            break
        rows += batch.slice(0, limit - len(rows)).to_pylist()
    return rows


def map_batch(batch: pa.RecordBatch, mapping: Mapping, report: Report, rows_before: int) -> pa.RecordBatch:
    """Map a batch; rows that do not fit are rejected with their content and their number in the file."""
    mapped = apply(batch, mapping)
    for position, reason in mapped.rejects.items():
        row = batch.slice(position, 1).to_pylist()[0]
        raw = json.dumps(row, ensure_ascii=False, default=str)
        report.add(Reject(reason, raw=raw[:2000]), row=rows_before + position + 1)
    return mapped.batch
