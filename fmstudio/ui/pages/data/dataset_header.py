"""The header of a dataset: its name (F2 renames it), facts, pending edits, undo and redo, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QLineEdit, QMenu, QStackedLayout, QWidget

from fmstudio.ui.pages.data.dataset_actions import pending_text, pending_tip
from fmstudio.ui.pages.data.transform_forms import TransformInfo
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.parts import ElidedLabel, button, column, holder, label, row, tool_button

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset, HistoryEntry

KIND_WORDS = {
    "conversation": "conversations",
    "prompt_completion": "prompts and completions",
    "preference": "preference pairs",
    "unpaired_preference": "rated answers",
    "text": "texts",
    "image_caption": "images with captions",
    "table": "table",
}
LINE = 28
WIDE_FROM, EXPORT_FROM = 760, 640
"""Narrower than that, the actions used less, then *Export* too, are icons, so that the name has room."""
KEYS = {"replace": "Ctrl+H"}
"""Transforms that have a key of their own."""


class NameField(QWidget):
    """A name that becomes a field to write in: F2, a double click, or `edit`.

    Signals:
        renamed: (name) the user wrote another one.
    """

    renamed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.label = ElidedLabel("", "title")
        self.label.setToolTip(self.tr("Rename (F2)"))
        self.field = QLineEdit()
        self.field.setAccessibleName(self.tr("Name of the dataset"))
        self.field.installEventFilter(self)
        self.field.returnPressed.connect(self._take)
        self.label.installEventFilter(self)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.label)
        self._stack.addWidget(self.field)
        self._back: QWidget | None = None
        self.setFixedHeight(30)

    def text(self) -> str:
        """The name."""
        return self.label.text()

    def set_text(self, name: str) -> None:
        """Show a name."""
        self.label.setText(name)

    @property
    def is_editing(self) -> bool:
        """Whether the field is open."""
        return self._stack.currentWidget() is self.field

    @Slot()
    def edit(self) -> None:
        """Let the user write another name."""
        self._back = self.window().focusWidget()
        self.field.setText(self.label.text())
        self._stack.setCurrentWidget(self.field)
        self.field.selectAll()
        self.field.setFocus()

    def _take(self) -> None:
        name = self.field.text().strip()
        self._leave()
        if name and name != self.label.text():
            self.renamed.emit(name)

    def _leave(self) -> None:
        self._stack.setCurrentWidget(self.label)
        if self._back is not None:
            self._back.setFocus()
            self._back = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: Esc leaves the field, losing the keyboard too; a double click on the name opens it."""
        is_escape = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape
        if watched is self.field and is_escape and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        if watched is self.field and is_escape and event.type() == QEvent.Type.KeyPress:
            self._leave()
            return True
        if watched is self.field and event.type() == QEvent.Type.FocusOut and self.is_editing:
            self._stack.setCurrentWidget(self.label)
        if watched is self.label and event.type() == QEvent.Type.MouseButtonDblClick:
            self.edit()
            return True
        return super().eventFilter(watched, event)


class PendingChip(QWidget):
    """Says how many edits wait, with *Commit* and *Discard*.

    Signals:
        commit_wanted, discard_wanted: A button was pressed.
    """

    commit_wanted = Signal()
    discard_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.text = label("", "pill", level="warning")
        self.commit = button(
            self.tr("Commit"), self.commit_wanted.emit, kind="quiet", tip=self.tr("Make the edits the next version (Ctrl+S)")
        )  # fmt: skip
        self.discard = button(
            self.tr("Discard"), self.discard_wanted.emit, kind="quiet", tip=self.tr("Take all of these edits back; can be undone")
        )  # fmt: skip
        self.setLayout(row(self.text, self.commit, self.discard, gap=2))
        self.hide()

    def show_pending(self, pending: Any, *, is_committing: bool) -> None:
        """Show what waits; hidden when nothing does."""
        self.setVisible(bool(pending))
        if pending:
            self.text.setText(self.tr("committing…") if is_committing else pending_text(pending))
            self.text.setToolTip(pending_tip(pending))
            self.text.setAccessibleName(self.text.text())
        self.commit.setVisible(not is_committing)
        self.discard.setVisible(not is_committing)


