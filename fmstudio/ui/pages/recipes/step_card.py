"""One step of a recipe: its operator, its parameters, and what the preview found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QWidget

from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.param_form import ParamForm
from fmstudio.ui.widgets.parts import column, label, row, tool_button


class StepCard(QFrame):
    """A card that opens to show the step's parameters. Enter opens it, Alt with an arrow moves it, Del removes it.

    Signals:
        changed: A parameter was changed.
        chosen: The card was clicked, or got the keyboard: show its examples.
        moved: (-1 or 1) the user wants it one place up or down.
        removed: The user wants it gone.
    """

    changed = Signal()
    chosen = Signal()
    moved = Signal(int)
    removed = Signal()

    def __init__(self, operator_id: str, title: str, schema: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        super().__init__()
        self.operator_id = operator_id
        self.title = title
        self.setProperty("card", "true")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.number = label("", "pill")
        self.heading = label(title, "strong")
        self.result = label("", "caption", wrap=True)
        self.fold = tool_button("chevron-down", f"Settings of {title}", self.toggle, shortcut="Enter")
        self.up = tool_button("up", f"Move {title} up", lambda: self.moved.emit(-1), shortcut="Alt+Up")
        self.down = tool_button("down", f"Move {title} down", lambda: self.moved.emit(1), shortcut="Alt+Down")
        self.remove = tool_button("trash", f"Remove {title}", self.removed.emit, shortcut="Del")
        self.form = ParamForm(schema, params)
        self.form.changed.connect(self.changed)
        self._body: QWidget = self.form
        head = row(self.number, self.heading, None, self.up, self.down, self.remove, self.fold, gap=2)
        head.insertSpacing(1, 8)
        self.setLayout(column(head, self.result, self.form, gap=4, margins=(12, 8, 8, 10)))
        self.result.hide()
        self.set_open(False)

    def set_place(self, number: int, count: int) -> None:
        """Tell the card which step it is."""
        self.number.setText(str(number))
        self.up.setEnabled(number > 1)
        self.down.setEnabled(number < count)
        self.setAccessibleName(f"Step {number}: {self.title}")

    def set_chosen(self, is_chosen: bool) -> None:
        """Mark the card whose examples are shown."""
        restyle(self.number, level="accent" if is_chosen else "")

    def toggle(self) -> None:
        """Open or close the parameters."""
        self.set_open(self._body.isHidden())

    def set_open(self, is_open: bool) -> None:
        """Show the parameters, or only the name."""
        self._body.setVisible(is_open)
        from fmstudio.ui import icons

        icons.set_icon(self.fold, "chevron-up" if is_open else "chevron-down")

    def step(self) -> dict[str, Any]:
        """The step as a recipe names it; parameters at their default are left out."""
        values = self.form.values()
        own = {k: v for k, v in values.items() if v != self.form.fields[k].default}
        return {"operator": self.operator_id, **({"params": own} if own else {})}

    def show_result(self, found: dict[str, Any] | None) -> None:
        """Show what the preview counted; None = nothing known yet."""
        self.result.setVisible(found is not None)
        if found is not None:
            self.result.setText(result_text(found))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt: a click chooses the card."""
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self.chosen.emit()
        event.accept()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Qt: the keyboard came to the card."""
        super().focusInEvent(event)
        self.chosen.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: open, move and remove the card while it has the keyboard itself."""
        key, is_alt = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        if not self.hasFocus():
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and not event.modifiers():
            self.toggle()
        elif is_alt and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.moved.emit(-1 if key == Qt.Key.Key_Up else 1)
        elif key == Qt.Key.Key_Delete:
            self.removed.emit()
        else:
            super().keyPressEvent(event)


def result_text(found: dict[str, Any]) -> str:
    """What a step did to how many rows, with the commonest reasons."""
    parts = [f"{words.number(found['kept'])} of {words.plural(found['rows_in'], 'row')} stay"]
    if found.get("dropped"):
        parts.append(f"{words.number(found['dropped'])} dropped")
    if found.get("changed"):
        parts.append(f"{words.number(found['changed'])} changed")
    if found.get("columns"):
        parts.append(f"adds {', '.join(found['columns'])}")
    return " · ".join(parts)
