"""Values that a column does not take leave their editor open with the reason, in the cell and in the inspector."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit

from fmstudio.ui.pages.data.cell_editor import TextBox
from fmstudio.ui.pages.data.rows_view import RowsView
from fmstudio.ui.widgets.table.editor import CellLine
from fmstudio.ui.widgets.table.values import parse_text, whole_range
from tests.ui.data_kit import LONG, OpenData

Key, CTRL = Qt.Key, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def open_data(qtbot: Any) -> Iterator[OpenData]:
    opener = OpenData(qtbot)
    yield opener
    opener.close()


def records() -> list[dict[str, Any]]:
    day = datetime.date(2024, 2, 1)
    return [{"n": i, "price": Decimal("1.25"), "day": day, "meta": {"k": i, "s": "x"}} for i in range(4)]


def opened(qtbot: Any, rows: RowsView, row: int, name: str) -> CellLine:
    """The editor of a cell, opened with F2."""
    rows.table.setFocus()
    rows.table.setCurrentIndex(rows.table.rows.index(row, rows.table.rows.shown.index(name)))
    qtbot.keyClick(rows.table, Key.Key_F2)
    return editor_of(rows)


def editor_of(rows: RowsView) -> CellLine:
    return next(line for line in rows.table.findChildren(CellLine) if line.isVisible())


def test_the_range_of_whole_numbers_is_known_by_type() -> None:
    assert whole_range("int8") == (-128, 127) and whole_range("UTINYINT") == (0, 255)
    assert whole_range("double") is None and whole_range("list<item: int64>") is None
    assert parse_text("-128", "number", limits=(-128, 127)) == -128
    with pytest.raises(ValueError, match="from -128 to 127, not “128”"):
        parse_text("128", "number", limits=(-128, 127))


def test_a_number_out_of_range_stays_in_its_open_editor(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    rows = open_data(project_folder, records()).view.rows
    editor = opened(qtbot, rows, 1, "n")
    editor.setText("9223372036854775808")
    qtbot.keyClick(editor, Key.Key_Return)
    assert editor_of(rows).text() == "9223372036854775808"
    assert "9,223,372,036,854,775,807" in editor.toolTip()
    assert open_data.problems == [] and open_data.said[-1].endswith("press Esc to leave the cell as it was.")


@pytest.mark.parametrize(("name", "typed", "right"), [("price", "123456.5", "2.50"), ("day", "soon", "2024-03-01")])
def test_what_the_store_refuses_opens_its_cell_again(
    open_data: OpenData, project_folder: Path, qtbot: Any, name: str, typed: str, right: str
) -> None:
    rows = open_data(project_folder, records()).view.rows
    before = rows.table.rows.record(2)[name]  # type: ignore[index]
    editor = opened(qtbot, rows, 2, name)
    editor.setText(typed)
    qtbot.keyClick(editor, Key.Key_Return)
    qtbot.waitUntil(lambda: any("does not fit" in text for text in open_data.said), timeout=LONG)
    again = editor_of(rows)
    assert (again.text(), again.hasFocus()) == (typed, True)
    assert f"the column “{name}”" in again.toolTip() and open_data.problems == []
    qtbot.waitUntil(lambda: rows.table.rows.record(2)[name] == before, timeout=LONG)  # type: ignore[index]
    assert (again.isVisible(), again.text()) == (True, typed), "the rows that were read again undid the typing"
    assert (2, name) not in rows.table.rows.marked
    again.setText(right)
    qtbot.keyClick(again, Key.Key_Return)
    project = rows.ctx.project
    assert project is not None
    qtbot.waitUntil(lambda: str(project.rows_by_id("rows", [2]).records()[0][name]) == right, timeout=LONG)


def test_what_the_store_refuses_stays_in_the_inspector(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, records())
    inspector, rows = page.view.inspector, page.view.rows
    rows.table.setCurrentIndex(rows.table.rows.index(1, 0))
    qtbot.waitUntil(lambda: inspector.record is not None and inspector.record["row_id"] == 1, timeout=LONG)
    inspector.edit("meta")
    assert inspector.form is not None
    box = next(b for b in inspector.form.findChildren(TextBox) if b.accessibleName() == "meta")
    number = next(b for b in inspector.form.findChildren(QLineEdit) if b.accessibleName() == "n")
    number.setText("77")
    box.setPlainText('{"z": 5}')
    qtbot.keyClick(box, Key.Key_Return, CTRL)
    qtbot.waitUntil(lambda: inspector.form is not None, timeout=LONG)
    form = inspector.form
    assert form is not None
    assert "the fields k, s, not z" in form.error.text() and open_data.problems == []
    assert form.changes() == {"n": 77, "meta": {"z": 5}}
    box = next(b for b in form.findChildren(TextBox) if b.accessibleName() == "meta")
    box.setPlainText('{"k": 5, "s": "y"}')
    inspector.save()
    project = page.ctx.project
    assert project is not None
    qtbot.waitUntil(lambda: project.rows_by_id("rows", [1]).records()[0]["meta"] == {"k": 5, "s": "y"}, timeout=LONG)
    assert project.rows_by_id("rows", [1]).records()[0]["n"] == 77
