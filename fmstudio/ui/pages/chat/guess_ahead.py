"""`GuessAhead`: the panel's rows for speculative decoding: off, from the text, or with a draft model of the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QComboBox, QFormLayout

from fmstudio.ui.widgets.words import size

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.pages.chat.settings import ChatSettings

TIP = Qt.ItemDataRole.ToolTipRole


class GuessAhead(QObject):
    """Two pickers in a form; the second is there only while a draft model is to guess.

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
        self.draft.setPlaceholderText(self.tr("Choose a model"))
        for box, name in ((self.method, self.tr("Guess ahead")), (self.draft, self.tr("Draft model"))):
            box.setAccessibleName(name)
            box.setMinimumWidth(72)
            box.activated.connect(self._on_chosen)
        self.draft.setToolTip(self.tr(
            "A much smaller model with the same vocabulary, mostly of the same family; another vocabulary is refused"
        ))  # fmt: skip
        self.show_models([], None)

    def add_to(self, form: QFormLayout) -> None:
        """Add the rows to a form."""
        self._form = form
        for box in (self.method, self.draft):
            form.addRow(box.accessibleName(), box)

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
        for box in (self.method, self.draft):
            box.setEnabled(is_here)

    def show_settings(self, settings: ChatSettings) -> None:
        """Show how a conversation guesses."""
        self.method.setCurrentIndex(max(0, self.method.findData(settings.speculation)))
        self.draft.setCurrentIndex(self.draft.findData(settings.draft_model_id))
        if self._form is not None:
            self._form.setRowVisible(self.draft, settings.speculation == "draft")

    def applied(self, settings: ChatSettings) -> ChatSettings:
        """The settings with what is chosen here; a draft model is remembered while another way guesses."""
        method = str(self.method.currentData())
        if method == "draft" and self.draft.currentIndex() < 0 and self.draft.count():
            self.draft.setCurrentIndex(0)
        draft = str(self.draft.currentData() or settings.draft_model_id)
        return replace(settings, speculation=method, draft_model_id=draft)

    @Slot()
    def _on_chosen(self) -> None:
        self.changed.emit()
