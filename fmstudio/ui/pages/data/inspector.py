"""The inspector: one row whole, as what it is; where it came from, what happened to it, what lies near it; and edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QScrollBar, QVBoxLayout, QWidget
from shiboken6 import isValid

from fmstudio.ui.pages.data.cell_editor import RowForm
from fmstudio.ui.pages.data.inspector_find import FindBar, mark_all
from fmstudio.ui.pages.data.inspector_values import RowValues
from fmstudio.ui.pages.data.row_story_view import RowStory
from fmstudio.ui.pages.data.whole_messages import whole_messages
from fmstudio.ui.widgets.parts import ElidedLabel, clear, column, divider, holder, label, row, tool_button

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset
    from fmstudio.project.filters import Term
    from fmstudio.ui.context import AppContext

HIDDEN = ("row_id",)
WIDTH = 220
WIDE_FROM = 290
"""Narrower than that, what also has a key or a place in the palette gives its room to the title."""
Scroll = QScrollBar.SliderAction
SCROLLS = {
    Qt.Key.Key_Up: Scroll.SliderSingleStepSub, Qt.Key.Key_Down: Scroll.SliderSingleStepAdd,
    Qt.Key.Key_PageUp: Scroll.SliderPageStepSub, Qt.Key.Key_PageDown: Scroll.SliderPageStepAdd,
    Qt.Key.Key_Home: Scroll.SliderToMinimum, Qt.Key.Key_End: Scroll.SliderToMaximum,
}  # fmt: skip


class RowInspector(QFrame):
    """Every column of the chosen row, to read, to search, to copy from and to edit.

    Signals:
        step_wanted: (+1 or -1) the next or the previous row.
        saved: (row id, mapping column → value) the user changed values.
        row_wanted: (row id) another row is to be shown.
        lineage_wanted: (row id) the lineage of a row is to be shown.
    """

    step_wanted = Signal(int)
    saved = Signal(int, object)
    row_wanted = Signal(int)
    lineage_wanted = Signal(int)
    _changed = Signal()

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self.ctx = context
        self.dataset: Dataset | None = None
        self.record: dict[str, Any] | None = None
        self._kept: dict[str, Any] | None = None  # the row as it was before what was typed was handed over
        self.form: RowForm | None = None
        self.can_edit = False
        self._title = ""
        self._is_raw = False
        self._terms: list[Term] = []
        self._back: QWidget | None = None
        self.setProperty("panel", "right")
        self.setAccessibleName(self.tr("Chosen row"))
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.title = ElidedLabel("", "heading")
        self.previous = tool_button(
            "chevron-up", self.tr("Previous row"), lambda: self.step_wanted.emit(-1), shortcut="Alt+Up"
        )
        self.next = tool_button(
            "chevron-down", self.tr("Next row"), lambda: self.step_wanted.emit(1), shortcut="Alt+Down"
        )
        self.raw = tool_button("file", self.tr("Show texts exactly as they are, not as Markdown"), self._on_raw)
        self.raw.setCheckable(True)
        self.find_button = tool_button("search", self.tr("Find in this row"), self.open_find, shortcut="Ctrl+F")
        self.edit_button = tool_button("edit", self.tr("Edit this row"), self.edit, shortcut="F2")
        self.head = holder(
            row(
                self.title,
                self.previous,
                self.next,
                self.raw,
                self.find_button,
                self.edit_button,
                gap=2,
                margins=(16, 10, 8, 4),
            )
        )
        self._content = column(gap=6, margins=(16, 4, 16, 16))
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._body = holder(self._content)
        self._body.setMinimumWidth(1)  # as wide as the panel: one value that cannot be broken must not cut all others
        self.area.setWidget(self._body)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._values = RowValues(self.area)
        self._values.added.connect(self._changed)
        self.find_bar = FindBar(self.area, self._body)
        self.find_bar.closed.connect(self._on_find_closed)
        self._foot = column(gap=0)
        outer = column(self.head, self.find_bar, self.area, self._foot, gap=0)
        outer.setStretch(2, 1)
        self.setLayout(outer)
        self.setMinimumWidth(WIDTH)
        # Queued: what was just put into the layout counts as hidden until Qt has shown it, by an event posted before this.
        self._changed.connect(self._mark, Qt.ConnectionType.QueuedConnection)
        self.show_record(None)

    # ---- reading ---------------------------------------------------------------------------------------------------

    def show_dataset(self, dataset: Dataset) -> None:
        """Rows shown from now on are of this dataset."""
        if self.dataset is None or self.dataset.id != dataset.id:
            self.form = None
            self.dataset = dataset
            self.show_record(None)
        self.dataset = dataset

    def show_record(self, record: dict[str, Any] | None, title: str = "", *, can_edit: bool = False) -> None:
        """Show a row; None = say that none is chosen. What is being edited stays until it is saved or left."""
        same = record is not None and self.record is not None and record.get("row_id") == self.record.get("row_id")
        if self.form is not None and same:
            return
        if self.form is not None:
            self._save_or_leave()
        if same and record == self.record and title == self._title and can_edit == self.can_edit:
            return
        place = self._values.place if same else 0
        self.record, self._title, self.can_edit = record, title, can_edit
        self._show(self._values.shown if same else 0)
        self._values.go_to(place)

    def show_terms(self, terms: Sequence[Term]) -> None:
        """Mark what is looked for."""
        self._terms = list(terms)
        self._changed.emit()

    def _show(self, at_least: int = 0) -> None:
        """Show the row; `at_least` so many of its values at once, all of them where a text is looked for in it."""
        self._empty()
        record = self.record
        self.title.setText(self._title)
        self.head.setVisible(record is not None)
        if record is None:
            self.find_bar.hide()
            self._content.addSpacing(10)
            self._content.addWidget(label(self.tr("Choose a row to see all of it."), "muted", wrap=True))
            self._content.addStretch(1)
            return
        self.edit_button.setVisible(self.can_edit)
        values = {name: whole_messages(name, record) for name in record if name not in HIDDEN}
        count = len(values) if self.find_bar.isVisible() else at_least
        self._content.addLayout(
            self._values.show(values, self._types(), is_raw=self._is_raw, at_least=count, end=self._add_story)
        )
        self._content.addStretch(1)
        self._changed.emit()

    def _add_story(self, layout: QVBoxLayout) -> None:
        row_id = self.record.get("row_id") if self.record is not None else None
        if self.record is None or self.dataset is None or not isinstance(row_id, int):
            return
        layout.addWidget(divider())
        story = RowStory(self.ctx, self.dataset, self.record)
        story.row_wanted.connect(self.row_wanted)
        story.lineage_wanted.connect(self.lineage_wanted)
        layout.addWidget(story)

    def _types(self) -> dict[str, str]:
        return {c.name: c.type for c in self.dataset.columns} if self.dataset is not None else {}

    def _empty(self) -> None:
        focused = self.window().focusWidget()
        if focused is not None and (self._body.isAncestorOf(focused) or self.find_bar.isAncestorOf(focused)):
            self.setFocus()  # what has the keyboard is about to go; it must not wander out of the page
        self._values.stop()
        clear(self._content)
        clear(self._foot)

    def _on_raw(self) -> None:
        self._is_raw = self.raw.isChecked()
        if self.form is None:
            self._show()

    @Slot()
    def _mark(self) -> None:
        if self.form is not None:
            return
        if self.find_bar.isVisible():
            self.find_bar.search()
        else:
            for name, shown in self._values.views:
                mark_all(shown, list(dict.fromkeys(t.text for t in self._terms if t.column in ("", name))))

    @Slot()
    def open_find(self) -> None:
        """Find a text in this row."""
        if self.record is not None:
            self._values.show_all()
            self.find_bar.open_bar()

    @Slot()
    def _on_find_closed(self) -> None:
        """Keep the keyboard: it was in what has gone."""
        self.setFocus()
        self._mark()

    # ---- editing ---------------------------------------------------------------------------------------------------

    def edit(self, name: str = "", typed: Mapping[str, Any] | None = None) -> None:
        """Edit the row, beginning with one column; `typed` are values to begin with instead of those of the row."""
        if self.record is None or not self.can_edit or self.form is not None:
            return
        locked = frozenset(HIDDEN) | frozenset(
            c.name for c in (self.dataset.columns if self.dataset else ()) if c.is_side
        )
        focused = self.window().focusWidget()
        self._back = focused if focused is not None and not self.isAncestorOf(focused) else None
        self._empty()
        self.find_bar.hide()
        self.form = RowForm(self.record, self._types(), locked, typed)
        self.form.done.connect(self.save)
        self.form.cancelled.connect(self.leave)
        self._content.addWidget(self.form)
        self._content.addStretch(1)
        self._foot.addWidget(divider())
        self._foot.addWidget(holder(row(self.form.buttons, margins=(16, 8, 16, 10))))
        self.title.setText(f"{self._title}: {self.tr('editing')}")
        self.edit_button.setVisible(False)
        field = self.form.focus(name)
        if field is not None:
            QTimer.singleShot(0, field, lambda: self._bring_into_sight(field.mapTo(self._body, QPoint(0, 0)).y()))

    def _bring_into_sight(self, y: int) -> None:
        self.area.verticalScrollBar().setValue(max(0, y - 30))

    @Slot()
    def save(self) -> None:
        """Hand over what was changed, and show the row again."""
        if self.form is None or self.record is None:
            return
        try:
            changes = self.form.changes()
        except ValueError as error:
            self.form.show_error(str(error))
            self.area.ensureWidgetVisible(self.form.error)
            return
        self._kept = self.record
        self._end_form({**self.record, **changes})
        if changes:
            self.saved.emit(int(self.record["row_id"]), changes)

    def reopen(self, row_id: int, values: Mapping[str, Any], reason: str) -> bool:
        """Edit a row again with values that were typed and that the store did not take, and say why not.

        Returns:
            False when another row is shown by now.
        """
        kept = self._kept
        is_shown = self.record is not None and self.record.get("row_id") == row_id and self.form is None
        if not is_shown or kept is None or kept.get("row_id") != row_id or not self.can_edit:
            return False
        self.record = kept
        self.edit(next(iter(values), ""), values)
        if self.form is not None:
            self.form.show_error(reason)
        return self.form is not None

    @Slot()
    def leave(self) -> None:
        """Show the row again as it was."""
        self._end_form(self.record)

    def _end_form(self, record: dict[str, Any] | None) -> None:
        """Show the row instead of its form; the keyboard goes back to where it was before."""
        had_keyboard = self.isAncestorOf(self.window().focusWidget() or self)
        self.form, self.record = None, record
        self._show()
        if had_keyboard:
            (self._back if self._back is not None and isValid(self._back) else self).setFocus()

    def _save_or_leave(self) -> None:
        """Another row is chosen: keep what was typed when it can be read, else say that it was not."""
        try:
            self.save()
        finally:
            if self.form is not None:
                self.ctx.notify("warning", f"{self.form.error.text()} {self.tr('The change was not saved.')}")
                self.form = None

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: the title comes first."""
        super().resizeEvent(event)
        for tool in (self.raw, self.find_button):
            tool.setVisible(self.width() >= WIDE_FROM)

    # ---- keyboard --------------------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Qt: Ctrl+F, F2 and Esc mean this panel while the keyboard is in it."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._meant(event):
            event.accept()
            return True
        return super().event(event)

    def _meant(self, event: QKeyEvent) -> bool:
        is_find = event.matches(QKeySequence.StandardKey.Find)
        is_escape = event.key() == Qt.Key.Key_Escape and (self.form is not None or self.find_bar.isVisible())
        is_control = event.modifiers() == Qt.KeyboardModifier.ControlModifier
        is_save = self.form is not None and is_control and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        return self.record is not None and (is_find or event.key() == Qt.Key.Key_F2 or is_escape or is_save)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: find, edit, leave; the arrow and page keys scroll, with Alt they go to the neighbours."""
        if event.matches(QKeySequence.StandardKey.Find):
            self.open_find()
        elif event.key() == Qt.Key.Key_F2:
            self.edit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._meant(event):
            self.save()
        elif event.key() == Qt.Key.Key_Escape and self.form is not None:
            self.leave()
        elif event.key() == Qt.Key.Key_Escape and self.find_bar.isVisible():
            self.find_bar.close_bar()
        elif event.modifiers() & Qt.KeyboardModifier.AltModifier and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.step_wanted.emit(-1 if event.key() == Qt.Key.Key_Up else 1)
        elif event.key() in SCROLLS:
            self.area.verticalScrollBar().triggerAction(SCROLLS[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)
