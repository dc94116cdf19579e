"""`RunForm`: what to train on what, the trainer's parameters, and a plain summary before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFormLayout, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from fmstudio.ui.pages.training.outlook import DataFacts, look_ahead, read_facts
from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets.param_form import ParamForm
from fmstudio.ui.widgets.parts import button, card, column, label, row
from fmstudio.ui.widgets.words import number, parameters, plural

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext

BASIC = ("r", "lora_alpha", "learning_rate", "epochs", "batch_size", "max_length", "eval_fraction", "seed")
"""Parameters shown at once when the trainer itself marks none as advanced."""
KINDS = {
    "conversation": "conversations",
    "prompt_completion": "prompts with answers",
    "preference": "preference pairs",
    "unpaired_preference": "answers with a verdict",
    "image_caption": "pictures with captions",
    "text": "texts",
    "table": "a table",
}


def with_basics_first(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Fold all but the common parameters away, unless the trainer has said itself which are advanced."""
    properties = dict(schema.get("properties") or {})
    if any(field.get("advanced") for field in properties.values()):
        return dict(schema)
    marked = {name: field if name in BASIC else {**field, "advanced": True} for name, field in properties.items()}
    return {**schema, "properties": marked}


class RunForm(QScrollArea):
    """The form of a new run.

    Signals:
        start_wanted(object): The run as a mapping for `TrainRun`.
    """

    start_wanted = Signal(object)

    def __init__(self, context: AppContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._datasets: list[Dataset] = []
        self._facts: DataFacts | None = None
        self._suggested = ""
        self.params: ParamForm | None = None
        self.name = QLineEdit()
        self.name.setPlaceholderText(self.tr("Name of the adapter"))
        self.name.textEdited.connect(self._refresh)
        self.dataset, self.version, self.base, self.trainer = (QComboBox() for _ in range(4))
        self.dataset.currentIndexChanged.connect(self._on_dataset)
        self.version.currentIndexChanged.connect(self._read_facts)
        self.base.currentIndexChanged.connect(self._on_base)
        self.trainer.currentIndexChanged.connect(self._on_trainer)
        self.start = button(self.tr("Start training"), self._start, kind="primary", icon="play", tip="Ctrl+Enter")
        self._why_not = label("", "warning", wrap=True)
        self._schemas: dict[str, Any] = {}
        self._lay_out()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setSpacing(8)
        form.setHorizontalSpacing(16)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._trainer_label = label(self.tr("Method"))
        for text, widget in (
            (self.tr("Dataset"), self.dataset),
            (self.tr("Version"), self.version),
            (self.tr("Base model"), self.base),
            (self.tr("Adapter name"), self.name),
        ):
            widget.setAccessibleName(text)
            widget.setMinimumWidth(200)
            form.addRow(label(text), widget)
        self.trainer.setAccessibleName(self.tr("Method"))
        form.addRow(self._trainer_label, self.trainer)
        self._params_box = QVBoxLayout()
        self._reading = label(self.tr("Reading the trainer's parameters…"), "muted")
        self._params_box.addWidget(self._reading)
        self._summary = label("", wrap=True)
        self._estimate = label("", "muted", wrap=True)
        buttons = row(self.start, None)
        summary = card(
            label(self.tr("Before it starts"), "heading"), self._summary, self._estimate, self._why_not, buttons
        )
        what = card(label(self.tr("Data and base model"), "heading"), form)
        how = card(label(self.tr("How"), "heading"), self._params_box)
        inner = QWidget()
        inner.setLayout(
            column(label(self.tr("New run"), "title"), what, summary, how, None, gap=16, margins=(28, 20, 28, 28))
        )
        inner.setMaximumWidth(820)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inner)

    # ---- filling ---------------------------------------------------------------------------------------------------

    def show_choices(self, datasets: Sequence[Dataset], models: Sequence[ModelEntry]) -> None:
        """Offer these; what was chosen stays chosen while it is there."""
        self._datasets = list(datasets)
        chosen = self.dataset.currentData()
        self.dataset.blockSignals(True)
        self.dataset.clear()
        for dataset in datasets:
            self.dataset.addItem(f"{dataset.name} · {plural(dataset.rows, 'row')}", dataset.id)
        self.dataset.blockSignals(False)
        if chosen is not None and self.dataset.findData(chosen) >= 0:
            self.dataset.setCurrentIndex(self.dataset.findData(chosen))
        self._show_bases([m for m in models if m.kind == "base" and not m.is_missing])
        self._on_dataset()

    def _show_bases(self, bases: list[ModelEntry]) -> None:
        chosen = self.base.currentData()
        self.base.blockSignals(True)
        self.base.clear()
        for base in bases:
            size = f" · {parameters(float(base.facts['n_params']))}" if base.facts.get("n_params") else ""
            self.base.addItem(f"{base.name}{size}", base.id)
        # The smallest model first: on an ordinary computer it is the one that can be trained.
        sizes = [float(b.facts.get("n_params") or 0) or float("inf") for b in bases]
        best = sizes.index(min(sizes)) if sizes else -1
        at = self.base.findData(chosen) if chosen else best
        self.base.setCurrentIndex(at if at >= 0 else best)
        self.base.blockSignals(False)
        self._refresh()

    def choose(self, *, base_id: str = "", dataset_id: str = "") -> None:
        """Set base model and dataset, for a person sent here from another page."""
        if base_id and self.base.findData(base_id) >= 0:
            self.base.setCurrentIndex(self.base.findData(base_id))
        if dataset_id and self.dataset.findData(dataset_id) >= 0:
            self.dataset.setCurrentIndex(self.dataset.findData(dataset_id))

    def show_trainers(self, schemas: Mapping[str, Any], titles: Mapping[str, str]) -> None:
        """Offer the trainers, by ``trainer/id`` → JSON schema."""
        self._schemas = {key.removeprefix("trainer/"): schema for key, schema in schemas.items()}
        self.trainer.blockSignals(True)
        self.trainer.clear()
        for trainer_id in self._schemas:
            self.trainer.addItem(titles.get(trainer_id, trainer_id), trainer_id)
        self.trainer.blockSignals(False)
        several = len(self._schemas) > 1
        self.trainer.setVisible(several)
        self._trainer_label.setVisible(several)
        self._on_trainer()

    def show_trainer_problem(self, text: str) -> None:
        """Say why there are no parameters."""
        self._reading.setText(text)
        restyle(self._reading, role="danger")

    @Slot()
    def _on_trainer(self) -> None:
        schema = self._schemas.get(str(self.trainer.currentData()))
        if schema is None:
            return
        old = self.params
        self.params = ParamForm(with_basics_first(schema), old.values() if old else None)
        self.params.changed.connect(self._refresh)
        self._reading.hide()
        if old is not None:
            old.hide()
            old.deleteLater()
        self._params_box.addWidget(self.params)
        self._refresh()

    @Slot()
    def _on_dataset(self) -> None:
        dataset = self._dataset()
        self.version.blockSignals(True)
        self.version.clear()
        if dataset is not None:
            for version in range(dataset.versions, 0, -1):
                is_current = version == dataset.version
                text = self.tr("{number} (current)") if is_current else "{number}"
                self.version.addItem(text.format(number=version), version)
            self.version.setCurrentIndex(self.version.findData(dataset.version))
        self.version.blockSignals(False)
        self._suggest_name()
        self._read_facts()

    @Slot()
    def _on_base(self) -> None:
        self._refresh()

    def _suggest_name(self) -> None:
        dataset = self._dataset()
        if dataset is not None and self.name.text().strip() in ("", self._suggested):
            self._suggested = self.tr("{dataset} adapter").format(dataset=dataset.name)
            self.name.setText(self._suggested)

    def _dataset(self) -> Dataset | None:
        return next((d for d in self._datasets if d.id == self.dataset.currentData()), None)

    @Slot()
    def _read_facts(self) -> None:
        project, dataset, version = self._context.project, self._dataset(), self.version.currentData()
        self._facts = None
        self._refresh()
        if project is not None and dataset is not None and version is not None:
            self._context.run_query(
                partial(read_facts, project, dataset.id, int(version)), self._take_facts, key="train-facts", owner=self
            )

    def _take_facts(self, facts: DataFacts) -> None:
        self._facts = facts
        self._refresh()

    # ---- the summary -----------------------------------------------------------------------------------------------

    @Slot()
    def _refresh(self) -> None:
        reason = self._reason_not_to_start()
        self._why_not.setText(reason)
        self._why_not.setVisible(bool(reason))
        self.start.setEnabled(self._can_start())
        if self._facts is None:
            self._summary.setText(self.tr("Looking at the rows…") if self._dataset() else "")
            self._estimate.setText("")
            return
        self._summary.setText(self._describe(self._facts))
        self._estimate.setText(self._describe_size(self._facts))

    def _describe(self, facts: DataFacts) -> str:
        if not facts.is_trainable:
            return self.tr("{rows}, {kind}.").format(
                rows=plural(facts.rows, "row"), kind=KINDS.get(facts.kind, facts.kind)
            )
        outlook = look_ahead(facts, self._values())
        text = self.tr(
            "{rows} of {kind}. {train} are trained on; {held} are held out first, never trained on, and measured before "
            "and after. Only the answers are learned."
        )
        if outlook.held_out == 1:
            text = self.tr(
                "{rows} of {kind}. {train} are trained on; 1 is held out first, never trained on, and measured before "
                "and after. Only the answers are learned."
            )
        return text.format(
            rows=plural(facts.rows, "row"),
            kind=KINDS.get(facts.kind, facts.kind),
            train=number(outlook.train_rows),
            held=number(outlook.held_out),
        )

    def _describe_size(self, facts: DataFacts) -> str:
        if not facts.is_trainable:
            return ""
        outlook = look_ahead(facts, self._values())
        parts = [
            self.tr("Estimate: about {tokens} tokens in {steps} steps.").format(
                tokens=number(outlook.tokens), steps=number(outlook.steps)
            )
        ]
        minutes = float(self._values().get("max_minutes") or 0)
        if minutes:
            words = self.tr(
                "After four steps it is known how many of them fit into {minutes} min; the rest is left out."
            )
            parts.append(words.format(minutes=f"{minutes:g}"))
        without = facts.rows - facts.usable_rows
        if without:
            words = self.tr("About {rows} without an answer will be passed over.")
            parts.append(words.format(rows=plural(without, "row")))
        if facts.sampled < facts.rows:
            parts.append(self.tr("Judged by the first {rows}.").format(rows=plural(facts.sampled, "row")))
        return " ".join(parts)

    def _reason_not_to_start(self) -> str:
        facts = self._facts
        if self.base.currentData() is None:
            return self.tr("Add a base model on the Models page first.")
        if self._dataset() is None or facts is None or self.params is None:
            return ""
        if facts.kind == "table":
            return self.tr(
                "A table cannot be trained on: import it again and say which columns are question and answer."
            )
        if not facts.is_trainable:
            return self.tr("None of the rows looked at holds an answer to learn.")
        if facts.usable_rows < 2:
            return self.tr("At least two rows are needed: one to train on, one to hold out.")
        if not self.params.is_valid():
            return self.tr("A parameter is not understood: see the marked fields.")
        return "" if self.name.text().strip() else self.tr("Give the adapter a name.")

    def _can_start(self) -> bool:
        """Not while the rows are still looked at, either: a click that does nothing would be a lie."""
        return self._facts is not None and self.params is not None and not self._reason_not_to_start()

    def _values(self) -> dict[str, Any]:
        return self.params.values() if self.params is not None else {}

    def run(self) -> dict[str, Any]:
        """The run as a mapping for `TrainRun`; parameters left at their defaults are written out, too."""
        return {
            "name": self.name.text().strip(),
            "dataset": self.dataset.currentData(),
            "version": self.version.currentData(),
            "base": self.base.currentData(),
            "trainer": self.trainer.currentData(),
            "params": self._values(),
        }

    @Slot()
    def _start(self) -> None:
        if self._can_start():
            self.start_wanted.emit(self.run())
