"""The panel beside the library: everything known of one model, and what can be done with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QGridLayout, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from fmstudio.ui.pages.models.action_buttons import add_buttons
from fmstudio.ui.pages.models.fit import fit_sentences
from fmstudio.ui.pages.models.quality_card import QualityCard
from fmstudio.ui.pages.models.table import FORMATS
from fmstudio.ui.pages.models.template_card import TemplateCard
from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets.parts import button, clear, column, divider, label, row, tool_button
from fmstudio.ui.widgets.words import ago, number, parameters, size

if TYPE_CHECKING:
    from fmstudio.models.fit_report import FitReport
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext

NATS = 3


class ModelDetails(QFrame):
    """What is known of one entry.

    Signals:
        run_wanted(str): Id of the job it comes from.
        renamed(str, str): Id of the entry, and its new name.
        template_kept(str, str): Id of the entry, and its edited chat template (empty = its own).
        base_chosen(str, str): Id of an adapter, and of the base it belongs to.
        action_wanted(str, str): What to do (see `add_buttons`), and the entry's id.

    Args:
        can_quantise: Whether a plugin writes other precisions.
    """

    run_wanted = Signal(str)
    renamed = Signal(str, str)
    template_kept = Signal(str, str)
    base_chosen = Signal(str, str)
    action_wanted = Signal(str, str)

    def __init__(self, context: AppContext, *, can_quantise: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._can_quantise = can_quantise
        self._context = context
        self.setProperty("panel", "right")
        self.entry: ModelEntry | None = None
        inner = QWidget()
        self._layout = QVBoxLayout(inner)
        self._layout.setContentsMargins(20, 20, 20, 20)
        self._layout.setSpacing(8)
        area = self._area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self._fit = self._test = label("", "muted", wrap=True)
        self.template: TemplateCard | None = None
        self._field: QLineEdit | None = None

    def show_entry(self, entry: ModelEntry, lineage: dict[str, str]) -> None:
        """Show an entry.

        Args:
            lineage: Names of the base model, the dataset and the model it was converted from, under ``base``,
                ``dataset`` and ``made_from``, where known.
        """
        is_same = self.entry is not None and self.entry.id == entry.id
        place = self._area.verticalScrollBar().value() if is_same else 0
        self.entry, self.template = entry, None
        clear(self._layout)
        self._fit = label("", "muted", wrap=True)
        self._test = label("", "muted", wrap=True, selectable=True)
        self._test.hide()
        self._title = column(gap=0)
        self._show_title(entry)
        self._layout.addLayout(self._title)
        where = str(entry.facts.get("url") or entry.path)
        self._layout.addWidget(label(where, "caption", wrap=True, selectable=True))
        if entry.is_missing:
            gone = self.tr("The file is no longer there. Put it back, or remove the entry.")
            self._layout.addWidget(label(gone, "warning", wrap=True))
        add_buttons(self._layout, entry, partial(self._act, entry.id), can_quantise=self._can_quantise)
        self._layout.addWidget(self._test)
        self._fit_parts = (divider(), label(self.tr("What fits"), "heading"), self._fit)
        for part in self._fit_parts:
            part.hide()
            self._layout.addWidget(part)
        self._bases = column(gap=4)
        self._layout.addLayout(self._bases)
        self._add_table(self.tr("Facts"), self._facts(entry))
        self._add_table(self.tr("Where it comes from"), self._lineage(entry, lineage))
        if entry.job_id:
            is_run = entry.kind == "adapter" and bool(entry.dataset_id)
            words = self.tr("Show the training run") if is_run else self.tr("Show the job")
            run = button(words, self._show_run, kind="quiet", icon="training" if is_run else "jobs")
            self._layout.addWidget(run, 0, Qt.AlignmentFlag.AlignLeft)
        self._add_table(self.tr("Measured"), self._metrics(entry.metrics))
        quality = entry.metrics.get("quality")
        if quality:
            self._layout.addWidget(divider())
            self._layout.addWidget(QualityCard(quality))
        if entry.kind == "base" and entry.format == "gguf" and not entry.is_missing:
            self._layout.addWidget(divider())
            self.template = TemplateCard(self._context, entry)
            self.template.kept.connect(self.template_kept)
            self._layout.addWidget(self.template)
        self._layout.addStretch(1)
        QTimer.singleShot(0, self, lambda: self._area.verticalScrollBar().setValue(place))

    def show_fit(self, report: FitReport) -> None:
        """Show the estimate of the memory chatting takes, and what was measured."""
        self._fit.setText("\n".join(fit_sentences(report)))
        restyle(self._fit, role="muted" if report.fit.fits else "warning")
        for part in self._fit_parts:
            part.show()

    def show_bases(self, bases: list[tuple[str, str]]) -> None:
        """Let the user choose the base of an adapter that fits several: (id, name) of each."""
        entry = self.entry
        if entry is None or not bases:
            return
        clear(self._bases)
        box = QComboBox()
        box.setAccessibleName(self.tr("Base model of this adapter"))
        box.addItem(self.tr("Choose its base model…"), "")
        for base_id, name in bases:
            box.addItem(name, base_id)
        box.setCurrentIndex(max(0, box.findData(entry.base_id)))

        def chosen() -> None:
            if box.currentData():
                self.base_chosen.emit(entry.id, str(box.currentData()))

        box.activated.connect(chosen)
        self._bases.addWidget(label(self.tr("It fits several base models. It was trained on:"), "muted", wrap=True))
        self._bases.addWidget(box)

    def show_adapters(self, names: list[str]) -> None:
        """Name the adapters that fit this base."""
        if names and self.entry is not None:
            self._bases.addWidget(
                label(self.tr("Adapters that fit it: {names}").format(names=", ".join(names)), "muted", wrap=True)
            )

    def _act(self, model_id: str, action: str) -> None:
        self.action_wanted.emit(action, model_id)

    @property
    def is_editing(self) -> bool:
        """Whether the user is writing something here, which must not be taken away."""
        return self._field is not None or (self.template is not None and self.template.is_editing)

    # ---- its name --------------------------------------------------------------------------------------------------

    def _show_title(self, entry: ModelEntry) -> None:
        clear(self._title)
        self._field = None
        name = label(entry.name, "title", wrap=True, selectable=True)
        edit = tool_button("edit", self.tr("Rename in the library"), self.begin_renaming, shortcut="F2")
        line = row(name, edit, gap=4)
        line.setStretch(0, 1)
        line.setAlignment(edit, Qt.AlignmentFlag.AlignTop)
        self._title.addLayout(line)

    @Slot()
    def begin_renaming(self) -> None:
        """Let the user write another name; Enter keeps it, Esc does not."""
        entry = self.entry
        if entry is None:
            return
        clear(self._title)
        field = self._field = QLineEdit(entry.name)
        field.setAccessibleName(self.tr("Name in the library"))
        field.setToolTip(self.tr("Enter keeps it, Esc does not"))
        field.returnPressed.connect(lambda: self._rename(entry, field.text()))
        self._title.addWidget(field)
        field.selectAll()
        field.setFocus()

    def give_up_renaming(self) -> bool:
        """Show the name as it is; False when it was not being edited."""
        if self._field is None or self.entry is None:
            return False
        self._show_title(self.entry)
        return True

    def _rename(self, entry: ModelEntry, name: str) -> None:
        self._show_title(entry)
        self.renamed.emit(entry.id, name)

    def show_test(self, text: str, role: str = "muted") -> None:
        """Show what a server said when it was asked."""
        self._test.setText(text)
        restyle(self._test, role=role)
        self._test.show()

    # ---- tables ----------------------------------------------------------------------------------------------------

    def _add_table(self, heading: str, lines: list[tuple[str, str]]) -> None:
        if not lines:
            return
        self._layout.addWidget(divider())
        self._layout.addWidget(label(heading, "heading"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for place, (name, value) in enumerate(lines):
            grid.addWidget(label(name, "muted"), place, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label(value, wrap=True, selectable=True), place, 1)
        self._layout.addLayout(grid)

    def _facts(self, entry: ModelEntry) -> list[tuple[str, str]]:
        facts = entry.facts
        has_template = facts.get("has_chat_template")
        template = (
            "" if has_template is None else self.tr("yes") if has_template else self.tr("no: a plain one is used")
        )
        run = facts.get("run") or {}
        lines = [
            (self.tr("Format"), FORMATS.get(entry.format, entry.format)),
            (self.tr("Model"), str(facts.get("model") or "") if entry.format == "endpoint" else ""),
            (self.tr("Key"), self._key_words(entry)),
            (self.tr("Size"), size(entry.bytes) if entry.bytes else ""),
            (self.tr("Architecture"), str(facts.get("architecture") or "")),
            (self.tr("Parameters"), parameters(float(facts["n_params"])) if facts.get("n_params") else ""),
            (self.tr("Quantisation"), str(facts.get("quantization") or "")),
            (self.tr("Context"), self._tokens(facts.get("context_length"))),
            (self.tr("Chat template"), template if entry.kind == "base" else ""),
            (self.tr("Licence"), str(facts.get("license") or "")),
            (self.tr("Rank (r)"), str(facts.get("r") or (run.get("params") or {}).get("r") or "")),
            (self.tr("Added"), ago(entry.created)),
        ]
        return [line for line in lines if line[1]]

    def _key_words(self, entry: ModelEntry) -> str:
        if entry.format != "endpoint":
            return ""
        return self.tr("in the keyring, or asked for") if entry.facts.get("has_key") else self.tr("none")

    def _tokens(self, count: Any) -> str:
        return self.tr("{count} tokens").format(count=number(float(count))) if count else ""

    def _lineage(self, entry: ModelEntry, lineage: dict[str, str]) -> list[tuple[str, str]]:
        dataset = ""
        if entry.dataset_id:
            name = lineage.get("dataset", self.tr("a deleted dataset"))
            dataset = self.tr("{name}, version {number}").format(name=name, number=entry.dataset_version)
        base = lineage.get("base", str(entry.facts.get("base") or ""))
        lines = [
            (self.tr("Base model"), base),
            (self.tr("Made from"), lineage.get("made_from", "")),
            (self.tr("Downloaded from"), str(entry.facts.get("hub_name") or "")),
            (self.tr("Revision"), str(entry.facts.get("revision") or "")[:12]),
            (self.tr("Trained on"), dataset),
            (self.tr("Job"), entry.job_id),
            (self.tr("Fingerprint"), str(entry.facts.get("fingerprint") or "")[:23]),
        ]
        return [line for line in lines if line[1]]

    def _metrics(self, metrics: dict[str, Any]) -> list[tuple[str, str]]:
        lines = []
        if "eval_loss_before" in metrics and "eval_loss_after" in metrics:
            pair = f"{metrics['eval_loss_before']:.{NATS}f} → {metrics['eval_loss_after']:.{NATS}f}"
            lines.append((self.tr("Held-out loss"), pair))
        for key, name in (
            ("top1_agreement", self.tr("Top-1 agreement")),
            ("greedy_parity", self.tr("Same greedy answers")),
            ("top1_agreement_served", self.tr("Top-1 agreement as served")),
        ):
            if key in metrics:
                lines.append((name, f"{float(metrics[key]):.1%}"))
        if "tokens_per_second" in metrics:
            speed = self.tr("{rate} tokens/s").format(rate=number(float(metrics["tokens_per_second"])))
            lines.append((self.tr("Training speed"), speed))
        return lines

    @Slot()
    def _show_run(self) -> None:
        if self.entry is not None:
            self.run_wanted.emit(self.entry.job_id)
