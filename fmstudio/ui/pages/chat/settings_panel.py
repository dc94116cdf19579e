"""The panel beside a conversation: adapters, system prompt, sampler and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QLabel,
    QPlainTextEdit,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from fmstudio.ui.pages.chat.guess_ahead import GuessAhead
from fmstudio.ui.pages.chat.panel_rows import AdapterRow, VariablesForm
from fmstudio.ui.pages.chat.presets_box import PresetsBox
from fmstudio.ui.pages.chat.settings import MAX_SEED, AdapterChoice, ChatSettings, variables_in
from fmstudio.ui.widgets.parts import decimal_box, spin_box

if TYPE_CHECKING:
    from fmstudio.project.chat_presets import Preset
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.pages.chat.dialect import Dialect


class SettingsPanel(QFrame):
    """Everything that decides an answer, apart from the conversation itself.

    Signals:
        changed(ChatSettings): The person changed something.
    """

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("panel", "right")
        self._settings = ChatSettings()
        self._is_filling = False
        self._rows: list[AdapterRow] = []
        self._adapters: list[ModelEntry] = []
        self._draft_names: list[str] = []
        inner = QWidget()
        self._layout = QVBoxLayout(inner)
        self._layout.setContentsMargins(16, 16, 16, 16)
        self._layout.setSpacing(8)
        self.presets = PresetsBox()
        self.presets.chosen.connect(self._on_preset)
        self._layout.addWidget(self._heading(self.tr("Preset")))
        self._layout.addWidget(self.presets)
        self._layout.addSpacing(8)
        self._layout.addWidget(self._heading(self.tr("Adapters")))
        self._adapter_box = QVBoxLayout()
        self._adapter_box.setSpacing(8)
        self._layout.addLayout(self._adapter_box)
        self._no_adapters = QLabel()
        self._no_adapters.setWordWrap(True)
        self._no_adapters.setProperty("role", "muted")
        self._layout.addWidget(self._no_adapters)
        self.cost = QLabel()
        self.cost.setWordWrap(True)
        self.cost.setProperty("role", "caption")
        self.cost.setToolTip(self.tr("Medians of the newest answers of this model in this project"))
        self.cost.hide()
        self._layout.addWidget(self.cost)
        self._layout.addSpacing(8)
        self._layout.addWidget(self._heading(self.tr("System prompt")))
        self.system = QPlainTextEdit()
        self.system.setPlaceholderText(self.tr("How the model should behave. Empty: the model's own default."))
        self.system.setAccessibleName(self.tr("System prompt"))
        self.system.setTabChangesFocus(True)
        self.system.setFixedHeight(110)
        self.system.textChanged.connect(self._on_changed)
        self._layout.addWidget(self.system)
        self.variables = VariablesForm()
        self.variables.changed.connect(self._on_variables)
        self._layout.addWidget(self.variables)
        self._layout.addSpacing(8)
        self._layout.addWidget(self._heading(self.tr("Sampler")))
        self._layout.addLayout(self._make_sampler())
        self.asks_title = QCheckBox(self.tr("Let the model name new chats"))
        self.asks_title.setToolTip(self.tr("After the first answer the model is asked for a short title"))
        self.asks_title.toggled.connect(self._on_changed)
        self._layout.addWidget(self.asks_title)
        self._layout.addStretch()
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self.show_settings(ChatSettings())

    def _heading(self, text: str) -> QLabel:
        label = QLabel(text)
        label.setProperty("role", "heading")
        return label

    def _make_sampler(self) -> QFormLayout:
        self.temperature = self._real(0.0, 5.0, 0.05, self.tr("0 always takes the likeliest token; 1 keeps the odds"))
        self.top_p = self._real(0.0, 1.0, 0.05, self.tr("Only the likeliest tokens that make up this share"))
        self.min_p = self._real(
            0.0, 1.0, 0.01, self.tr("Only tokens at least this likely beside the likeliest; 0 = off")
        )
        self.repeat_penalty = self._real(0.5, 2.0, 0.05, self.tr("Above 1 discourages repetition; 1 = off"))
        self.top_k = self._whole(0, 1000, self.tr("Only the k likeliest tokens; 0 = off"))
        self.max_tokens = self._whole(1, 131_072, self.tr("Longest answer, in tokens"))
        self.n_ctx = self._whole(0, 1_048_576, self.tr(
            "Tokens a conversation may hold, never more than the model was trained for. "
            "Another length loads the model again with the next message."
        ))  # fmt: skip
        self.n_ctx.setSingleStep(1024)
        self.n_ctx.setSpecialValueText(self.tr("automatic"))
        self.is_seed_fixed = QCheckBox(self.tr("Fixed seed"))
        self.is_seed_fixed.setToolTip(self.tr("Off: every answer draws its own seed. Each answer's seed is stored."))
        self.is_seed_fixed.toggled.connect(self._on_changed)
        self.seed = self._whole(0, MAX_SEED, self.tr("The same seed, settings and context give the same answer"))
        self._tips = {name: getattr(self, name).toolTip() for name in ("top_k", "min_p", "repeat_penalty", "n_ctx")}
        form = QFormLayout()
        form.setSpacing(8)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, widget in (
            (self.tr("Temperature"), self.temperature),
            (self.tr("Top p"), self.top_p),
            (self.tr("Top k"), self.top_k),
            (self.tr("Min p"), self.min_p),
            (self.tr("Repeat penalty"), self.repeat_penalty),
            (self.tr("Max tokens"), self.max_tokens),
            (self.tr("Context"), self.n_ctx),
        ):
            widget.setAccessibleName(name)
            widget.setMinimumWidth(72)
            form.addRow(name, widget)
        self.guessing = GuessAhead(self)
        self.guessing.changed.connect(self._on_guessing)
        self.guessing.add_to(form)
        self.seed.setAccessibleName(self.tr("Seed"))
        self.seed.setMinimumWidth(72)
        form.addRow(self.is_seed_fixed, self.seed)
        return form

    def _real(self, low: float, high: float, step: float, tip: str) -> QDoubleSpinBox:
        box = decimal_box()
        box.setRange(low, high)
        box.setSingleStep(step)
        box.setDecimals(2)
        box.setToolTip(tip)
        box.valueChanged.connect(self._on_changed)
        return box

    def _whole(self, low: int, high: int, tip: str) -> QSpinBox:
        box = spin_box()
        box.setRange(low, high)
        box.setGroupSeparatorShown(high < MAX_SEED)
        box.setToolTip(tip)
        box.valueChanged.connect(self._on_changed)
        return box

    # ---- showing ---------------------------------------------------------------------------------------------------

    def show_settings(self, settings: ChatSettings) -> None:
        """Show a conversation's settings."""
        self._is_filling = True
        self._settings = settings
        for name in ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "max_tokens", "n_ctx", "seed"):
            getattr(self, name).setValue(getattr(settings, name))
        self.is_seed_fixed.setChecked(settings.is_seed_fixed)
        self.seed.setEnabled(settings.is_seed_fixed)
        self.asks_title.setChecked(settings.asks_title)
        self.guessing.show_settings(settings)
        self.presets.show_settings(settings)
        self._show_variables()
        if self.system.toPlainText() != settings.system_prompt:
            self.system.setPlainText(settings.system_prompt)
        self._is_filling = False
        self._show_rows()

    def show_adapters(self, adapters: Sequence[ModelEntry], model: ModelEntry | None) -> None:
        """List the adapters made for the chosen model."""
        self._adapters = list(adapters)
        text = self.tr("Choose a model first.")
        if model is not None and model.format == "endpoint":
            text = self.tr("Adapters act in models that are loaded here; {name} is a server.")
        elif model is not None:
            text = self.tr("No adapter for {name} yet. Train one, or add a LoRA in GGUF format on the Models page.")
        self._no_adapters.setText(text.format(name=model.name if model is not None else ""))
        is_server = model is not None and model.format == "endpoint"
        self.n_ctx.setEnabled(not is_server)
        self.n_ctx.setToolTip(
            self.tr("A server decides itself how long its context is.") if is_server else self._tips["n_ctx"]
        )
        self._no_adapters.setVisible(not adapters)
        self._show_rows()

    def show_draft_models(self, drafts: Sequence[ModelEntry], model: ModelEntry | None) -> None:
        """List the models that could guess ahead for the chosen one."""
        self.guessing.show_models(drafts, model)
        self.guessing.show_settings(self._settings)

    def show_dialect(self, dialect: Dialect | None) -> None:
        """Grey out the settings that the server which answers does not know; None = all are known."""
        unknown = dialect.unknown_sampler if dialect is not None else frozenset()
        for name in ("top_k", "min_p", "repeat_penalty"):
            box: QWidget = getattr(self, name)
            box.setEnabled(name not in unknown)
            box.setToolTip(self.tr("This server does not know this setting.") if name in unknown else self._tips[name])

    def _show_rows(self) -> None:
        wanted = {a.model_id: a for a in self._settings.adapters}
        shown = [(row._id, row.switch.isChecked(), row.value.value()) for row in self._rows]
        choices = [wanted.get(e.id, AdapterChoice(e.id, is_on=False)) for e in self._adapters]
        if shown == [(c.model_id, c.is_on, c.scale) for c in choices]:
            return
        for row in self._rows:
            row.hide()
            row.deleteLater()
        self._rows = [AdapterRow(entry, choice) for entry, choice in zip(self._adapters, choices, strict=True)]
        for row in self._rows:
            row.changed.connect(self._on_adapter)
            self._adapter_box.addWidget(row)

    @property
    def adapter_rows(self) -> list[AdapterRow]:
        """The adapters listed."""
        return self._rows

    def show_draft(self, draft: str) -> None:
        """Offer the variables of the message being written too."""
        self._draft_names = variables_in(draft)
        self._show_variables()

    def _show_variables(self) -> None:
        names = [*variables_in(self._settings.system_prompt), *self._draft_names]
        self.variables.show_names(list(dict.fromkeys(names)), self._settings.variables)

    # ---- changes ---------------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_adapter(self, choice: AdapterChoice) -> None:
        self._settings = self._settings.with_adapter(choice)
        self.changed.emit(self._settings)

    @Slot()
    def _on_guessing(self) -> None:
        self._settings = self.guessing.applied(self._settings)
        self.guessing.show_settings(self._settings)
        self.changed.emit(self._settings)

    @Slot(object)
    def _on_preset(self, preset: Preset) -> None:
        settings = self._settings.with_preset(preset.settings, f"{preset.name} v{preset.version}")
        self.show_settings(settings)
        self.changed.emit(settings)

    @Slot(object)
    def _on_variables(self, values: dict[str, str]) -> None:
        self._settings = replace(self._settings, variables={**self._settings.variables, **values})
        self.changed.emit(self._settings)

    @Slot()
    def _on_changed(self) -> None:
        if self._is_filling:
            return
        self.seed.setEnabled(self.is_seed_fixed.isChecked())
        self._settings = replace(
            self._settings,
            temperature=round(self.temperature.value(), 4),
            top_p=round(self.top_p.value(), 4),
            top_k=self.top_k.value(),
            min_p=round(self.min_p.value(), 4),
            repeat_penalty=round(self.repeat_penalty.value(), 4),
            max_tokens=self.max_tokens.value(),
            n_ctx=self.n_ctx.value(),
            seed=self.seed.value(),
            is_seed_fixed=self.is_seed_fixed.isChecked(),
            system_prompt=self.system.toPlainText(),
            asks_title=self.asks_title.isChecked(),
        )
        self._show_variables()
        self.presets.show_settings(self._settings)
        self.changed.emit(self._settings)
