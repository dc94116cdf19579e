"""`Undoing`: what was deleted in the chat and can be brought back, by the button of its message or by Ctrl+Z."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext

MOST = 50


class Undoing(QObject):
    """Remembers how to bring back what was deleted, the newest last; another project begins anew."""

    def __init__(self, context: AppContext, parent: QObject) -> None:
        super().__init__(parent)
        self._context = context
        self._steps: list[tuple[str, Callable[[], None]]] = []
        context.project_changed.connect(self._forget)

    @property
    def words(self) -> str:
        """What `undo` would bring back; empty when there is nothing."""
        return self._steps[-1][0] if self._steps else ""

    def offer(self, text: str, undo: Callable[[], None]) -> None:
        """Say what was deleted, with a button that brings it back; so does `undo`."""
        step = (text, undo)
        self._steps = [*self._steps[1 - MOST :], step]

        def take_back() -> None:
            if step in self._steps:
                self._steps.remove(step)
                undo()

        self._context.notify("info", text, (self.tr("Undo"), take_back))

    @Slot()
    def undo(self) -> None:
        """Bring back what was deleted last."""
        if self._steps:
            text, undo = self._steps.pop()
            undo()
            self._context.notify("info", self.tr("Taken back: {what}").format(what=text))

    def _forget(self) -> None:
        self._steps = []
