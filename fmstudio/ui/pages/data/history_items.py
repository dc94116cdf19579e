"""The lines of a dataset's history as they are shown: icon, words, how many rows more or fewer. No widgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fmstudio.ui.widgets import words

if TYPE_CHECKING:
    from fmstudio.project import Project
    from fmstudio.project.datasets import HistoryEntry

ICONS = {
    "import": "import", "update": "import", "recipe": "clean", "transform": "recipes", "sql": "search",
    "edit": "edit", "commit": "save", "discard": "undo", "restore": "history", "branch": "link",
    "rename": "edit", "name_version": "edit", "delete": "trash", "embed": "embed",
}  # fmt: skip
STATE_WORDS = {"undone": "can be done again", "superseded": "overtaken by new work"}

Stand = Literal["now", "done", "undone", "superseded"]


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """A line of the history.

    Attributes:
        rows: Rows right after it.
        change: Rows more or fewer than before it.
        stand: ``now`` (the newest that stands), done, undone, or superseded.
        is_edit: Whether it is an edit, whose cells can be told.
    """

    operation_id: int
    text: str
    icon: str
    version: int | None
    made_version: bool
    rows: int
    change: int
    created: float
    job_id: str
    stand: Stand
    can_go: bool
    is_edit: bool

    @property
    def detail(self) -> str:
        """When, by whom, on which version, in one line."""
        parts = [words.ago(self.created), "by a job" if self.job_id else "by hand"]
        if self.version is not None and not self.made_version:
            parts.insert(0, f"on version {self.version}")
        if self.stand in STATE_WORDS:
            parts.append(STATE_WORDS[self.stand])
        return "  ·  ".join(parts)

    @property
    def change_text(self) -> str:
        """``+12 rows`` or ``−3 rows``; empty when their number stayed."""
        sign = "+" if self.change > 0 else "−"
        return f"{sign}{words.plural(abs(self.change), 'row')}" if self.change else ""

    @property
    def spoken(self) -> str:
        """All of it, for a screen reader."""
        now = {"now": "the present state", "done": ""}.get(self.stand, "undone")
        return ", ".join(
            part for part in (self.text, self.change_text, self.detail.replace("  ·  ", ", "), now) if part
        )


def read_history(project: Project, dataset_id: str) -> list[HistoryItem]:
    """Everything that ever happened to a dataset, oldest first. Blocks: for a background thread."""
    counts = project.past.row_counts(dataset_id)
    return [_item(entry, *counts.get(entry.operation.id, (0, 0))) for entry in project.datasets.history(dataset_id)]


def _item(entry: HistoryEntry, rows: int, change: int) -> HistoryItem:
    operation = entry.operation
    stand: Stand = "now" if entry.is_current else operation.state  # type: ignore[assignment]
    kind = operation.kind
    return HistoryItem(
        operation_id=operation.id,
        text=entry.text,
        icon=ICONS.get(kind, "recipes"),
        version=operation.version_after,
        made_version=operation.version_before != operation.version_after,
        rows=rows,
        change=change,
        created=operation.created,
        job_id=operation.job_id,
        stand=stand,
        can_go=entry.can_go,
        is_edit=kind == "edit",
    )
