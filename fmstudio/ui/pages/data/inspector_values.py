"""The values of a row in the inspector: those in sight at once, the others as they are scrolled to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from fmstudio.ui.pages.data.cell_views import value_view
from fmstudio.ui.widgets.parts import ElidedLabel, column

FIRST, NEXT = 12, 8
"""Columns shown at once, and at a time afterwards: 300 of them take a second, in which no key would be answered."""
SETTLE_S = 2.0
"""Until then the heights of new values may still change; the user's own scrolling ends it."""


class RowValues(QObject):
    """Puts names and values one below the other into a scroll area.

    Signals:
        added: More values are there.
    """

    added = Signal()

    def __init__(self, area: QScrollArea) -> None:
        super().__init__(area)
        self._area = area
        self._layout = column(gap=6)
        self._waiting: list[tuple[str, Any]] = []
        self._types: Mapping[str, str] = {}
        self._is_raw = False
        self._end: Callable[[QVBoxLayout], None] = lambda _: None
        self._shown = 0
        self._views: list[tuple[str, QWidget]] = []
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self._go_on)
        area.verticalScrollBar().valueChanged.connect(self._look)
        area.verticalScrollBar().rangeChanged.connect(self._on_range)
        self._place = 0
        self._settled_at = 0.0
        area.verticalScrollBar().actionTriggered.connect(self._on_scrolled)

    @property
    def shown(self) -> int:
        """How many values are there."""
        return self._shown

    @property
    def views(self) -> Sequence[tuple[str, QWidget]]:
        """Names of columns and how their values are shown, from top to bottom."""
        return self._views

    def show(
        self,
        values: Mapping[str, Any],
        types: Mapping[str, str],
        *,
        is_raw: bool,
        at_least: int,
        end: Callable[[QVBoxLayout], None],
    ) -> QVBoxLayout:
        """A layout with the first values; the others follow.

        Args:
            at_least: How many are to be there at once.
            end: Puts what stands below the last value into the layout, when that is there.
        """
        self._layout = column(gap=6)
        self._waiting, self._types, self._is_raw, self._end = list(values.items()), types, is_raw, end
        self._shown, self._views = 0, []
        self._add(max(FIRST, at_least))
        self._look()
        return self._layout

    @property
    def place(self) -> int:
        """How far down the area is, or will be as soon as its values have their heights."""
        return self._place if self._is_settling else self._area.verticalScrollBar().value()

    def go_to(self, place: int) -> None:
        """Scroll there, also while what was just shown has no height yet."""
        self._place, self._settled_at = place, time.monotonic() + SETTLE_S
        self._area.verticalScrollBar().setValue(place)

    @property
    def _is_settling(self) -> bool:
        return time.monotonic() < self._settled_at

    @Slot()
    def _on_scrolled(self) -> None:
        self._settled_at = 0.0

    @Slot()
    def _on_range(self) -> None:
        if self._is_settling:
            self._area.verticalScrollBar().setValue(self._place)
        self._look()

    def stop(self) -> None:
        """Show no more of them."""
        self._waiting, self._views = [], []
        self._soon.stop()

    def show_all(self) -> None:
        """Show all that is not there yet."""
        if self._waiting:
            self._add(len(self._waiting))
            self.added.emit()

    def _add(self, count: int) -> None:
        now, self._waiting = self._waiting[:count], self._waiting[count:]
        for name, value in now:
            self._layout.addWidget(ElidedLabel(name, "caption"))
            shown = value_view(name, value, self._types.get(name, ""), is_raw=self._is_raw)
            self._views.append((name, shown))
            self._layout.addWidget(shown)
            self._layout.addSpacing(4)
        self._shown += len(now)
        if not self._waiting:
            self._end(self._layout)

    @Slot()
    def _look(self) -> None:
        if self._waiting:
            self._soon.start()

    @Slot()
    def _go_on(self) -> None:
        bar = self._area.verticalScrollBar()
        is_near = bar.maximum() - bar.value() < self._area.viewport().height()
        if self._waiting and is_near and self._area.isVisible():
            self._add(NEXT)
            self.added.emit()
            self._look()
