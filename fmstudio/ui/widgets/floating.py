"""`Floating`: a small panel over the window, beside what it belongs to; Esc or a click elsewhere closes it."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QApplication, QFrame, QWidget

MARGIN = 8


class Floating(QFrame):
    """Lives in the window of the widget it is made for (no window of its own: those steal the keyboard from each other).

    Args:
        home: The widget it belongs to; it goes with it.
    """

    def __init__(self, home: QWidget) -> None:
        super().__init__(home)
        self.hide()
        self._home = home
        self._focus_before: QWidget | None = None
        self.setProperty("card", "floating")
        self.setAutoFillBackground(True)

    def open_at(self, place: QPoint) -> None:
        """Show it with its upper left corner there (on the screen), moved so that all of it is in the window."""
        window = self._home.window()
        if self.parentWidget() is not window:
            self.setParent(window)
            self._home.destroyed.connect(self.deleteLater)
        self._focus_before = QApplication.focusWidget()
        where = window.mapFromGlobal(place)
        self.setMaximumHeight(max(120, window.height() - 2 * MARGIN))
        x = max(MARGIN, min(where.x(), window.width() - self.width() - MARGIN))
        y = max(MARGIN, min(where.y(), window.height() - self.height() - MARGIN))
        self.move(x, y)
        self.show()
        self.raise_()
        app = QApplication.instance()
        if app is not None:
            app.installEventFilter(self)

    def close_panel(self) -> None:
        """Hide it, and give the keyboard back."""
        app = QApplication.instance()
        if app is not None:
            app.removeEventFilter(self)
        focused = QApplication.focusWidget()
        had_keyboard = focused is not None and self.isAncestorOf(focused)
        self.hide()
        if had_keyboard and self._focus_before is not None:
            self._focus_before.setFocus()
        self._focus_before = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: a click elsewhere closes the panel."""
        if event.type() == QEvent.Type.MouseButtonPress and isinstance(event, QMouseEvent) and self.isVisible():
            corner = self.mapToGlobal(QPoint(0, 0))
            if isinstance(watched, QWidget) and not self.rect().translated(corner).contains(
                event.globalPosition().toPoint()
            ):
                self.close_panel()
        return False

    def focusNextPrevChild(self, next: bool) -> bool:
        """Qt: Tab goes round inside the panel: beside it lie things that it covers."""
        stops = [
            w for w in self._chain() if w.focusPolicy() & Qt.FocusPolicy.TabFocus and w.isVisible() and w.isEnabled()
        ]
        if not stops:
            return False
        focused = QApplication.focusWidget()
        here = stops.index(focused) if focused in stops else -1 if next else 0
        reason = Qt.FocusReason.TabFocusReason if next else Qt.FocusReason.BacktabFocusReason
        stops[(here + (1 if next else -1)) % len(stops)].setFocus(reason)
        return True

    def _chain(self) -> Iterator[QWidget]:
        """Widgets inside, in the order in which Tab meets them."""
        found = self.nextInFocusChain()
        while found is not None and found is not self:
            if self.isAncestorOf(found):
                yield found
            found = found.nextInFocusChain()

    def event(self, event: QEvent) -> bool:
        """Qt: Esc means this panel while it has the keyboard."""
        is_escape = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape
        if event.type() == QEvent.Type.ShortcutOverride and is_escape:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Esc closes it."""
        if event.key() == Qt.Key.Key_Escape:
            self.close_panel()
        else:
            super().keyPressEvent(event)
