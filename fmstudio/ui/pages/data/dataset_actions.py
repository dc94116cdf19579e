"""`DatasetActions`: what can be done to whole datasets, each as one call: rename, duplicate, delete, commit, discard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from fmstudio.ui.history import step_history
from fmstudio.ui.widgets import words

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem
    from fmstudio.jobs.spec import Job
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext


class DatasetActions(QObject):
    """Acts on datasets and says what happened.

    Signals:
        made: (dataset id) a dataset was made and shall be shown.
        committing: (job id) a commit has started; empty = it could not be.
    """

    made = Signal(str)
    committing = Signal(str)

    def __init__(self, context: AppContext, parent: QObject) -> None:
        super().__init__(parent)
        self.ctx = context

    def rename(self, dataset: Dataset, name: str) -> None:
        """Give it another name."""
        project = self.ctx.project
        if project is not None and name.strip() != dataset.name:
            self.ctx.run_op(self, lambda: project.datasets.rename(dataset.id, name))

    def duplicate(self, dataset: Dataset, number: int | None = None) -> None:
        """Make a dataset of its own from a version (the current one with its edits); files are shared."""
        project = self.ctx.project
        if project is None:
            return
        version = number or dataset.version

        def work() -> Any:
            name = project.datasets.log.free_name(f"{dataset.name} copy")
            return project.datasets.branch(dataset.id, version, name)

        def done(made: str) -> None:
            self.made.emit(made)
            said = f"{dataset.name} is duplicated. The copy has a history of its own and shares the files."
            self.ctx.notify("positive", said, ("Undo", lambda: step_history(self.ctx, "undo", made)))

        self.ctx.run_op(self, work, done)

    def delete(self, datasets: Sequence[Dataset]) -> None:
        """Delete datasets; it can be undone, so nobody is asked."""
        project = self.ctx.project
        if project is None or not datasets:
            return
        ids = [dataset.id for dataset in datasets]

        def work() -> Any:
            from fmstudio.project import Changes

            for dataset_id in ids:
                project.datasets.delete(dataset_id)
            return Changes(datasets=frozenset(ids))

        what = datasets[0].name if len(ids) == 1 else f"{len(ids)} datasets"
        said = f"{what} {'is' if len(ids) == 1 else 'are'} deleted. The files are kept."
        self.ctx.run_op(self, work, lambda _: self.ctx.notify("info", said, ("Undo", self._bring_back(ids))))

    def _bring_back(self, ids: Sequence[str]) -> Callable[[], None]:
        project = self.ctx.project

        def work() -> Any:
            from fmstudio.project import Changes

            for dataset_id in ids:
                if project is not None:
                    project.undo(dataset_id)
            return Changes(datasets=frozenset(ids))

        return lambda: self.ctx.run_op(self, work)

    def commit(self, dataset: Dataset) -> None:
        """Fold the pending edits into the next version, as a job."""
        project = self.ctx.project
        if project is None:
            return

        def fail(problem: Problem) -> None:
            self.committing.emit("")
            self.ctx.show_problem(problem)

        self.ctx.run_query(
            lambda: project.specs.commit(dataset.id), lambda spec: self.committing.emit(self.ctx.submit(spec).id),
            fail, owner=self,
        )  # fmt: skip

    def discard(self, dataset: Dataset) -> None:
        """Take back all pending edits; the message bar offers to bring them back."""
        project = self.ctx.project
        if project is None:
            return
        undo = ("Undo", lambda: step_history(self.ctx, "undo", dataset.id))
        self.ctx.run_op(
            self, lambda: project.edits.discard(dataset.id),
            lambda _: self.ctx.notify("info", f"The edits of {dataset.name} are discarded.", undo),
        )  # fmt: skip

    def embed(self, dataset: Dataset, embedder: str) -> None:
        """Embed the current version as a job."""
        project = self.ctx.project
        if project is not None:
            self.ctx.build_and_submit(lambda: project.specs.embed(dataset.id, embedder), self._say_started)

    def _say_started(self, job: Job) -> None:
        self.ctx.notify("info", f"{job.title} has started.")


def pending_text(pending: Any) -> str:
    """``3 edits not committed``, with what they are in `pending_tip`."""
    return f"{words.plural(pending.operations, 'edit')} not committed"


def pending_tip(pending: Any) -> str:
    """What the pending edits change, in words."""
    parts = [
        words.plural(count, what) + f" {done}"
        for count, what, done in (
            (pending.cells, "cell", "changed"),
            (pending.added, "row", "added"),
            (pending.deleted, "row", "deleted"),
        )
        if count
    ]
    return f"{', '.join(parts) or 'Nothing in the end'}. They show everywhere; a commit makes them the next version."
