"""A line that asks for the name of a new thing, where the user is; Enter takes it, Esc leaves it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from fmstudio.ui.widgets.parts import button, label, row


class _NameField(QLineEdit):
    """A field in which Esc means the line it stands in."""

    def __init__(self, leave: Callable[[], None]) -> None:
        super().__init__()
        self._leave = leave

    def event(self, event: QEvent) -> bool:
        """Qt: Esc goes to this field before the page."""
        is_escape = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape
        if event.type() == QEvent.Type.ShortcutOverride and is_escape:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Esc leaves."""
        if event.key() == Qt.Key.Key_Escape:
            self._leave()
        else:
            super().keyPressEvent(event)


class SaveLine(QWidget):
    """Name, *Save* and *Cancel*.

    Args:
        save: Called with the name.
    """

    def __init__(self, save: Callable[[str], None]) -> None:
        super().__init__()
        self._save = save
        self._back: QWidget | None = None
        self.field = _NameField(self.close_line)
        self.field.setAccessibleName(self.tr("Name of the new dataset"))
        self.field.setPlaceholderText(self.tr("Name of the new dataset"))
        self.field.returnPressed.connect(self._take)
        self.save_button = button(self.tr("Save"), self._take, kind="primary", tip=self.tr("Save (Enter)"))
        cancel = button(self.tr("Cancel"), self.close_line, tip=self.tr("Cancel (Esc)"))
        layout = row(label(self.tr("Name"), "muted"), self.field, self.save_button, cancel, gap=8)
        layout.setStretch(1, 1)
        self.setLayout(layout)
        self.hide()

    def open_line(self, name: str) -> None:
        """Ask, with a name to begin with."""
        self._back = self.window().focusWidget()
        self.field.setText(name)
        self.show()
        self.field.selectAll()
        self.field.setFocus()

    def close_line(self) -> None:
        """Ask no longer."""
        focused = self.window().focusWidget()
        had = self.isVisible() and focused is not None and self.isAncestorOf(focused)
        self.hide()
        if had and self._back is not None:
            self._back.setFocus()

    def _take(self) -> None:
        name = self.field.text().strip()
        if name:
            self._save(name)
