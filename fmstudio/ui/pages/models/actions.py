"""What can be done with a model of the library: jobs are started, choices asked for. Lives with the page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QFileDialog, QInputDialog

from fmstudio.ui.pages.models.endpoint_form import EndpointForm, try_endpoint

if TYPE_CHECKING:
    from fmstudio.jobs.endpoint_check import EndpointAnswer
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.pages.models.page import ModelsPage

MERGE_PRECISIONS = ("F16", "Q8_0", "Q4_K_M", "F32")


def engine_facts(engine: Any, path: Path) -> dict[str, Any] | None:
    """``pid``, ``n_ctx`` and ``vram`` of the engine, when it is ready and holds this model."""
    if engine is None or getattr(engine, "state", "") != "ready" or getattr(engine, "model", None) != path:
        return None
    info = getattr(engine, "info", {})
    return {"pid": getattr(engine, "pid", None), "n_ctx": info.get("n_ctx"), "vram": info.get("vram")}


class ModelActions(QObject):
    """Does what the details panel asks for."""

    def __init__(self, page: ModelsPage) -> None:
        super().__init__(page)
        self._page, self._context = page, page.context
        self.form: EndpointForm | None = None

    def _entry(self, model_id: str) -> ModelEntry | None:
        return next((m for m in self._page.table.entries if m.id == model_id), None)

    @Slot(str, str)
    def act(self, action: str, model_id: str) -> None:
        """Merge, export, measure or test."""
        entry = self._entry(model_id)
        if entry is not None:
            {"merge": self.merge, "export": self.export, "measure": self.measure, "test": self.test}[action](entry)

    @Slot(str, str)
    def convert(self, model_id: str, precision: str) -> None:
        """Write a base model in another precision and measure it, as a job."""
        project = self._context.project
        if project is not None:
            self._context.build_and_submit(
                lambda: project.specs.convert(model_id, precision, project.specs.quality_prompts())
            )

    def merge(self, entry: ModelEntry, precision: str = "") -> None:
        """Merge an adapter into its base; asks for the precision of a GGUF."""
        project = self._context.project
        if project is None:
            return
        if not precision and entry.format == "gguf":
            title, text = self.tr("Merge {name}").format(name=entry.name), self.tr("Precision of the merged model:")
            precision, is_chosen = QInputDialog.getItem(self._page, title, text, list(MERGE_PRECISIONS), 0, False)
            if not is_chosen:
                return
        wanted = precision or "F16"
        self._context.build_and_submit(lambda: project.specs.merge(entry.id, precision=wanted))

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

    # ---- servers ---------------------------------------------------------------------------------------------------

    def ask_endpoint(self) -> None:
        """Show the form for a server."""
        self.close_form()
        self.form = EndpointForm(self._context)
        self.form.wanted.connect(self.add_endpoint)
        self.form.closed.connect(self.close_form)
        self._page.cards.addWidget(self.form)

    @Slot()
    def close_form(self) -> None:
        """Take the form away."""
        if self.form is not None:
            self.form.hide()
            self.form.deleteLater()
            self.form = None

    @Slot(str, str, str, str)
    def add_endpoint(self, url: str, model: str, name: str, key: str) -> None:
        """Add a server; its key goes into the keyring, or nowhere."""
        project = self._context.project
        if project is None:
            return

        def work() -> Any:
            from fmstudio.core.keyring_store import keep_key

            changes, entry_id = project.endpoints.add(url, model, name, has_key=bool(key))
            return changes, (entry_id, bool(key) and not keep_key(entry_id, key))

        def done(made: tuple[str, bool]) -> None:
            self.close_form()
            self._page.page_shown(model_id=made[0])
            if made[1]:
                self._context.notify("warning", self.tr("There is no system keyring: the key is asked for each time."))

        form = self.form
        self._context.run_op(self._page, work, done, lambda problem: form.said.setText(str(problem)) if form else None)

    def test(self, entry: ModelEntry) -> None:
        """Ask a server for its models."""
        allowed = self._context.settings.allow_network

        def ask() -> EndpointAnswer:
            from fmstudio.core.keyring_store import read_key

            return try_endpoint(str(entry.facts["url"]), read_key(entry.id), allowed)

        done = partial(self._answered, entry)
        self._context.run_query(ask, done, key="endpoint", owner=self)

    def _answered(self, entry: ModelEntry, answer: EndpointAnswer) -> None:
        model = str(entry.facts.get("model"))
        if model in answer.models:
            self._context.notify(
                "positive", self.tr("{name} answers and offers {model}.").format(name=entry.name, model=model)
            )
        else:
            names = ", ".join(answer.models[:5]) or self.tr("none")
            text = self.tr("{name} answers, but offers no “{model}”; its models: {names}.")
            self._context.notify("warning", text.format(name=entry.name, model=model, names=names))
