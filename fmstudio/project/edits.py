"""`Edits`: what a user changes by hand. Shows at once, waits in the catalogue, is folded into a version by a commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from fmstudio.api.errors import UserError
from fmstudio.core.words import plural
from fmstudio.project.catalog import Catalog
from fmstudio.project.changes import Changes
from fmstudio.project.datasets import Datasets
from fmstudio.project.edit_batch import MOST_OVERLAY_ROWS, EditBatch
from fmstudio.project.history import log_operation
from fmstudio.project.overlay import Overlay
from fmstudio.project.overlay_export import export_overlay
from fmstudio.project.row_story import RowChange, row_story
from fmstudio.project.rows import RowReader

__all__ = ["MOST_OVERLAY_ROWS", "Edits", "Pending", "RowChange"]

TAGS, RATING = "tags", "rating"
RATINGS = {1: "good", -1: "bad"}


@dataclass(frozen=True, slots=True)
class Pending:
    """Edits that wait for a commit.

    Attributes:
        cells: Cells changed in rows that the version has.
        added: Rows added.
        deleted: Rows of the version deleted.
        operations: Operations that made them. Some may stand and yet change nothing: what was set back is no edit.
    """

    cells: int
    added: int
    deleted: int
    operations: int

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self.cells or self.added or self.deleted)


class Edits:
    """Edits of datasets. Every method blocks, is thread-safe, and is one undoable operation.

    Methods raise `UserError` when a dataset, row or column is not there, a value does not fit its column, or more than
    `MOST_OVERLAY_ROWS` rows would be touched; nothing is changed then.
    """

    def __init__(self, catalog: Catalog, datasets: Datasets, rows: RowReader) -> None:
        self._catalog = catalog
        self._datasets = datasets
        self._rows = rows
        self._last_ids: dict[tuple[str, int], int] = {}

    # ---- changing --------------------------------------------------------------------------------------------------

    def set_cells(self, dataset_id: str, values: Mapping[int, Mapping[str, Any]], title: str = "") -> Changes:
        """Set cells: row id → column → value.

        A column that is not there yet is made, with a type that holds the values given. Setting what a cell holds
        already is no edit; when nothing changes, nothing is logged.
        """
        with self._batch(dataset_id) as (batch, connection):
            batch.set(values)
            return self._changed(dataset_id, batch.log(connection, title or _cells_title(batch.cells)))

    def add_rows(
        self, dataset_id: str, records: Sequence[Mapping[str, Any]], title: str = ""
    ) -> tuple[Changes, list[int]]:
        """Add rows at the end; give their new ids."""
        with self._batch(dataset_id) as (batch, connection):
            ids = batch.add(records)
            return self._changed(dataset_id, batch.log(connection, title or f"Add {plural(len(ids), 'row')}")), ids

    def duplicate_rows(self, dataset_id: str, row_ids: Sequence[int]) -> tuple[Changes, list[int]]:
        """Add copies of rows at the end; give their new ids."""
        with self._batch(dataset_id) as (batch, connection):
            found = _all_found(batch.read(row_ids), row_ids)
            ids = batch.add(found)
            return self._changed(dataset_id, batch.log(connection, f"Duplicate {plural(len(ids), 'row')}")), ids

    def delete_rows(self, dataset_id: str, row_ids: Sequence[int]) -> Changes:
        """Delete rows; those that are gone already are passed over."""
        with self._batch(dataset_id) as (batch, connection):
            batch.delete(row_ids)
            return self._changed(dataset_id, batch.log(connection, f"Delete {plural(batch.rows_touched, 'row')}"))

    def split_row(self, dataset_id: str, row_id: int, column: str, parts: Sequence[str]) -> tuple[Changes, list[int]]:
        """Put the first part into the row's column, and each other part into a copy of the row; give the copies' ids."""
        if len(parts) < 2:
            raise UserError("A row is split into two parts or more.", remedy="Mark where to split it.")
        with self._batch(dataset_id) as (batch, connection):
            row = _all_found(batch.read([row_id]), [row_id])[0]
            if column not in row:
                raise UserError(f"There is no column “{column}” here.", remedy=f"There is: {', '.join(row)}.")
            batch.set({row_id: {column: parts[0]}})
            ids = batch.add([{**row, column: part} for part in parts[1:]])
            return self._changed(dataset_id, batch.log(connection, f"Split row {row_id} into {len(parts)}")), ids

    def tag(
        self, dataset_id: str, row_ids: Sequence[int], add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> Changes:
        """Add tags to rows and take tags away; they are kept in the list column ``tags``."""
        fresh, stale = _clean_tags(add), _clean_tags(remove)
        with self._batch(dataset_id) as (batch, connection):
            name, kind = batch.column(TAGS)
            # The type, not the values: an empty cell would take a list as text.
            if kind is not None and kind.id != "list":
                raise UserError(
                    f"The column “{name}” of this dataset holds no lists of tags.", remedy="Rename that column first."
                )
            rows = batch.read(row_ids)
            _all_found(rows, row_ids)
            values: dict[int, dict[str, Any]] = {}
            for row_id, row in rows.items():
                have = row.get(name) or []
                kept = [tag for tag in have if tag not in stale]
                tags = kept + [tag for tag in fresh if tag not in kept]
                if tags != have:
                    values[row_id] = {name: tags or None}
            batch.set(values)
            return self._changed(dataset_id, batch.log(connection, _tag_title(batch.rows_touched, fresh, stale)))

    def rate(self, dataset_id: str, row_ids: Sequence[int], rating: int | None) -> Changes:
        """Rate rows 1 (good) or -1 (bad), or take the rating away (None); kept in the column ``rating``."""
        if rating not in (1, -1, None):
            raise UserError("A rating is 1 (good), -1 (bad) or nothing.")
        with self._batch(dataset_id) as (batch, connection):
            batch.set({row_id: {RATING: rating} for row_id in row_ids})
            count = plural(batch.rows_touched, "row")
            title = f"Rate {count} {RATINGS[rating]}" if rating else f"Clear the rating of {count}"
            return self._changed(dataset_id, batch.log(connection, title))

    def discard(self, dataset_id: str) -> Changes:
        """Take back all pending edits, as one operation that can be undone."""
        with self._catalog.transaction() as connection:
            state = self._datasets.overlays.state(self._datasets.get(dataset_id).id)
            if not state.operations:
                return Changes()
            count = len(state.operations)
            title = f"Discard {count} pending {'edit' if count == 1 else 'edits'}"
            log_operation(connection, "discard", dataset_id, state.version, state.version, title)
        return Changes(datasets=frozenset({dataset_id}))

    # ---- looking ---------------------------------------------------------------------------------------------------

    def pending(self, dataset_id: str) -> Pending:
        """What waits for a commit."""
        state = self._datasets.overlays.state(dataset_id)
        overlay = self._datasets.overlays.of(dataset_id, state.operations)
        cells = overlay.cells.count
        return Pending(cells, len(overlay.added), len(overlay.deleted), len(state.operations))

    def overlay(self, dataset_id: str) -> Overlay:
        """What the pending edits change."""
        return self._datasets.overlays.current(dataset_id)

    def row_history(self, dataset_id: str, row_id: int) -> list[RowChange]:
        """What happened to a row, oldest first, from its import to the pending edits."""
        return row_story(self._catalog, self._datasets, self._rows, dataset_id, row_id)

    def export_overlay(self, dataset_id: str, target: Path) -> dict[str, Any]:
        """Write the pending edits as files for a job; see `overlay_export.export_overlay`."""
        state = self._datasets.overlays.state(dataset_id)
        overlay = self._datasets.overlays.of(dataset_id, state.operations)
        files = self._datasets.files(dataset_id, state.version)
        made = export_overlay(self._rows, files, overlay, target)
        return {**made, "version": state.version, "operations": list(state.operations)}

    def next_row_id(self, dataset_id: str) -> int:
        """The first row id that no row of the dataset ever had, in any version or edit."""
        for version in self._datasets.versions(dataset_id):
            key = (dataset_id, version.number)
            if key not in self._last_ids:
                files = [] if version.is_collected else self._datasets.files(*key)
                noted = version.statistics.get("collected", {}).get("last_row_id", -1)
                self._last_ids[key] = self._rows.last_id(files) if files else noted
        known = [last for (owner, _), last in self._last_ids.items() if owner == dataset_id]
        rows = self._catalog.query("SELECT max(row_id) FROM edits WHERE dataset_id = ?", [dataset_id])
        return max([*known, rows[0][0] if rows[0][0] is not None else -1]) + 1

    @contextmanager
    def _batch(self, dataset_id: str) -> Iterator[tuple[EditBatch, duckdb.DuckDBPyConnection]]:
        """A batch on what the user sees; nobody else can change the catalogue meanwhile."""
        with self._catalog.transaction() as connection:
            dataset = self._datasets.get(dataset_id)
            files = self._datasets.files(dataset.id, dataset.version)
            overlay = self._datasets.overlays.current(dataset.id)
            yield EditBatch(self._rows, dataset, files, overlay, self.next_row_id(dataset.id)), connection

    def _changed(self, dataset_id: str, is_changed: bool) -> Changes:
        return Changes(datasets=frozenset({dataset_id} if is_changed else ()))


def _all_found(rows: Mapping[int, dict[str, Any]], row_ids: Sequence[int]) -> list[dict[str, Any]]:
    missing = [row_id for row_id in row_ids if row_id not in rows]
    if missing:
        raise UserError(f"There is no row {missing[0]} here.", remedy="It may have been deleted: look again.")
    return [rows[row_id] for row_id in row_ids]


def _clean_tags(tags: Sequence[str]) -> list[str]:
    clean = list(dict.fromkeys(tag.strip() for tag in tags))
    if "" in clean:
        raise UserError("A tag needs a name.")
    return clean


def _cells_title(columns: Sequence[str]) -> str:
    names = set(columns)
    place = next(iter(names)) if len(names) == 1 else f"{len(names)} columns"
    return f"Edit {'1 cell' if len(columns) == 1 else f'{len(columns):,} cells'} in {place}"


def _tag_title(count: int, add: Sequence[str], remove: Sequence[str]) -> str:
    said = f"Tag {plural(count, 'row')} with {', '.join(add)}" if add else ""
    if remove and add:
        return f"{said} instead of {', '.join(remove)}"
    return said or f"Remove the tag {', '.join(remove)} from {plural(count, 'row')}"
