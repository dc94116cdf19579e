"""The lineage of one row: the file and line it was read from, the versions that hold it, where and why it was dropped.

A row of a dataset that a transform or SQL made goes back to the versions it was made from. Versions whose files were
collected are passed through where the ids prove that they held the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.project.catalog import Catalog
from fmstudio.project.datasets import Dataset, Datasets
from fmstudio.project.diff_reasons import Reasons
from fmstudio.project.lineage_graph import Edge, Graph, Node
from fmstudio.project.lineage_world import World
from fmstudio.project.rows import RowReader
from fmstudio.project.version_path import Place, VersionTree

FILE_COLUMN = "source_file"
PLACE_COLUMNS = ("source_line", "source_byte", "line", "byte", "page", "source_row")
"""Columns in which importers say where in the file a row was."""
SOURCE_ROW, SOURCE_DATASET = "source_row_id", "source_dataset"
"""Columns in which transforms say which row, and of which dataset, a row was made from."""


@dataclass(slots=True)
class _Trail:
    """What is known of a row.

    Attributes:
        held: Versions that hold it, in order of making, with the row as it is there.
        dropped: Version that was made without it → why.
        passed: Versions whose files were collected, but that held it: later ones have it, and ids are given only once.
        unknown: The other versions whose files were collected: nobody can tell.
        family: All versions of the dataset, those they came from and branches of them.
    """

    held: dict[Place, dict[str, Any]] = field(default_factory=dict)
    dropped: dict[Place, str] = field(default_factory=dict)
    passed: list[Place] = field(default_factory=list)
    unknown: list[Place] = field(default_factory=list)
    family: tuple[Place, ...] = ()

    @property
    def began(self) -> Place | None:
        """The first version that held it; None when none is known."""
        return next((place for place in self.family if place in self.held or place in self.passed), None)


def row_graph(
    world: World, catalog: Catalog, datasets: Datasets, rows: RowReader, dataset: Dataset, row_id: int
) -> Graph:
    """Make the lineage of a row.

    Raises:
        UserError: Nothing is known of that row.
    """
    tree = VersionTree(catalog)
    trail = _follow(tree, dataset.id, datasets, rows, row_id)
    pending = datasets.overlays.current(dataset.id)
    is_new = row_id in pending.added
    if not trail.held and not trail.dropped and not is_new:
        raise UserError(
            f"There is no row id {row_id} in any version of {dataset.name}.", remedy="Look at the row's id again."
        )
    row = Node(
        f"row:{dataset.id}#{row_id}", "row", f"Row id {row_id:,}", _where_now(dataset, trail, row_id, pending),
        {"dataset_id": dataset.id, "row_id": row_id, **_facts(world, tree, trail, is_new)},
    )  # fmt: skip
    return _assembled(world, tree, trail, row)


def _follow(tree: VersionTree, dataset_id: str, datasets: Datasets, rows: RowReader, row_id: int) -> _Trail:
    trail, reasons = _Trail(), Reasons(datasets, rows)
    own, branched = _family(tree, dataset_id)
    trail.family = (*own, *branched)
    for place in trail.family:
        parent = tree.parent(place)
        if place in branched and parent not in trail.held:
            continue  # after a branch an id may be given to another row on the other side
        if why := reasons.at(place, [row_id]).get(row_id):
            trail.dropped[place] = why
        if tree.is_collected(place):
            trail.unknown.append(place)
            continue
        files = sorted(datasets.version_folder(*place).glob("rows-*.parquet"))
        found = rows.by_id(files, [row_id]).records() if files else []
        if found:
            trail.held[place] = found[0]
        elif parent in trail.held and place not in trail.dropped:
            trail.dropped[place] = "gone, with no reason recorded"
    _pass_through(tree, trail, row_id)
    return trail


def _pass_through(tree: VersionTree, trail: _Trail, row_id: int) -> None:
    """Find the collected versions that must have held the row: one made from them has or dropped it, as no new row."""
    passed = set()
    for place in (*trail.held, *trail.dropped):
        for older in tree.chain(place)[1:]:
            if older in trail.unknown and row_id <= tree.record(older)["collected"]["last_row_id"]:
                passed.add(older)
            elif older not in trail.held:
                break
    trail.passed = [place for place in trail.unknown if place in passed]
    trail.unknown = [place for place in trail.unknown if place not in passed]


def _family(tree: VersionTree, dataset_id: str) -> tuple[list[Place], list[Place]]:
    """Versions of a dataset and all those came from, in order; and all that were made from those besides."""
    starts = [(dataset_id, number) for number in tree.numbers(dataset_id)]
    own = dict.fromkeys(place for start in starts for place in reversed(tree.chain(start)))
    branched: list[Place] = []
    waiting = list(own)
    while waiting:
        fresh = [child for child in tree.children(waiting.pop(0)) if child not in own and child not in branched]
        branched += fresh
        waiting += fresh
    return list(own), branched


def _where_now(dataset: Dataset, trail: _Trail, row_id: int, pending: Any) -> str:
    if row_id in pending.added:
        return f"added by hand to {dataset.name}, not committed yet"
    if row_id in pending.deleted:
        return f"deleted by hand from {dataset.name}, not committed yet"
    if (dataset.id, dataset.version) in trail.held:
        return f"in the current version of {dataset.name}"
    why = next(reversed(trail.dropped.values()), "")
    return f"no longer in {dataset.name}" + (f": {why}" if why else "")


def _facts(world: World, tree: VersionTree, trail: _Trail, is_new: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"held_by": [f"{d}@{n}" for d, n in trail.held], "dropped_at": _named(trail.dropped)}
    if trail.passed or trail.unknown:
        facts["collected"] = [world.nodes[_node(place)].title for place in (*trail.passed, *trail.unknown)]
    began = trail.began
    if began is None:
        return {**facts, "origin": "added by hand" if is_new else "unknown"}
    row = next(iter(trail.held.values()), {})
    record = tree.record(began)
    made = sum(int(step.get("made") or 0) for step in record.get("steps") or [])
    if _made_from(world, tree, began, row):
        facts["origin"] = "made from rows of other datasets" if tree.parent(began) is None else "made from other rows"
    elif tree.parent(began) is None or "source" in record:
        facts["origin"] = "file"
    else:
        facts["origin"] = "made by a step" if made else "made by an operation"
    facts |= {name: row[name] for name in (FILE_COLUMN, *PLACE_COLUMNS) if row.get(name) is not None}
    return facts


def _made_from(world: World, tree: VersionTree, began: Place, row: dict[str, Any]) -> list[Edge]:
    """Ways into a version from those its rows were made from: other datasets', or its own where the row names a row."""
    parent = tree.parent(began)
    own = f"version:{parent[0]}@{parent[1]}" if parent else ""
    into = [e for e in world.edges if e.target == _node(began) and e.source.startswith("version:")]
    others = [edge for edge in into if edge.source != own]
    name = row.get(SOURCE_DATASET)
    named = [edge for edge in others if world.nodes[f"dataset:{edge.source[8:].rpartition('@')[0]}"].title == name]
    is_copied = isinstance(row.get(SOURCE_ROW), int)
    return named or others or [edge for edge in into if edge.source == own and is_copied]


