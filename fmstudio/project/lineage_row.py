"""The lineage of one row: the file and line it was read from, the versions that hold it, where and why it was dropped."""

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


@dataclass(slots=True)
class _Trail:
    """What is known of a row.

    Attributes:
        held: Versions that hold it, in order of making, with the row as it is there.
        dropped: Version that was made without it → why.
        unknown: Versions whose files were collected: nobody can tell.
    """

    held: dict[Place, dict[str, Any]] = field(default_factory=dict)
    dropped: dict[Place, str] = field(default_factory=dict)
    unknown: list[Place] = field(default_factory=list)


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
        {"dataset_id": dataset.id, "row_id": row_id, **_facts(tree, trail, row_id, is_new)},
    )  # fmt: skip
    return _assembled(world, tree, trail, row)


def _follow(tree: VersionTree, dataset_id: str, datasets: Datasets, rows: RowReader, row_id: int) -> _Trail:
    trail, reasons = _Trail(), Reasons(datasets, rows)
    own, branched = _family(tree, dataset_id)
    for place in (*own, *branched):
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
    return trail


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


def _facts(tree: VersionTree, trail: _Trail, row_id: int, is_new: bool) -> dict[str, Any]:
    first = next(iter(trail.held.items()), None)
    facts: dict[str, Any] = {"held_by": [f"{d}@{n}" for d, n in trail.held], "dropped_at": _named(trail.dropped)}
    if trail.unknown:
        facts["collected"] = [f"{d}@{n}" for d, n in trail.unknown]
    if first is None:
        return {**facts, "origin": "added by hand" if is_new else "unknown"}
    place, row = first
    record = tree.record(place)
    steps = record.get("steps") or []
    made = sum(int(step.get("made") or 0) for step in steps)
    is_read = tree.parent(place) is None or "source" in record
    facts["origin"] = "file" if is_read else "made by a step" if made else "made by an operation"
    facts |= {name: row[name] for name in (FILE_COLUMN, *PLACE_COLUMNS) if row.get(name) is not None}
    return facts


def _named(places: dict[Place, str]) -> dict[str, str]:
    return {f"{d}@{n}": why for (d, n), why in places.items()}


def _assembled(world: World, tree: VersionTree, trail: _Trail, row: Node) -> Graph:
    """The row between the files it was read from and all that holds or used it."""
    held = [f"version:{d}@{n}" for d, n in trail.held]
    gone = {f"version:{d}@{n}": why for (d, n), why in trail.dropped.items()}
    users = {n for n in world.reached(held) if not n.startswith("version:")} if held else set()
    # A model, run or export that came only of versions without the row did not use it.
    users &= _without(world, set(held))
    files = list(_files(world, held[:1], row))
    graph = world.part(row.id, {*held, *gone, *users, *(edge.source for edge in files)})
    inside = {node.id for node in graph.nodes}
    edges = [
        replace(edge, title=f"dropped: {gone[edge.target]}") if edge.target in gone and edge.source in held else edge
        for edge in graph.edges
        if not (edge.source.startswith("file:") and edge.target in inside)
    ]
    edges += [*files, *(Edge(row.id, version, "begins in") for version in held[:1])]
    if not held and gone:
        edges.append(Edge(row.id, next(iter(gone)), "was dropped here"))
    return Graph(row.id, (row, *graph.nodes), tuple(edges))


def _without(world: World, held: set[str]) -> set[str]:
    """What is reached from the versions that hold the row by ways that touch no other version."""
    reached = set(held)
    waiting = list(held)
    while waiting:
        at = waiting.pop()
        for edge in world.edges:
            fresh = edge.target not in reached and not edge.target.startswith("version:")
            if edge.source == at and fresh and not at.startswith("dataset:"):
                reached.add(edge.target)
                waiting.append(edge.target)
    return reached


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
