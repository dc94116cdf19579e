"""How an export would begin: the text of the file for the first rows, or its columns where it is no text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QWidget

from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.code_view import CodeView
from fmstudio.ui.widgets.parts import clear, column, holder, label

if TYPE_CHECKING:
    from fmstudio.jobs.outcome import Problem

LANGUAGES = {".json": "json", ".jsonl": "json", ".md": "markdown"}
MOST_LINES = 14


class ExportPreviewPane(QWidget):
    """Title, what the exporter says, and the beginning of the file."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.told = label("", "heading"), label("", "muted", wrap=True, selectable=True)
        self._place = column(gap=0)
        self.text = ""
        """What is shown of the file."""
        self.setLayout(column(self.title, self.told, self._place, gap=6))
        self.show_busy()

    def show_busy(self) -> None:
        """An answer is awaited; what was there stays."""
        if not self.text:
            self.title.setText(self.tr("The first records"))
            self._tell(self.tr("Writing a few rows to look at…"))

    def show_problem(self, problem: Problem) -> None:
        """Say why it cannot be exported so."""
        clear(self._place)
        self.text = ""
        self.title.setText(self.tr("This cannot be exported so"))
        self._tell(f"{problem.message} {problem.remedy}".strip(), is_bad=True)

    def show_answer(self, answer: dict[str, Any]) -> None:
        """Show what the worker wrote."""
        clear(self._place)
        rows = int(answer["rows"])
        first = f"The first {words.plural(rows, 'row')}" if answer["is_text"] else self.tr("The columns")
        self.title.setText(first if rows else self.tr("No row to export"))
        left = [f"{n} of these {rows} would be left out: {_bare(reason)}." for reason, n in answer["left_out"].items()]
        files = answer["files"]
        made = [f"Makes {', '.join(files)}."] if len(files) > 1 else []
        self._tell("\n".join([*left, *answer["notes"], *made]))
        self.text = answer["text"] if answer["is_text"] else _columns(answer["columns"])
        if not self.text:
            return
        name = next((f for f in files if any(f.endswith(s) for s in LANGUAGES)), "")
        language = next((language for suffix, language in LANGUAGES.items() if name.endswith(suffix)), "text")
        view = CodeView(self.text, language if answer["is_text"] else "text")
        lines = min(MOST_LINES, max(3, view.blockCount()))
        bar = view.horizontalScrollBar().sizeHint().height()
        view.setAccessibleName(self.tr("How the export begins"))
        # The style takes the least height from the view itself, which a long list below would then squeeze away.
        box = holder(column(view))
        box.setFixedHeight(lines * view.fontMetrics().lineSpacing() + 22 + bar)
        self._place.addWidget(box)

    def _tell(self, text: str, *, is_bad: bool = False) -> None:
        self.told.setText(text)
        self.told.setVisible(bool(text))
        restyle(self.told, role="danger" if is_bad else "muted")


def _bare(reason: str) -> str:
    return reason.rstrip(".")


def _columns(columns: list[list[str]]) -> str:
    width = max((len(name) for name, _ in columns), default=0)
    return "\n".join(f"{name.ljust(width)}   {kind}" for name, kind in columns)
