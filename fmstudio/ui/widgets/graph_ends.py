"""`GraphEnds`: names what lies out of sight at both ends of a graph, and goes there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from fmstudio.ui.widgets.graph_drawing import Box
from fmstudio.ui.widgets.parts import button

Side = Literal["left", "right"]
EDGE = 8
"""Pixels between a button and the edges of the graph."""
MOST_CHARS = 28


class GraphEnds(QObject):
    """A button in each lower corner of a graph: ``‹ faq.csv`` where the beginning is out of sight, ``tuned ›`` at the end.

    Args:
        graph: The widget the buttons stand on.
        go: Called with the id of the first of the boxes a button names.
    """

    def __init__(self, graph: QWidget, go: Callable[[str], None]) -> None:
        super().__init__(graph)
        self._graph, self._choose = graph, go
        self._hidden: dict[Side, tuple[Box, ...]] = {"left": (), "right": ()}
        self.buttons = {
            "left": button("", lambda: self._go("left")),
            "right": button("", lambda: self._go("right")),
        }
        for side, one in self.buttons.items():
            one.setAccessibleName(self.tr("Where it begins") if side == "left" else self.tr("Where it ends"))
            one.setParent(graph)
            one.hide()

    def show_hidden(self, left: Sequence[Box], right: Sequence[Box]) -> None:
        """Name the ends that are out of sight, those nearest to the current box first; none = no button."""
        self._hidden = {"left": tuple(left), "right": tuple(right)}
        for side, boxes in self._hidden.items():
            self._show(side, boxes)

    def _go(self, side: Side) -> None:
        if self._hidden[side]:
            self._choose(self._hidden[side][0].id)
            self._graph.setFocus()  # the button is about to go

    def _show(self, side: Side, boxes: Sequence[Box]) -> None:
        one = self.buttons[side]
        if boxes:
            title = boxes[0].title
            name = title if len(title) <= MOST_CHARS else f"{title[: MOST_CHARS - 1]}…"
            more = f" +{len(boxes) - 1:,}" if len(boxes) > 1 else ""
            one.setText((f"‹ {name}{more}" if side == "left" else f"{name}{more} ›").replace("&", "&&"))
            names = "\n".join(box.title for box in boxes[:MOST_CHARS])
            said = (
                self.tr("Where it begins, out of sight:") if side == "left" else self.tr("Where it ends, out of sight:")
            )
            one.setToolTip(f"{said}\n{names}")
            one.setAccessibleName(f"{said} {names}".replace("\n", ", "))
            one.adjustSize()
            x = EDGE if side == "left" else self._graph.width() - one.width() - EDGE
            one.move(x, self._graph.height() - one.height() - EDGE)
        if one.isHidden() == bool(boxes):
            one.setVisible(bool(boxes))
