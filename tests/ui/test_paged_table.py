"""The table holds a few pages of any number of rows, and shows each kind of value sensibly."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from PySide6.QtCore import QItemSelectionModel, Qt, QTimer
from PySide6.QtWidgets import QApplication

from fmstudio.ui.widgets.paged_table import PAGES_KEPT, FixedPage, PagedTable, RowsPage, cell_text, full_text
from fmstudio.ui.widgets.table.copying import json_line
from fmstudio.ui.widgets.table.painter import CellPainter, Look
from fmstudio.ui.widgets.table.thumbnails import Thumbnails
from fmstudio.ui.widgets.table.values import compact_json, named_text, one_line, tsv_text

TEN_MILLION = 10_000_000


class _Source:
    """Delivers pages a moment later, as the store does, and counts them."""

    def __init__(self, total: int, mark: str = "row") -> None:
        self.total, self.mark, self.asked = total, mark, []  # type: ignore[var-annotated]

    def __call__(self, offset: int, limit: int, deliver: Callable[[RowsPage], None]) -> None:
        self.asked.append(offset)
        count = max(0, min(limit, self.total - offset))
        rows = [(i, f"{self.mark} {i}", i / 2) for i in range(offset, offset + count)]
        page = FixedPage(("row_id", "text", "score"), rows, offset, self.total)
        QTimer.singleShot(1, lambda: deliver(page))


def _table(qtbot: Any, source: _Source) -> PagedTable:
    table = PagedTable()
    qtbot.addWidget(table)
    table.resize(800, 600)
    table.show()
    table.rows.load(source, frozenset({"row_id"}))
    qtbot.waitUntil(lambda: table.rows.total == source.total)
    return table


def _text(table: PagedTable, row: int) -> str:
    return str(table.rows.data(table.rows.index(row, 0)))


def test_ten_million_rows_are_reached_at_any_place(qtbot: Any) -> None:
    source = _Source(TEN_MILLION)
    table = _table(qtbot, source)
    assert table.rows.rowCount() == TEN_MILLION
    table.scrollToBottom()
    qtbot.waitUntil(lambda: _text(table, TEN_MILLION - 1) == "row 9999999")
    for place in range(60):
        table.verticalScrollBar().setValue(place * 160_000)
        QApplication.processEvents()
    qtbot.waitUntil(lambda: _text(table, 59 * 160_000) == f"row {59 * 160_000}")
    assert len(table.rows._pages) <= PAGES_KEPT
    assert len(source.asked) < 400


def test_first_rows_that_are_not_counted_are_shown_and_the_others_follow(qtbot: Any) -> None:
    calls: list[Callable[[RowsPage], None]] = []
    table, totals, firsts = PagedTable(), [], []  # type: ignore[var-annotated]
    qtbot.addWidget(table)
    table.resize(800, 600)
    table.show()
    table.rows.total_known.connect(totals.append)
    table.rows.first_there.connect(lambda: firsts.append(1))
    table.rows.load(lambda offset, limit, deliver: calls.append(deliver))
    rows = [(i, f"row {i}", 0.5) for i in range(200)]
    calls[0](FixedPage(("row_id", "text", "score"), rows, 0, 200, is_counted=False))
    assert (totals, firsts, table.rows.total, table.rows.is_counted) == ([], [1], 200, False)
    table.selectAll()
    assert table.selected_count() == 200
    table.selectionModel().setCurrentIndex(table.rows.index(7, 1), QItemSelectionModel.SelectionFlag.NoUpdate)
    calls[0](FixedPage(("row_id", "text", "score"), rows, 0, 5_000))
    assert (totals, firsts, table.rows.total, table.rows.is_counted) == ([5_000], [1], 5_000, True)
    assert table.selected_count() == 5_000  # all were chosen, and all are
    assert table.currentIndex().row() == 7


def test_rows_asked_for_again_before_the_first_page_came_are_shown(qtbot: Any) -> None:
    table = _table(qtbot, _Source(500, "old"))
    held: list[Callable[[RowsPage], None]] = []
    fresh = _Source(300, "new")

    def fetch(offset: int, limit: int, deliver: Callable[[RowsPage], None]) -> None:
        if held:
            fresh(offset, limit, deliver)
        else:
            held.append(deliver)

    table.rows.load(fetch, frozenset({"row_id"}))
    assert not table.rows.is_counted  # the old rows are still seen, their number is no answer to what is asked now
    table.rows.refresh()
    qtbot.waitUntil(lambda: table.rows.total == 300 and _text(table, 0) == "new 0")
    held[0](FixedPage(("row_id", "text", "score"), [(0, "late 0", 0.5)], 0, 1))  # from before the change: no news
    assert table.rows.total == 300 and _text(table, 0) == "new 0"


def test_rows_asked_for_again_do_not_shrink_to_what_was_counted(qtbot: Any) -> None:
    source = _Source(5_000)
    table = _table(qtbot, source)
    page = FixedPage(("row_id", "text", "score"), [(i, f"new {i}", 0.5) for i in range(200)], 0, 200, is_counted=False)
    table.rows._fetch = lambda offset, limit, deliver: deliver(page)
    table.rows.refresh()
    qtbot.waitUntil(lambda: _text(table, 0) == "new 0")
    assert table.rows.total == 5_000 and not table.rows.is_counted


def test_a_page_on_its_way_is_not_asked_for_again(qtbot: Any) -> None:
    source = _Source(TEN_MILLION)
    table = _table(qtbot, source)
    slow: list[Callable[[RowsPage], None]] = []
    table.rows._fetch = lambda offset, limit, deliver: slow.append(deliver)
    for _ in range(20):
        assert table.rows.record(5_000_000) is None
        QApplication.processEvents()
    assert len(slow) == 1


def test_late_rows_of_an_older_question_are_dropped(qtbot: Any) -> None:
    table = _table(qtbot, _Source(100, "old"))
    old, new = _Source(100, "late"), _Source(50, "new")
    table.rows.load(old)
    table.rows.load(new)
    qtbot.waitUntil(lambda: table.rows.total == 50)
    qtbot.wait(20)
    assert _text_in(table, 0) == "new 0"


def _text_in(table: PagedTable, row: int) -> object:
    return (table.rows.record(row) or {}).get("text")


def test_numbers_stand_to_the_right_and_hidden_columns_are_hidden(qtbot: Any) -> None:
    table = _table(qtbot, _Source(10))
    assert [table.rows.headerData(i, Qt.Orientation.Horizontal) for i in range(2)] == ["text", "score"]
    role = Qt.ItemDataRole.TextAlignmentRole
    sides = [int(table.rows.data(table.rows.index(0, i), role)) for i in range(2)]
    assert [bool(side & int(Qt.AlignmentFlag.AlignRight)) for side in sides] == [False, True]
    assert (table.rows.record(3) or {})["row_id"] == 3


def test_rows_are_copied_as_cells_and_as_json_lines(qtbot: Any) -> None:
    table = _table(qtbot, _Source(10))
    table.selectRow(2)
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(table, Qt.Key.Key_C, control)
    assert QApplication.clipboard().text() == "row 2\t1.0"
    assert b'"row_id": 2' in QApplication.clipboard().mimeData().data("application/x-ndjson").data()
    qtbot.keyClick(table, Qt.Key.Key_C, control | shift)
    assert QApplication.clipboard().text() == '{"row_id": 2, "text": "row 2", "score": 1.0}'


def test_bytes_are_copied_as_base64_in_json() -> None:
    assert (
        json_line({"picture": b"\x89PNG", "day": datetime.date(2024, 2, 1)})
        == '{"picture": "iVBORw==", "day": "2024-02-01"}'
    )


def test_a_cell_says_how_many_messages_have_no_room(qtbot: Any) -> None:
    cells = CellPainter(Thumbnails())
    messages = [{"role": "assistant", "content": "A rather long sentence"}] * 5
    drawn = [piece.text for piece in cells._prepare(messages, Look("messages"), 380.0)]
    shown = sum(text == "assistant" for text in drawn)
    assert 0 < shown < 5 and drawn[-1] == f"+{5 - shown}"


def test_the_chosen_row_is_told(qtbot: Any) -> None:
    table = _table(qtbot, _Source(10))
    with qtbot.waitSignal(table.row_chosen) as blocker:
        qtbot.mouseClick(
            table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(table.rows.index(4, 0)).center()
        )
    assert blocker.args == [4]


def test_words_of_all_scripts_are_written_as_they_are() -> None:
    persian, family, japanese = "می\u200cخواهم", "👩\u200d👧", "東京\u3000都"
    assert [one_line(text) for text in (persian, family, japanese)] == [persian, family, japanese]
    assert one_line("a\x07b\u202ec") == "a␣b␣c", "what controls is seen"


def test_cells_read_well() -> None:
    messages = [{"role": "user", "content": "Hi\nthere"}, {"role": "assistant", "content": "Hello"}]
    assert cell_text(messages) == "user: Hi there   assistant: Hello"
    assert full_text(messages) == "User: Hi\nthere\nAssistant: Hello"
    assert cell_text(1234567) == "1,234,567"
    assert cell_text(None) == ""
    assert cell_text(True) == "true"
    assert cell_text(float("nan")) == "NaN"
    assert cell_text("a\nb\tc") == "a ⏎ b → c"
    assert cell_text(["x", "y"]) == "x, y"
    assert cell_text(b"123") == "3 bytes"
    assert cell_text([0.5] * 256) == "256 numbers"
    assert cell_text(datetime.date(2024, 2, 1)) == full_text(datetime.date(2024, 2, 1)) == "2024-02-01"
    assert cell_text(datetime.datetime(2024, 2, 1, 9, 30)) == "2024-02-01 09:30:00"
    assert cell_text(Decimal("12345678901234567891.10")) == "12,345,678,901,234,567,891.10"
    assert tsv_text(Decimal("0.10")) == "0.10" and tsv_text(datetime.time(1, 2)) == "01:02:00"
    assert (named_text(""), named_text("  "), named_text(None)) == ('""', '"  "', "null")
    assert len(cell_text("x" * 10_000)) == 300


def test_maps_may_be_keyed_by_anything() -> None:
    value = {datetime.date(2024, 1, 2): [1, None], 3: "x"}
    assert compact_json(value) == '{"2024-01-02": [1, null], "3": "x"}'
    assert full_text(value).startswith('{\n  "2024-01-02"')
    assert tsv_text(value) == compact_json(value)