class DatasetHeader(QWidget):
    """Everything above the tabs.

    Signals:
        transform_wanted: (transform id; empty = the list of all).
    """

    transform_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.name = NameField()
        self.facts = ElidedLabel("", "muted")
        self.pending = PendingChip()
        self.undo = tool_button("undo", self.tr("Undo the last change to this dataset"))
        self.redo = tool_button("redo", self.tr("Redo the change that was undone"))
        self.clean = button(self.tr("Clean…"), icon="clean", tip=self.tr("Preview and run a recipe on this dataset"))
        self.embed = button(
            self.tr("Embed"), icon="embed", tip=self.tr("Give each row a place by its meaning, to search and map")
        )
        self.train = button(self.tr("Train…"), icon="training", tip=self.tr("Train an adapter on this dataset"))
        self.change = button(
            self.tr("Change…"), icon="edit", tip=self.tr("Change columns and rows, with a preview (Ctrl+T)")
        )
        self.export = button(self.tr("Export…"), icon="export", tip=self.tr("Write this dataset to a file (Ctrl+E)"))
        self.more = tool_button("more", self.tr("More actions"))
        self.more.setPopupMode(self.more.ToolButtonPopupMode.InstantPopup)
        self.change_menu = QMenu(self)
        self.change.setMenu(self.change_menu)
        self.show_transforms([])
        facts = row(self.facts, self.pending, gap=8)
        facts.setStretch(0, 1)
        line = holder(facts)
        line.setMinimumHeight(LINE)
        names = row(self.name, self.undo, self.redo, gap=4)
        names.setStretch(0, 1)
        actions = row(self.clean, self.embed, self.change, self.train, self.export, self.more, gap=6)
        upper = row(holder(names), holder(actions), gap=12)
        upper.setStretch(0, 1)
        self.setLayout(column(upper, line, gap=2))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: words where there is room for them, and for the name."""
        super().resizeEvent(event)
        for made, text, least in (
            (self.embed, self.tr("Embed"), WIDE_FROM),
            (self.train, self.tr("Train…"), WIDE_FROM),
            (self.export, self.tr("Export…"), EXPORT_FROM),
        ):
            made.setText(text if self.width() >= least else "")

    def show_dataset(self, dataset: Dataset) -> None:
        """Show name and facts."""
        if not self.name.is_editing:
            self.name.set_text(dataset.name)
        facts = [words.plural(dataset.rows, "row"), KIND_WORDS.get(dataset.kind, dataset.kind.replace("_", " "))]
        facts += [f"version {dataset.version} of {dataset.versions}", words.size(dataset.bytes)]
        self.facts.setText("  ·  ".join(facts))
        for tool in (self.undo, self.redo):
            tool.setEnabled(True)  # until the history says that there is nothing: a key pressed meanwhile counts

    def show_history(self, entries: Sequence[HistoryEntry]) -> None:
        """Say in the tooltips what undo and redo would do."""
        done = [e.operation for e in entries if e.operation.state == "done"]
        undone = [e.operation for e in entries if e.operation.state == "undone"]
        last = max(done, key=lambda operation: operation.id, default=None)
        # What was undone last comes back first, and undoing goes from the newest to the oldest.
        first = min(undone, key=lambda operation: operation.id, default=None)
        for tool, word, operation, keys in (
            (self.undo, self.tr("Undo"), last, self.tr("Ctrl+Z takes back the newest change of the whole project.")),
            (
                self.redo,
                self.tr("Redo"),
                first,
                self.tr("Ctrl+Y does again what was undone last in the whole project."),
            ),
        ):
            tool.setEnabled(operation is not None)
            said = f"{word}: {operation.title}" if operation is not None else f"Nothing to {word.lower()}"
            tool.setToolTip(f"{said}\n{keys}")
            tool.setAccessibleName(said)

    def show_transforms(self, groups: Sequence[tuple[str, Sequence[TransformInfo]]]) -> None:
        """Offer the transforms, in groups."""
        menu = self.change_menu
        menu.clear()
        menu.setToolTipsVisible(True)
        every = menu.addAction(f"{self.tr('All changes…')}\tCtrl+T")
        every.triggered.connect(lambda: self.transform_wanted.emit(""))
        for _, transforms in groups:
            menu.addSeparator()
            for one in transforms:
                keys = KEYS.get(one.id, "")
                action = menu.addAction(f"{one.title}…\t{keys}" if keys else f"{one.title}…")
                action.setToolTip(one.description)
                action.triggered.connect(lambda _=False, name=one.id: self.transform_wanted.emit(name))
