"""Converting and merging: which precision, how large that gets, and what the result is measured on, before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFormLayout, QFrame

from fmstudio.ui.widgets.parts import button, column, label, row
from fmstudio.ui.widgets.words import size

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.context import AppContext

FOLDER = ""
FOLDER_BITS = 16.0  # bf16
BUILT_IN, NOT_AT_ALL = "", "-"


class MakeForm(QFrame):
    """A card above the library.

    Args:
        entry: The base to convert, or the adapter to merge.
        precisions: What can be written, with the bits that a weight takes on average; `FOLDER` = a Hugging Face folder.
        base: Of an adapter: the model it goes into.
        measured: Those of the precisions for which the model is measured first.

    Signals:
        wanted(str, str): The precision, and the id of the dataset to measure on (empty = built-in texts, - = do not).
        closed: Nothing is made.
    """

    wanted = Signal(str, str)
    closed = Signal()

    def __init__(
        self,
        context: AppContext,
        entry: ModelEntry,
        precisions: Mapping[str, float],
        base: ModelEntry | None = None,
        *,
        measured: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._bits, self._measured = precisions, frozenset(measured)
        self._weights = float((base or entry).facts.get("n_params") or 0)
        self._free = 0
        self.setProperty("card", "true")
        title = self._title(entry, base)
        self.setAccessibleName(title)
        self.precision = QComboBox()
        self.precision.setAccessibleName(self.tr("Precision"))
        for one in precisions:
            self.precision.addItem(self._named(one), one)
        self.precision.currentIndexChanged.connect(self._refresh)
        self.measure = QComboBox()
        self.measure.setAccessibleName(self.tr("Measure on"))
        self.measure.addItem(self.tr("eight built-in texts"), BUILT_IN)
        self.measure.addItem(self.tr("nothing: do not measure"), NOT_AT_ALL)
        self._measure_label = label(self.tr("Measure on"))
        self.measure.setToolTip(
            self.tr("Afterwards both are asked the same: how far predictions moved, greedy answers, tokens/s")
        )
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(label(self.tr("Precision")), self.precision)
        form.addRow(self._measure_label, self.measure)
        self.said = label("", "muted", wrap=True)
        self.go = button(self.tr("Start"), self._start, kind="primary", icon="play")
        cancel = button(self.tr("Cancel"), self.closed.emit, kind="quiet", tip="Esc")
        buttons = row(self.go, cancel, None)
        self.setLayout(
            column(label(title, "strong", wrap=True), form, self.said, buttons, gap=8, margins=(16, 12, 16, 12))
        )
        self._is_whole_source = entry.kind == "adapter" or entry.format == "hf"
        self._read(context)
        self._refresh()
        self.precision.setFocus()

    def _title(self, entry: ModelEntry, base: ModelEntry | None) -> str:
        if base is not None:
            return self.tr("Merge {adapter} into {base}").format(adapter=entry.name, base=base.name)
        return self.tr("Convert {name}").format(name=entry.name)

    def _named(self, precision: str) -> str:
        if precision == FOLDER:
            return self.tr("Hugging Face folder (bf16), to train on")
        taken = self._bytes(precision)
        return self.tr("{name}   about {size}").format(name=precision, size=size(taken)) if taken else precision

    def _bytes(self, precision: str) -> int:
        return int(self._weights * self._bits[precision] / 8)

    def _read(self, context: AppContext) -> None:
        project = context.project
        if project is None:
            return

        def read() -> tuple[int, list[tuple[str, str]]]:
            return _free(project.folder), [(dataset.id, dataset.name) for dataset in project.datasets.all()]

        context.run_query(read, self._on_read, key="make-form", owner=self)

    def _on_read(self, found: tuple[int, list[tuple[str, str]]]) -> None:
        self._free, datasets = found
        for place, (dataset_id, name) in enumerate(datasets):
            self.measure.insertItem(1 + place, self.tr("rows of {name}").format(name=name), dataset_id)
        self._refresh()

    def _refresh(self) -> None:
        precision = str(self.precision.currentData())
        # What is written at half or full precision from such a source is compared otherwise: by its vocabulary or answers.
        is_compared = self._is_whole_source and precision in (FOLDER, "F16", "F32", "BF16")
        self.measure.setVisible(not is_compared)
        self._measure_label.setVisible(not is_compared)
        taken = self._bytes(precision)
        fits = not self._free or taken < self._free
        words = self.tr("About {size} are written; {free} are free on the project's disk.")
        said = [words.format(size=size(taken), free=size(self._free))] if taken and self._free else []
        if precision in self._measured:
            said.append(self.tr("First it is measured what matters: it takes as long as an answer of 2,000 tokens."))
        self.said.setText(" ".join(said))
        self.go.setEnabled(fits)
        self.go.setToolTip("" if fits else self.tr("There is too little room on the disk."))

    def _start(self) -> None:
        self.wanted.emit(str(self.precision.currentData()), str(self.measure.currentData()))


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
