"""Downloading a model: name or address, what there is of it with size and licence, then the job. Off = says where to allow it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFrame, QLineEdit

from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import button, card, clear, column, holder, label, row
from fmstudio.ui.widgets.words import size

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.models.hub import HubChoice, HubModel
    from fmstudio.ui.context import AppContext

KIND_WORDS = {"gguf": "GGUF, to chat with", "hf": "folder, to train on", "peft": "LoRA adapter"}


class HubForm(QFrame):
    """A card above the library.

    Signals:
        wanted(object, object): The `HubModel` and the `HubChoice` to download.
        closed: Nothing is wanted.
    """

    wanted = Signal(object, object)
    closed = Signal()

    def __init__(self, context: AppContext, address: str = "") -> None:
        super().__init__()
        self._context = context
        self._model: HubModel | None = None
        self._free = 0
        self.setProperty("card", "true")
        self.setAccessibleName(self.tr("Download a model"))
        self.address = QLineEdit(address)
        self.address.setAccessibleName(self.tr("Name on the hub, or address"))
        self.address.setPlaceholderText(self.tr("owner/name, or https://…/model.gguf"))
        self.address.returnPressed.connect(self.look)
        self.address.textChanged.connect(self._on_text)
        self.ask = button(self.tr("Look"), self.look, icon="search", tip=self.tr("Ask what there is (Enter)"))
        self.said = label("", "muted", wrap=True)
        self.choices = QComboBox()
        self.choices.setAccessibleName(self.tr("What to download"))
        self.choices.currentIndexChanged.connect(self._show_choice)
        self.terms = label("", wrap=True, selectable=True)
        self.go = button(self.tr("Download"), self._start, kind="primary", icon="down")
        cancel = button(self.tr("Cancel"), self.closed.emit, kind="quiet", tip="Esc")
        self._problem = column(gap=0)
        self.off = self._off_card()
        self._found = holder(column(self.choices, self.terms, gap=8))
        line = row(self.address, self.ask, gap=8)
        line.setStretch(0, 1)
        self.setLayout(
            column(
                label(self.tr("Download a model"), "strong"),
                self.off,
                line,
                self.said,
                self._problem,
                self._found,
                row(self.go, cancel, None),
                gap=8,
                margins=(16, 12, 16, 12),
            )
        )
        self._show_state()
        if address and self.ask.isEnabled():
            self.look()

    def _off_card(self) -> QFrame:
        text = self.tr(
            "FM Studio does not use the network unless you allow it. Settings, Network is the place; every connection is "
            "listed there."
        )
        self.settings = button(
            self.tr("Open Settings"), lambda: self._context.navigate("settings", section="network"), icon="settings"
        )
        return card(
            label(self.tr("The network is switched off"), "strong"),
            label(text, "muted", wrap=True),
            row(self.settings, None),
            gap=6,
            style="sunken",
        )

    def _on_text(self) -> None:
        self._model = None
        self._show_state()

    def _show_state(self, *, is_asking: bool = False) -> None:
        is_allowed = self._context.settings.allow_network
        self.off.setVisible(not is_allowed)
        self.address.setEnabled(is_allowed)
        self.ask.setEnabled(is_allowed and not is_asking and bool(self.address.text().strip()))
        self._found.setVisible(self._model is not None)
        self.go.setVisible(self._model is not None)
        self.said.setVisible(bool(self.said.text()))

    def refresh(self) -> None:
        """The settings may have changed meanwhile."""
        self._show_state()
        if self.address.isEnabled():
            self.address.setFocus()

    def look(self) -> None:
        """Ask the hub off the main thread; a slow one is waited for without holding anything up."""
        from fmstudio.models.hub import look

        address, project = self.address.text().strip(), self._context.project
        if not self.ask.isEnabled() or project is None:
            return
        clear(self._problem)
        self._model = None
        self.said.setText(self.tr("Asking what there is…"))
        self._show_state(is_asking=True)
        folder = project.folder
        self._context.run_query(
            lambda: (look(address), _free(folder)), self._on_found, self._on_failed, key="hub-look", owner=self
        )

    def _on_found(self, found: tuple[HubModel, int]) -> None:
        self._model, self._free = found
        self.said.setText("")
        self.choices.blockSignals(True)
        self.choices.clear()
        for choice in self._model.choices:
            words = self.tr("{title}   {size}   {kind}").format(
                title=choice.title,
                size=size(choice.bytes) if choice.bytes else "",
                kind=self.tr(KIND_WORDS[choice.kind]),
            )
            self.choices.addItem(words)
        self.choices.setCurrentIndex(max(0, self._model.wanted))
        self.choices.blockSignals(False)
        self._show_choice()
        self._show_state()
        self.choices.setFocus()

    def _on_failed(self, problem: Problem) -> None:
        self.said.setText("")
        self._show_state()
        self._problem.addWidget(ProblemCard(problem, stacked=True))

    def _choice(self) -> HubChoice | None:
        place = self.choices.currentIndex()
        return self._model.choices[place] if self._model is not None and place >= 0 else None

    def _show_choice(self) -> None:
        model, choice = self._model, self._choice()
        if model is None or choice is None:
            return
        license = model.license or self.tr("not stated")
        lines = [self.tr("Licence: {license}").format(license=license)]
        if model.is_gated:
            lines.append(self.tr("Its owner wants terms accepted on the hub first; your token is then used."))
        fits = choice.bytes < self._free
        if choice.bytes:
            lines.append(
                self.tr("Takes {size}; {free} are free on the project's disk.").format(
                    size=size(choice.bytes), free=size(self._free)
                )
            )
        checked = sum(bool(file.sha256 or file.git_sha1) for file in choice.files)
        lines.append(
            self.tr("Checked against the published checksum after the download.")
            if checked == len(choice.files)
            else self.tr("No checksum is published for it; its header is checked.")
        )
        self.terms.setText("\n".join(lines))
        self.go.setEnabled(fits)
        self.go.setToolTip("" if fits else self.tr("There is too little room on the disk."))

    def _start(self) -> None:
        choice = self._choice()
        if self._model is not None and choice is not None:
            self.wanted.emit(self._model, choice)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
