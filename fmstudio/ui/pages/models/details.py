"""The panel beside the library: everything known of one model, and what can be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QGridLayout, QMenu, QPushButton, QScrollArea, QVBoxLayout, QWidget

from fmstudio.ui.pages.models.fit import fit_sentences
from fmstudio.ui.pages.models.quality_card import QualityCard
from fmstudio.ui.pages.models.table import FORMATS
from fmstudio.ui.pages.models.template_card import TemplateCard
from fmstudio.ui.widgets.parts import button, clear, column, divider, label
from fmstudio.ui.widgets.words import ago, number, parameters, size

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext
    from fmstudio.ui.pages.models.fit import FitReport

NATS = 3
BITS = {"F32": 32, "F16": 16, "BF16": 16, "Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q4_K_M": 4.9, "Q4_0": 4.6}
"""Bits a weight takes on average, for the estimate of a size (llama.cpp, tools/quantize)."""


class ModelDetails(QFrame):
    """What is known of one entry.

    Signals:
        chat_wanted(str), train_wanted(str), remove_wanted(str), run_wanted(str): Id of the entry (of the job: the run).
        convert_wanted(str, str): Id of the entry, and the precision.
        template_kept(str, str): Id of the entry, and its edited chat template (empty = its own).
        base_chosen(str, str): Id of an adapter, and of the base it belongs to.
        action_wanted(str, str): What to do (``merge``, ``export``, ``measure``, ``test``), and the entry's id.

    Args:
        precisions: What a GGUF base model can be written in.
    """

    chat_wanted = Signal(str)
    train_wanted = Signal(str)
    remove_wanted = Signal(str)
    run_wanted = Signal(str)
    convert_wanted = Signal(str, str)
    template_kept = Signal(str, str)
    base_chosen = Signal(str, str)
    action_wanted = Signal(str, str)

    def __init__(self, precisions: list[str], context: AppContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._precisions = precisions
        self._context = context
        self.setProperty("panel", "right")
        self.entry: ModelEntry | None = None
        inner = QWidget()
        self._layout = QVBoxLayout(inner)
        self._layout.setContentsMargins(20, 20, 20, 20)
        self._layout.setSpacing(8)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self._fit = label("", "muted", wrap=True)

    def show_entry(self, entry: ModelEntry, lineage: dict[str, str]) -> None:
        """Show an entry.

        Args:
            lineage: Names of the base model, the dataset and the model it was converted from, under ``base``,
                ``dataset`` and ``made_from``, where known.
        """
        self.entry = entry
        clear(self._layout)
        self._fit = label("", "muted", wrap=True)
        self._fit.hide()
        self._layout.addWidget(label(entry.name, "title", wrap=True, selectable=True))
        place = str(entry.facts.get("url") or entry.path)
        self._layout.addWidget(label(place, "caption", wrap=True, selectable=True))
        if entry.is_missing:
            gone = self.tr("The file is no longer there. Put it back, or remove the entry.")
            self._layout.addWidget(label(gone, "warning", wrap=True))
        self._add_actions(entry)
        self._layout.addWidget(self._fit)
        self._bases = column(gap=4)
        self._layout.addLayout(self._bases)
        self._add_table(self.tr("Facts"), self._facts(entry))
        self._add_table(self.tr("Where it comes from"), self._lineage(entry, lineage))
        if entry.job_id:
            words = self.tr("Show the training run") if entry.kind == "adapter" else self.tr("Show the job")
            run = button(words, self._show_run, kind="quiet", icon="training" if entry.kind == "adapter" else "jobs")
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

    def show_fit(self, report: FitReport) -> None:
        """Show the estimate of the memory chatting takes, and what was measured."""
        self._fit.setText("\n".join(fit_sentences(report)))
        self._fit.setProperty("role", "muted" if report.fit.fits else "warning")
        self._fit.style().polish(self._fit)
        self._fit.show()

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

    def _add_actions(self, entry: ModelEntry) -> None:
        chat = button(self.tr("Chat with it"), self._chat, kind="primary", icon="chat")
        train = button(self.tr("Train on it"), self._train, icon="training")
        remove = button(self.tr("Remove from library"), self._remove, kind="quiet", icon="trash")
        remove.setToolTip(self.tr("Only the entry goes; the file stays where it is (Del)"))
        chat.setEnabled(entry.kind != "embedding" and entry.format in ("gguf", "endpoint") and not entry.is_missing)
        if entry.format not in ("gguf", "endpoint"):
            chat.setToolTip(self.tr("The engine loads GGUF files; this is a folder for training."))
        train.setEnabled(entry.kind == "base" and not entry.is_missing)
        self._layout.addWidget(chat)
        if entry.kind == "base":
            self._layout.addWidget(train)
        if entry.kind == "base" and entry.format == "gguf" and not entry.is_missing and self._precisions:
            self._layout.addWidget(self._convert_button(entry))
        if entry.kind == "base" and entry.format == "hf" and not entry.is_missing and self._precisions:
            self._layout.addWidget(self._convert_button(entry))
        for action, text, icon, tip in self._more_actions(entry):
            wanted = button(text, lambda action=action: self.action_wanted.emit(action, entry.id), icon=icon, tip=tip)  # type: ignore[misc]
            self._layout.addWidget(wanted)
        self._layout.addWidget(remove, 0, Qt.AlignmentFlag.AlignLeft)

    def _more_actions(self, entry: ModelEntry) -> list[tuple[str, str, str, str]]:
        if entry.format == "endpoint":
            return [("test", self.tr("Test connection"), "link", self.tr("Ask the server for its models"))]
        if entry.is_missing:
            return []
        found = []
        if entry.kind == "adapter" and entry.base_id:
            tip = self.tr("Write the adapter into its base's weights, as a job; the result is a model of its own")
            found.append(("merge", self.tr("Merge into its base…"), "link", tip))
        if entry.facts.get("made_from") and entry.kind == "base" and entry.format == "gguf":
            tip = self.tr(
                "Compare it with the model it was made from: how far its predictions moved, and how fast it is"
            )
            found.append(("measure", self.tr("Measure quality"), "evaluation", tip))
        if entry.kind == "base":
            tip = self.tr("A folder for Ollama, llama-server and vLLM, reloaded and checked")
            found.append(("export", self.tr("Export to a folder…"), "export", tip))
        return found

    def _convert_button(self, entry: ModelEntry) -> QPushButton:
        made = button(
            self.tr("Convert"),
            icon="export",
            tip=self.tr(
                "Write it in another precision, as a job; F16 of a 4-bit model holds what a trainer computes with"
            ),
        )
        menu = QMenu(made)
        n_params = float(entry.facts.get("n_params") or 0)
        for precision in self._precisions:
            if precision != entry.facts.get("quantization"):
                about = self.tr("{name}   about {size}").format(
                    name=precision, size=size(int(n_params * BITS[precision] / 8))
                )
                action = menu.addAction(about if n_params and precision in BITS else precision)
                action.triggered.connect(lambda _=False, wanted=precision: self.convert_wanted.emit(entry.id, wanted))
        made.setMenu(menu)
        return made

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
            (self.tr("Size"), size(entry.bytes)),
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
            (self.tr("Trained on"), dataset),
            (self.tr("Run"), entry.job_id),
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
    def _chat(self) -> None:
        if self.entry is not None:
            self.chat_wanted.emit(self.entry.id)

    @Slot()
    def _train(self) -> None:
        if self.entry is not None:
            self.train_wanted.emit(self.entry.id)

    @Slot()
    def _remove(self) -> None:
        if self.entry is not None:
            self.remove_wanted.emit(self.entry.id)

    @Slot()
    def _show_run(self) -> None:
        if self.entry is not None:
            self.run_wanted.emit(self.entry.job_id)
