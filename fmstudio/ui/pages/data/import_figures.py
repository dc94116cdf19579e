"""Lengths, languages and tokens of the rows that were read, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from fmstudio.ui.pages.data.import_charts import LanguageBars, LengthHistogram
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.narrow_combo import NarrowCombo
from fmstudio.ui.widgets.parts import button, column, label, row

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry


class ImportFigures(QWidget):
    """Three small pictures; tokens are estimated until the user counts them in a model's vocabulary.

    Signals:
        count_wanted: (path of a GGUF model) count tokens exactly.
    """

    count_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.lengths, self.languages = LengthHistogram(), LanguageBars()
        self.tokens = label("", wrap=True, selectable=True)
        self.token_note = label("", "caption", wrap=True)
        self.language_note = label("", "caption", wrap=True)
        self.model = NarrowCombo(4)
        self.model.setAccessibleName(self.tr("Model whose tokens are counted"))
        self.model.currentTextChanged.connect(self.model.setToolTip)
        self.count = button(
            self.tr("Count"), self._on_count, tip=self.tr("Count the tokens of these rows in this model's vocabulary")
        )
        self.measured = label("", "caption")
        lengths = column(label(self.tr("Length in characters"), "strong"), self.lengths, None, gap=4)
        languages = column(label(self.tr("Languages"), "strong"), self.languages, self.language_note, None, gap=4)
        head = row(label(self.tr("Tokens"), "strong"), None, self.count, gap=6)
        tokens = column(head, self.tokens, self.token_note, self.model, None, gap=4)
        side_by_side = row(gap=20)
        for box, share in ((lengths, 4), (languages, 3), (tokens, 5)):
            side_by_side.addLayout(box, share)
        self.setLayout(column(side_by_side, self.measured, gap=2))
        self._has_models = False

    def show_models(self, models: list[ModelEntry]) -> None:
        """Offer the base models whose vocabulary can be opened."""
        self.model.clear()
        for entry in models:
            if entry.format == "gguf" and entry.kind == "base" and not entry.is_missing:
                self.model.addItem(entry.name, str(entry.path))
        self._has_models = self.model.count() > 0
        self.model.setVisible(self._has_models)
        self.count.setVisible(self._has_models)

    def show_found(self, found: dict[str, Any]) -> None:
        """Show what `inspect_file` measured."""
        self.setVisible(bool(found["measured_rows"]))
        self.lengths.show_histogram(found["length_histogram"])
        self.languages.show_languages(found["languages"])
        self.language_note.setText(found["languages_note"])
        self.language_note.setVisible(bool(found["languages_note"]))
        self.languages.setVisible(not found["languages_note"])
        self.show_tokens(found["token_stats"], self.tr("an estimate: 4 bytes a token"))
        median = found["length_histogram"]["median"]
        self.measured.setText(
            f"Measured on the first {words.plural(found['measured_rows'], 'row')}; median length {median:,} characters."
        )

    def show_tokens(self, stats: dict[str, Any], note: str) -> None:
        """Show token figures and where they come from."""
        about = "about " if stats["is_estimate"] else ""
        self.tokens.setText(f"{about}{stats['median']:,} median · {stats['p95']:,} at 95 % · {stats['max']:,} most")
        self.token_note.setText(note)
        self.count.setEnabled(True)

    def _on_count(self) -> None:
        self.count.setEnabled(False)
        self.count_wanted.emit(str(self.model.currentData()))