def _node(place: Place) -> str:
    return f"version:{place[0]}@{place[1]}"


def _named(places: dict[Place, str]) -> dict[str, str]:
    return {f"{d}@{n}": why for (d, n), why in places.items()}


def _assembled(world: World, tree: VersionTree, trail: _Trail, row: Node) -> Graph:
    """The row between what it was read or made from and all that holds or used it."""
    held = [_node(place) for place in trail.family if place in trail.held or place in trail.passed]
    gone = {_node(place): why for place, why in trail.dropped.items()}
    users = _used(world, set(held), {_node(place) for place in trail.family})
    before = [*_files(world, held[:1], row), *_origins(world, tree, trail, row)]
    older = world.reached([edge.source for edge in before], is_back=True)
    graph = world.part(row.id, {*held, *gone, *users, *older})
    inside = {node.id for node in graph.nodes}
    edges = [
        replace(edge, title=f"dropped: {gone[edge.target]}") if edge.target in gone and edge.source in held else edge
        for edge in graph.edges
        if not (edge.target == next(iter(held), "") and edge.source in older)
        and not (edge.source.startswith("file:") and edge.target in inside - older)
    ]
    edges += [*before, *(Edge(row.id, version, "begins in") for version in held[:1])]
    if not held and gone:
        edges.append(Edge(row.id, next(iter(gone)), "was dropped here"))
    return Graph(row.id, (row, *graph.nodes), tuple(edges))


def _used(world: World, held: set[str], family: set[str]) -> set[str]:
    """What came of the versions that hold the row by ways that touch no version without it.

    Datasets that were made from one of them are among it: they may have left the row out, as an export may.
    """
    reached = set(held)
    waiting = list(held)
    while waiting:
        at = waiting.pop()
        for edge in world.edges:
            if edge.source == at and edge.target not in reached | family:
                reached.add(edge.target)
                waiting.append(edge.target)
    return reached - held


def _origins(world: World, tree: VersionTree, trail: _Trail, row: Node) -> Iterator[Edge]:
    """The versions of other datasets that the row was made from, as far as it says."""
    if trail.began is None:
        return
    record = next(iter(trail.held.values()), {})
    found = _made_from(world, tree, trail.began, record)
    number = record.get(SOURCE_ROW)
    for edge in found:
        title = "made from one of these" if len(found) > 1 else "made from it"
        if len(found) == 1 and isinstance(number, int):
            title = f"made from its row id {number:,}"
        yield Edge(edge.source, row.id, title)


def _files(world: World, first: list[str], row: Node) -> Iterator[Edge]:
    """The file the row was read from; several, when nothing says which of them it was."""
    if row.facts.get("origin") != "file":
        return
    found = [edge for edge in world.edges if edge.target in first and edge.source.startswith("file:")]
    name = str(row.facts.get(FILE_COLUMN) or "")
    named = [edge for edge in found if name and _is_named(world.nodes[edge.source], name)]
    place = ", ".join(f"{key.removeprefix('source_')} {row.facts[key]}" for key in PLACE_COLUMNS if key in row.facts)
    for edge in named or found:
        sure = f"read from {place}" if place else "read from it"
        yield Edge(edge.source, row.id, sure if named or len(found) == 1 else "read from one of these files")


def _is_named(node: Node, name: str) -> bool:
    path = str(node.facts.get("path") or "")
    return (
        name in (node.title, path) or path.replace("\\", "/").endswith("/" + name) or name.startswith(node.title + "/")
    )
