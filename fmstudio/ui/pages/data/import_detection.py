"""What the app made of a file, why, and how else it could be read."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame

from fmstudio.ui.pages.data.import_mapping import KINDS
from fmstudio.ui.widgets.parts import button, clear, column, label, row

CERTAINTY = {
    "sure": ("sure", "positive", "Usual names, and every row that was read fits."),
    "likely": ("likely", "accent", "It fits, but the names are not the usual ones."),
    "guess": ("a guess", "warning", "It could be this; you know better."),
}
MOST_ALTERNATIVES = 3


class DetectionCard(QFrame):
    """Kind, evidence and alternatives.

    Signals:
        chosen: (mapping) the user takes another reading.
        forgotten: The user wants a remembered mapping to be forgotten.
    """

    chosen = Signal(dict)
    forgotten = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("card", "true")
        self._content = column(gap=6, margins=(14, 12, 14, 12))
        self.setLayout(self._content)
        self.setAccessibleName(self.tr("What this file is"))
        self.alternatives: list[Any] = []

    def show_found(self, found: dict[str, Any], is_changed: bool) -> None:
        """Show what `inspect_file` found; `is_changed`: the user has changed how it is read."""
        clear(self._content)
        mapping = found["mapping"]
        same = [one for one in found["detections"] if _is_same(one["mapping"], mapping)]
        title = label(KINDS[mapping["kind"]], "strong")
        if found["remembered"]:
            mark = label(self.tr("read as last time"), "pill", level="accent")
            mark.setToolTip(self.tr("You corrected a file of this shape before; the same mapping is used."))
        elif is_changed or not same:
            mark = label(self.tr("your choice"), "pill", level="accent")
        else:
            text, level, tip = CERTAINTY[same[0]["certainty"]]
            mark = label(text, "pill", level=level)
            mark.setToolTip(tip)
        self._content.addLayout(row(title, mark, None, gap=8))
        for line in same[0]["evidence"] if same else ():
            self._content.addWidget(label(line, "muted", wrap=True))
        if found["remembered"]:
            forget = button(
                self.tr("Forget it"),
                self.forgotten.emit,
                kind="quiet",
                tip=self.tr("Read files of this shape by what is in them again"),
            )
            self._content.addLayout(row(forget, None))
        self._show_alternatives([one for one in found["detections"] if one not in same])

    def show_incomplete(self, kind: str, text: str, found: dict[str, Any]) -> None:
        """Say what is still to be chosen for a kind, and which readings were found."""
        clear(self._content)
        mark = label(self.tr("not complete"), "pill", level="warning")
        self._content.addLayout(row(label(KINDS[kind], "strong"), mark, None, gap=8))
        self._content.addWidget(label(text, "muted", wrap=True))
        self._show_alternatives(found["detections"])

    def _show_alternatives(self, others: list[dict[str, Any]]) -> None:
        self.alternatives = []
        if others:
            self._content.addWidget(label(self.tr("It could also be"), "caption"))
        for one in others[:MOST_ALTERNATIVES]:
            mapping = one["mapping"]
            columns = ", ".join(mapping["columns"].values())
            name = KINDS[mapping["kind"]] + (f": {columns}" if columns else "")
            made = button(
                name if len(name) < 36 else name[:34] + "…",
                partial(self.chosen.emit, mapping),
                kind="quiet",
                tip=" ".join(one["evidence"]),
            )
            self.alternatives.append(made)
            self._content.addLayout(row(made, None))


def _is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["kind"] == other["kind"] and one["columns"] == other["columns"])
