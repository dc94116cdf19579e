"""Undo and redo over the data, said in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext

WORDS = {"undo": "Undone", "redo": "Done again"}


def step_history(context: AppContext, direction: Literal["undo", "redo"], dataset_id: str | None = None) -> None:
    """Take back the newest change (of one dataset, or of all), or do again what was taken back last."""
    project = context.project
    if project is None:
        return

    def work() -> Any:
        from fmstudio.project import Changes

        operation = project.undo(dataset_id) if direction == "undo" else project.redo(dataset_id)
        if operation is None:
            return Changes(), ""
        title = operation.title if dataset_id else project.datasets.log.told(operation)
        return Changes(datasets=frozenset({operation.dataset_id})), title

    def done(title: str) -> None:
        context.notify("info", f"{WORDS[direction]}: {title}." if title else f"There is nothing to {direction}.")

    context.run_op(None, work, done)
