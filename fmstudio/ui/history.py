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
        return Changes(datasets=frozenset({operation.dataset_id} if operation else ())), operation

    def done(operation: Any) -> None:
        found = f"{WORDS[direction]}: {operation.title}." if operation else f"There is nothing to {direction}."
        context.notify("info", found)

    context.run_op(None, work, done)
