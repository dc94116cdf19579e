"""The story of one row: where it came from and what changed it, told from versions and edits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fmstudio.project.catalog import Catalog
from fmstudio.project.cell_values import decode, is_same
from fmstudio.project.datasets import Datasets
from fmstudio.project.history import Operation
from fmstudio.project.rows import RowReader

Row = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class RowChange:
    """Something that happened to a row.

    Attributes:
        kind: ``set``, ``add``, ``delete`` for edits by hand; else the kind of operation (import, recipe, transform …).
        column: The cell's column; empty when the whole row came or went.
        version: The version it happened on or made.
    """

    created: float
    title: str
    kind: str
    column: str
    before: Any
    after: Any
    version: int


def row_story(catalog: Catalog, datasets: Datasets, rows: RowReader, dataset_id: str, row_id: int) -> list[RowChange]:
    """What happened to a row, oldest first."""
    edits: dict[int, list[tuple[str, str, Any, Any]]] = defaultdict(list)
    for number, *edit in catalog.query(
        "SELECT operation_id, kind, column_name, value, before FROM edits WHERE dataset_id = ? AND row_id = ?",
        [dataset_id, row_id],
    ):
        edits[number].append((edit[0], edit[1], _decoded(edit[2]), _decoded(edit[3])))
    collected = {version.number for version in datasets.versions(dataset_id) if version.is_collected}
    story: list[RowChange] = []
    now: Row = None
    for operation in datasets.operations(dataset_id):
        if operation.state != "done" or operation.version_after is None:
            continue
        if operation.kind == "edit":
            changes, now = _edited(operation, edits[operation.id], now)
        elif operation.kind in ("rename", "name_version", "embed") or operation.version_after in collected:
            continue
        else:
            files = datasets.files(dataset_id, operation.version_after)
            found = rows.by_id(files, [row_id]).records() if files else []
            changes, now = list(_differences(operation, now, found[0] if found else None)), found[0] if found else None
        story += [] if "carried_from" in operation.params else changes
    return story


def _decoded(text: str | None) -> Any:
    return None if text is None else decode(text)


def _edited(operation: Operation, edits: list[tuple[str, str, Any, Any]], now: Row) -> tuple[list[RowChange], Row]:
    changes = []
    for kind, column, after, before in edits:
        if kind == "set":
            changes.append(_change(operation, kind, column, before, after))
            now = {**(now or {}), column: after}
        else:
            changes.append(_change(operation, kind, "", None, None))
            now = after if kind == "add" else None
    return changes, now


def _differences(operation: Operation, before: Row, after: Row) -> Iterator[RowChange]:
    """What an operation that made or chose a version did to the row, cell by cell."""
    if before is None or after is None:
        if before is not after:
            yield _change(operation, operation.kind, "", None, None)
        return
    for column in dict.fromkeys([*before, *after]):
        if not is_same(before.get(column), after.get(column)):
            yield _change(operation, operation.kind, column, before.get(column), after.get(column))


def _change(operation: Operation, kind: str, column: str, before: Any, after: Any) -> RowChange:
    number = operation.version_after or 0
    return RowChange(operation.created, operation.title, kind, column, before, after, number)
