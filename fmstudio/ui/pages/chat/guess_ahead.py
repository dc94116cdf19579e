"""`GuessAhead`: the panel's rows for speculative decoding: off, from the text, or with a draft model of the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QComboBox, QFormLayout

from fmstudio.ui.pages.chat.settings import MOST_DRAFT_TOKENS, ChatSettings
from fmstudio.ui.widgets.parts import decimal_box, spin_box
from fmstudio.ui.widgets.words import size

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry

TIP = Qt.ItemDataRole.ToolTipRole


class GuessAhead(QObject):
    """Two pickers and two numbers in a form; all but the first are there only where they act.

    Signals:
        changed(): The person chose something; see `applied`.
    """

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._form: QFormLayout | None = None
        self.method, self.draft = QComboBox(), QComboBox()
        for data, text in (
            ("off", self.tr("off")), ("lookup", self.tr("from text")), ("draft", self.tr("by a model")),
        ):  # fmt: skip
            self.method.addItem(text, data)
        self.draft.setPlaceholderText(self.tr("Choose…"))
        self.tokens, self.certainty = spin_box(), decimal_box()
        self.tokens.setRange(1, MOST_DRAFT_TOKENS)
        self.certainty.setRange(0, 1)
        self.certainty.setSingleStep(0.05)
        self._rows = {
            self.method: self.tr("Guess ahead"),
            self.draft: self.tr("Draft model"),
            self.tokens: self.tr("Guess length"),
            self.certainty: self.tr("Certainty"),
        }
        for box, name in self._rows.items():
            box.setAccessibleName(name)
            box.setMinimumWidth(72)
        self.method.activated.connect(self._on_chosen)
        self.draft.activated.connect(self._on_chosen)
        self.tokens.valueChanged.connect(self._on_chosen)
        self.certainty.valueChanged.connect(self._on_chosen)
        self.tokens.setToolTip(self.tr(
            "Most tokens of one guess. Long guesses pay where much repeats; where they fail, they cost time. "
            "Another length loads the model again with the next message."
        ))  # fmt: skip
        self.certainty.setToolTip(self.tr(
            "The draft model goes on guessing while it is at least this certain: 0 always guesses to the full length, "
            "1 hardly ever guesses. Another certainty loads the model again with the next message."
        ))  # fmt: skip
        self.draft.setToolTip(self.tr(
            "A much smaller model with the same vocabulary, mostly of the same family; another vocabulary is refused"
        ))  # fmt: skip
        self.show_models([], None)

    def add_to(self, form: QFormLayout) -> None:
        """Add the rows to a form."""
        self._form = form
        for box, name in self._rows.items():
            form.addRow(name, box)

    def show_models(self, drafts: Sequence[ModelEntry], model: ModelEntry | None) -> None:
        """List what could draft for the chosen model; a server decides for itself."""
        chosen = self.draft.currentData()
        self.draft.clear()
        for entry in drafts:
            self.draft.addItem(entry.name, entry.id)
            self.draft.setItemData(self.draft.count() - 1, f"{entry.path}\n{size(entry.bytes)}", TIP)
        self.draft.setCurrentIndex(self.draft.findData(chosen))
        items: Any = self.method.model()
        assert isinstance(items, QStandardItemModel)
        items.item(2).setEnabled(bool(drafts))
        why = self.tr("There is no second model: add a smaller one of the same family on the Models page.")
        items.item(2).setToolTip("" if drafts else why)
        is_here = model is None or model.format != "endpoint"
        tip = self.tr(
            "Guess several tokens and check them at once: answers stay the model's own, and come faster where much repeats. "
            "Slower guessing is switched off by itself. Another choice loads the model again with the next message."
        )
        server = self.tr("{name} is a server: it decides itself whether to guess ahead.")
        self.method.setToolTip(tip if is_here else server.format(name=model.name if model is not None else ""))
        for box in self._rows:
            box.setEnabled(is_here)

    def show_settings(self, settings: ChatSettings) -> None:
        """Show how a conversation guesses."""
        self.method.setCurrentIndex(max(0, self.method.findData(settings.speculation)))
        self.draft.setCurrentIndex(self.draft.findData(settings.draft_model_id))
        # Only where it is another: what is being typed would be written anew.
        if self.tokens.value() != settings.draft_tokens:
            with QSignalBlocker(self.tokens):
                self.tokens.setValue(settings.draft_tokens)
        if self.certainty.value() != settings.draft_p_min:
            with QSignalBlocker(self.certainty):
                self.certainty.setValue(settings.draft_p_min)
        if self._form is not None:
            self._form.setRowVisible(self.draft, settings.speculation == "draft")
            self._form.setRowVisible(self.tokens, settings.speculation != "off")
            self._form.setRowVisible(self.certainty, settings.speculation == "draft")

    def applied(self, settings: ChatSettings) -> ChatSettings:
        """The settings with what is chosen here; a draft model is remembered while another way guesses."""
        method = str(self.method.currentData())
        if method == "draft" and self.draft.currentIndex() < 0 and self.draft.count():
            self.draft.setCurrentIndex(0)
        draft = str(self.draft.currentData() or settings.draft_model_id)
        certainty = round(self.certainty.value(), 4)
        return replace(
            settings,
            speculation=method,
            draft_model_id=draft,
            draft_tokens=self.tokens.value(),
            draft_p_min=certainty,
        )

    @Slot()
    def _on_chosen(self) -> None:
        self.changed.emit()
