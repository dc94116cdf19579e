"""Queries are written, completed, run, stopped, drawn, saved and used as filters, on a real store."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QGuiApplication

from fmstudio.ui.pages.data import DataPage
from fmstudio.ui.pages.data.sql_editor import error_place
from fmstudio.ui.pages.data.sql_filter import plain_where
from fmstudio.ui.pages.data.sql_view import SqlView
from fmstudio.ui.widgets.time_axis import moment_number, time_ticks
from tests.ui.data_kit import LONG, OpenData

Key, Control, LEFT = Qt.Key, Qt.KeyboardModifier.ControlModifier, Qt.MouseButton.LeftButton
ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b"


@pytest.fixture
def open_data(qtbot: Any) -> Iterator[OpenData]:
    opener = OpenData(qtbot)
    yield opener
    opener.close()


def _open(open_data: OpenData, folder: Path, qtbot: Any, name: str = "rows") -> tuple[DataPage, SqlView]:
    records = [{"text": f"line {i}", "topic": "ab"[i % 2], "n": i} for i in range(40)]
    page = open_data(folder, records, name)
    qtbot.keyClick(page, Key.Key_3, Qt.KeyboardModifier.AltModifier)
    view = page.view.tabs.sql
    qtbot.waitUntil(lambda: view.isVisible() and view.tables.topLevelItemCount() > 0, timeout=LONG)
    assert view.editor.hasFocus()
    return page, view


def _run(qtbot: Any, view: SqlView, sql: str) -> None:
    before = view.result
    view.editor.set_query(sql)
    qtbot.keyClick(view.editor, Key.Key_Return, Control)
    qtbot.waitUntil(lambda: view.result is not before and not view._is_running, timeout=LONG)


def test_a_query_is_run_shown_and_copied(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    _, view = _open(open_data, project_folder, qtbot)
    _run(qtbot, view, "SELECT topic, count(*) AS rows, avg(n)::DECIMAL(5,1) AS mean FROM rows GROUP BY 1 ORDER BY 1")
    assert view.status.text().startswith("2 rows in ") and not view.cut.isVisible()
    assert view.table.rows.record(0) == {"topic": "a", "rows": 20, "mean": 19.0}
    qtbot.mouseClick(view.copy_button, LEFT)
    assert QGuiApplication.clipboard().text() == "topic,rows,mean\na,20,19.0\nb,20,20.0\n"
    view.show_shape("chart")
    assert view.chart.isVisible() and view.chart.plot.series[0].points == [(0.0, 20.0), (1.0, 20.0)]
    assert view.chart.plot.to_csv() == "topic,rows\na,20.0\nb,20.0\n"
    view.chart.plot.save(project_folder / "chart.png")
    assert (project_folder / "chart.png").stat().st_size > 1_000
    _run(qtbot, view, "SELECT i FROM range(20000) t(i)")
    assert view.cut.isVisible() and view.cut.text() == "cut at 10,000 rows"
    assert view.table.rows.total == 10_000 and open_data.problems == []


def test_a_result_keeps_its_digits_and_what_has_no_place_is_not_drawn(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    _, view = _open(open_data, project_folder, qtbot)
    _run(qtbot, view, "SELECT 12345678901234567.89::DECIMAL(20,2) AS d, MAP {DATE '2024-01-01': 1} AS m")
    assert view.table.rows.record(0) == {"d": decimal.Decimal("12345678901234567.89"), "m": {"2024-01-01": 1}}
    qtbot.mouseClick(view.copy_button, LEFT)
    assert QGuiApplication.clipboard().text() == 'd,m\n12345678901234567.89,"{""2024-01-01"": 1}"\n'
    view.show_shape("chart")
    _run(qtbot, view, "SELECT * FROM (VALUES (2023, 'nan'::DOUBLE), (2024, 3), (2025, 'inf'), (2026, 5)) t(year, n)")
    assert view.chart.plot.series[0].points == [(0.0, 3.0), (1.0, 5.0)]
    assert view.chart.plot.to_csv() == "year,n\n2024,3.0\n2026,5.0\n"
    _run(qtbot, view, "SELECT 'infinity'::TIMESTAMP AS until, 7 AS n UNION ALL SELECT TIMESTAMP '2024-01-01', 8")
    assert view.chart.isVisible() and len(view.chart.plot.series[0].points) == 2
    assert open_data.problems == []


def test_a_chart_draws_no_column_over_itself(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    _, view = _open(open_data, project_folder, qtbot)
    _run(qtbot, view, "SELECT 2020 + i AS year, i AS n FROM range(3) t(i)")
    assert (view.chart.across.currentText(), view.chart.up.currentText()) == ("year", "n")
    _run(qtbot, view, "SELECT DATE '2024-01-01' + i::INT AS day, 2020 + i AS year FROM range(3) t(i)")
    assert (view.chart.across.currentText(), view.chart.up.currentText()) == ("day", "year")


def test_an_error_stands_below_the_query_and_its_place_is_marked(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    _, view = _open(open_data, project_folder, qtbot)
    sql = "SELECT *\nFROM rows\nWHERE nn > 5"
    view.editor.set_query(sql)
    qtbot.keyClick(view.editor, Key.Key_Return, Control)
    qtbot.waitUntil(view.error.isVisible, timeout=LONG)
    assert "nn" in view.error.text()
    assert view.editor.textCursor().position() == sql.index("nn")
    assert [mark.cursor.selectedText() for mark in view.editor.extraSelections()] == ["nn"]
    qtbot.keyClicks(view.editor, "x")
    assert view.editor.extraSelections() == [] and open_data.problems == []


def test_after_a_failure_no_older_rows_stand_as_the_answer(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page, view = _open(open_data, project_folder, qtbot)
    _run(qtbot, view, "SELECT * FROM rows WHERE n > 5")
    view.table.go_to(0)
    qtbot.waitUntil(lambda: "of the result" in page.view.tabs.inspector.title.text(), timeout=LONG)
    view.editor.set_query("SELECT nn FROM rows")
    qtbot.keyClick(view.editor, Key.Key_Return, Control)
    qtbot.waitUntil(view.error.isVisible, timeout=LONG)
    assert not view.table.isVisible() and view._failed.isVisible() and view.result is None
    assert not any(b.isVisible() for b in (view.copy_button, view.save_button, view.filter_button))
    qtbot.waitUntil(lambda: "of the result" not in page.view.tabs.inspector.title.text(), timeout=LONG)
    _run(qtbot, view, "SELECT 1 AS one")
    assert view.table.isVisible() and view.save_button.isVisible() and not view._failed.isVisible()


def test_a_chart_has_two_columns_and_its_moments_stand_where_they_belong(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    _, view = _open(open_data, project_folder, qtbot)
    chart, plot = view.chart, view.chart.plot
    _run(qtbot, view, "SELECT topic, n FROM rows")
    view.show_shape("chart")
    assert (chart.across.currentText(), chart.up.currentText()) == ("topic", "n")
    _run(qtbot, view, "SELECT n, length(text) AS len FROM rows")
    assert (chart.across.currentText(), chart.up.currentText()) == ("len", "n")
    _run(qtbot, view, "SELECT CASE n WHEN 0 THEN '' WHEN 1 THEN NULL ELSE 'x' END AS g, n FROM rows LIMIT 3")
    assert plot.to_csv() == 'g,n\n"""""",0.0\nnull,1.0\nx,2.0\n'
    days = "SELECT TIMESTAMP '2024-02-29 00:00' + to_days(n * n) AS day, n FROM rows WHERE n < 6 ORDER BY n DESC"
    _run(qtbot, view, days)
    assert plot.to_csv().splitlines()[1:3] == ["2024-03-25,5.0", "2024-03-16,4.0"]
    chart.kind.setCurrentIndex(chart.kind.findData("line"))
    assert [round((x - plot.series[0].points[0][0]) / 86_400) for x, _ in plot.series[0].points] == [0, 1, 4, 9, 16, 25]
    assert plot.to_csv().splitlines()[1:3] == ["2024-02-29,0.0", "2024-03-01,1.0"]
    scale = plot._scale(QRectF(plot.rect()))
    assert scale is not None
    ticks = plot._x_ticks(scale)
    assert len(ticks) > 1 and all(text.startswith("2024-0") and len(text) == 10 for _, text in ticks)
    assert plot._x_words(plot.series[0].points[-1][0]) == "2024-03-25"
    _run(qtbot, view, "SELECT '2024-02-0' || n || ' 12:30' AS day, n FROM rows WHERE n BETWEEN 1 AND 9")
    assert plot.to_csv().splitlines()[1:3] == ["2024-02-01 12:30,1.0", "2024-02-02 12:30,2.0"]
    assert plot.series[0].points[1][0] - plot.series[0].points[0][0] == 86_400
    _run(qtbot, view, "SELECT i, i * 2 AS j FROM range(7000) t(i)")
    assert chart.note.isVisible() and chart.note.text() == "Drawn: the first 5,000 of 7,000 rows."


@pytest.mark.parametrize(
    ("low", "high", "first", "second"),
    [
        ("2024-01-01 10:00:07", "2024-01-01 10:00:12", "2024-01-01 10:00:07", "2024-01-01 10:00:08"),
        ("2024-01-01 22:10", "2024-01-02 03:10", "2024-01-01 23:00", "2024-01-02"),
        ("2023-12-30", "2024-01-04", "2023-12-30", "2023-12-31"),
        ("2023-11-15", "2024-05-02", "2023-12", "2024-01"),
        ("1890-06-01", "1940-01-01", "1900", "1910"),
        ("0001-01-01", "9999-12-31", "1000", "2000"),
    ],
)
def test_ticks_of_moments_stand_at_steps_of_clock_and_calendar(low: str, high: str, first: str, second: str) -> None:
    start, end = (moment_number(datetime.datetime.fromisoformat(text)) for text in (low, high))
    ticks = time_ticks(start, end, 6)
    assert [text for _, text in ticks[:2]] == [first, second] and len(ticks) <= 9
    assert all(start <= at <= end for at, _ in ticks)


def test_a_running_query_is_stopped_with_esc(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    _, view = _open(open_data, project_folder, qtbot)
    view.editor.set_query(ENDLESS)
    qtbot.keyClick(view.editor, Key.Key_Return, Control)
    qtbot.waitUntil(lambda: view.status.text().startswith("Running…") and view.stop_button.isVisible(), timeout=LONG)
    qtbot.keyClick(view.editor, Key.Key_Escape)
    qtbot.waitUntil(lambda: view.run_button.isVisible(), timeout=LONG)
    assert view.error.text().startswith("The query was stopped.")


def test_names_are_completed_and_inserted_from_the_tables(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    _, view = _open(open_data, project_folder, qtbot, "my rows")
    popup = view.editor.popup
    qtbot.keyClicks(view.editor, "SELECT to")
    qtbot.waitUntil(popup.isVisible, timeout=LONG)
    qtbot.keyClick(view.editor, Key.Key_Tab)
    assert view.editor.toPlainText() == "SELECT topic" and not popup.isVisible() and view.editor.hasFocus()
    qtbot.keyClicks(view.editor, " FROM ")
    view.tables.setFocus()
    first = view.tables.topLevelItem(0)
    assert first is not None
    view.tables.setCurrentItem(first)
    qtbot.keyClick(view.tables, Key.Key_Return)
    assert view.editor.toPlainText() == 'SELECT topic FROM "my rows"' and view.editor.hasFocus()
    qtbot.keyClick(view.editor, Key.Key_Tab)
    assert not view.editor.hasFocus()


def test_queries_run_before_come_back(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    _, view = _open(open_data, project_folder, qtbot)
    for sql in ("SELECT 1 AS a", "SELECT 2 AS b"):
        _run(qtbot, view, sql)
    qtbot.waitUntil(lambda: len(view.editor.history) == 2, timeout=LONG)
    view.editor.set_query("a draft")
    seen = []
    for key in (Key.Key_Up, Key.Key_Up, Key.Key_Up, Key.Key_Down, Key.Key_Down):
        qtbot.keyClick(view.editor, key, Control)
        seen.append(view.editor.toPlainText())
    assert seen == ["SELECT 2 AS b", "SELECT 1 AS a", "SELECT 1 AS a", "SELECT 2 AS b", "a draft"]


def test_a_query_becomes_a_filter_or_a_dataset(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page, view = _open(open_data, project_folder, qtbot)
    _run(qtbot, view, "SELECT topic FROM rows")
    assert not view.filter_button.isVisible()
    _run(qtbot, view, "SELECT * FROM rows WHERE n >= 30 AND topic = 'a' ORDER BY n;")
    qtbot.mouseClick(view.filter_button, LEFT)
    rows = page.view.rows
    qtbot.waitUntil(lambda: rows.isVisible() and rows.count.text() == "5 of 40 rows", timeout=LONG)
    assert rows.filter.text() == "n >= 30 AND topic = 'a'"
    page.view.show_tab("sql")
    qtbot.keyClick(view.save_button, Key.Key_Space)
    field = view.save_line.field
    assert field.hasFocus() and field.text() == "rows query"
    qtbot.keyClicks(field, "late ones")
    qtbot.keyClick(field, Key.Key_Return)
    qtbot.waitUntil(lambda: not field.isVisible(), timeout=LONG)
    assert view.editor.hasFocus()
    # Whoever stands in the editor stays there and is told.
    qtbot.waitUntil(lambda: "“late ones” is ready." in open_data.said, timeout=LONG)
    assert view.isVisible() and page.view.dataset is not None and page.view.dataset.name == "rows"
    assert ("late ones", 5) in [(d.name, d.rows) for d in page._datasets] and open_data.problems == []


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT * FROM data WHERE n > 5", "n > 5"),
        ('from "data" where (a or b) -- all\n order by n limit 5;', "(a or b)"),
        ("SELECT * FROM data WHERE t = 'a; limit 5' /* x */", "t = 'a; limit 5'"),
        ("SELECT * FROM data WHERE n IN (SELECT n FROM other GROUP BY n)", "n IN (SELECT n FROM other GROUP BY n)"),
        ("SELECT n FROM data WHERE n > 5", None),
        ("SELECT * FROM other WHERE n > 5", None),
        ("SELECT * FROM data", None),
        ("SELECT * FROM data JOIN b USING (n) WHERE n > 5", None),
        ("SELECT * FROM data WHERE n > 5 GROUP BY ALL", None),
        ("SELECT * FROM data WHERE n > 5; SELECT 1", None),
        ("SELECT * FROM data WHERE n > 5 UNION ALL SELECT * FROM data", None),
    ],
)
def test_only_a_plain_filter_counts_as_one(sql: str, found: str | None) -> None:
    assert plain_where(sql, "data") == found


LONG_LIST = ", ".join(f"column_number_{i}" for i in range(30))


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        (f"SELECT {LONG_LIST} FROM (SELECT 1) WHERE FORM 5 = {LONG_LIST}", "5 = column"),
        ("\n\n  SELECT 1,\n  FORM x y z", "y z"),
        ("SELECT 'é', nocol FROM (SELECT 1 AS a)", "nocol"),
        ("SELECT 1 FROM nowhere", "nowhere"),
        ("SELECT 1 WHERE 'x'::INTEGER = 1", "::INTEGER"),
    ],
)
def test_the_place_of_an_error_is_found_in_what_duckdb_says(sql: str, place: str) -> None:
    with pytest.raises(duckdb.Error) as caught:
        duckdb.connect().execute(sql).fetchall()
    found = error_place(sql, f"{sql}\n\n{caught.value}")
    assert found is not None and sql[found:].startswith(place)
    assert error_place(sql, "Out of Memory Error: could not allocate") is None
