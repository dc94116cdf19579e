"""The small window that tags rows: known tags with a tick, and a line for a new one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PySide6.QtCore import QPoint, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QListWidget, QListWidgetItem, QWidget

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.floating import Floating
from fmstudio.ui.widgets.parts import button, column, label, row

WIDTH, HEIGHT = 260, 300


class TagPopup(Floating):
    """Opens at a row; Enter takes what is ticked and typed, Esc leaves all as it was.

    Signals:
        chosen: (tags to add, tags to remove)
    """

    chosen = Signal(object, object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Tags"))
        self.title = label("", "strong")
        self.field = QLineEdit()
        self.field.setPlaceholderText(self.tr("New tag; several with commas"))
        self.field.setAccessibleName(self.tr("New tag"))
        self.field.returnPressed.connect(self.accept)
        self.field.textChanged.connect(self._filter)
        self.list = QListWidget()
        self.list.setProperty("flat", "true")
        self.list.setAccessibleName(self.tr("Known tags"))
        done = button(self.tr("Done"), self.accept, kind="primary", tip=self.tr("Tag the rows (Enter)"))
        layout = column(self.title, self.field, self.list, row(None, done), gap=8, margins=(10, 10, 10, 10))
        layout.setStretch(2, 1)
        self.setLayout(layout)
        self.resize(WIDTH, HEIGHT)
        self._before: dict[str, Qt.CheckState] = {}

    def open_tags(self, place: QPoint, known: Sequence[str], tags_of_rows: Sequence[Sequence[str]]) -> None:
        """Show the tags of the chosen rows; a tag that only some of them have is half ticked."""
        self.title.setText(self.tr("Tags of {}").format(words.plural(len(tags_of_rows), "row")))
        counts = Counter(tag for tags in tags_of_rows for tag in dict.fromkeys(tags))
        names = [*counts, *(tag for tag in known if tag not in counts)]
        self.list.clear()
        self._before.clear()
        for name in names:
            state = Qt.CheckState.Unchecked
            if counts[name]:
                is_all = counts[name] == len(tags_of_rows)
                state = Qt.CheckState.Checked if is_all else Qt.CheckState.PartiallyChecked
            item = QListWidgetItem(name)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable)
            item.setCheckState(state)
            self._before[name] = state
            self.list.addItem(item)
        self.list.setVisible(bool(names))
        self.resize(WIDTH, HEIGHT if names else self.sizeHint().height())
        self.field.clear()
        self.open_at(place)
        self.field.setFocus()

    @Slot()
    def accept(self) -> None:
        """Tell what changed and close."""
        typed = [part.strip() for part in self.field.text().split(",") if part.strip()]
        states = {self.list.item(i).text(): self.list.item(i).checkState() for i in range(self.list.count())}
        changed = {name: state for name, state in states.items() if state != self._before[name]}
        add = [name for name, state in changed.items() if state == Qt.CheckState.Checked]
        remove = [name for name, state in changed.items() if state == Qt.CheckState.Unchecked]
        self.close_panel()
        add += [name for name in typed if name not in add]
        if add or remove:
            self.chosen.emit(add, remove)

    @Slot(str)
    def _filter(self, text: str) -> None:
        last = text.rsplit(",", 1)[-1].strip().lower()
        for place in range(self.list.count()):
            item = self.list.item(place)
            item.setHidden(last not in item.text().lower())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Down goes to the list, Enter is done."""
        if event.key() == Qt.Key.Key_Down and self.field.hasFocus() and self.list.count():
            self.list.setFocus()
            self.list.setCurrentRow(max(0, self.list.currentRow()))
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.accept()
        else:
            super().keyPressEvent(event)
