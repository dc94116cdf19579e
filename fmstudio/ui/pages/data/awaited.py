"""Datasets that jobs are making: shown when they are there, unless the user has gone on to something else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QLineEdit, QPlainTextEdit, QTextEdit

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.context import AppContext

_EDITORS = (QLineEdit, QPlainTextEdit, QTextEdit, QAbstractSpinBox)


class Awaited:
    """What is on its way, each with the dataset that was in front when it was asked for.

    Args:
        context: Says what has come.
        choose: Shows the dataset of an id.
    """

    def __init__(self, context: AppContext, choose: Callable[[str], None]) -> None:
        self._context, self._choose = context, choose
        self._front: dict[str, str] = {}
        self._to_tell: set[str] = set()

    def add(self, dataset_id: str, front: str) -> None:
        """Await a dataset; `front` is the one shown now."""
        self._front[dataset_id] = front

    def arrived(self, dataset_ids: Iterable[str], front: str) -> str:
        """Take those that are there from what is awaited; give the one to be shown, empty = none.

        The others are told of by `tell`: the user has chosen another dataset since, or is writing something.

        Args:
            dataset_ids: Datasets that are new or have changed.
            front: The one shown now.
        """
        found = {one: self._front.pop(one) for one in dataset_ids if one in self._front}
        is_writing = isinstance(QApplication.focusWidget(), _EDITORS)
        shown = next((one for one, before in found.items() if before == front and not is_writing), "")
        self._to_tell |= found.keys() - {shown}
        return shown

    def tell(self, datasets: Iterable[Dataset]) -> None:
        """Say which are there while another one is worked on."""
        told, self._to_tell = self._to_tell, set()
        for dataset in datasets:
            if dataset.id in told:
                text = QCoreApplication.translate("Awaited", "“{name}” is ready.").format(name=dataset.name)
                show = QCoreApplication.translate("Awaited", "Show it")
                self._context.notify("positive", text, (show, partial(self._choose, dataset.id)))
