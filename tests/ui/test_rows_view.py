"""Rows are filtered, sorted, edited, tagged and dropped where they stand, with mouse and keyboard, on a real store."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QComboBox, QLineEdit, QPushButton, QToolButton

from fmstudio.project import selections
from fmstudio.project.filters import ColumnFilter, Sort
from fmstudio.ui.history import step_history
from fmstudio.ui.pages.data.rows_view import RowsView
from fmstudio.ui.widgets.elided_button import ElidedButton
from fmstudio.ui.widgets.empty_state import EmptyState
from fmstudio.ui.widgets.table import copying
from fmstudio.ui.widgets.table.layout import TableLayout
from tests.ui.data_kit import LONG, OpenData

Key, Modifier, LEFT = Qt.Key, Qt.KeyboardModifier, Qt.MouseButton.LeftButton


@pytest.fixture
def open_data(qtbot: Any) -> Iterator[OpenData]:
    opener = OpenData(qtbot)
    yield opener
    opener.close()


def _records(count: int = 300) -> list[dict[str, Any]]:
    return [
        {
            "text": f"{'The cat' if i % 3 == 0 else 'A dog'} number {i}",
            "n": (i * 37) % 100,
            "ok": i % 2 == 0,
            "messages": [{"role": "user", "content": f"Question {i}"}, {"role": "assistant", "content": "Because."}],
        }
        for i in range(count)
    ]


def _cell(rows: RowsView, row: int, name: str) -> Any:
    return (rows.table.rows.record(row) or {}).get(name)


def _choose(qtbot: Any, rows: RowsView, row: int, name: str) -> None:
    rows.table.setFocus()
    rows.table.scrollTo(rows.table.rows.index(row, 0))
    qtbot.waitUntil(lambda: rows.table.rows.cells(row) is not None, timeout=LONG)
    rows.table.setCurrentIndex(rows.table.rows.index(row, rows.table.rows.shown.index(name)))


def _press(qtbot: Any, rows: RowsView, key: Qt.Key, modifier: Qt.KeyboardModifier = Modifier.NoModifier) -> None:
    qtbot.keyClick(rows.table, key, modifier)


def _header(qtbot: Any, rows: RowsView, name: str, modifier: Qt.KeyboardModifier = Modifier.NoModifier) -> None:
    header = rows.table.header
    x = header.sectionViewportPosition(rows.table.rows.shown.index(name)) + 14
    qtbot.mouseClick(header.viewport(), LEFT, modifier, QPoint(x, 10))


def test_words_and_sql_find_rows_and_esc_brings_all_back(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    rows = page.view.rows
    assert rows.count.text() == "300 rows"
    qtbot.keyClicks(rows.filter, "CAT -number text:9")
    assert rows.bar.mode.text() == "Words"
    qtbot.keyClick(rows.filter, Key.Key_Return)
    qtbot.waitUntil(lambda: rows.count.text() == "0 of 300 rows", timeout=LONG)
    assert rows._none_match.isVisible()
    rows.filter.setText("cat 9")
    qtbot.waitUntil(
        lambda: rows.count.text().endswith("of 300 rows") and _cell(rows, 0, "text") is not None, timeout=LONG
    )
    assert all("cat" in str(_cell(rows, i, "text")) and "9" in str(_cell(rows, i, "text")) for i in range(5))
    rows.filter.setText("Question 299")
    qtbot.waitUntil(lambda: rows.count.text() == "1 of 300 rows", timeout=LONG)  # inside messages
    rows.filter.setText("n > 90 AND ok")
    assert rows.bar.mode.text() == "SQL"
    qtbot.keyClick(rows.filter, Key.Key_Return)
    qtbot.waitUntil(lambda: (_cell(rows, 0, "n") or 0) > 90, timeout=LONG)
    qtbot.keyClick(rows.filter, Key.Key_Escape)
    qtbot.waitUntil(lambda: rows.count.text() == "300 rows", timeout=LONG)
    assert rows.bar.recent[0] == "n > 90 AND ok"


def test_the_first_of_many_rows_are_there_before_their_number(
    open_data: OpenData, project_folder: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selections, "WHOLE_BYTES", 1_000)
    monkeypatch.setattr(selections, "CHUNK_BYTES", 10_000)
    page = open_data(project_folder, [{"text": f"number {i}", "n": (i * 37) % 100} for i in range(20_000)])
    rows = page.view.rows
    project = rows.ctx.project
    assert project is not None
    read, go = project.page, threading.Event()

    def slow(*args: Any, **options: Any) -> Any:
        if not options["first_will_do"]:
            go.wait(LONG / 1000)
        return read(*args, **options)

    monkeypatch.setattr(project, "page", slow)
    rows.filter.setText("n >= 0")
    qtbot.keyClick(rows.filter, Key.Key_Return)
    rows.sort_by([Sort("n", is_descending=True)])
    qtbot.waitUntil(lambda: _cell(rows, 0, "n") == 99 and rows.count.text() == "Looking…", timeout=LONG)
    assert rows.table.rows.total == 200 and not rows.table.rows.is_counted
    page.open_export()  # it tells no number that is not known
    assert page.view.panels.export.only_filtered.text() == "Only the rows of the filter"
    page.view.panels.export.close_panel()
    go.set()
    qtbot.waitUntil(lambda: rows.count.text() == "20,000 of 20,000 rows", timeout=LONG)
    assert rows.table.rows.total == 20_000 and _cell(rows, 0, "n") == 99

    go.clear()
    for least in (1, 2, 3):  # in a hurry: the answer to the last question is what stays
        rows.filter.setText(f"n >= {least}")
        qtbot.keyClick(rows.filter, Key.Key_Return)
        qtbot.wait(30)
    go.set()
    qtbot.waitUntil(lambda: rows.count.text() == "19,400 of 20,000 rows", timeout=LONG)
    assert rows.table.rows.total == 19_400 and rows.table.rows.is_counted


def test_a_filter_that_cannot_run_says_so_below_the_field(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, _records())
    rows = page.view.rows
    rows.filter.setText("nothing_here > 5")
    qtbot.keyClick(rows.filter, Key.Key_Return)
    qtbot.waitUntil(rows.error.isVisible, timeout=LONG)
    assert "nothing_here" in rows.error.text() and rows.filter.property("state") == "danger"
    qtbot.mouseClick(rows.bar.mode, LEFT)  # read it as words instead
    qtbot.waitUntil(lambda: rows.count.text() == "0 of 300 rows" and not rows.error.isVisible(), timeout=LONG)


@pytest.mark.parametrize("width", [320, 900])
def test_words_of_an_empty_table_are_whole_and_in_the_middle(qtbot: Any, width: int) -> None:
    """Beside the chosen row a small window leaves few pixels for the rows."""
    state = EmptyState(
        "filter", "No row matches", "What is wrong stands below the field. " * 3, ("Clear", lambda: None)
    )
    qtbot.addWidget(state)
    state.resize(width, 300)
    state.show()
    qtbot.waitExposed(state)
    words = state.words.geometry()
    assert state.width() == width and state.rect().contains(words)
    assert 250 < words.width() <= 440 and abs(words.center().x() - state.rect().center().x()) <= 2
    assert words.height() >= state.words.heightForWidth(words.width())


def test_the_filter_has_room_in_a_narrow_window(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    rows = page.view.rows
    seen = []
    for width in (980, 1500, 980):
        page.resize(width, 700)
        QApplication.processEvents()
        qtbot.waitUntil(lambda: rows.count.isVisible() and rows.count.text() == "300 rows", timeout=LONG)
        seen.append(rows.count.mapTo(rows, QPoint()).y() > rows.filter.mapTo(rows, QPoint()).y() + 10)
        assert rows.filter.width() > 150
        assert rows.columns_button.geometry().left() > rows.filter.geometry().right()
    assert seen == [True, False, True]


def test_the_cross_of_the_filter_goes_with_what_was_typed(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    rows = open_data(project_folder, _records(10)).view.rows
    cross = rows.filter.findChild(QToolButton)
    assert cross is not None and cross.property("opacity") == 0
    rows.filter.setText("cat")
    rows.apply_filter()
    qtbot.waitUntil(lambda: rows.count.text() == "4 of 10 rows" and cross.property("opacity") == 1, timeout=LONG)
    rows.bar.clear_all()
    qtbot.waitUntil(lambda: rows.count.text() == "10 rows" and cross.property("opacity") == 0, timeout=LONG)


def test_a_name_that_is_no_column_is_told_and_mended(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, [{"text": f"a {i}", "Priority (1-5)": i % 5 + 1} for i in range(10)])
    rows = page.view.rows
    qtbot.keyClicks(rows.filter, "Priority:5")
    qtbot.keyClick(rows.filter, Key.Key_Return)
    qtbot.waitUntil(lambda: rows.count.text() == "0 of 10 rows", timeout=LONG)
    assert "“Priority”" in rows.bar.hint.text() and "“Priority (1-5)”" in rows.bar.hint.text()
    assert rows.bar.hint.isVisible()
    qtbot.mouseClick(rows.bar.mend, LEFT)
    assert rows.filter.text() == '"Priority (1-5)":5'
    qtbot.waitUntil(lambda: rows.count.text() == "2 of 10 rows", timeout=LONG)
    assert not rows.bar.hint.isVisible()


def test_a_column_is_completed_in_the_field(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    rows = page.view.rows
    rows.filter.setFocus()
    qtbot.keyClicks(rows.filter, "mes")
    qtbot.waitUntil(rows.bar.completer.popup.isVisible, timeout=LONG)
    qtbot.keyClick(rows.filter, Key.Key_Tab)
    assert rows.filter.text() == "messages:"
    qtbot.keyClicks(rows.filter, "299")
    qtbot.keyClick(rows.filter, Key.Key_Return)
    qtbot.waitUntil(lambda: rows.count.text() == "1 of 300 rows", timeout=LONG)


def test_conditions_of_columns_are_pills(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    rows = page.view.rows
    rows.column_menu.open_condition("n", QPoint(10, 10))
    popup = rows.column_menu.popup
    assert popup is not None
    qtbot.keyClicks(popup.first, "x")
    popup.accept()
    assert not popup.error.isHidden()
    popup.first.setText("90")
    qtbot.keyClick(popup.first, Key.Key_Return)
    qtbot.waitUntil(lambda: rows.count.text() == "30 of 300 rows", timeout=LONG)
    rows.bar.add_condition(ColumnFilter("ok", "equals", (True,)))
    qtbot.waitUntil(lambda: rows.count.text() != "30 of 300 rows", timeout=LONG)
    assert [c.in_words() for c in rows.bar.conditions] == ["n ≥ 90", "ok is true"]
    rows.bar.clear_all()
    qtbot.waitUntil(lambda: rows.count.text() == "300 rows", timeout=LONG)


def test_conditions_and_order_go_with_the_column_that_an_undo_takes(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, _records())
    rows = page.view.rows
    _choose(qtbot, rows, 4, "text")
    _press(qtbot, rows, Key.Key_Plus)
    qtbot.waitUntil(lambda: "rating" in rows.table.rows.types, timeout=LONG)
    rows.bar.add_condition(ColumnFilter("rating", "not_empty"))
    rows.bar.add_condition(ColumnFilter("ok", "equals", (True,)))
    rows.sort_by([Sort("rating"), Sort("n")])
    qtbot.waitUntil(lambda: rows.count.text() == "1 of 300 rows", timeout=LONG)
    step_history(page.ctx, "undo", "d-rows")
    qtbot.waitUntil(lambda: rows.count.text() == "150 of 300 rows", timeout=LONG)
    assert [c.in_words() for c in rows.bar.conditions] == ["ok is true"] and rows.sorts == [Sort("n")]
    qtbot.wait(50)
    assert not rows.error.isVisible() and rows.table.rows.total == 150


def test_a_condition_with_values_to_choose_from_takes_the_keyboard(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, _records())
    rows = page.view.rows
    page.activateWindow()
    qtbot.waitUntil(page.isActiveWindow, timeout=LONG)
    qtbot.waitUntil(lambda: rows.known_values("ok") == ["true", "false"], timeout=LONG)
    _choose(qtbot, rows, 0, "ok")
    _press(qtbot, rows, Key.Key_F)
    popup = rows.column_menu.popup
    assert popup is not None and popup.list.isVisible()
    qtbot.wait(50)
    assert page.isActiveWindow() and popup.first.hasFocus()
    qtbot.keyClick(popup.first, Key.Key_Escape)
    assert not popup.isVisible() and rows.table.hasFocus()


def test_many_conditions_take_more_lines_not_a_wider_window(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    long = "a name that goes on & on " * 5
    names = [long, *(f"column {i}" for i in range(8))]
    page = open_data(project_folder, [dict.fromkeys(names, i / 7) for i in range(20)])
    bar = page.view.rows.bar
    for name in names:
        bar.add_condition(ColumnFilter(name, "range", (0.1, 0.9)))
    pills = lambda: [p for p in bar.findChildren(ElidedButton) if not p.isHidden()]  # noqa: E731
    qtbot.waitUntil(lambda: len({pill.y() for pill in pills()}) > 1, timeout=LONG)
    assert bar.minimumSizeHint().width() < 400
    assert [pill.shown_text() for pill in pills()[1:]] == [f"{name} 0.1 to 0.9" for name in names[1:]]
    assert pills()[0].shown_text().endswith("…") and long.strip() in pills()[0].toolTip()
    assert all(pill.geometry().right() <= bar.width() for pill in pills())
    qtbot.mouseClick(pills()[3], LEFT)
    assert len(bar.conditions) == len(names) - 1


def test_the_current_cell_comes_out_from_behind_the_columns_held_in_place(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, [{f"column {i:02d}": f"value {i}" * 3 for i in range(30)}] * 5)
    rows = page.view.rows
    table, frozen = rows.table, rows.table.frozen
    table.freeze(2)
    _choose(qtbot, rows, 2, "column 00")
    for _ in range(20):
        _press(qtbot, rows, Key.Key_Right)
    for _ in range(12):
        _press(qtbot, rows, Key.Key_Left)
        behind = frozen.x() + frozen.width() - table.viewport().x()
        assert table.visualRect(table.currentIndex()).x() >= behind
    place = table.horizontalScrollBar().value()
    assert place > 0 and frozen.horizontalScrollBar().value() == 0
    table.setCurrentIndex(table.rows.index(2, 0))
    assert (table.horizontalScrollBar().value(), frozen.horizontalScrollBar().value()) == (place, 0)


def test_all_columns_but_the_first_are_hidden_and_shown_at_once(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, [{f"column {i:03d}": i for i in range(300)}] * 3)
    table, panel = page.view.rows.table, page.view.rows.columns
    told = []
    table.layout_changed.connect(lambda: told.append(1))
    panel.refresh()
    next(b for b in panel.findChildren(QPushButton) if b.text() == "Hide all but one").click()
    assert [name for i, name in enumerate(table.rows.shown) if not table.isColumnHidden(i)] == ["column 000"]
    next(b for b in panel.findChildren(QPushButton) if b.text() == "Show all").click()
    assert not any(table.isColumnHidden(i) for i in range(300))
    assert len(told) == 2, "the columns are laid out once, not for each of them"
    page.view.rows.table.hide_columns(["column 001", "column 002"])
    page.view.rows.column_commands.move(0, 1)
    assert table.header.visualIndex(0) == 3, "what is hidden is passed over"


def test_click_sorts_and_shift_click_sorts_by_more(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    rows = page.view.rows
    _header(qtbot, rows, "ok")
    _header(qtbot, rows, "n", Modifier.ShiftModifier)
    _header(qtbot, rows, "n", Modifier.ShiftModifier)
    assert rows.sorts == [Sort("ok"), Sort("n", is_descending=True)]
    qtbot.waitUntil(lambda: (_cell(rows, 0, "ok"), _cell(rows, 0, "n")) == (False, 99), timeout=LONG)
    assert _cell(rows, 0, "row_id") is not None
    _header(qtbot, rows, "n")
    assert rows.sorts == [Sort("n", is_descending=False)] or rows.sorts == []


def test_a_cell_is_edited_where_it_stands_and_undone(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    rows = page.view.rows
    rows.table.verticalScrollBar().setValue(200)
    _choose(qtbot, rows, 205, "text")
    place = rows.table.verticalScrollBar().value()
    _press(qtbot, rows, Key.Key_F2)
    editor = rows.table.findChild(QLineEdit)
    assert editor is not None and editor.text() == "A dog number 205"
    qtbot.keyClicks(editor, "Changed by hand")
    qtbot.keyClick(editor, Key.Key_Return)
    qtbot.waitUntil(lambda: _cell(rows, 205, "text") == "Changed by hand", timeout=LONG)
    assert (205, "text") in rows.table.rows.marked
    project = page.ctx.project
    assert project is not None
    qtbot.waitUntil(lambda: project.rows_by_id("rows", [205]).records()[0]["text"] == "Changed by hand", timeout=LONG)
    qtbot.waitUntil(lambda: not rows.table.rows._asked, timeout=LONG)
    assert rows.table.verticalScrollBar().value() == place and rows.table.currentIndex().row() == 205
    step_history(page.ctx, "undo", "d-rows")
    qtbot.waitUntil(lambda: _cell(rows, 205, "text") == "A dog number 205", timeout=LONG)
    qtbot.waitUntil(lambda: not rows.table.rows.marked, timeout=LONG)
    assert rows.table.verticalScrollBar().value() == place


def test_what_does_not_fit_a_column_is_refused(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    rows = page.view.rows
    _choose(qtbot, rows, 3, "n")
    _press(qtbot, rows, Key.Key_F2)
    editor = rows.table.findChild(QLineEdit)
    assert editor is not None
    qtbot.keyClicks(editor, "1.5")
    qtbot.keyClick(editor, Key.Key_Return)
    qtbot.waitUntil(lambda: bool(open_data.said), timeout=LONG)
    assert "whole" in open_data.said[-1]
    assert _cell(rows, 3, "n") == 11
    _choose(qtbot, rows, 4, "ok")
    _press(qtbot, rows, Key.Key_F2)
    box = rows.table.findChild(QComboBox)
    assert box is not None and box.currentText() == "true"
    qtbot.keyClick(box, Key.Key_Escape)
    assert _cell(rows, 4, "ok") is True


def test_a_mistyped_number_stays_in_its_open_editor(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    rows = open_data(project_folder, _records()).view.rows
    for key in (Key.Key_Return, Key.Key_Tab):
        open_data.said.clear()
        _choose(qtbot, rows, 3, "n")
        _press(qtbot, rows, Key.Key_F2)
        editor = QApplication.focusWidget()
        assert isinstance(editor, QLineEdit)
        qtbot.keyClicks(editor, "12O")
        qtbot.keyClick(editor, key)
        QApplication.processEvents()  # an editor is closed by a queued event
        assert editor.isVisible() and editor.text() == "12O" and editor.property("state") == "danger"
        assert open_data.said == ["“12O” is no number. Correct it, or press Esc to leave the cell as it was."]
        assert _cell(rows, 3, "n") == 11
        qtbot.keyClick(editor, Key.Key_Escape)
        assert not editor.isVisible() and _cell(rows, 3, "n") == 11
        assert len(open_data.said) == 1
    _press(qtbot, rows, Key.Key_F2)
    editor = QApplication.focusWidget()
    assert isinstance(editor, QLineEdit)
    qtbot.keyClicks(editor, "12O")
    qtbot.mouseClick(rows.table.viewport(), LEFT, pos=rows.table.visualRect(rows.table.rows.index(5, 0)).center())
    assert open_data.said[-1] == "“12O” is no number. The cell was left as it was."
    _choose(qtbot, rows, 3, "n")
    _press(qtbot, rows, Key.Key_F2)
    editor = QApplication.focusWidget()
    assert isinstance(editor, QLineEdit)
    qtbot.keyClicks(editor, "x")
    qtbot.keyClick(editor, Key.Key_Return)
    qtbot.keyClick(editor, Key.Key_Backspace)
    assert editor.property("state") == ""
    qtbot.keyClicks(editor, "120")
    qtbot.keyClick(editor, Key.Key_Return)
    qtbot.waitUntil(lambda: _cell(rows, 3, "n") == 120, timeout=LONG)


def test_rows_are_dropped_duplicated_added_and_brought_back(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, _records())
    rows = page.view.rows
    _choose(qtbot, rows, 0, "text")
    _press(qtbot, rows, Key.Key_Down, Modifier.ShiftModifier)
    assert rows.table.selected_rows() == [0, 1]
    _press(qtbot, rows, Key.Key_Delete)
    qtbot.waitUntil(lambda: rows.count.text() == "298 rows" and _cell(rows, 0, "row_id") == 2, timeout=LONG)
    assert open_data.said == ["2 rows dropped."]
    step_history(page.ctx, "undo", "d-rows")
    qtbot.waitUntil(lambda: rows.count.text() == "300 rows" and _cell(rows, 0, "row_id") == 0, timeout=LONG)
    _choose(qtbot, rows, 5, "text")
    _press(qtbot, rows, Key.Key_D, Modifier.ControlModifier)
    qtbot.waitUntil(lambda: rows.count.text() == "301 rows", timeout=LONG)
    qtbot.waitUntil(lambda: _cell(rows, 300, "text") == _cell(rows, 5, "text"), timeout=LONG)
    _press(qtbot, rows, Key.Key_Insert)
    qtbot.waitUntil(lambda: rows.count.text() == "302 rows", timeout=LONG)
    qtbot.waitUntil(lambda: page.view.inspector.form is not None, timeout=LONG)
    assert rows.table.currentIndex().row() == 301


def test_a_row_is_added_where_columns_hold_days_and_amounts_and_a_day_is_edited_in_its_cell(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    day, price = datetime.date(2024, 2, 1), Decimal("12345678901234567891.12")
    page = open_data(project_folder, [{"text": "a", "day": day, "price": price}] * 3)
    rows = page.view.rows
    _choose(qtbot, rows, 1, "price")
    _press(qtbot, rows, Key.Key_F2)
    editor = rows.table.findChild(QLineEdit)
    assert editor is not None and editor.text() == str(price)
    qtbot.keyClick(editor, Key.Key_Return)
    qtbot.waitUntil(lambda: rows.table.findChild(QLineEdit) is None, timeout=LONG)
    _choose(qtbot, rows, 1, "day")
    _press(qtbot, rows, Key.Key_F2)
    editor = rows.table.findChild(QLineEdit)
    assert editor is not None and editor.text() == "2024-02-01"
    editor.setText("2024-03-05")
    qtbot.keyClick(editor, Key.Key_Return)
    qtbot.waitUntil(lambda: _cell(rows, 1, "day") == datetime.date(2024, 3, 5), timeout=LONG)
    assert _cell(rows, 1, "price") == price, "opened and left, a number keeps its digits"
    _press(qtbot, rows, Key.Key_Insert)
    qtbot.waitUntil(lambda: rows.count.text() == "4 rows" or bool(open_data.problems), timeout=LONG)
    assert not open_data.problems


def test_rows_added_under_a_filter_are_said_to_be_out_of_sight(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    rows = open_data(project_folder, _records(90)).view.rows
    rows.filter.setText("cat")
    rows.apply_filter()
    qtbot.waitUntil(lambda: rows.count.text() == "30 of 90 rows", timeout=LONG)
    _choose(qtbot, rows, 0, "text")
    _press(qtbot, rows, Key.Key_D, Modifier.ControlModifier)
    qtbot.waitUntil(lambda: bool(open_data.said), timeout=LONG)
    assert open_data.said == ["1 row added at the end. It may be out of sight with this filter or order."]
    _press(qtbot, rows, Key.Key_Down, Modifier.ShiftModifier)
    _press(qtbot, rows, Key.Key_D, Modifier.ControlModifier)
    qtbot.waitUntil(lambda: len(open_data.said) == 2, timeout=LONG)
    assert open_data.said[1] == "2 rows added at the end. They may be out of sight with this filter or order."


def test_rows_out_of_sight_are_dropped_too(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    rows = open_data(project_folder, _records(900)).view.rows
    rows.filter.setText("cat")
    rows.apply_filter()
    qtbot.waitUntil(lambda: rows.count.text() == "300 of 900 rows", timeout=LONG)
    rows.table.setFocus()
    rows.table.selectAll()
    _press(qtbot, rows, Key.Key_Delete)
    qtbot.waitUntil(lambda: open_data.said == ["300 rows dropped."], timeout=LONG)
    qtbot.waitUntil(lambda: rows.count.text() == "0 of 600 rows", timeout=LONG)


def test_all_chosen_rows_are_copied_though_few_are_held(
    open_data: OpenData, project_folder: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_data(project_folder, _records(2_000))
    rows = page.view.rows
    rows.sort_by([Sort("n", is_descending=True)])
    qtbot.waitUntil(lambda: _cell(rows, 0, "n") == 99, timeout=LONG)
    rows.table.setFocus()
    QApplication.clipboard().clear()
    _press(qtbot, rows, Key.Key_A, Modifier.ControlModifier)
    _press(qtbot, rows, Key.Key_C, Modifier.ControlModifier)
    qtbot.waitUntil(lambda: open_data.said == ["2,000 rows copied."], timeout=LONG)
    lines = QApplication.clipboard().text().split("\n")
    numbers = [int(line.split("\t")[1]) for line in lines]
    assert len({line.split("\t")[0] for line in lines}) == 2_000 and numbers == sorted(numbers, reverse=True)
    monkeypatch.setattr(copying, "MOST_CHARACTERS", 30_000)
    _press(qtbot, rows, Key.Key_C, Modifier.ControlModifier | Modifier.ShiftModifier)
    qtbot.waitUntil(lambda: len(open_data.said) == 2, timeout=LONG)
    copied = QApplication.clipboard().text().count("\n") + 1
    QApplication.clipboard().clear()  # what Python made would be gone before the clipboard, at the end of all tests
    assert 100 < copied < 400 and open_data.said[1].startswith(f"The first {copied} of 2,000 rows were copied")


def test_rows_are_tagged_and_rated_by_key(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records(40))
    rows = page.view.rows
    rows.table.selectAll()
    assert rows.table.selected_count() == 40
    _choose(qtbot, rows, 2, "text")
    _press(qtbot, rows, Key.Key_Plus)
    qtbot.waitUntil(lambda: _cell(rows, 2, "rating") == 1, timeout=LONG)
    qtbot.waitUntil(lambda: "rating" in rows.table.rows.shown, timeout=LONG)
    _choose(qtbot, rows, 2, "text")
    _press(qtbot, rows, Key.Key_T)
    popup = rows.commands.tag_popup
    assert popup is not None and popup.isVisible()
    qtbot.keyClicks(popup.field, "good, short")
    qtbot.keyClick(popup.field, Key.Key_Return)
    qtbot.waitUntil(lambda: _cell(rows, 2, "tags") == ["good", "short"], timeout=LONG)
    _choose(qtbot, rows, 3, "text")
    _press(qtbot, rows, Key.Key_T)
    assert [popup.list.item(i).text() for i in range(popup.list.count())] == ["good", "short"]
    popup.list.item(0).setCheckState(Qt.CheckState.Checked)
    popup.accept()
    qtbot.waitUntil(lambda: _cell(rows, 3, "tags") == ["good"], timeout=LONG)
    rows.filter.setText("tags:short")
    rows.apply_filter()
    qtbot.waitUntil(lambda: rows.count.text() == "1 of 40 rows", timeout=LONG)


def test_a_text_column_called_tags_is_not_taken_for_a_list(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    rows = open_data(project_folder, [{"text": "a", "tags": "vip|net"}, {"text": "b", "tags": None}]).view.rows
    for row in (0, 1):
        open_data.said.clear()
        _choose(qtbot, rows, row, "text")
        _press(qtbot, rows, Key.Key_T)
        assert len(open_data.said) == 1 and "“tags” holds no lists" in open_data.said[0]
        assert "Rename columns" in open_data.said[0]
    assert rows.commands.tag_popup is None


def test_columns_keep_their_shape_for_each_dataset(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records(50))
    rows = page.view.rows
    table = rows.table
    table.header.moveSection(1, 0)
    table.setColumnWidth(0, 333)
    table.hide_column("ok", True)
    table.freeze(1)
    rows.columns.open_below(rows.columns_button)
    shown = [rows.columns.list.item(i) for i in range(rows.columns.list.count())]
    assert [i.text() for i in shown] == ["n", "text", "ok", "messages"]
    assert [i.checkState() == Qt.CheckState.Checked for i in shown] == [True, True, False, True]
    rows.columns.close_panel()
    assert table.frozen.isVisible()
    rows.heads.write_memory()
    path = project_folder / "views" / "d-rows.json"
    qtbot.waitUntil(path.exists, timeout=LONG)
    layout = TableLayout(("n", "text", "ok", "messages"), {"text": 333}, frozenset({"ok"}), 1)
    assert table.layout_now().order == layout.order and table.layout_now().widths["text"] == 333
    page.ctx.close()
    again = open_data(project_folder, _records(50)).view.rows
    assert again.table.frozen_count == 1
    assert again.table.layout_now().hidden == {"ok"} and again.table.columnWidth(0) == 333


def test_everything_is_in_the_menus(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records(20))
    rows = page.view.rows
    _choose(qtbot, rows, 1, "text")
    texts = [action.text().replace("\t", " | ") for action in rows.commands.menu().actions() if action.text()]
    for wanted in ("Edit cell | F2", "Drop row | Del", "Duplicate row | Ctrl+D", "Tag… | T", "New row | Ins"):
        assert wanted in texts
    assert "Only rows where text is “A dog number 1”" in texts
    column = [action.text().split("\t")[0] for action in rows.column_menu.menu(0, QPoint()).actions()]
    assert {"Sort, smallest first", "Filter…", "Statistics…", "Hide", "Hold in place up to here"} <= set(column)
    rows.show_version(1)
    qtbot.waitUntil(lambda: rows.version_note.isVisible(), timeout=LONG)
    assert not any(
        a.isEnabled() for a in rows.commands.menu().actions() if a.text().startswith(("Drop", "Edit", "New"))
    )
    rows.show_version(None)
    QApplication.processEvents()
    assert rows.can_edit
