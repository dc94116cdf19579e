"""What can be done with a model of the library: choices are asked for on a card, jobs are started. Lives with the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QFileDialog

from fmstudio.ui.pages.models.hub_form import HubForm
from fmstudio.ui.pages.models.make_form import FOLDER, FOLDER_BITS, NOT_AT_ALL, MakeForm

if TYPE_CHECKING:
    from fmstudio.models.hub import HubChoice, HubModel
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.pages.models.page import ModelsPage

FIRST_PRECISION = "Q4_K_M"


class ModelActions(QObject):
    """Does what the details panel asks for."""

    def __init__(self, page: ModelsPage) -> None:
        super().__init__(page)
        self._page, self._context = page, page.context

    def _entry(self, model_id: str) -> ModelEntry | None:
        return next((m for m in self._page.table.entries if m.id == model_id), None)

    @Slot(str, str)
    def act(self, action: str, model_id: str) -> None:
        """Do what a button of the details panel stands for."""
        entry, servers = self._entry(model_id), self._page.servers
        if entry is None:
            return
        if action == "chat":
            self._page.chat_with(model_id)
        elif action == "train":
            self._context.navigate("training", base_id=model_id)
        else:
            asked = {"convert": self.convert, "merge": self.merge, "export": self.export, "measure": self.measure}
            asked |= {"test": servers.test, "key": servers.change_key, "remove": self.remove}
            asked[action](entry)

    # ---- jobs ------------------------------------------------------------------------------------------------------

    def precisions(self) -> dict[str, float]:
        """What a GGUF can be written in, with the bits of a weight; none where no plugin quantises."""
        return dict(self._quantiser().get("precisions", {}))

    def _quantiser(self) -> dict[str, Any]:
        found = [c for c in self._context.plugins.contributions("exporter") if c.id == "gguf_quantize"]
        return found[0].facts if found else {}

    def _ask(
        self, entry: ModelEntry, offered: dict[str, float], first: str, base: ModelEntry | None = None
    ) -> MakeForm:
        form = MakeForm(self._context, entry, offered, base, measured=self._quantiser().get("measured", ()))
        if first in offered:
            form.precision.setCurrentIndex(list(offered).index(first))
        return form

    def convert(self, entry: ModelEntry) -> None:
        """Ask for the precision to write a base model in."""
        offered = self.precisions()
        if entry.format != "hf":
            offered.pop(str(entry.facts.get("quantization")), None)
        form = self._ask(entry, offered, FIRST_PRECISION)
        form.wanted.connect(lambda precision, measured: self.start_convert(entry.id, precision, measured))
        self._show(form)

    def start_convert(self, model_id: str, precision: str, measured: str = "") -> None:
        """Write a base model in another precision and measure it, as a job.

        Args:
            measured: Dataset to measure on; empty = built-in texts, `NOT_AT_ALL` = do not.
        """
        project = self._context.project
        self._page.close_form()
        if project is not None:
            specs = project.specs
            self._context.build_and_submit(
                lambda: specs.convert(
                    model_id, precision, None if measured == NOT_AT_ALL else specs.quality_prompts(measured)
                )
            )

    def merge(self, entry: ModelEntry) -> None:
        """Ask for what to write an adapter and its base as."""
        base = self._entry(entry.base_id)
        if base is None:
            return
        is_peft = entry.format == "peft"
        offered = {**({FOLDER: FOLDER_BITS} if is_peft else {}), **self.precisions()}
        form = self._ask(entry, offered, FOLDER if is_peft else "F16", base)
        form.wanted.connect(lambda precision, measured: self.start_merge(entry.id, precision, measured))
        self._show(form)

    def start_merge(self, adapter_id: str, precision: str, measured: str = "") -> None:
        """Merge an adapter into its base, as a job; see `start_convert`."""
        project = self._context.project
        self._page.close_form()
        if project is not None:
            specs = project.specs
            self._context.build_and_submit(
                lambda: specs.merge(
                    adapter_id,
                    precision=precision,
                    prompts=None if measured == NOT_AT_ALL else specs.quality_prompts(measured),
                )
            )

    def measure(self, entry: ModelEntry) -> None:
        """Compare a model with the one it was made from."""
        project = self._context.project
        if project is not None:
            source = str(entry.facts.get("made_from"))
            self._context.build_and_submit(
                lambda: project.specs.measure_model(entry.id, source, project.specs.quality_prompts())
            )

    def export(self, entry: ModelEntry, target: str = "") -> None:
        """Write a folder for other programs; asks where."""
        project = self._context.project
        place = target or QFileDialog.getSaveFileName(self._page, self.tr("Export to a new folder"), entry.name)[0]
        if project is not None and place:
            self._context.build_and_submit(lambda: project.specs.export_model(entry.id, Path(place)))

    # ---- downloads -------------------------------------------------------------------------------------------------

    def ask_download(self, address: str = "") -> None:
        """Show the form for a download."""
        form = HubForm(self._context, address)
        form.wanted.connect(self.download)
        self._show(form)
        form.refresh()

    def download(self, model: HubModel, choice: HubChoice) -> None:
        """Start a download, or go on with one that was stopped."""
        project, queue = self._context.project, self._context.queue
        if project is None or queue is None:
            return
        from fmstudio.project.model_fetching import is_same_download

        self._page.close_form()
        spec = project.specs.fetch_model(model, choice)
        begun = next((job for job in queue.jobs() if is_same_download(job, spec)), None)
        if begun is not None:
            self._context.retry(begun.id)
        else:
            self._context.submit(spec)

    def _show(self, form: HubForm | MakeForm) -> None:
        form.closed.connect(self._page.close_form)
        self._page.show_form(form)

    # ---- the entry itself ------------------------------------------------------------------------------------------

    def remove(self, entry: ModelEntry) -> None:
        """Take an entry out of the library, with an undo; its file stays, a server's key goes."""
        project, servers = self._context.project, self._page.servers
        if project is None:
            return

        def work() -> Any:
            return project.models.remove(entry.id), servers.forget(entry)

        def done(put_key_back: Callable[[], None]) -> None:
            def restore() -> Any:
                put_key_back()
                return project.models.restore(entry.id)

            text = self.tr("{name} was removed from the library; its file is untouched.")
            if entry.format == "endpoint":
                text = self.tr("{name} was removed from the library, and its key forgotten.")
            undo = (self.tr("Undo"), lambda: self._context.run_op(self._page, restore))
            self._context.notify("info", text.format(name=entry.name), undo)

        self._page.details.entry = None
        self._context.run_op(self._page, work, done)

    @Slot(str, str)
    def keep_template(self, model_id: str, template: str) -> None:
        """Keep an edited chat template with the model; empty = its own again."""
        project = self._context.project
        if project is not None:
            self._context.run_op(None, lambda: project.models.note(model_id, chat_template=template or None))

    @Slot(str, str)
    def choose_base(self, adapter_id: str, base_id: str) -> None:
        """Say which base an adapter belongs to."""
        project = self._context.project
        if project is not None:
            self._context.run_op(None, lambda: project.models.choose_base(adapter_id, base_id))

    @Slot(str, str)
    def rename(self, model_id: str, name: str) -> None:
        """Call a model otherwise; its file keeps its name."""
        project, entry = self._context.project, self._entry(model_id)
        if project is not None and entry is not None and name.strip() not in ("", entry.name):
            self._context.run_op(None, lambda: project.models.rename(model_id, name))
