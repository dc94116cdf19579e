"""The filter bar: words or a SQL condition in one field, conditions on single columns as pills beside it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from PySide6.QtCore import QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QLineEdit, QMenu, QWidget

from fmstudio.jobs.outcome import Problem
from fmstudio.project.filter_completion import Completion, completions
from fmstudio.project.filter_hints import hint
from fmstudio.project.filters import (
    ColumnFilter,
    FilterColumn,
    Term,
    all_of,
    filter_where,
    highlighted,
    looks_like_sql,
    words_where,
)
from fmstudio.ui import icons
from fmstudio.ui.pages.data.filter_completer import FilterCompleter
from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.elided_button import ElidedButton
from fmstudio.ui.widgets.flow import FlowLayout
from fmstudio.ui.widgets.parts import button, clear, column, holder, icon_label, label, row, tool_button
from fmstudio.ui.widgets.table.values import one_line

HINT = "Words to find, column:word, -without, or a SQL condition such as length(text) > 100   (Ctrl+F)"
LIVE_ROWS = 300_000
"""Up to that many rows, words are looked for while they are typed; above, on Enter."""
LIVE_MS = 350
MOST_REMEMBERED = 20
NARROW, COUNT_PLACE = 430, 4
"""Narrower than that, the count has a line of its own, so that the field shows what is typed; else its place in the line."""


class FilterField(QLineEdit):
    """A line in which Esc empties what is there, and leaves when there is nothing.

    Signals:
        left: Esc was pressed in the empty field.
    """

    left = Signal()

    def event(self, event: QEvent) -> bool:
        """Qt: Esc means this field."""
        is_escape = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape
        if event.type() == QEvent.Type.ShortcutOverride and is_escape:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Esc empties the field, or leaves it."""
        if event.key() != Qt.Key.Key_Escape:
            super().keyPressEvent(event)
        elif self.text():
            self.clear()
        else:
            self.left.emit()


