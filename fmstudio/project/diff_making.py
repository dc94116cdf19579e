"""Works a difference between two versions out, and what each operation between them has to do with it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fmstudio.project.catalog import Catalog
from fmstudio.project.datasets import Datasets
from fmstudio.project.diff_reasons import Reasons
from fmstudio.project.diff_shifts import Shift
from fmstudio.project.diff_table import ADDED, CHANGED, REMOVED, DiffTable, Side, compare
from fmstudio.project.overlay import EMPTY
from fmstudio.project.rows import RowReader
from fmstudio.project.version_path import Link, Place, VersionTree

KEPT = 12
"""Differences that are kept."""
_OPPOSITE = {ADDED: REMOVED, REMOVED: ADDED, CHANGED: CHANGED}


@dataclass(frozen=True, slots=True)
class Part:
    """One operation of a difference and the table of what it did; None when its files are gone.

    Attributes:
        version: The version it made; 0 for edits that wait, and for those that another operation folded in first.
    """

    title: str
    link: Link | None
    table: str | None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Diff:
    """A difference that was worked out."""

    table: DiffTable
    sides: tuple[Side, Side]
    titles: tuple[str, str]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    reasons: Reasons
    shifts: list[Shift] = field(default_factory=list)


class DiffMaker:
    """Makes differences and keeps the newest. One user at a time (see `Diffs`)."""

    def __init__(self, catalog: Catalog, datasets: Datasets, rows: RowReader) -> None:
        self._catalog, self._datasets, self._rows = catalog, datasets, rows
        self._tables: OrderedDict[str, DiffTable] = OrderedDict()
        self._diffs: OrderedDict[str, Diff] = OrderedDict()

    def make(self, dataset: str, before: int, after: int | None, origin: str) -> Diff:
        """The difference; see `Diffs` for what the arguments mean.

        Raises:
            UserError: There is no such version, or its files were collected as garbage.
        """
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
            self._forget(two.files)
        self._diffs.move_to_end(key)
        return self._diffs[key]

    def _side(self, place: Place, operations: Sequence[int] = ()) -> Side:
        files = self._datasets.files(*place)
        overlay = self._datasets.overlays.of(place[0], operations) if operations else EMPTY
        stats = "|".join(f"{file}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)
        return Side(tuple(files), overlay, f"{place[0]}@{place[1]}+{overlay.key}:{_short(stats)}")

    def _made(self, one: Side, two: Side, before: Place, after: Place, is_pending: bool) -> Diff:
        tree = VersionTree(self._catalog)
        links, shared = tree.between(before, after)
        by_hand = self._by_hand({before[0], after[0]})
        table = self._compared(one, two, by_hand)
        has_edits = is_pending and bool(two.overlay)
        is_single = len(links) + has_edits == 1 and not any(link.folded for link in links)
        parts = [part for link in links for part in self._parts(tree, link, by_hand, table.name if is_single else "")]
        if has_edits:
            name = table.name if is_single else self._compared(self._side(after), two, by_hand).name
            parts.append(Part("Edits that wait for a commit", None, name))
        notes = _notes(links, shared, before, after)
        if any(part.table is None for part in parts):
            notes.append(
                "The files of some versions in between were collected: what happened there is told as recorded."
            )
        titles = (_side_title(tree, before, after, False), _side_title(tree, after, before, has_edits))
        return Diff(table, (one, two), titles, tuple(parts), tuple(notes), Reasons(self._datasets, self._rows))

    def _parts(self, tree: VersionTree, link: Link, by_hand: frozenset[str], whole: str) -> list[Part]:
        """What a link did; edits that were folded in first are a part of their own, as nobody but the user made them.

        Args:
            whole: Table of the whole difference when the link is all there is to it.
        """
        if not link.folded:
            return [Part(_title(link), link, whole or self._part(tree, link, (), link.made, by_hand), link.made[1])]
        record = {"steps": (link.record.get("folded") or {}).get("steps", [])}
        by_user = replace(link, kind="commit", title=link.fold_title, record=record)
        parts = [
            Part(_title(by_user), by_user, self._part(tree, link, (), None, by_hand)),
            Part(_title(link), link, self._part(tree, link, link.folded, link.made, by_hand), link.made[1]),
        ]
        return parts[::-1] if link.is_taken_back else parts

    def _part(
        self, tree: VersionTree, link: Link, edits: tuple[int, ...], made: Place | None, by_hand: frozenset[str]
    ) -> str | None:
        """Compare a link's parent, seen through some edits, with what was made (None: with all edits that were folded in)."""
        if tree.is_collected(link.parent) or tree.is_collected(link.made):
            return None
        before = self._side(link.parent, edits)
        after = self._side(made) if made else self._side(link.parent, link.folded)
        return self._compared(before, after, by_hand).name

    def _compared(self, one: Side, two: Side, by_hand: frozenset[str]) -> DiffTable:
        key = f"{one.key} {two.key} {sorted(by_hand)}"
        if key not in self._tables:
            self._tables[key] = compare(self._rows, f"diff_{_short(key)}", one, two, by_hand)
        self._tables.move_to_end(key)
        return self._tables[key]

    def _forget(self, files: Sequence[Path]) -> None:
        """Drop tables that no difference which is kept needs."""
        needed = {diff.table.name for diff in self._diffs.values()}
        needed |= {part.table for diff in self._diffs.values() for part in diff.parts if part.table}
        unneeded = [key for key, table in self._tables.items() if table.name not in needed]
        with self._rows.seen(files) as (cursor, _, _, _):
            for key in unneeded[: -KEPT * 2]:
                cursor.execute(f"DROP TABLE IF EXISTS {self._tables.pop(key).name}")

    def _by_hand(self, dataset_ids: set[str]) -> frozenset[str]:
        """Columns that edits by hand ever brought to these datasets."""
        names: set[str] = set()
        for dataset_id in dataset_ids:
            for operation in self._datasets.operations(dataset_id):
                if operation.kind == "edit":
                    names |= operation.params.get("new_columns", {}).keys()
        return frozenset(names)


def did(part: Part) -> str:
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


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
