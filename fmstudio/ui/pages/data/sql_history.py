"""The list of queries that were run before: a button whose menu brings one back; and words of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QToolButton

from fmstudio.ui import icons
from fmstudio.ui.widgets import words

if TYPE_CHECKING:
    from fmstudio.project.console import ConsoleEntry

MOST_IN_MENU = 25


class HistoryButton(QToolButton):
    """Opens the list, newest first, each with how it ended.

    Signals:
        chosen: (query).
        forget_wanted: The user wants the list emptied.
    """

    chosen = Signal(str)
    forget_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        icons.set_icon(self, "history", "muted")
        self.setAccessibleName(self.tr("Queries run before"))
        self.setToolTip(self.tr("Queries run before (Ctrl+Up, Ctrl+Down)"))
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu = QMenu(self)
        self._menu.setToolTipsVisible(True)
        self.setMenu(self._menu)
        self.show_entries([])

    def show_entries(self, entries: Sequence[ConsoleEntry]) -> None:
        """Offer these."""
        menu = self._menu
        menu.clear()
        for entry in entries[:MOST_IN_MENU]:
            shown = " ".join(entry.sql.split())
            shown = shown if len(shown) < 70 else f"{shown[:68]}…"
            action = menu.addAction(shown.replace("&", "&&"))
            told = entry.error or f"{words.plural(entry.rows or 0, 'row')} in {seconds_text(entry.seconds)}"
            action.setToolTip(f"{words.ago(entry.created)}: {told}")
            action.triggered.connect(lambda _=False, sql=entry.sql: self.chosen.emit(sql))
        if entries:
            menu.addSeparator()
            menu.addAction(self.tr("Forget all of these")).triggered.connect(lambda: self.forget_wanted.emit())
        else:
            menu.addAction(self.tr("No query was run yet")).setEnabled(False)


def seconds_text(seconds: float) -> str:
    """``4 ms``, ``0.12 s``, ``12 s``."""
    if seconds < 0.1:
        return f"{seconds * 1_000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else words.duration(seconds)


def unique_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of a result's columns, numbered where two are alike: a table tells them apart by name."""
    found: list[str] = []
    for name in names:
        fresh, number = name, 2
        while fresh in found:
            fresh, number = f"{name}_{number}", number + 1
        found.append(fresh)
    return tuple(found)
