"""`Diffs`: what differs between two versions of a dataset, like a pull request: rows added, removed, changed, and by what.

Rows are matched by ``row_id``, which they keep for life, so that branches of one dataset can be compared too. Columns that
came or went are listed once; they change a row only where they were filled in by hand.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.api.rows import ROW_ID
from fmstudio.project.catalog import Catalog
from fmstudio.project.cell_values import is_same
from fmstudio.project.datasets import Datasets
from fmstudio.project.diff_making import Diff, DiffMaker, Part, did
from fmstudio.project.diff_model import DiffKind, DiffPage, DiffRow, DiffSummary, OperationShare, RowKind, StepShare
from fmstudio.project.diff_reasons import steps_of
from fmstudio.project.diff_shifts import Shift, shifts
from fmstudio.project.diff_table import ADDED, CHANGED, REMOVED
from fmstudio.project.rows import RowReader

__all__ = ["DiffKind", "DiffPage", "DiffRow", "DiffSummary", "Diffs", "OperationShare", "Shift", "StepShare"]

_NUMBERS: dict[str, int] = {"added": ADDED, "removed": REMOVED, "changed": CHANGED}
_WORDS: dict[int, RowKind] = {ADDED: "added", REMOVED: "removed", CHANGED: "changed"}


class Diffs:
    """Differences between versions. Every method blocks, thread-safe; what was worked out is kept until rows change.

    `after` may be None or 0: the current version with the edits that wait for a commit. `origin` names another dataset
    whose version `before` is (one of them a branch of the other).
    """

    def __init__(self, catalog: Catalog, datasets: Datasets, rows: RowReader) -> None:
        self._datasets, self._rows = datasets, rows
        self._maker = DiffMaker(catalog, datasets, rows)
        self._lock = threading.RLock()

    def summary(self, dataset: str, before: int, after: int | None = None, *, origin: str = "") -> DiffSummary:
        """Count what differs, and what did it.

        Raises:
            UserError: There is no such version, or its files were collected as garbage.
        """
        with self._lock:
            diff = self._maker.make(dataset, before, after, origin)
            table = diff.table
            if not diff.shifts:
                diff.shifts.extend(shifts(self._rows, *diff.sides, table))
            added, removed, changed = (table.counts.get(kind, 0) for kind in (ADDED, REMOVED, CHANGED))
            one, two = ([c for c in types if c != ROW_ID] for types in (table.before, table.after))
            return DiffSummary(
                *diff.titles,
                rows_before=table.rows_before,
                rows_after=table.rows_after,
                added=added,
                removed=removed,
                changed=changed,
                unchanged=table.rows_after - added - changed,
                columns_added=tuple(c for c in two if c not in table.before),
                columns_removed=tuple(c for c in one if c not in table.after),
                columns_changed=tuple(table.changed_columns.items()),
                columns_retyped=tuple(
                    (c, table.before[c], table.after[c])
                    for c in two
                    if table.before.get(c, table.after[c]) != table.after[c]
                ),
                by_operation=tuple(self._shares(diff)),
                shifts=tuple(diff.shifts),
                notes=diff.notes,
            )

    def page(
        self,
        dataset: str,
        before: int,
        after: int | None = None,
        *,
        kind: DiffKind = "all",
        offset: int = 0,
        limit: int = 50,
        column: str = "",
        operation: int | None = None,
        origin: str = "",
    ) -> DiffPage:
        """Rows that differ, by ``row_id``.

        Args:
            kind: Which of them.
            column: Only rows in which this column changed; empty = all.
            operation: Only rows that this operation has to do with: its place in `DiffSummary.by_operation`.

        Raises:
            UserError: There is no such version, column or operation, or files were collected as garbage.
        """
        with self._lock:
            diff = self._maker.make(dataset, before, after, origin)
            condition = self._condition(diff, kind, column, operation)
            name = diff.table.name
            with self._rows.seen(diff.sides[1].files) as (cursor, _, _, _):
                total = cursor.execute(f"SELECT count(*) FROM {name} d WHERE {condition}").fetchall()[0][0]
                found = cursor.execute(
                    f"SELECT id, kind FROM {name} d WHERE {condition} ORDER BY id LIMIT {int(limit)} OFFSET {int(offset)}"
                ).fetchall()
            return DiffPage(tuple(self._rows_of(diff, found)), offset, total, diff.table.columns)

    def rows(
        self,
        dataset: str,
        before: int,
        after: int | None = None,
        *,
        kind: DiffKind = "all",
        limit: int = 2000,
        origin: str = "",
    ) -> Iterator[DiffRow]:
        """The first `limit` rows that differ, a page at a time."""
        size = 200
        for offset in range(0, limit, size):
            page = self.page(
                dataset, before, after, kind=kind, offset=offset, limit=min(size, limit - offset), origin=origin
            )
            yield from page.rows
            if len(page.rows) < size:
                return

    def html(
        self, dataset: str, before: int, after: int | None, target: Path, limit: int = 2000, *, origin: str = ""
    ) -> Path:
        """Write the difference as one HTML file that needs nothing else; give its path.

        Raises:
            UserError: There is no such version, or the file cannot be written.
        """
        from fmstudio.project.diff_html import write_html

        summary = self.summary(dataset, before, after, origin=origin)
        name = self._datasets.get(dataset).name
        return write_html(target, name, summary, self.rows(dataset, before, after, limit=limit, origin=origin), limit)

    # ---- telling it ------------------------------------------------------------------------------------------------

    def _shares(self, diff: Diff) -> Iterator[OperationShare]:
        for part in diff.parts:
            link = part.link
            counts = self._counts(diff, part)
            yield OperationShare(
                part.title,
                link.kind if link else "edit",
                added=counts.get(ADDED, 0),
                removed=counts.get(REMOVED, 0),
                changed=counts.get(CHANGED, 0),
                version=part.version,
                dataset_id=link.made[0] if link else "",
                operation_id=link.operation_id if link else 0,
                steps=tuple(StepShare(*step) for step in steps_of(link.record)) if link else (),
                is_taken_back=bool(link and link.is_taken_back),
                is_known=part.table is not None,
            )

    def _counts(self, diff: Diff, part: Part) -> dict[int, int]:
        if part.table is None:
            return {}
        if part.table == diff.table.name:
            return dict(diff.table.counts)
        with self._rows.seen(diff.sides[1].files) as (cursor, _, _, _):
            sql = f"SELECT d.kind, count(*) FROM {diff.table.name} d WHERE {did(part)} GROUP BY d.kind"
            return dict(cursor.execute(sql).fetchall())

    def _condition(self, diff: Diff, kind: DiffKind, column: str, operation: int | None) -> str:
        parts = ["true"] if kind == "all" else [f"kind = {_NUMBERS[kind]}"]
        if column:
            if column not in diff.table.columns:
                raise UserError(f"“{column}” is no column of both versions.")
            parts.append(f"list_contains(columns, {diff.table.columns.index(column)})")
        if operation is not None:
            if not 0 <= operation < len(diff.parts):
                raise UserError(f"There is no operation {operation} in this difference.")
            part = diff.parts[operation]
            is_whole = part.table == diff.table.name
            parts.append("false" if part.table is None else "true" if is_whole else did(part))
        return " AND ".join(parts)

    def _rows_of(self, diff: Diff, found: Sequence[tuple[int, int]]) -> Iterator[DiffRow]:
        ids = [row_id for row_id, _ in found]
        one, two = (
            {r[ROW_ID]: r for r in self._rows.by_id(side.files, ids, overlay=side.overlay).records()}
            for side in diff.sides
        )
        doers = self._doers(diff, ids)
        gone = [row_id for row_id, kind in found if kind == REMOVED]
        reasons = diff.reasons.of([part.link for part in diff.parts if part.link], gone, diff.sides[1].overlay)
        for row_id, kind in found:
            old, new = one.get(row_id), two.get(row_id)
            changed = tuple(c for c in diff.table.columns if old and new and not _is_same(old.get(c), new.get(c)))
            yield DiffRow(
                row_id, _WORDS[kind], old, new, changed, reasons.get(row_id, ""), tuple(doers.get(row_id, ()))
            )

    def _doers(self, diff: Diff, ids: Sequence[int]) -> dict[int, list[str]]:
        if not ids:
            return {}
        doers: dict[int, list[str]] = {}
        wanted = ", ".join(map(str, ids))
        with self._rows.seen(diff.sides[1].files) as (cursor, _, _, _):
            for part in diff.parts:
                if part.table is None:
                    continue
                condition = "true" if part.table == diff.table.name else did(part)
                sql = f"SELECT id FROM {diff.table.name} d WHERE id IN ({wanted}) AND {condition}"
                for (row_id,) in cursor.execute(sql).fetchall():
                    doers.setdefault(row_id, []).append(part.title)
        return doers


def _is_same(one: Any, other: Any) -> bool:
    return is_same(one, other) or (type(one) is not type(other) and isinstance(one, int | float) and one == other)
