"""What a recipe would do to the chosen dataset: the counts, and real rows before and after."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QButtonGroup, QFrame, QPushButton, QStackedLayout

from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.paged_table import PagedTable
from fmstudio.ui.widgets.parts import button, column, holder, label, row

KINDS = (("dropped", "Dropped"), ("changed", "Changed"), ("kept", "Kept"))


class PreviewPane(QFrame):
    """Summary, a switch between dropped, changed and kept rows of one step, and a table of examples."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, Any] | None = None
        self._step = 0
        self._kind = "dropped"
        self._is_chosen = False
        self.summary = label("", "title")
        self.basis = label("", "muted", wrap=True)
        self.step_title = label("", "heading")
        self.reasons = label("", "muted", wrap=True)
        self.table = PagedTable(self.tr("Example rows"))
        self.table.verticalHeader().hide()
        self._switch: dict[str, QPushButton] = {}
        group = QButtonGroup(self)
        bar = row(gap=4)
        for kind, title in KINDS:
            made = button(title, lambda kind=kind: self.choose_kind(kind), kind="choice")  # type: ignore[misc]
            group.addButton(made)
            self._switch[kind] = made
            bar.addWidget(made)
        bar.addStretch(1)
        body = column(self.summary, self.basis, 8, self.step_title, bar, self.reasons, self.table, gap=4)
        body.setStretch(6, 1)
        self._empty = EmptyState(
            "recipes",
            self.tr("Nothing to preview yet"),
            self.tr("Choose a dataset and add a step; what it would do to real rows is shown here at once."),
        )
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._empty)
        self._stack.addWidget(holder(body))

    def clear(self) -> None:
        """Show that there is nothing to preview."""
        self._found = None
        self._stack.setCurrentIndex(0)

    def set_busy(self) -> None:
        """Say that a newer preview is being made; the old one stays readable meanwhile."""
        if self._found is not None:
            self.basis.setText(self.tr("Previewing…"))

    def show_preview(self, found: dict[str, Any], step: int) -> None:
        """Show counts and the examples of one step."""
        self._found = found
        self._stack.setCurrentIndex(1)
        rows, out = found["sampled"], found["rows_out"]
        self.summary.setText(f"{words.number(out)} of {words.plural(rows, 'row')} would remain")
        whole = (
            "Every row was tried."
            if found["is_whole"]
            else (
                f"Tried on {words.number(rows)} of {words.plural(found['rows'], 'row')}, spread evenly. "
                "Duplicates may be more when all rows are seen."
            )
        )
        self.basis.setText(whole)
        self.show_step(step)

    def show_step(self, step: int) -> None:
        """Show the examples of another step (0 = the first)."""
        if self._found is None or not self._found["steps"]:
            return
        if step != self._step:
            self._is_chosen = False
        self._step = min(step, len(self._found["steps"]) - 1)
        counts = self._found["steps"][self._step]
        self.step_title.setText(f"{counts['step']}. {counts['title']}")
        for kind, title in KINDS:
            count = int(counts.get(kind, 0))
            self._switch[kind].setText(f"{title} {words.number(count)}")
        if not self._is_chosen or not counts["examples"].get(self._kind):
            self._kind = next((kind for kind, _ in KINDS if counts["examples"].get(kind)), "kept")
        self.show_kind(self._kind)

    def choose_kind(self, kind: str) -> None:
        """Show dropped, changed or kept rows, and stay with them while this step is looked at."""
        self._is_chosen = True
        self.show_kind(kind)

    def show_kind(self, kind: str) -> None:
        """Show dropped, changed or kept rows."""
        self._kind = kind
        self._switch[kind].setChecked(True)
        if self._found is None:
            return
        counts = self._found["steps"][self._step]
        reasons = counts.get("reasons", {}) if kind == "dropped" else {}
        lines = [f"{reason}: {words.number(n)}" for reason, n in sorted(reasons.items(), key=lambda r: -r[1])[:6]]
        self.reasons.setText("\n".join(lines))
        self.reasons.setVisible(bool(lines))
        restyle(self.reasons, role="muted")
        records = [_flat(example, kind) for example in counts["examples"].get(kind, [])]
        names = list(dict.fromkeys(name for record in records for name in record if name != "row_id"))
        self.table.rows.load_records(records, names)


def _flat(example: dict[str, Any], kind: str) -> dict[str, Any]:
    """One line of the table for an example."""
    if kind == "changed":
        before, after = example["before"], example["after"]
        differing = [name for name in after if before.get(name) != after[name]]
        return {
            f"{name} {when}": row.get(name)
            for name in differing
            for when, row in (("before", before), ("after", after))
        }
    if kind == "dropped":
        return {"reason": example["reason"], **example["row"]}
    return dict(example.get("row", example))
