"""Pages that are built while nobody does anything, so that opening them for the first time takes no longer than later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication

if TYPE_CHECKING:
    from fmstudio.ui.shell import MainWindow

QUIET_MS = 400
"""Time without a key or a move of the mouse after which a page is built, which takes 100 to 200 ms on the window's thread."""

_INPUT = (QEvent.Type.KeyPress, QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.Wheel)


class WarmUp(QObject):
    """Builds pages once a project is open: their modules on another thread, then each page in a quiet moment.

    Args:
        window: Its parent.
        page_ids: What is built, in this order.
    """

    def __init__(self, window: MainWindow, page_ids: Sequence[str]) -> None:
        super().__init__(window)
        self._window, self._left = window, list(page_ids)
        self._loaded: set[str] = set()
        self._quiet = QTimer(self, interval=QUIET_MS, singleShot=True)
        self._quiet.timeout.connect(self._go_on)
        self._app = QApplication.instance()
        window.context.project_changed.connect(self._begin)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: the user does something, so this waits."""
        if event.type() in _INPUT and self._quiet.isActive():
            self._quiet.start()
        return False

    def _begin(self) -> None:
        if self._window.context.project is not None and self._left and not self._quiet.isActive():
            assert self._app is not None
            self._app.installEventFilter(self)
            self._quiet.start()

    def _go_on(self) -> None:
        self._left = [page_id for page_id in self._left if page_id not in self._window.pages]
        if not self._left or self._window.context.project is None:
            assert self._app is not None
            self._app.removeEventFilter(self)
        elif self._left[0] in self._loaded:
            self._window.build(self._left.pop(0))
            self._quiet.start()
        else:
            self._load(self._left[0])

    def _load(self, page_id: str) -> None:
        def loaded(_: object) -> None:
            self._loaded.add(page_id)
            self._quiet.start()

        # One that cannot be loaded says so when it is built, as it does when it is opened.
        self._window.context.run_query(self._window.entry(page_id).load, loaded, loaded, owner=self)
