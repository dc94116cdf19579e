"""The line above a conversation: model, engine state, context meter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QComboBox, QFrame, QSizePolicy, QWidget

from fmstudio.ui.pages.chat.context_counter import ContextUse
from fmstudio.ui.theme import Theme, restyle
from fmstudio.ui.widgets.parts import ElidedLabel, button, column, label, row, tool_button
from fmstudio.ui.widgets.words import number, parameters

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.pages.chat.engine_link import EngineLink

NEARLY_FULL = 0.9
ROOM_FOR_STATE = 660


PARTS = (("system", "series_2"), ("history", "accent"), ("attached", "series_3"))


class UseBar(QWidget):
    """Shares of the context as one bar."""

    def __init__(self) -> None:
        super().__init__()
        self._use = ContextUse(0, 0, 0, 0)
        self.setFixedSize(130, 6)

    def show_use(self, use: ContextUse) -> None:
        """Show these shares."""
        self._use = use
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the shares one after the other; what is left is free."""
        theme, use = Theme.current(), self._use
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("pressed"))
        at = 0.0
        for name, token in PARTS:
            wide = self.width() * min(1.0, getattr(use, name) / max(1, use.n_ctx))
            painter.fillRect(QRectF(at, 0, max(wide, 1.0 if wide else 0.0), self.height()), theme.color(token))
            at += wide
        painter.end()


class ContextMeter(QWidget):
    """How many tokens of the context are used, and by what."""

    def __init__(self) -> None:
        super().__init__()
        self._text = label("", "caption")
        self._bar = UseBar()
        self.setLayout(column(self._text, self._bar, gap=3))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.show_use(ContextUse(0, 0, 0, 0))

    @property
    def text(self) -> str:
        """What it says."""
        return self._text.text()

    def show_use(self, use: ContextUse) -> None:
        """Show what the next request takes of the context; a length of 0 hides the meter."""
        self.setVisible(use.n_ctx > 0)
        if use.n_ctx <= 0:
            return
        self._bar.show_use(use)
        self._text.setText(self.tr("{used} / {total} tokens").format(used=number(use.total), total=number(use.n_ctx)))
        is_tight = use.total > use.n_ctx * NEARLY_FULL
        restyle(self._text, role="warning" if is_tight else "caption")
        tip = self.tr(
            "Of {total} tokens of the context: system prompt {system}, history and draft {history}, attached {attached},"
            " free {free}."
        )
        if is_tight:
            tip += "\n" + self.tr("Nearly full: the next answers may not fit. Begin a new chat, or delete turns.")
        said = tip.format(
            total=number(use.n_ctx), system=number(use.system), history=number(use.history),
            attached=number(use.attached), free=number(use.free),
        )  # fmt: skip
        self.setToolTip(said)
        self.setAccessibleName(said)


class ChatHeader(QFrame):
    """Model picker and what the engine does.

    Signals:
        model_chosen(str): Library id of the model to talk to.
        unload_wanted(): Free the model.
        panel_toggled(bool): Show or hide the settings beside the conversation.
    """

    model_chosen = Signal(str)
    unload_wanted = Signal()
    panel_toggled = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self._is_filling = False
        self.models = QComboBox()
        self.models.setAccessibleName(self.tr("Model"))
        self.models.setToolTip(self.tr("The model that answers"))
        self.models.setMinimumWidth(140)
        self.models.setMaximumWidth(320)
        self.models.currentIndexChanged.connect(self._on_model)
        self.state = ElidedLabel("", "muted")
        self.unload = button(self.tr("Unload"), self.unload_wanted.emit, kind="quiet")
        self.unload.setToolTip(self.tr("Free the memory of the model; the next message loads it again"))
        self.meter = ContextMeter()
        self.panel = tool_button("inspector", self.tr("Adapters and settings"), None, shortcut="Ctrl+I")
        self.panel.setCheckable(True)
        self.panel.setChecked(True)
        self.panel.toggled.connect(self.panel_toggled)
        layout = row(self.models, gap=8, margins=(20, 10, 12, 10))
        layout.addWidget(self.state, 1)
        for widget in (self.unload, self.meter, self.panel):
            layout.addWidget(widget)
        self.setLayout(layout)

    def show_models(self, entries: Sequence[ModelEntry], chosen_id: str) -> None:
        """Fill the picker; a model whose file is gone is listed, and said to be gone."""
        self._is_filling = True
        self.models.clear()
        for entry in entries:
            self.models.addItem(self._caption(entry), entry.id)
            self.models.setItemData(self.models.count() - 1, str(entry.path), Qt.ItemDataRole.ToolTipRole)
        self.models.setCurrentIndex(self.models.findData(chosen_id))
        if self.models.currentIndex() < 0:
            self.models.setPlaceholderText(self.tr("Choose a model"))
        self._is_filling = False

    def _caption(self, entry: ModelEntry) -> str:
        if entry.format == "endpoint":
            return self.tr("{name} · server").format(name=entry.name)
        if entry.is_missing:
            return self.tr("{name} (file is gone)").format(name=entry.name)
        size = parameters(float(entry.facts.get("n_params") or 0)) if entry.facts.get("n_params") else ""
        more = " ".join(part for part in (size, str(entry.facts.get("quantization") or "")) if part)
        return f"{entry.name} · {more}" if more else entry.name

    def show_engine(self, link: EngineLink) -> None:
        """Show what the engine does."""
        self.state.setText(link.text)
        lacks = list(link.dialect.lacks.values()) if link.state == "ready" else []
        if link.state == "ready" and not link.dialect.counts_messages:
            lacks.append(self.tr("This server does not count tokens, so there is no context meter."))
        self.state.setToolTip("\n".join(lacks))
        self.unload.setVisible(link.state in ("ready", "loading") and link.server is None)
        self.unload.setText(self.tr("Cancel") if link.state == "loading" else self.tr("Unload"))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Without room for the engine's words, its button and the answer's own line have to do."""
        super().resizeEvent(event)
        self.state.setVisible(event.size().width() >= ROOM_FOR_STATE)

    @Slot(int)
    def _on_model(self, index: int) -> None:
        if not self._is_filling and index >= 0:
            self.model_chosen.emit(str(self.models.itemData(index)))
