"""`Past`: a dataset as it was right after any point of its history, to look at; nothing is moved."""

from __future__ import annotations

from fmstudio.api.errors import UserError
from fmstudio.project.datasets import Datasets
from fmstudio.project.overlay import RESETTING, State
from fmstudio.project.rows import Page, RowReader


class Past:
    """Reads earlier states. Every method blocks; thread-safe."""

    def __init__(self, datasets: Datasets, rows: RowReader) -> None:
        self._datasets, self._rows = datasets, rows

    def state(self, dataset_id: str, operation_id: int) -> State:
        """The version and the edits on it that `Datasets.go_to` with this operation would lead to.

        Raises:
            UserError: There is no such operation, or new work has overtaken it.
        """
        operations = [op for op in self._datasets.operations(dataset_id) if op.state != "superseded"]
        if operation_id not in [op.id for op in operations]:
            raise UserError(
                f"The history of this dataset has no point {operation_id} that can be looked at.",
                remedy="What was undone and then overtaken by new work cannot be brought back.",
            )
        version = 0
        edits: list[int] = []
        for operation in operations:
            if operation.id > operation_id or operation.version_after is None:
                continue
            is_made = operation.version_before != operation.version_after
            if is_made or operation.kind in RESETTING:
                version, edits = operation.version_after, []
            elif operation.kind == "edit":
                edits.append(operation.id)
        return State(version, tuple(edits))

    def page(self, dataset_id: str, operation_id: int, *, offset: int = 0, limit: int = 200, where: str = "") -> Page:
        """Rows by ``row_id`` as they were right after an operation; `where` is a SQL condition.

        Raises:
            UserError: As `state`; or the files of that version were collected as garbage.
        """
        state = self.state(dataset_id, operation_id)
        files = self._datasets.files(dataset_id, state.version)
        if not files:
            raise UserError(
                f"The files of version {state.version} are gone: they were collected to free disk space.",
                remedy="What happened is still told here; the rows of that time are not kept.",
            )
        overlay = self._datasets.overlays.of(dataset_id, state.operations)
        return self._rows.page(files, offset=offset, limit=limit, where=where, overlay=overlay)

    def touched(self, dataset_id: str, operation_id: int) -> set[tuple[int, str]]:
        """Cells (row id, column) that an edit wrote; of an added row all its columns. Empty for what was no edit."""
        overlay = self._datasets.overlays.of(dataset_id, [operation_id])
        written = {row_id: list(cells) for row_id, cells in overlay.cells.items()}
        written |= {row_id: list(overlay.added_row(row_id)) for row_id in overlay.added}
        return {(row_id, column) for row_id, columns in written.items() for column in columns}

    def row_counts(self, dataset_id: str) -> dict[int, tuple[int, int]]:
        """Operation → rows right after it, and rows more or fewer than right before it.

        Of what was overtaken by new work only edits are told, with 0 rows after.
        """
        versions = {version.number: version.rows for version in self._datasets.versions(dataset_id)}
        by_hand = self._datasets.log.row_changes(dataset_id)
        found: dict[int, tuple[int, int]] = {}
        rows = 0
        for operation in self._datasets.operations(dataset_id):
            change = by_hand.get(operation.id, 0)
            if operation.state == "superseded":
                found[operation.id] = 0, change
                continue
            is_made = operation.version_before != operation.version_after or operation.kind in RESETTING
            if is_made and operation.version_after is not None:
                change = versions.get(operation.version_after, 0) - rows
            rows += change
            found[operation.id] = rows, change
        return found
