"""“Found on this computer”: models other programs hold, each added by a click where it lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame

from fmstudio.ui.widgets.parts import ElidedLabel, button, clear, column, label, row, tool_button
from fmstudio.ui.widgets.words import plural, size

if TYPE_CHECKING:
    from fmstudio.models.discovery import FoundModel

SHOWN = 4


def find_models(known: set[str]) -> list[FoundModel]:
    """Models of other programs that are not in the library. Off the main thread.

    Args:
        known: Resolved paths of the library's models.
    """
    from fmstudio.models.discovery import discover

    return [one for one in discover(Path.home(), os.environ) if str(one.path.resolve()) not in known]


class FoundCard(QFrame):
    """Lists found models; hidden while there are none.

    Signals:
        wanted(object): The `FoundModel` to add.
        closed: The user does not want to see it now.
    """

    wanted = Signal(object)
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("card", "true")
        self.setAccessibleName(self.tr("Found on this computer"))
        self._title = label("", "strong")
        self._lines = column(gap=2)
        self._all = False
        self._found: list[FoundModel] = []
        self._more = button("", self._show_all, kind="quiet")
        close = tool_button("close", self.tr("Hide until the next start"), self.closed.emit)
        self.setLayout(
            column(row(self._title, None, close), self._lines, row(self._more, None), gap=6, margins=(16, 8, 12, 8))
        )
        self.hide()

    def show_found(self, found: list[FoundModel]) -> None:
        """Show these."""
        self._found = found
        clear(self._lines)
        shown = found if self._all else found[:SHOWN]
        for one in shown:
            words = self.tr("{owners} · {kind} · {size}").format(
                owners=", ".join(one.owners), kind=one.detail or one.format.upper(), size=size(one.bytes)
            )
            name = ElidedLabel(one.name)
            name.setToolTip(str(one.path))
            add = button(self.tr("Add"), lambda one=one: self.wanted.emit(one), kind="quiet", icon="plus",  # type: ignore[misc]
                         name=self.tr("Add {name}").format(name=one.name))  # fmt: skip
            line = row(name, label(words, "caption"), add, gap=12)
            line.setStretch(0, 1)
            self._lines.addLayout(line)
        self._title.setText(self.tr("Found on this computer: {count}").format(count=plural(len(found), "model")))
        self._more.setText(self.tr("Show all {count}").format(count=len(found)))
        self._more.setVisible(len(shown) < len(found))
        self.setVisible(bool(found))

    def _show_all(self) -> None:
        self._all = True
        self.show_found(self._found)
