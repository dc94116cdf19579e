"""One batch of edits on a dataset: checked against what the user sees, then written as one operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from fmstudio.api.errors import UserError
from fmstudio.api.rows import ROW_ID
from fmstudio.project.cell_values import encode, encode_record, fit_cell, is_same, parse_type, type_for
from fmstudio.project.datasets import Dataset
from fmstudio.project.history import log_operation
from fmstudio.project.overlay import Edit, Overlay, write_edits
from fmstudio.project.rows import RowReader

MOST_OVERLAY_ROWS = 50_000
"""Rows that pending edits may touch; more than that belongs into a job that writes a version."""


class EditBatch:
    """Collects edits. Nothing is written before `log`.

    Args:
        files: The files of the dataset's current version.
        overlay: The pending edits this batch comes on top of.
        next_row_id: First row id that the dataset never had.
    """

    def __init__(
        self, rows: RowReader, dataset: Dataset, files: Sequence[Path], overlay: Overlay, next_row_id: int
    ) -> None:
        self._rows, self._dataset, self._files, self._overlay = rows, dataset, list(files), overlay
        self._next_row_id = next_row_id
        self._base = rows.types(files)
        self._types = {**self._base, **{n: parse_type(k) for n, k in overlay.new_columns.items()}}
        self._new_columns: dict[str, str] = {}
        self._edits: list[Edit] = []

    @property
    def rows_touched(self) -> int:
        """Number of rows in this batch."""
        return len({edit[0] for edit in self._edits})

    @property
    def cells(self) -> list[str]:
        """Column of each cell that is set."""
        return [edit[2] for edit in self._edits if edit[1] == "set"]

    def column(self, name: str) -> tuple[str, DuckDBPyType | None]:
        """A column's own spelling and its type; the type is None when there is no such column yet."""
        own = next((known for known in self._types if known.casefold() == name.casefold()), name)
        return own, self._types.get(own)

    def read(self, row_ids: Iterable[int], columns: Sequence[str] | None = None) -> dict[int, dict[str, Any]]:
        """Rows as the user sees them, by id; ids that are not there are left out."""
        wanted = list(dict.fromkeys(row_ids))
        names = [ROW_ID, *(c for c in columns if c != ROW_ID)] if columns is not None else None
        page = self._rows.by_id(self._files, wanted, names, self._overlay)
        return {record[ROW_ID]: record for record in page.records()}

    def set(self, values: Mapping[int, Mapping[str, Any]]) -> None:
        """Set cells; setting what a cell holds already is no edit.

        Raises:
            UserError: A row is not there, or a value does not fit its column.
        """
        wanted = self._resolved(values)
        columns = sorted({name for cells in wanted.values() for name in cells} & set(self._types))
        now = self.read(wanted, columns)
        missing = [row_id for row_id in wanted if row_id not in now]
        if missing:
            raise UserError(
                f"“{self._dataset.name}” has no row {missing[0]}.", remedy="It may have been deleted: look again."
            )
        for row_id, cells in wanted.items():
            for name, value in cells.items():
                before, after = now[row_id].get(name), self._fitted(name, value)
                if not is_same(before, after):
                    self._edits.append((row_id, "set", name, encode(after), encode(before)))
        self._forget_unused_columns()

    def add(self, records: Sequence[Mapping[str, Any]]) -> list[int]:
        """Add rows; give their ids.

        Raises:
            UserError: A value does not fit its column.
        """
        ids = list(range(self._next_row_id, self._next_row_id + len(records)))
        self._next_row_id += len(records)
        wanted = self._resolved(
            {
                i: {n: v for n, v in record.items() if n.casefold() != ROW_ID}
                for i, record in zip(ids, records, strict=True)
            }
        )
        for row_id, cells in wanted.items():
            fitted = {name: self._fitted(name, value) for name, value in cells.items()}
            whole = {name: value for name, value in fitted.items() if value is not None}
            self._edits.append((row_id, "add", "", encode_record(whole), None))
        self._forget_unused_columns(ids)
        return ids

    def delete(self, row_ids: Iterable[int]) -> None:
        """Delete rows; ids that are not there any more are passed over.

        Raises:
            UserError: None of them is there.
        """
        wanted = list(dict.fromkeys(row_ids))
        overlay = self._overlay
        there = self._rows.existing(self._files, [i for i in wanted if i not in overlay.added]) - overlay.deleted
        found = [row_id for row_id in wanted if row_id in there or row_id in overlay.added]
        if wanted and not found:
            raise UserError(
                f"“{self._dataset.name}” has no row {wanted[0]}.", remedy="It may have been deleted: look again."
            )
        self._edits += [(row_id, "delete", "", None, None) for row_id in found]

    def log(self, connection: duckdb.DuckDBPyConnection, title: str, params: dict[str, Any] | None = None) -> bool:
        """Write the batch as one operation of the log; say whether there was anything to write.

        Raises:
            UserError: The pending edits would touch too many rows.
        """
        if not self._edits:
            return False
        overlay = self._overlay
        fresh = {edit[0] for edit in self._edits} - overlay.cells.keys() - overlay.added.keys()
        if overlay.touched + len(fresh) > MOST_OVERLAY_ROWS:
            first = "Commit the pending edits first, or use" if overlay.touched else "Use"
            waiting = f", {overlay.touched:,} of them in edits that are pending" if overlay.touched else ""
            raise UserError(
                f"Edits by hand can touch {MOST_OVERLAY_ROWS:,} rows at most; these would touch "
                f"{overlay.touched + len(fresh):,}{waiting}.",
                remedy=f"{first} a transform, which works on any number of rows (filter, compute, replace).",
            )
        dataset = self._dataset
        more = {**(params or {}), "rows": self.rows_touched, "cells": len(self.cells)}
        if self._new_columns:
            more["new_columns"] = self._new_columns
        number = log_operation(connection, "edit", dataset.id, dataset.version, dataset.version, title, more)
        write_edits(connection, number, dataset.id, dataset.version, self._edits)
        return True

    def _resolved(self, values: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
        """The same with the columns' own spelling; columns that are new get their type from all their values."""
        known = {name.casefold(): name for name in self._types}
        given: dict[str, list[Any]] = {}
        made: dict[int, dict[str, Any]] = {}
        for row_id, cells in values.items():
            made[int(row_id)] = {known.setdefault(name.casefold(), name): value for name, value in cells.items()}
            for name, value in made[int(row_id)].items():
                if name not in self._types and value is not None:
                    given.setdefault(name, []).append(value)
        if any(ROW_ID in cells for cells in made.values()):
            raise UserError(f"The column “{ROW_ID}” names each row for life and cannot be changed.")
        side = {column.name for column in self._dataset.columns if column.is_side}
        for name, some in given.items():
            if not name.strip() or "\0" in name or name in side:
                raise UserError(f"“{name}” cannot be the name of a column here.", remedy="Choose another name.")
            self._new_columns[name] = type_for(name, some)
        return made

    def _fitted(self, name: str, value: Any) -> Any:
        kind = self._types.get(name)
        if kind is None:
            if name not in self._new_columns:  # only missing values were given for a column that is not there
                return None
            kind = parse_type(self._new_columns[name])
        return fit_cell(value, kind, name, self._rows.cast)

    def _forget_unused_columns(self, added: Sequence[int] = ()) -> None:
        used = set(self.cells)
        self._new_columns = {n: k for n, k in self._new_columns.items() if added or n in used}
