"""The inspector shows a row whole, finds in it, tells its story and edits it; statistics open from the header."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QBuffer, QByteArray, QPoint, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import (
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QTextBrowser,
    QTextEdit,
    QWidget,
)

from fmstudio.project.filters import ColumnFilter
from fmstudio.ui.pages.data.cell_editor import MessagesEditor, RowForm, TextBox
from fmstudio.ui.pages.data.cell_views import value_view
from fmstudio.ui.pages.data.row_story_view import RowStory
from fmstudio.ui.pages.data.whole_messages import whole_messages
from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.chat_bubbles import AT_ONCE, ChatBubbles
from fmstudio.ui.widgets.code_view import CodeView
from fmstudio.ui.widgets.json_tree import JsonTree
from fmstudio.ui.widgets.parts import ElidedLabel
from fmstudio.ui.widgets.table.thumbnails import read_image
from fmstudio.ui.widgets.table.values import kind_of_values, parse_text, snippet
from tests.ui.data_kit import LONG, OpenData

Key, Modifier, LEFT = Qt.Key, Qt.KeyboardModifier, Qt.MouseButton.LeftButton
CHAT = [{"role": "user", "content": "Where is the **cat**?"}, {"role": "assistant", "content": "On the sofa."}]


@pytest.fixture
def open_data(qtbot: Any) -> Iterator[OpenData]:
    opener = OpenData(qtbot)
    yield opener
    opener.close()


def _records() -> list[dict[str, Any]]:
    return [{"messages": CHAT, "note": None if i else "first", "n": i, "ok": bool(i % 2)} for i in range(8)]


def _png(side: int) -> bytes:
    image = QImage(side, side, QImage.Format.Format_RGB32)
    image.fill(QColor("red"))
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return bytes(data.data())


def _texts(widget: QWidget) -> str:
    views = [v.toPlainText() for v in [*widget.findChildren(QTextBrowser), *widget.findChildren(QPlainTextEdit)]]
    return "\n".join([*views, *(label.text() for label in widget.findChildren(QLabel))])


def test_a_row_is_shown_whole_with_its_neighbours(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    inspector, table = page.view.inspector, page.view.rows.table
    table.selectRow(0)
    table.setCurrentIndex(table.rows.index(0, 0))
    qtbot.waitUntil(lambda: inspector.record is not None, timeout=LONG)
    assert inspector.title.text() == "Row 1"
    shown = _texts(inspector)
    assert "Where is the cat?" in shown and "first" in shown and "From rows.jsonl" in shown
    qtbot.keyClick(inspector, Key.Key_Down, Modifier.AltModifier)
    qtbot.waitUntil(lambda: inspector.title.text() == "Row 2", timeout=LONG)
    assert "null" in _texts(inspector)
    inspector.raw.click()
    assert "Where is the **cat**?" in _texts(inspector)


def test_a_row_of_many_columns_comes_in_parts_and_is_read_by_key(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    """All of 300 columns at once took a second for each row, in which no key was answered."""
    records = [{f"column {i:03d}": f"value {row} {i}" for i in range(300)} for row in range(3)]
    page = open_data(project_folder, records)
    inspector, table = page.view.inspector, page.view.rows.table
    bar = inspector.area.verticalScrollBar()
    table.setCurrentIndex(table.rows.index(0, 0))
    qtbot.waitUntil(lambda: "value 0 0" in _texts(inspector), timeout=LONG)
    assert "value 0 299" not in _texts(inspector)
    qtbot.waitUntil(lambda: bar.maximum() > inspector.area.viewport().height(), timeout=LONG)
    inspector.setFocus()
    for _ in range(60):
        if "value 0 299" in _texts(inspector):
            break
        qtbot.keyClick(inspector, Key.Key_PageDown)
        qtbot.keyClick(inspector, Key.Key_PageDown)
        qtbot.wait(30)
    assert "value 0 299" in _texts(inspector) and "Row id 0" in _texts(inspector)
    place = bar.value()
    page.view.rows.commands.set_values(0, {"column 299": "changed"})
    qtbot.waitUntil(lambda: "changed" in _texts(inspector), timeout=LONG)
    qtbot.waitUntil(lambda: bar.value() > place - 100, timeout=LONG)  # another value of the row does not lose the place
    qtbot.keyClick(inspector, Key.Key_Home)
    assert bar.value() == 0
    table.setCurrentIndex(table.rows.index(1, 0))
    qtbot.waitUntil(lambda: "value 1 0" in _texts(inspector), timeout=LONG)
    inspector.open_find()
    inspector.find_bar.field.setText("value 1 299")
    qtbot.waitUntil(lambda: inspector.find_bar.status.text() == "1 / 1", timeout=LONG)  # though it is not in sight yet
    qtbot.keyClick(inspector, Key.Key_Down, Modifier.AltModifier)
    inspector.find_bar.field.setText("value 2 299")
    qtbot.waitUntil(lambda: inspector.find_bar.status.text() == "1 / 1", timeout=LONG)


def test_long_names_and_unbroken_values_leave_the_others_whole(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    name, unbroken = "name_" * 16, "x" * 120
    record = {name: "short", "n": 10**18, "tags": [unbroken, "ok"], "d": 1.5, "end": f"https://example.org/{unbroken}"}
    page = open_data(project_folder, [record, record])
    inspector, table = page.view.inspector, page.view.rows.table
    page.resize(1000, 700)
    table.setCurrentIndex(table.rows.index(0, 0))
    qtbot.waitUntil(lambda: inspector.record is not None and not inspector.find_bar.isVisible(), timeout=LONG)
    room = inspector.area.viewport().width()
    for is_editing in (False, True):
        if is_editing:
            inspector.edit()
        qtbot.waitUntil(lambda: all(w.isVisible() for w in inspector._body.findChildren(ElidedLabel)), timeout=LONG)
        body = inspector._body
        assert body.width() == room
        assert next(w for w in body.findChildren(ElidedLabel) if w.text() == name).toolTip() == name
    tags = value_view("tags", [unbroken, "ok"], "list<item: string>")
    assert tags.minimumSizeHint().width() < room


def test_a_text_is_found_inside_a_row(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    inspector, rows = page.view.inspector, page.view.rows
    rows.filter.setText("sofa")
    rows.apply_filter()
    rows.table.go_to(0)
    qtbot.waitUntil(lambda: inspector.record is not None, timeout=LONG)
    marked = lambda: sum(len(v.extraSelections()) for v in inspector.findChildren(QTextEdit))  # noqa: E731
    qtbot.waitUntil(lambda: marked() == 1, timeout=LONG)  # what the filter looked for
    qtbot.keyClick(inspector, Key.Key_F, Modifier.ControlModifier)
    assert inspector.find_bar.isVisible()
    qtbot.keyClicks(inspector.find_bar.field, "the")
    assert inspector.find_bar.status.text() == "1 / 2"
    qtbot.keyClick(inspector.find_bar.field, Key.Key_Return)
    assert inspector.find_bar.status.text() == "2 / 2"
    with qtbot.waitSignal(rows.table.rows.modelReset, timeout=LONG):  # as many rows as before: the count tells nothing
        rows.bar.clear_all()
    rows.table.go_to(3)
    qtbot.waitUntil(lambda: inspector.title.text() == "Row 4", timeout=LONG)
    qtbot.waitUntil(lambda: inspector.find_bar.status.text() == "1 / 2", timeout=LONG)  # found in the next row, too
    rows.filter.setText("sofa")
    rows.apply_filter()
    qtbot.keyClick(inspector.find_bar.field, Key.Key_Escape)
    assert not inspector.find_bar.isVisible() and inspector.hasFocus()
    qtbot.waitUntil(lambda: marked() == 1, timeout=LONG)


def test_a_text_is_found_in_trees_tags_and_numbers(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    call = {"function": {"name": "weather", "arguments": {"city": "Paris weather", "days": [{"deep": "WEATHER"}]}}}
    record = {"call": call, "labels": ["weather", "other"], "count": 1_234_567, "text": "The weather."}
    page = open_data(project_folder, [record, {**record, "text": "x" * 5_000}])
    inspector, table = page.view.inspector, page.view.rows.table
    table.setCurrentIndex(table.rows.index(0, 0))
    qtbot.waitUntil(lambda: inspector.record is not None, timeout=LONG)
    bar = inspector.find_bar
    inspector.open_find()
    bar.field.setText("weather")
    qtbot.waitUntil(lambda: bar.status.text() == "1 / 5", timeout=LONG)
    tree = inspector.findChild(JsonTree)
    assert tree is not None
    seen = []
    for place in range(5):
        assert bar.status.text() == f"{place + 1} / 5"
        item = tree.currentItem()
        seen.append(item.text(1) if item is not None and place < 3 else inspector.findChildren(QLabel))
        if place == 3:
            assert any(one.selectedText() == "weather" for one in inspector.findChildren(QLabel))
        qtbot.keyClick(bar.field, Key.Key_Return)
    assert seen[:3] == ["weather", "Paris weather", "WEATHER"], "closed branches are opened"
    assert not any(one.selectedText() for one in inspector.findChildren(QLabel))
    bar.field.setText("1234567")
    assert bar.status.text() == "1 / 1"
    assert any(one.selectedText() == "1,234,567" for one in inspector.findChildren(QLabel))
    qtbot.keyClick(bar.field, Key.Key_Escape)
    assert inspector.hasFocus(), "the keyboard stays here"
    inspector.open_find()
    table.setCurrentIndex(table.rows.index(1, 0))
    bar.field.setText("x")
    qtbot.waitUntil(lambda: bar.status.text() == "1 / 2,000+", timeout=LONG)


def test_what_is_looked_for_in_one_column_is_marked_in_that_alone(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    record = {"text": "the sofa", "note": "the sofa", "deep": {"key": "sofa"}}
    page = open_data(project_folder, [record] * 3)
    inspector, rows = page.view.inspector, page.view.rows
    rows.table.setCurrentIndex(rows.table.rows.index(0, 0))
    marks = lambda: [len(v.extraSelections()) for v in inspector.findChildren(QTextEdit) if v.isVisible()]  # noqa: E731
    rows.bar.add_condition(ColumnFilter("note", "contains", ("sofa",)))
    qtbot.waitUntil(lambda: marks() == [0, 1], timeout=LONG)
    rows.filter.setText("the")
    rows.apply_filter()
    qtbot.waitUntil(lambda: marks() == [1, 2], timeout=LONG)


def test_a_tree_takes_the_colours_of_another_theme(qtbot: Any) -> None:
    theme = Theme.current()
    before = theme.name
    try:
        theme.choose("light")
        tree = JsonTree({"a": {"b": 1}})
        qtbot.addWidget(tree)
        theme.choose("dark")
        item = tree.topLevelItem(0)
        assert item is not None and item.foreground(0).color() == theme.color("muted")
    finally:
        theme.choose(before)


def test_messages_are_edited_one_by_one(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    inspector, rows = page.view.inspector, page.view.rows
    rows.table.setCurrentIndex(rows.table.rows.index(1, 0))
    qtbot.keyClick(rows.table, Key.Key_F2)  # too long for the cell: opens here
    assert inspector.form is not None
    editor = inspector.form.findChild(MessagesEditor)
    assert editor is not None and len(editor.boxes) == 2
    editor.boxes[1][1].setPlainText("Under the table.")
    editor.add()
    assert editor.boxes[2][0].currentText() == "user"
    editor.boxes[2][0].clearEditText()
    editor.boxes[2][0].setFocus()
    qtbot.keyClicks(editor.boxes[2][0], "us")
    qtbot.keyClick(editor.boxes[2][0], Key.Key_Tab)
    assert editor.boxes[2][0].currentText() == "us", "what is typed stays, though a usual role begins with it"
    editor.boxes[2][0].setCurrentText("user")
    qtbot.keyClicks(editor.boxes[2][1], "Thanks")
    qtbot.keyClick(editor.boxes[2][1], Key.Key_Return, Modifier.ControlModifier)
    assert inspector.form is None
    wanted = [CHAT[0], {"role": "assistant", "content": "Under the table."}, {"role": "user", "content": "Thanks"}]
    project = page.ctx.project
    assert project is not None
    qtbot.waitUntil(lambda: project.rows_by_id("rows", [1]).records()[0]["messages"] == wanted, timeout=LONG)
    assert (rows.table.rows.record(1) or {})["messages"] == wanted
    story = inspector.findChild(RowStory)
    assert story is not None
    next(b for b in story.findChildren(QPushButton) if b.text() == "History").click()
    qtbot.waitUntil(lambda: "messages:" in _texts(story), timeout=LONG)


def test_leaving_changes_nothing_and_errors_are_said(qtbot: Any) -> None:
    record = {"row_id": 3, "n": 5, "meta": {"a": 1}, "text": None, "ok": None, "messages": CHAT}
    types = {"n": "int64", "meta": "struct<a: int64>", "text": "string", "ok": "bool"}
    form = RowForm(record, types, frozenset({"row_id"}))
    qtbot.addWidget(form)
    assert form.changes() == {}
    number = next(f for f in form.findChildren(QLineEdit) if f.accessibleName() == "n")
    number.setText("five")
    with pytest.raises(ValueError, match="n: “five” is no number"):
        form.changes()
    number.setText("6")
    meta = next(f for f in form.findChildren(TextBox) if f.accessibleName() == "meta")
    meta.setPlainText('{"a": 2}')
    next(f for f in form.findChildren(QComboBox) if f.accessibleName() == "ok").setCurrentIndex(0)
    assert form.changes() == {"n": 6, "meta": {"a": 2}, "ok": True}


def test_what_was_not_touched_is_saved_to_the_last_digit_and_space(qtbot: Any) -> None:
    """Saving one value must not round the others, nor take the no-break spaces and line ends out of them."""
    messages = [{"role": "user", "content": "a\u00a0b\r\nc"}]
    record = {
        "row_id": 3, "n": 5, "price": Decimal("12345678901234567891.12"), "day": datetime.date(2024, 2, 1),
        "share": float("nan"), "text": "one\r\ntwo\u00a0three", "messages": messages,
    }  # fmt: skip
    types = {"n": "int64", "price": "decimal128(38, 2)", "day": "date32[day]", "share": "double", "text": "string"}
    form = RowForm(record, types, frozenset({"row_id"}))
    qtbot.addWidget(form)
    assert form.changes() == {}
    fields = {f.accessibleName(): f for f in form.findChildren(QLineEdit)}
    fields["n"].setText("6")
    fields["price"].setText("12345678901234567891.13")
    text = next(f for f in form.findChildren(TextBox) if f.accessibleName() == "text")
    text.appendPlainText("four")
    assert form.changes() == {
        "n": 6, "price": Decimal("12345678901234567891.13"), "text": "one\r\ntwo\u00a0three\r\nfour"
    }  # fmt: skip


def test_statistics_open_from_the_small_chart_and_filter(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, [{"topic": "ab"[i % 2] * 3, "n": i} for i in range(60)])
    rows = page.view.rows
    header = rows.table.header
    qtbot.waitUntil(lambda: bool(header.head(0).bars), timeout=LONG)
    assert header.head(1).type_word == "whole number" and "60 rows" in header.head(1).tip
    qtbot.mouseClick(header.viewport(), LEFT, pos=header.chart_rect(0).center())
    panel = rows.heads.statistics
    assert panel.isVisible()
    link = lambda: [b for b in panel.findChildren(QPushButton) if b.text() == "aaa" and b.isVisible()]  # noqa: E731
    qtbot.waitUntil(lambda: bool(link()), timeout=LONG)
    assert "tokens (estimate)" in _texts(panel)
    qtbot.mouseClick(link()[0], LEFT)
    assert not panel.isVisible()
    qtbot.waitUntil(lambda: rows.count.text() == "30 of 60 rows", timeout=LONG)
    assert not rows.sorts and not open_data.problems
    assert rows.known_values("topic") == ["aaa", "bbb"] or set(rows.known_values("topic")) == {"aaa", "bbb"}


def test_statistics_of_moments_are_whole_and_a_span_is_asked_for(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    moments = [datetime.datetime(2024, 1, 1 + i // 24, i % 24) for i in range(60)]
    page = open_data(project_folder, [{"at": moment} for moment in moments])
    rows = page.view.rows
    rows.heads.open_statistics(0)
    panel = rows.heads.statistics
    values = lambda: [v for v in panel.findChildren(QLabel) if v.text() in ("60", "59", "0")]  # noqa: E731
    qtbot.waitUntil(lambda: bool(values()), timeout=LONG)
    area = panel.findChild(QScrollArea)
    assert area is not None and area.widget().width() <= area.viewport().width(), "nothing is cut at the right"
    panel.close_panel()
    rows.column_menu.open_condition("at", QPoint(10, 10))
    popup = rows.column_menu.popup
    assert popup is not None
    popup.first.setText("2024-01-02")
    popup.second.setText("soon")
    qtbot.keyClick(popup.second, Key.Key_Return)
    assert popup.isVisible() and "2024-03" in popup.error.text()
    popup.second.clear()
    qtbot.keyClick(popup.second, Key.Key_Return)
    qtbot.waitUntil(lambda: rows.count.text() == "36 of 60 rows", timeout=LONG)


def test_values_are_shown_as_what_they_are(qtbot: Any) -> None:
    png = _png(400)
    cases: list[tuple[Any, type[QWidget]]] = [
        (CHAT, ChatBubbles), ({"a": [1, {"b": None}]}, JsonTree), ('{"a": 1}', JsonTree),
        ("def f(x):\n    return x\n", CodeView), (None, QLabel), ("", QLabel), (1.5, QLabel),
    ]  # fmt: skip
    for value, kind in cases:
        view = value_view("value", value)
        qtbot.addWidget(view)
        assert isinstance(view, kind), value
    picture = value_view("image", png)
    qtbot.addWidget(picture)
    assert any(not label.pixmap().isNull() for label in picture.findChildren(QLabel))
    assert max(read_image(png, 64).width(), read_image(png, 64).height()) == 64
    assert read_image(b"\x89PNG but not really", 64).isNull()


def test_a_long_conversation_comes_in_parts(qtbot: Any) -> None:
    view = ChatBubbles([{"role": "user", "content": f"m{i}"} for i in range(AT_ONCE + 7)])
    qtbot.addWidget(view)
    more = view.findChild(QPushButton)
    assert more is not None and more.text() == "Show 7 more messages"
    more.click()
    assert f"m{AT_ONCE + 6}" in _texts(view)


def test_calls_of_tools_are_shown_with_the_message_that_makes_them(qtbot: Any) -> None:
    messages = [
        {"role": "user", "content": "How warm is it?"}, {"role": "assistant", "content": ""},
        {"role": "tool", "content": "21"},
    ]  # fmt: skip
    call = {"type": "function", "function": {"name": "thermometer", "arguments": "{}"}}
    kept = [
        {"from": "human", "value": "How warm is it?"}, {"from": "gpt", "value": None, "tool_calls": [call]},
        {"from": "tool", "value": "21", "tool_call_id": "c1"},
    ]  # fmt: skip
    record = {"messages": messages, "talk_original": json.dumps(kept)}
    whole = whole_messages("messages", record)
    view = value_view("messages", whole)
    qtbot.addWidget(view)
    assert "thermometer" in _texts(view) and "c1" in _texts(view) and "(empty)" not in _texts(view)
    others = [{"role": "user", "content": "Is it cold?"}, *messages[1:]]
    for changed in (others, messages[:2]):  # edited meanwhile: what was kept is of no message here
        assert whole_messages("messages", {**record, "messages": changed}) == changed
    assert whole_messages("talk_original", record) == record["talk_original"]
    assert whole_messages("messages", {**record, "talk_original": "[broken"}) == messages


def test_code_is_highlighted(qtbot: Any) -> None:
    view = CodeView("def f():\n    return 'text'  # why\n", "python")
    qtbot.addWidget(view)
    first = view.document().firstBlock().layout()
    qtbot.waitUntil(lambda: any((f.start, f.length) == (0, 3) for f in first.formats()), timeout=LONG)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5, None], "number"), ([True, None], "boolean"), ([CHAT], "messages"), ([["a"], []], "tags"),
        ([[0.1] * 9], "vector"), ([b"\x89PNG123"], "image"), ([b"abc"], "bytes"), ([{"a": 1}], "nested"),
        (['{"a": 1}', "[1]"], "json"), (["plain words", "more; words"], "text"), ([], "text"),
        ([Decimal("0.10")], "number"), ([datetime.date(2024, 2, 1)], "time"), ([datetime.time(1)], "time"),
    ],
)  # fmt: skip
def test_columns_have_kinds(values: list[Any], kind: str) -> None:
    assert kind_of_values(values, "column") == kind


def test_typed_values_are_read_back() -> None:
    assert parse_text("1,234", "number") == 1234 and parse_text("", "number") is None
    assert parse_text("a, b ,a", "tags") == ["a", "b"]
    assert parse_text("No", "boolean") is False
    with pytest.raises(ValueError, match="neither"):
        parse_text("maybe", "boolean")
    assert parse_text("0.1", "number") == 0.1 and parse_text("2024-02-01", "time") == "2024-02-01"
    exact = "12345678901234567891.12"
    assert parse_text(exact, "number") == Decimal(exact)
    assert snippet("x" * 100 + "cat", ["cat"]) == "… " + "x" * 24 + "cat"


def test_shares_are_of_messages_and_items_and_empty_is_not_missing(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    talk = [{"role": "user", "content": "Hi"}, *[{"role": "assistant", "content": "Ho"}] * 3]
    records = [{"messages": talk, "labels": ["a", "a", "b", "b"], "note": "" if i % 2 else None} for i in range(10)]
    page = open_data(project_folder, records)
    rows = page.view.rows
    panel = rows.heads.statistics
    for place, wanted in enumerate(
        (
            ("Roles of 40 messages", "30  75.0 %", "10  25.0 %"),
            ("Most frequent of 40 items", "20  50.0 %"),
            ("Most frequent", "5  50.0 %"),
        )
    ):
        rows.heads.open_statistics(place)
        qtbot.waitUntil(lambda title=wanted[0]: title in _texts(panel).split("\n"), timeout=LONG)
        assert set(wanted) <= set(_texts(panel).split("\n"))
    shown = [b.text() for b in panel.findChildren(QPushButton)]
    assert '""' in shown and "null" not in shown[1:]
    panel.close_panel()


def test_a_row_of_the_statistics_is_gone_to_in_the_table(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, [{"n": i, "topic": "ab"[i % 2]} for i in range(3_000)])
    rows, inspector = page.view.rows, page.view.inspector
    rows.table.go_to(0)
    panel = rows.heads.statistics
    rows.heads.open_statistics(0)
    samples = lambda: [c for c in panel.findChildren(QLabel) if c.text().startswith("row id ")]  # noqa: E731
    qtbot.waitUntil(lambda: bool(samples()), timeout=LONG)
    panel.close_panel()
    rows.show_row(2_717)
    qtbot.waitUntil(lambda: inspector.title.text() == "Row 2,718", timeout=LONG)
    assert rows.table.currentIndex().row() == 2_717
    rows.step(1)
    qtbot.waitUntil(lambda: inspector.title.text() == "Row 2,719", timeout=LONG)
    rows.bar.field.setText("topic = 'b'")
    rows.apply_filter()
    qtbot.waitUntil(lambda: rows.count.text() == "1,500 of 3,000 rows", timeout=LONG)
    rows.show_row(2_001)
    qtbot.waitUntil(lambda: inspector.title.text() == "Row 1,001", timeout=LONG)
    rows.show_row(1_000)
    qtbot.waitUntil(lambda: inspector.title.text() == "Row id 1,000 (hidden)", timeout=LONG)
    assert open_data.said[-1] == "Row id 1,000 is not among the rows shown: the filter hides it."
    rows.finder._show_all(1_000)
    qtbot.waitUntil(lambda: inspector.title.text() == "Row 1,001" and rows.table.rows.total == 3_000, timeout=LONG)
    assert rows.table.rows.row_id(rows.table.currentIndex().row()) == 1_000 and open_data.problems == []
