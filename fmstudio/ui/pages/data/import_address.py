"""Import from the network: an address or a hub id, fetched as a job that can be cancelled, then previewed like any file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFrame, QLineEdit, QProgressBar, QWidget

from fmstudio.core.addresses import is_remote, name_of
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.parts import button, card, clear, column, label, row

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job
    from fmstudio.ui.context import AppContext

WIDEST = 640


class AddressPanel(QWidget):
    """Asks for an address, or says where the network is switched on.

    Signals:
        fetched: (address, why it has no preview or empty) it lies on this machine, or is too large for a look.
        closed: The user gave it up.
    """

    fetched = Signal(str, str)
    closed = Signal()

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self._job_id = ""
        self.address = QLineEdit()
        self.address.setPlaceholderText("https://example.org/data.jsonl")
        self.address.setAccessibleName(self.tr("Address or hub id"))
        self.address.textChanged.connect(self._on_text)
        self.address.returnPressed.connect(self.fetch)
        self.go = button(
            self.tr("Fetch"), self.fetch, kind="primary", icon="import", tip=self.tr("Fetch it and show what is in it")
        )
        self.cancel = button(self.tr("Cancel"), self.give_up, tip=self.tr("Stop and go back (Esc)"))
        self.progress = label("", "muted")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(self.tr("Progress of the download"))
        self._problem = column(gap=0)
        self.off = self._off_card()
        self._build()
        context.job_changed.connect(self._on_job)

    def _build(self) -> None:
        title = label(self.tr("Import from an address or hub id"), "title")
        help_text = self.tr(
            "A file on the web (https://…), or a dataset of the Hugging Face hub: hf:owner/name, "
            "or hf:owner/name@revision. You see what is in it before anything is imported."
        )
        line = row(self.address, self.go, self.cancel, gap=8)
        line.setStretch(0, 1)
        content = column(
            title,
            label(help_text, "muted", wrap=True),
            self.off,
            line,
            self.progress,
            self.bar,
            self._problem,
            None,
            gap=12,
        )
        holder = QWidget()
        holder.setLayout(content)
        holder.setMaximumWidth(WIDEST)
        layout = row(holder, margins=(24, 20, 24, 20))
        layout.setStretch(0, 100)
        layout.addStretch(1)
        self.setLayout(layout)

    def _off_card(self) -> QFrame:
        text = self.tr(
            "FM Studio does not use the network unless you allow it. Settings, Network is the place; "
            "every connection is listed there."
        )
        self.settings = button(self.tr("Open Settings"), lambda: self.ctx.navigate("settings", section="network"))
        return card(
            label(self.tr("The network is switched off"), "strong"),
            label(text, "muted", wrap=True),
            row(self.settings, None),
            gap=6,
        )

    def open(self, address: str = "") -> None:
        """Show the panel; an address is fetched at once where that is allowed."""
        clear(self._problem)
        self._job_id = ""
        self.address.setText(address)
        self._show_state()
        self.address.setFocus()
        if address:
            self.fetch()

    def _show_state(self) -> None:
        is_allowed, is_busy = self.ctx.settings.allow_network, bool(self._job_id)
        self.off.setVisible(not is_allowed)
        self.address.setEnabled(is_allowed and not is_busy)
        self.go.setEnabled(is_allowed and not is_busy and is_remote(self.address.text().strip()))
        self.progress.setVisible(is_busy)
        self.bar.setVisible(is_busy)

    @Slot()
    def _on_text(self) -> None:
        self._show_state()

    @Slot()
    def fetch(self) -> None:
        """Start the download of what is written."""
        self._show_state()
        project, address = self.ctx.project, self.address.text().strip()
        if project is None or not self.go.isEnabled():
            return
        clear(self._problem)
        self.go.setEnabled(False)
        self.ctx.build_and_submit(lambda: project.specs.fetch(address), self._on_started)

    def _on_started(self, job: Job) -> None:
        self._job_id = job.id
        self.progress.setText(self.tr("Connecting…"))
        self.bar.setRange(0, 0)
        self._show_state()
        self._on_job(job)

    @Slot(object)
    def _on_job(self, job: Job) -> None:
        if not self._job_id or job.id != self._job_id:
            return
        if not job.is_finished:
            self._show_progress(job)
            return
        self._job_id = ""
        self._show_state()
        if job.state == "succeeded":
            self.fetched.emit(str(job.spec.meta["address"]), str(job.result.get("too_large", "")))
        elif job.error is not None:
            self._problem.addWidget(ProblemCard(job.error, stacked=True))

    def _show_progress(self, job: Job) -> None:
        done, total = job.progress.done, job.progress.total
        if not done:
            return
        name = name_of(str(job.spec.meta["address"]))
        share = f"{words.size(done)} of {words.size(total)}" if total else words.size(done)
        self.progress.setText(f"Fetching {name}: {share}")
        self.bar.setRange(0, 1000 if total else 0)
        self.bar.setValue(round(1000 * done / total) if total else 0)

    def give_up(self) -> None:
        """Stop a download and go back."""
        if self._job_id and self.ctx.queue is not None:
            self.ctx.queue.cancel(self._job_id)
        self._job_id = ""
        self.closed.emit()