class FilterBar(QWidget):
    """What is asked for, and what is wrong with it.

    Signals:
        changed: Another question; ask `where`.
        remembered: The list of recent filters changed.
        left: The user is done with the field and wants the rows.
    """

    changed = Signal()
    remembered = Signal()
    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[FilterColumn] = []
        self.values: dict[str, Sequence[str]] = {}
        self.conditions: list[ColumnFilter] = []
        self.recent: list[str] = []
        self.is_live = True
        self._pinned: bool | None = None
        self._asked = ""
        self._is_set_here = False
        self.field = FilterField()
        self.field.setPlaceholderText(HINT)
        self.field.setAccessibleName(self.tr("Filter"))
        self.field.setToolTip(
            self.tr(
                'Words are found in all texts and messages. "a phrase", -without, column:word, n:>5, n:1..9, this OR that.'
                "\nEnter looks for them; Enter again goes to the rows."
            )
        )
        self.field.setClearButtonEnabled(True)
        self.field.returnPressed.connect(self._on_return)
        self.field.left.connect(self.left)
        self.field.textChanged.connect(self._on_text)
        self.completer = FilterCompleter(self.field, self._offer)
        self.mode = button(self.tr("Words"), self.switch_mode, kind="quiet", tip="")
        self.history = tool_button("history", self.tr("Recent filters"), self._open_history)
        self.count = label("", "muted")
        self.error = label("", "danger", wrap=True, selectable=True)
        self.error.setAccessibleName(self.tr("What is wrong with the filter"))
        self.hint = label("", "muted", wrap=True, selectable=True)
        self.mend = button("", lambda: self.use(self._better), kind="quiet", name=self.tr("Look for what is meant"))
        self._better = ""
        hints = row(self.hint, self.mend)
        hints.setStretch(0, 1)
        self._hints = holder(hints)
        self.pills = FlowLayout()
        self._pill_box = QFrame()
        self._pill_box.setLayout(self.pills)
        self.line = row(icon_label("filter", "muted", 16), self.field, self.mode, self.history, self.count, gap=6)
        self.line.setStretch(1, 1)
        self._count_line = row(None)
        self._later = QTimer(self, singleShot=True, interval=LIVE_MS)
        self._later.timeout.connect(self._apply_live)
        self.setLayout(column(self.line, self._count_line, self.error, self._hints, self._pill_box, gap=4))
        self.error.hide()
        self._hints.hide()
        self._pill_box.hide()
        self._show_mode()

    # ---- the question ----------------------------------------------------------------------------------------------

    @property
    def is_sql(self) -> bool:
        """Whether the field holds a SQL condition."""
        if self._pinned is not None:
            return self._pinned
        return looks_like_sql(self.field.text(), self.columns)

    def where(self) -> str:
        """The whole question as a SQL condition; empty = all rows."""
        text = self.field.text().strip()
        typed = text if self.is_sql else words_where(text, self.columns)
        by_name = {one.name: one for one in self.columns}
        parts = [filter_where(c, by_name[c.column]) for c in self.conditions if c.column in by_name]
        return all_of([typed, *parts])

    def terms(self) -> list[Term]:
        """What is looked for, to be marked where it is found."""
        found = highlighted(self.field.text().strip(), self.columns, is_sql=self.is_sql)
        found += [Term(str(c.values[0]), c.column) for c in self.conditions if c.test == "contains"]
        return found

    def clear(self) -> None:
        """Ask for all rows, without telling."""
        self.conditions.clear()
        self._pinned = None
        self._set_text("")
        self._asked = ""
        self._show_mode()
        self._show_pills()
        self._show_hint("")
        self.show_error("")

    def _set_text(self, text: str) -> None:
        """Put a text into the field without asking it; its own signals must go on, they show and hide its cross."""
        self._is_set_here = True
        self.field.setText(text)
        self._is_set_here = False

    def clear_all(self) -> None:
        """Ask for all rows."""
        self.clear()
        self.changed.emit()

    def add_condition(self, condition: ColumnFilter) -> None:
        """Ask for one thing more of a column; the same test on it is replaced."""
        same = [c for c in self.conditions if (c.column, c.test) != (condition.column, condition.test)]
        self.conditions = [*same, condition]
        self._show_pills()
        self.changed.emit()

    def remove_condition(self, condition: ColumnFilter) -> None:
        """No longer ask for this."""
        self.conditions = [c for c in self.conditions if c != condition]
        self._show_pills()
        self.changed.emit()

    def forget_columns(self, names: Collection[str]) -> None:
        """No longer ask anything of these columns, without telling."""
        self.conditions = [c for c in self.conditions if c.column not in names]
        self._show_pills()

    def drop_conditions(self, name: str) -> None:
        """No longer ask anything of a column."""
        self.forget_columns([name])
        self.changed.emit()

    @Slot()
    def _on_return(self) -> None:
        """Ask; what was asked already leads to its rows."""
        is_asked = self.field.text().strip() == self._asked and not self.error.isVisible()
        self.apply(again=not is_asked)
        if is_asked:
            self.left.emit()

    def apply(self, again: bool = True) -> None:
        """Remember what the field says now, and ask it (`again`: also when that was asked last)."""
        self._later.stop()
        self.completer.popup.hide()
        text = self._asked = self.field.text().strip()
        if text:
            self.recent = [text, *(old for old in self.recent if old != text)][:MOST_REMEMBERED]
            self.remembered.emit()
        self._show_hint(text)
        if again:
            self.changed.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: in little room the field comes first."""
        super().resizeEvent(event)
        is_below = self._count_line.indexOf(self.count) >= 0
        if is_below != (self.width() < NARROW):
            if is_below:
                self.line.insertWidget(COUNT_PLACE, self.count)
            else:
                self._count_line.addWidget(self.count)

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_error(self, text: str) -> None:
        """Say what is wrong; empty = nothing."""
        self.error.setText(text)
        self.error.setVisible(bool(text))
        restyle(self.field, state="danger" if text else "")

    def _show_hint(self, asked: str) -> None:
        """Say that a column may be meant where the words asked for have another name before a colon."""
        found = None if self.is_sql else hint(asked, self.columns)
        self._hints.setVisible(found is not None)
        if found is None:
            return
        self._better = found.better
        if found.name.casefold() == found.column.casefold():
            said = self.tr("“{}” needs quotes in a filter, because of its spaces or signs.").format(found.column)
        else:
            said = self.tr("No column is called “{}”, so that is looked for as text. Did you mean “{}”?")
            said = said.format(found.name, found.column)
        self.hint.setText(said)
        self.mend.setText(self.tr("Look for {}").format(words.short(found.better, 50)).replace("&", "&&"))
        self.mend.setAccessibleName(self.tr("Look for {}").format(found.better))

    def set_columns(self, columns: Sequence[FilterColumn], values: Mapping[str, Sequence[str]] | None = None) -> None:
        """Say what there is to ask for."""
        self.columns = list(columns)
        if values is not None:
            self.values = dict(values)
        self._show_mode()

    @Slot()
    def switch_mode(self) -> None:
        """Read the field the other way from now on."""
        self._pinned = not self.is_sql
        self._show_mode()
        if self.field.text().strip():
            self.apply()

    def _show_mode(self) -> None:
        is_sql = self.is_sql
        self.mode.setText("SQL" if is_sql else self.tr("Words"))
        other = self.tr("words to find") if is_sql else self.tr("a SQL condition")
        how = self.tr("Detected from what you type.") if self._pinned is None else self.tr("Chosen by you.")
        self.mode.setToolTip(f"{how} {self.tr('Click to read it as')} {other}.")
        self.mode.setAccessibleName(self.tr("The filter is read as {}").format(self.mode.text()))
        wanted = "mono" if is_sql else ""
        if (self.field.property("role") or "") != wanted:
            restyle(self.field, role=wanted)

    def _show_pills(self) -> None:
        clear(self.pills)
        for condition in self.conditions:
            self.pills.addWidget(self._pill(condition))
        if self.conditions:
            self.pills.addWidget(button(self.tr("Clear all"), self.clear_all, kind="quiet"))
        self._pill_box.setVisible(bool(self.conditions))

    def _pill(self, condition: ColumnFilter) -> ElidedButton:
        pill = ElidedButton(one_line(condition.in_words()).replace("&", "&&"))
        icons.set_icon(pill, "close", "text", 16)
        pill.clicked.connect(lambda: self.remove_condition(condition))
        pill.setProperty("pill", "true")
        pill.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        pill.setToolTip(f"{condition.in_words()}\n{self.tr('Remove this filter')}")
        pill.setAccessibleName(self.tr("Remove the filter {}").format(condition.in_words()))
        return pill

    @Slot(str)
    def _on_text(self, text: str) -> None:
        if self._is_set_here:
            return
        if not text.strip():
            self._pinned = None
        self._show_mode()
        self._show_hint("")
        self.show_error("")
        if not text:
            self._later.stop()
            self._asked = ""
            self.changed.emit()
        elif self.is_live and not self.is_sql:
            self._later.start()

    @Slot()
    def _apply_live(self) -> None:
        text = self.field.text().strip()
        if text != self._asked and not self.is_sql:
            self._asked = text
            self._show_hint(text)
            self.changed.emit()

    def _offer(self, text: str) -> list[Completion]:
        return completions(text, self.columns, self.values, is_sql=self.is_sql)

    def _open_history(self) -> None:
        menu = QMenu(self)
        for text in self.recent:
            menu.addAction(words.short(text).replace("&", "&&")).triggered.connect(
                lambda _=False, text=text: self.use(text)
            )
        if not self.recent:
            menu.addAction(self.tr("No filter was used yet")).setEnabled(False)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.history.mapToGlobal(self.history.rect().bottomLeft()))

    def use(self, text: str) -> None:
        """Ask this."""
        self._set_text(text)
        self._pinned = None
        self._show_mode()
        self.apply()


def problem_words(problem: Problem) -> str:
    """Why a filter cannot be run, with what DuckDB thinks was meant when the rest of its message says so."""
    meant = re.search(r'Did you mean "([^"]+)"', problem.details) or re.search(
        r"Candidate bindings: (.+)", problem.details
    )
    way_on = f"Did you mean {meant[1].strip()}?" if meant else problem.remedy
    sentence = problem.message if problem.message.endswith((".", "!", "?", ":")) else f"{problem.message}."
    found = f"{sentence} {way_on}".strip() if problem.is_user_error else problem.message
    return re.sub(r"\b[A-Z]\w+ Error: ", "", found)  # DuckDB's name for the kind of error tells a person nothing
