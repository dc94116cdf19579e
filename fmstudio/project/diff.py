"""`Diffs`: what differs between two versions of a dataset, like a pull request: rows added, removed, changed, and by what.

Rows are matched by ``row_id``, which they keep for life, so that branches of one dataset can be compared too. Columns that
came or went are listed once; they change a row only where they were filled in by hand.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fmstudio.api.errors import UserError
from fmstudio.api.rows import ROW_ID
from fmstudio.project.catalog import Catalog
from fmstudio.project.cell_values import is_same
from fmstudio.project.datasets import Datasets
from fmstudio.project.diff_reasons import Reasons, steps_of
from fmstudio.project.diff_shifts import Shift, shifts
from fmstudio.project.diff_table import ADDED, CHANGED, REMOVED, DiffTable, Side, compare
from fmstudio.project.overlay import EMPTY
from fmstudio.project.rows import RowReader
from fmstudio.project.version_path import Link, Place, VersionTree

__all__ = ["DiffKind", "DiffPage", "DiffRow", "DiffSummary", "Diffs", "OperationShare", "Shift", "StepShare"]

DiffKind = Literal["all", "added", "removed", "changed"]
RowKind = Literal["added", "removed", "changed"]

KEPT = 12
_NUMBERS: dict[str, int] = {"added": ADDED, "removed": REMOVED, "changed": CHANGED}
_WORDS: dict[int, RowKind] = {ADDED: "added", REMOVED: "removed", CHANGED: "changed"}
_OPPOSITE = {ADDED: REMOVED, REMOVED: ADDED, CHANGED: CHANGED}


@dataclass(frozen=True, slots=True)
class StepShare:
    """A step of an operation, as it was counted when it ran: rows it dropped (with reasons), changed and made."""

    number: int
    title: str
    dropped: int
    changed: int
    made: int
    reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class OperationShare:
    """What one operation between the two versions has to do with the difference.

    Attributes:
        title: What was done, in words.
        operation: Kind: recipe, transform, commit, update, branch, edit (what waits for a commit).
        added, removed, changed: Rows of this difference that it added, removed, changed. A row may be in several shares.
        version: The version it made; 0 for edits that wait for a commit.
        dataset_id: Whose version.
        operation_id: In the operation log; 0 when it is not there.
        steps: Its steps.
        is_taken_back: Only the version before went through it; the difference takes it back.
        is_known: False when the files are gone that would tell; the counts are then 0.
    """

    title: str
    operation: str
    added: int
    removed: int
    changed: int
    version: int = 0
    dataset_id: str = ""
    operation_id: int = 0
    steps: tuple[StepShare, ...] = ()
    is_taken_back: bool = False
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class DiffSummary:
    """The difference in numbers, all of them counted.

    Attributes:
        columns_changed: Column → rows in which it changed, the most first.
        columns_retyped: Column, type before, type after.
        by_operation: What did it, in order.
        notes: What should be said besides: branches, files that are gone.
    """

    before: str
    after: str
    rows_before: int
    rows_after: int
    added: int
    removed: int
    changed: int
    unchanged: int
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    columns_changed: tuple[tuple[str, int], ...] = ()
    columns_retyped: tuple[tuple[str, str, str], ...] = ()
    by_operation: tuple[OperationShare, ...] = ()
    shifts: tuple[Shift, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiffRow:
    """A row that differs.

    Attributes:
        before, after: The whole row on each side; None where it is not there.
        columns: Names of the columns that changed.
        reason: Why it was removed, when a step said so.
        operations: Titles of the operations that did it, in order.
    """

    row_id: int
    kind: RowKind
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    columns: tuple[str, ...] = ()
    reason: str = ""
    operations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiffPage:
    """Rows of the difference from `offset` on, by ``row_id``; `total` counts all that were asked for."""

    rows: tuple[DiffRow, ...]
    offset: int
    total: int
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """One operation of a difference and the table of what it did; None when its files are gone."""

    title: str
    link: Link | None
    table: str | None


@dataclass(frozen=True, slots=True)
class _Diff:
    """A difference that was worked out."""

    table: DiffTable
    sides: tuple[Side, Side]
    titles: tuple[str, str]
    parts: tuple[_Part, ...]
    notes: tuple[str, ...]
    reasons: Reasons
    shifts: list[Shift] = field(default_factory=list)


class Diffs:
    """Differences between versions. Every method blocks, thread-safe; what was worked out is kept until rows change.

    `after` may be None or 0: the current version with the edits that wait for a commit. `origin` names another dataset
    whose version `before` is (one of them a branch of the other).
    """

    def __init__(self, catalog: Catalog, datasets: Datasets, rows: RowReader) -> None:
        self._catalog, self._datasets, self._rows = catalog, datasets, rows
        self._lock = threading.RLock()
        self._tables: OrderedDict[str, DiffTable] = OrderedDict()
        self._diffs: OrderedDict[str, _Diff] = OrderedDict()

    def summary(self, dataset: str, before: int, after: int | None = None, *, origin: str = "") -> DiffSummary:
        """Count what differs, and what did it.

        Raises:
            UserError: There is no such version, or its files were collected as garbage.
        """
        with self._lock:
            diff = self._diff(dataset, before, after, origin)
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
                    (c, table.before[c], table.after[c]) for c in two if table.before.get(c, table.after[c]) != table.after[c]
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
            diff = self._diff(dataset, before, after, origin)
            condition = self._condition(diff, kind, column, operation)
            name = diff.table.name
            with self._rows.seen(diff.sides[1].files) as (cursor, _, _, _):
                total = cursor.execute(f"SELECT count(*) FROM {name} d WHERE {condition}").fetchall()[0][0]
                found = cursor.execute(
                    f"SELECT id, kind FROM {name} d WHERE {condition} ORDER BY id LIMIT {int(limit)} OFFSET {int(offset)}"
                ).fetchall()
            return DiffPage(tuple(self._rows_of(diff, found)), offset, total, diff.table.columns)

    def rows(
        self, dataset: str, before: int, after: int | None = None, *, kind: DiffKind = "all", limit: int = 2000, origin: str = ""
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

    # ---- working it out --------------------------------------------------------------------------------------------

    def _diff(self, dataset: str, before: int, after: int | None, origin: str) -> _Diff:
        found = self._datasets.get(dataset)
        origin_id = self._datasets.get(origin).id if origin else found.id
        state = self._datasets.overlays.state(found.id)
        one = self._side((origin_id, before))
        two = self._side((found.id, after)) if after else self._side((found.id, state.version), state.operations)
        key = f"{one.key} {two.key}"
        if key not in self._diffs:
            self._diffs[key] = self._made(one, two, (origin_id, before), (found.id, after or state.version), not after)
            while len(self._diffs) > KEPT:
                self._diffs.popitem(last=False)
        self._diffs.move_to_end(key)
        return self._diffs[key]

    def _side(self, place: Place, operations: Sequence[int] = ()) -> Side:
        files = self._datasets.files(*place)
        overlay = self._datasets.overlays.of(place[0], operations) if operations else EMPTY
        stats = "|".join(f"{file}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)
        return Side(tuple(files), overlay, f"{place[0]}@{place[1]}+{overlay.key}:{_short(stats)}")

    def _made(self, one: Side, two: Side, before: Place, after: Place, is_pending: bool) -> _Diff:
        tree = VersionTree(self._catalog)
        links, shared = tree.between(before, after)
        by_hand = self._by_hand({before[0], after[0]})
        table = self._compared(one, two, by_hand)
        has_edits = is_pending and bool(two.overlay)
        is_single = len(links) + has_edits == 1
        parts = [_Part(_title(link), link, table.name if is_single else self._part(tree, link, by_hand)) for link in links]
        if has_edits:
            name = table.name if is_single else self._compared(self._side(after), two, by_hand).name
            parts.append(_Part("Edits that wait for a commit", None, name))
        notes = _notes(links, shared, before, after)
        if any(part.table is None for part in parts):
            notes.append("The files of some versions in between were collected: what happened there is told as recorded.")
        titles = (_side_title(tree, before, after, False), _side_title(tree, after, before, has_edits))
        return _Diff(table, (one, two), titles, tuple(parts), tuple(notes), Reasons(self._datasets, self._rows))

    def _part(self, tree: VersionTree, link: Link, by_hand: frozenset[str]) -> str | None:
        if tree.is_collected(link.parent) or tree.is_collected(link.made):
            return None
        return self._compared(self._side(link.parent), self._side(link.made), by_hand).name

    def _compared(self, one: Side, two: Side, by_hand: frozenset[str]) -> DiffTable:
        key = f"{one.key} {two.key} {sorted(by_hand)}"
        if key not in self._tables:
            self._tables[key] = compare(self._rows, f"diff_{_short(key)}", one, two, by_hand)
        self._tables.move_to_end(key)
        self._forget()
        return self._tables[key]

    def _forget(self) -> None:
        """Drop tables that no difference which is kept needs."""
        needed = {diff.table.name for diff in self._diffs.values()}
        needed |= {part.table for diff in self._diffs.values() for part in diff.parts if part.table}
        for key in [k for k, table in self._tables.items() if table.name not in needed][: -KEPT * 2]:
            table = self._tables.pop(key)
            with self._rows.seen(()) as (cursor, _, _, _):
                cursor.execute(f"DROP TABLE IF EXISTS {table.name}")

    def _by_hand(self, dataset_ids: set[str]) -> frozenset[str]:
        """Columns that edits by hand ever brought to these datasets."""
        names: set[str] = set()
        for dataset_id in dataset_ids:
            for operation in self._datasets.operations(dataset_id):
                if operation.kind == "edit":
                    names |= operation.params.get("new_columns", {}).keys()
        return frozenset(names)

    # ---- telling it ------------------------------------------------------------------------------------------------

    def _shares(self, diff: _Diff) -> Iterator[OperationShare]:
        for part in diff.parts:
            link = part.link
            counts = self._counts(diff, part)
            yield OperationShare(
                part.title,
                link.kind if link else "edit",
                *(counts.get(kind, 0) for kind in (ADDED, REMOVED, CHANGED)),
                version=link.made[1] if link else 0,
                dataset_id=link.made[0] if link else "",
                operation_id=link.operation_id if link else 0,
                steps=tuple(StepShare(*step) for step in steps_of(link.record)) if link else (),
                is_taken_back=bool(link and link.is_taken_back),
                is_known=part.table is not None,
            )

    def _counts(self, diff: _Diff, part: _Part) -> dict[int, int]:
        if part.table is None:
            return {}
        if part.table == diff.table.name:
            return dict(diff.table.counts)
        with self._rows.seen(diff.sides[1].files) as (cursor, _, _, _):
            sql = f"SELECT d.kind, count(*) FROM {diff.table.name} d WHERE {_did(part)} GROUP BY d.kind"
            return dict(cursor.execute(sql).fetchall())

    def _condition(self, diff: _Diff, kind: DiffKind, column: str, operation: int | None) -> str:
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
            parts.append("false" if part.table is None else "true" if is_whole else _did(part))
        return " AND ".join(parts)

    def _rows_of(self, diff: _Diff, found: Sequence[tuple[int, int]]) -> Iterator[DiffRow]:
        ids = [row_id for row_id, _ in found]
        one, two = (
            {r[ROW_ID]: r for r in self._rows.by_id(side.files, ids, overlay=side.overlay).records()} for side in diff.sides
        )
        doers = self._doers(diff, ids)
        gone = [row_id for row_id, kind in found if kind == REMOVED]
        reasons = diff.reasons.of([part.link for part in diff.parts if part.link], gone, diff.sides[1].overlay)
        for row_id, kind in found:
            old, new = one.get(row_id), two.get(row_id)
            changed = tuple(c for c in diff.table.columns if old and new and not _is_same(old.get(c), new[c]))
            yield DiffRow(
                row_id, _WORDS[kind], old, new, changed, reasons.get(row_id, ""), tuple(doers.get(row_id, ()))
            )

    def _doers(self, diff: _Diff, ids: Sequence[int]) -> dict[int, list[str]]:
        if not ids:
            return {}
        doers: dict[int, list[str]] = {}
        wanted = ", ".join(map(str, ids))
        with self._rows.seen(diff.sides[1].files) as (cursor, _, _, _):
            for part in diff.parts:
                if part.table is None:
                    continue
                condition = "true" if part.table == diff.table.name else _did(part)
                sql = f"SELECT id FROM {diff.table.name} d WHERE id IN ({wanted}) AND {condition}"
                for (row_id,) in cursor.execute(sql).fetchall():
                    doers.setdefault(row_id, []).append(part.title)
        return doers


def _did(part: _Part) -> str:
    """SQL: whether an operation had to do with row ``d`` of a difference."""
    kinds = _OPPOSITE if part.link and part.link.is_taken_back else {kind: kind for kind in _OPPOSITE}
    pairs = " OR ".join(f"(d.kind = {kind} AND p.kind = {kinds[kind]})" for kind in (ADDED, REMOVED))
    return f"EXISTS (SELECT 1 FROM {part.table} p WHERE p.id = d.id AND ({pairs} OR d.kind = {CHANGED}))"


def _title(link: Link) -> str:
    return f"{link.title} (taken back)" if link.is_taken_back else link.title


def _side_title(tree: VersionTree, place: Place, other: Place, has_edits: bool) -> str:
    dataset = f"{tree.datasets[place[0]]['name']}, " if place[0] != other[0] else ""
    return f"{dataset}version {place[1]}" + (" with the edits that wait" if has_edits else "")


def _notes(links: Sequence[Link], shared: Place | None, before: Place, after: Place) -> list[str]:
    if shared is None:
        return ["These versions do not come from one another: rows are matched by their id alone."]
    if before != shared and after != shared:
        where = f"version {shared[1]}" if shared[0] in (before[0], after[0]) else "a version of another dataset"
        return [f"These versions are on different branches, which part after {where}."]
    if before != shared:
        return [f"Version {before[1]} was made later than version {after[1]}: this is the way back."]
    return []


def _is_same(one: Any, other: Any) -> bool:
    return is_same(one, other) or (type(one) is not type(other) and isinstance(one, int | float) and one == other)


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
