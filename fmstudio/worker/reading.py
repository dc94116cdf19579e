"""Rows on their way from sources to a dataset: the mapping chosen and applied, each row numbered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, UserError
from fmstudio.core.schemas import Mapping
from fmstudio.core.words import plural
from fmstudio.worker.importing import SAMPLE_ROWS, Report, choose_mapping, first_batches, map_batch
from fmstudio.worker.inspection import shape_key
from fmstudio.worker.sources import SOURCE_FILE, Source, is_left_to_report

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class _Others:
    """Sources with other columns than the first one."""

    count: int = 0
    first: str = ""


class Reading:
    """Sources on their way to one dataset, all read with the mapping of the first.

    Args:
        params: Of the import; see `fmstudio.worker.tasks.import_dataset.run`.
        report: Takes notes and rejects.
        write: Takes numbered rows, batch after batch.
        after_batch: Called whenever all that was read has been written.

    Attributes:
        mapping: How rows are read; None before the first.
        importer, shape: Id of the first source's importer, and the key of its shape.
        rows: How many were written.
        read: How many rows of the current source were read.
        is_remembered: Whether the mapping is one of the known shapes'.
    """

    def __init__(
        self,
        params: dict[str, Any],
        report: Report,
        write: Callable[[pa.RecordBatch], None],
        after_batch: Callable[[], None] = lambda: None,
    ) -> None:
        self.mapping: Mapping | None = None
        self.importer = self.shape = ""
        self.rows = self.read = 0
        self.is_remembered = False
        self._first_columns: tuple[str, list[str]] | None = None
        self._others = _Others()
        self._given: dict[str, Any] | None = params.get("mapping")
        self._known_shapes: dict[str, Any] = params.get("known_shapes") or {}
        self._report, self._write, self._after_batch = report, write, after_batch
        self._is_midway = False

    def state(self) -> dict[str, Any]:
        """What is known of all that was read, as JSON; see `restore`."""
        return {
            "mapping": self.mapping.to_dict() if self.mapping else None,
            "importer": self.importer,
            "shape": self.shape,
            "rows": self.rows,
            "read": self.read,
            "is_remembered": self.is_remembered,
            "first_columns": self._first_columns,
            "others": asdict(self._others),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`, in the middle of a source."""
        self.mapping = Mapping.of(state["mapping"])
        self.importer, self.shape = state["importer"], state["shape"]
        self.rows, self.read, self.is_remembered = state["rows"], state["read"], state["is_remembered"]
        self._first_columns = tuple(state["first_columns"])
        self._others = _Others(**state["others"])
        self._is_midway = True

    def take(self, source: Source, batches: Iterator[pa.RecordBatch], *, is_one_of_many: bool) -> None:
        """Read a source."""
        if self._is_midway:
            self._is_midway = False
        else:
            self.read = 0
            sample = first_batches(batches, SAMPLE_ROWS)
            if not sample or not self._begin(source, sample, is_one_of_many=is_one_of_many):
                return
            for batch in sample:
                self._keep(batch)
            self._after_batch()
        for batch in batches:
            self._keep(batch)
            self._after_batch()

    def _begin(self, source: Source, sample: list[pa.RecordBatch], *, is_one_of_many: bool) -> bool:
        """Choose the mapping; say whether the source can be read by it."""
        try:
            self.mapping = self._choose(source, sample)
        except UserError as error:
            if not is_left_to_report(source, error, self._report, is_one_of_many=is_one_of_many):
                raise
            return False
        self._compare(source, sample)
        return True

    def _keep(self, batch: pa.RecordBatch) -> None:
        assert self.mapping is not None
        mapped = map_batch(batch, self.mapping, self._report, self.read)
        self.read += batch.num_rows
        if mapped.num_rows:
            self._write(_numbered(mapped, self.rows))
            self.rows += mapped.num_rows

    def _compare(self, source: Source, sample: list[pa.RecordBatch]) -> None:
        """See whether a source has other columns than the first one: rows then lack those of the others."""
        columns = [name for name in sample[0].schema.names if name != SOURCE_FILE]
        if self._first_columns is None:
            self._first_columns = source.name, columns
            return
        known = self._first_columns[1]
        more, fewer = ([c for c in a if c not in b] for a, b in ((columns, known), (known, columns)))
        if more or fewer:
            said = [f"{verb} {_listed(names)}" for verb, names in (("has also", more), ("lacks", fewer)) if names]
            self._others.count += 1
            self._others.first = self._others.first or f"{source.name} {' and '.join(said)}"

    def tell(self) -> None:
        """Say in one note which sources had other columns."""
        if self._others.count and self._first_columns:
            files = plural(self._others.count, "file holds", "files hold")
            self._report.note(
                f"{files} other columns than {self._first_columns[0]}: {self._others.first}. "
                "What a file lacks is empty in its rows."
            )

    def _choose(self, source: Source, sample: list[pa.RecordBatch]) -> Mapping:
        key = shape_key(source.importer, sample)
        given = self.mapping or self._given
        remembered = None if given else self._known_shapes.get(key)
        mapping = choose_mapping(given or remembered, sample)
        if remembered:
            self.is_remembered = True
            self._report.note(f"Read as last time, as {mapping.told()}.")
        if not self.shape:
            self.shape, self.importer = key, source.importer
        return mapping


def _numbered(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    # Not `pa.array`: it imports pandas wherever that is installed, a quarter of a second.
    numbers = np.arange(first, first + batch.num_rows, dtype=np.int64)
    ids = pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])
    return pa.RecordBatch.from_arrays([ids, *batch.columns], names=[ROW_ID, *batch.schema.names])


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
