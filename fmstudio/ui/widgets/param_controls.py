"""Controls for parameters that mean columns, datasets or longer texts: chosen from what there is instead of typed.

A JSON schema asks for one with ``control``: ``choice`` (one of ``suggestions``), ``typed`` (the same, or another text),
``checks`` (several of ``suggestions``), ``names`` (another name for each of ``suggestions``) or ``text`` (several lines).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QComboBox,
    QCompleter,
    QGridLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QScrollArea,
    QWidget,
)

from fmstudio.ui.widgets.narrow_combo import NarrowCombo
from fmstudio.ui.widgets.parts import ElidedLabel

MOST_SEEN = 7
ROW = 28
TEXT_LINES = 4
MOST_NAMES = 200

Changed = Callable[[], None]


class ChoiceBox(NarrowCombo):
    """One of the suggestions; `is_open` lets another text be typed. An empty one is shown as `nothing`."""

    def __init__(self, suggestions: Sequence[str], changed: Changed, *, is_open: bool, nothing: str = "none") -> None:
        super().__init__(8)
        self._nothing = nothing
        self.setEditable(is_open)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.set_choices(suggestions)
        if is_open:
            # Qt's own completer writes a suggestion over what is typed: “tag” would become “tags”. This one is empty.
            self.setCompleter(QCompleter(self))
            self.setCurrentIndex(-1)
            self.editTextChanged.connect(lambda _: changed())
        else:
            self.currentIndexChanged.connect(lambda _: changed())

    def set_choices(self, suggestions: Sequence[str]) -> None:
        """Offer these, and keep what is chosen where that is still possible."""
        before = self.value()
        self.blockSignals(True)
        self.clear()
        for name in suggestions:
            self.addItem(name or self._nothing, name)
        self.set_value(before)
        self.blockSignals(False)

    def choices(self) -> list[str]:
        """What is offered."""
        return [str(self.itemData(place)) for place in range(self.count())]

    def value(self) -> str:
        """What is chosen or typed."""
        return self.currentText().strip() if self.isEditable() else str(self.currentData() or "")

    def set_value(self, value: Any) -> None:
        """Choose it."""
        text = "" if value is None else str(value)
        place = self.findData(text)
        if self.isEditable():
            self.setCurrentIndex(place if text else -1)
            self.setEditText(text)
        elif place < 0 and text:
            self.addItem(text, text)
            self.setCurrentIndex(self.count() - 1)
        else:
            self.setCurrentIndex(max(0, place))


class CheckList(QListWidget):
    """Several of the suggestions; Space checks the current one."""

    def __init__(self, suggestions: Sequence[str], changed: Changed) -> None:
        super().__init__()
        self.setUniformItemSizes(True)
        self.set_choices(suggestions)
        self.itemChanged.connect(lambda _: changed())

    def set_choices(self, suggestions: Sequence[str]) -> None:
        """Offer these; what was checked and is still there stays checked."""
        before = self.value()
        self.blockSignals(True)
        self.clear()
        for name in suggestions:
            item = QListWidgetItem(name)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if name in before else Qt.CheckState.Unchecked)
            self.addItem(item)
        if self.count():
            self.setCurrentRow(0)
        self.setFixedHeight(max(1, min(self.count(), MOST_SEEN)) * ROW + 4)
        self.blockSignals(False)

    def choices(self) -> list[str]:
        """What is offered."""
        return [self.item(place).text() for place in range(self.count())]

    def value(self) -> list[str]:
        """Those checked, in the order shown."""
        items = [self.item(place) for place in range(self.count())]
        return [item.text() for item in items if item.checkState() == Qt.CheckState.Checked]

    def set_value(self, value: Any) -> None:
        """Check these; those that are not suggested are added."""
        wanted = [str(one) for one in value or ()]
        there = {self.item(place).text() for place in range(self.count())}
        if set(wanted) - there:
            self.set_choices([*(self.item(i).text() for i in range(self.count())), *(set(wanted) - there)])
        for place in range(self.count()):
            item = self.item(place)
            item.setCheckState(Qt.CheckState.Checked if item.text() in wanted else Qt.CheckState.Unchecked)


class TextBox(QPlainTextEdit):
    """A text of several lines; Tab leaves it."""

    def __init__(self, changed: Changed) -> None:
        super().__init__()
        self.setTabChangesFocus(True)
        self.setProperty("sized", "true")
        self.setFixedHeight(TEXT_LINES * self.fontMetrics().lineSpacing() + 22)
        self.textChanged.connect(changed)

    def value(self) -> str:
        """The text as it stands."""
        return self.toPlainText()

    def set_value(self, value: Any) -> None:
        """Show another text."""
        self.setPlainText("" if value is None else str(value))


class NameField(QLineEdit):
    """A line for a new name; Return and Down go to the next one."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: move between the lines."""
        if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return) and not event.modifiers():
            self.focusNextChild()
        elif event.key() == Qt.Key.Key_Up:
            self.focusPreviousChild()
        else:
            super().keyPressEvent(event)


class NamesTable(QScrollArea):
    """A line for each suggestion, to write another name beside it; empty = it keeps its name."""

    def __init__(self, suggestions: Sequence[str], changed: Changed) -> None:
        super().__init__()
        self.fields: dict[str, NameField] = {}
        inner = QWidget()
        grid = QGridLayout(inner)
        grid.setContentsMargins(0, 0, 8, 0)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(0, 2)
        grid.setColumnStretch(1, 3)
        for line, name in enumerate(suggestions[:MOST_NAMES]):
            field = NameField()
            field.setPlaceholderText(name)
            field.setAccessibleName(self.tr("New name of {}").format(name))
            field.textChanged.connect(lambda _: changed())
            grid.addWidget(ElidedLabel(name), line, 0)
            grid.addWidget(field, line, 1)
            self.fields[name] = field
        self.setWidget(inner)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedHeight(min(len(self.fields) * (ROW + 4), 320))

    def sizeHint(self) -> QSize:
        """Qt: a wish."""
        return QSize(240, self.height())

    def value(self) -> dict[str, str]:
        """Old name → new name, of those that get one."""
        return {name: field.text().strip() for name, field in self.fields.items() if field.text().strip()}

    def set_value(self, value: Any) -> None:
        """Write these names."""
        for name, field in self.fields.items():
            field.setText(str((value or {}).get(name, "")))


SpecialControl = ChoiceBox | CheckList | TextBox | NamesTable
SPECIAL = (ChoiceBox, CheckList, TextBox, NamesTable)


def special_control(schema: Mapping[str, Any], changed: Changed) -> SpecialControl | None:
    """The control a schema asks for; None when an ordinary one will do."""
    wanted, suggestions = schema.get("control"), schema.get("suggestions")
    if wanted == "text":
        return TextBox(changed)
    if suggestions is None:
        return None
    if wanted in ("choice", "typed"):
        nothing = str(schema.get("nothing", "none"))
        return ChoiceBox(suggestions, changed, is_open=wanted == "typed", nothing=nothing)
    if wanted == "checks":
        return CheckList(suggestions, changed)
    return NamesTable(suggestions, changed) if wanted == "names" else None
