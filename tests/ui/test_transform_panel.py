"""Transforms are found, filled in, previewed and run, and edits are committed or discarded, with keys alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit

from fmstudio.project import Project
from fmstudio.ui.pages.data import DataPage
from fmstudio.ui.pages.data.transform_forms import form_schema, grouped, load_transforms, missing
from fmstudio.ui.widgets.param_controls import CheckList, ChoiceBox, NamesTable
from tests.ui.data_kit import LONG, OpenData, add_dataset

Key, Control = Qt.Key, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def open_data(qtbot: Any) -> Iterator[OpenData]:
    opener = OpenData(qtbot)
    yield opener
    opener.close()


def _records(count: int = 60) -> list[dict[str, Any]]:
    return [{"text": f"the colour {i}", "topic": "ab"[i % 2], "n": i} for i in range(count)]


def _with_answers(folder: Path) -> None:
    project = Project.create(folder)
    add_dataset(project, "rows", _records())
    add_dataset(project, "answers", [{"topic": "a", "owner": "first"}, {"topic": "b", "owner": "second"}])
    project.close()


def _open(page: DataPage, qtbot: Any, transform: str, **params: Any) -> None:
    page.view.open_transform(transform, params)
    qtbot.waitUntil(
        lambda: page.view.panels.transform.form is not None and page.view.panels.transform._current == transform,
        timeout=LONG,
    )


def _said(page: DataPage) -> str:
    return page.view.panels.transform.preview.summary.text()


def test_find_and_replace_is_reached_previewed_and_run_with_keys(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, _records())
    qtbot.keyClick(page, Key.Key_H, Control)
    panel = page.view.panels.transform
    qtbot.waitUntil(lambda: panel.form is not None and panel.isVisible(), timeout=LONG)
    assert panel.form is not None and _said(page) == "Fill in: Find"
    find = panel.form.fields["find"].control
    assert page.window().focusWidget() is find and not panel.run_button.isEnabled()
    qtbot.keyClicks(find, "colour")
    qtbot.keyClick(find, Key.Key_Tab)
    qtbot.keyClicks(page.window().focusWidget(), "color")
    qtbot.waitUntil(panel.run_button.isEnabled, timeout=LONG)
    assert _said(page) == "Changes 60 cells"
    tables = panel.preview.tables
    assert (tables.before.rows.record(0) or {})["text"] == "the colour 0"
    assert (tables.after.rows.record(0) or {})["text"] == "the color 0"
    assert (0, "text") in tables.after.rows.marked
    assert tables.change.isVisible() and "colour" in tables.change.toPlainText()
    qtbot.keyClick(panel, Key.Key_Return, Control)
    qtbot.waitUntil(lambda: page.view.dataset is not None and page.view.dataset.version == 2, timeout=LONG)
    assert page.view.panels.front is None
    qtbot.waitUntil(lambda: (page.view.rows.table.rows.record(5) or {}).get("text") == "the color 5", timeout=LONG)
    qtbot.waitUntil(lambda: "Replace “colour”" in page.view.undo.toolTip(), timeout=LONG)
    assert open_data.problems == []


def test_what_is_no_number_is_not_shown_as_changed_and_tab_leads_to_run(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, [{"text": f"the colour {i}", "score": float("nan")} for i in range(5)])
    _open(page, qtbot, "replace", find="colour", replacement="color")
    panel = page.view.panels.transform
    qtbot.waitUntil(panel.run_button.isEnabled, timeout=LONG)
    assert panel.preview.tables.after.rows.marked == {(i, "text") for i in range(5)}
    assert panel.form is not None
    panel.form.fields["find"].control.setFocus()
    passed = 0
    while not panel.run_button.hasFocus() and passed < 12:
        qtbot.keyClick(page.window().focusWidget(), Key.Key_Tab)
        passed += 1
        focused = page.window().focusWidget()
        assert focused is panel.run_button or panel.form.isAncestorOf(focused), "Tab stays in the form until its end"
    assert panel.run_button.hasFocus()


def test_the_list_of_changes_is_searched_and_chosen_from_the_keyboard(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, _records())
    qtbot.keyClick(page, Key.Key_T, Control)
    gallery = page.view.panels.transform.gallery
    qtbot.waitUntil(lambda: gallery.isVisible() and gallery.list.count() > 10, timeout=LONG)
    qtbot.keyClicks(gallery.field, "condition delete")
    qtbot.keyClick(gallery.field, Key.Key_Return)
    panel = page.view.panels.transform
    qtbot.waitUntil(lambda: panel._current == "delete_where", timeout=LONG)
    assert panel.form is not None
    where = panel.form.fields["where"].control
    assert isinstance(where, QLineEdit)
    qtbot.keyClicks(where, "n >= 50")
    qtbot.waitUntil(lambda: _said(page) == "Keeps 50 of 60 rows", timeout=LONG)
    where.setText("nonsense >= 50")
    qtbot.waitUntil(panel.preview.problem.isVisible, timeout=LONG)
    assert "nonsense" in panel.preview.problem.text() and not panel.run_button.isEnabled()
    qtbot.keyClick(where, Key.Key_Escape)  # closes the completions, if they are open
    if page.view.panels.front is not None:
        qtbot.keyClick(panel, Key.Key_Escape)
    assert page.view.panels.front is None and open_data.problems == []


def test_columns_and_datasets_are_offered_as_choices(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    _with_answers(project_folder)
    page = open_data(project_folder, [{}] * 2, "answers")
    page.choose("d-rows")
    qtbot.waitUntil(lambda: page.view.rows.table.rows.total == 60, timeout=LONG)
    _open(page, qtbot, "join")
    form = page.view.panels.transform.form
    assert form is not None
    dataset, theirs = form.fields["dataset"].control, form.fields["columns"].control
    assert isinstance(dataset, ChoiceBox) and isinstance(theirs, CheckList)
    key = form.fields["key"].control
    assert isinstance(key, ChoiceBox) and key.choices() == ["text", "topic", "n"]
    assert dataset.choices() == ["answers"]
    dataset.set_value("answers")
    form.fields["key"].set("topic")
    qtbot.waitUntil(lambda: "60" in _said(page), timeout=LONG)
    assert theirs.choices() == ["topic", "owner"]
    after = page.view.panels.transform.preview.tables.after
    assert {(after.rows.record(i) or {}).get("owner") for i in range(4)} == {"first", "second"}
    _open(page, qtbot, "rename_columns")
    form = page.view.panels.transform.form
    assert form is not None
    names = form.fields["names"].control
    assert isinstance(names, NamesTable)
    qtbot.keyClicks(names.fields["n"], "number")
    qtbot.waitUntil(lambda: "number" in after.rows.columns, timeout=LONG)


def test_a_column_is_named_as_it_was_typed_and_replacing_one_is_warned_of(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    page = open_data(project_folder, _records())
    _open(page, qtbot, "compute", expression="n + 1")
    panel = page.view.panels.transform
    assert panel.form is not None
    field = panel.form.fields["column"].control
    warnings = panel.preview.warnings
    assert isinstance(field, ChoiceBox) and field.hasFocus() and _said(page) == "Fill in: Column"
    qtbot.keyClicks(field, "top")
    qtbot.keyClick(field, Key.Key_Tab)
    qtbot.waitUntil(lambda: _said(page) == "Changes 60 cells", timeout=LONG)
    assert field.currentText() == field.value() == "top" and not warnings.isVisible()
    field.setFocus()
    field.lineEdit().selectAll()
    qtbot.keyClicks(field, "topic")
    qtbot.keyClick(field, Key.Key_Tab)
    qtbot.waitUntil(warnings.isVisible, timeout=LONG)
    assert warnings.text() == "The column “topic” is there already and is replaced."
    assert warnings.property("role") == "warning" and warnings.text() not in panel.preview.notes.text()


def test_what_is_no_number_is_said_and_old_counts_go(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    _open(page, qtbot, "split")
    panel = page.view.panels.transform
    qtbot.waitUntil(panel.run_button.isEnabled, timeout=LONG)
    assert panel.form is not None and _said(page).startswith("Changes 60 cells: train ")
    train = panel.form.fields["train"]
    assert isinstance(train.control, QLineEdit)
    train.control.selectAll()
    qtbot.keyClicks(train.control, "80%")
    assert train.told.isVisible() and "0.8 is 80%" in train.told.text()
    assert _said(page) == "Correct: Train" and not panel.run_button.isEnabled()
    assert not panel.preview.tables.isVisible()
    qtbot.keyClick(train.control, Key.Key_Backspace)
    qtbot.waitUntil(panel.run_button.isEnabled, timeout=LONG)
    assert not train.told.isVisible() and "in proportion: train 99.8%" in panel.preview.warnings.text()


@pytest.mark.parametrize(
    ("transform", "params"),
    [("replace", {"find": "colr"}), ("filter", {"where": "n >= 0"}), ("compute", {"column": "n", "expression": "n"})],
)
def test_what_would_change_nothing_is_not_run(
    open_data: OpenData, project_folder: Path, qtbot: Any, transform: str, params: dict[str, str]
) -> None:
    page = open_data(project_folder, _records())
    _open(page, qtbot, transform, **params)
    panel = page.view.panels.transform
    qtbot.waitUntil(lambda: "nothing to run" in panel.preview.notes.text(), timeout=LONG)
    assert not panel.run_button.isEnabled()
    qtbot.keyClick(panel, Key.Key_Return, Control)
    assert page.view.panels.front is panel


def test_splitting_into_datasets_shows_the_first_of_them(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    _open(page, qtbot, "split", output="datasets", name="parts")
    qtbot.waitUntil(page.view.panels.transform.run_button.isEnabled, timeout=LONG)
    assert _said(page).startswith("Makes 3 datasets of 60 rows: train ")
    qtbot.keyClick(page.view.panels.transform, Key.Key_Return, Control)
    qtbot.waitUntil(lambda: page.view.dataset is not None and page.view.dataset.name == "parts train", timeout=LONG)
    assert page.list.list.count() == 4 and open_data.problems == []


def test_pending_edits_are_told_committed_and_discarded(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records())
    chip, project = page.view.header.pending, page.ctx.project
    assert project is not None and not chip.isVisible()
    page.ctx.run_op(None, lambda: project.edits.set_cells("d-rows", {0: {"n": 7}}))
    page.ctx.run_op(None, lambda: project.edits.delete_rows("d-rows", [1, 2]))
    qtbot.waitUntil(lambda: chip.isVisible() and chip.text.text() == "2 edits not committed", timeout=LONG)
    assert "1 cell changed, 2 rows deleted" in chip.text.toolTip()
    qtbot.waitUntil(lambda: "58 rows" in page.list.list.item(0).text(), timeout=LONG)
    qtbot.waitUntil(lambda: "Delete 2 rows" in page.view.undo.toolTip(), timeout=LONG)
    qtbot.mouseClick(chip.discard, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not chip.isVisible(), timeout=LONG)
    qtbot.waitUntil(lambda: "Discard 2" in page.view.undo.toolTip(), timeout=LONG)
    qtbot.mouseClick(page.view.undo, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(chip.isVisible, timeout=LONG)
    qtbot.waitUntil(lambda: "Discard 2" in page.view.redo.toolTip(), timeout=LONG)
    qtbot.keyClick(page, Key.Key_S, Control)
    qtbot.waitUntil(lambda: page.view.dataset is not None and page.view.dataset.version == 2, timeout=LONG)
    qtbot.waitUntil(lambda: not chip.isVisible(), timeout=LONG)
    assert page.view.dataset is not None and page.view.dataset.rows == 58
    assert open_data.problems == []


def test_a_dataset_is_renamed_where_its_name_stands(open_data: OpenData, project_folder: Path, qtbot: Any) -> None:
    page = open_data(project_folder, _records(3))
    name = page.view.header.name
    qtbot.keyClick(page, Key.Key_F2)
    assert name.field.hasFocus()
    qtbot.keyClicks(name.field, "wrong")
    qtbot.keyClick(name.field, Key.Key_Escape)
    assert not name.is_editing and name.text() == "rows"
    qtbot.keyClick(page, Key.Key_F2)
    qtbot.keyClicks(name.field, "questions")
    qtbot.keyClick(name.field, Key.Key_Return)
    qtbot.waitUntil(lambda: name.text() == "questions", timeout=LONG)


def test_the_list_is_searched_sorted_and_several_are_merged(
    open_data: OpenData, project_folder: Path, qtbot: Any
) -> None:
    _with_answers(project_folder)
    page = open_data(project_folder, [{}] * 2, "answers")
    datasets = page.list

    def names() -> list[str]:
        return [datasets.list.item(i).text().split("\n")[0] for i in range(datasets.list.count())]

    assert names() == ["rows", "answers"]
    datasets.sort_by(2)
    assert names() == ["answers", "rows"]
    qtbot.keyClicks(datasets.search, "row")
    assert names() == ["rows"]
    qtbot.keyClick(datasets.search, Key.Key_Escape)
    datasets.list.selectAll()
    assert [a.text() for a in datasets.chosen_menu().actions()] == ["Merge 2 datasets…", "Delete 2 datasets\tDel"]
    page.merge(datasets.selected())
    panel = page.view.panels.transform
    qtbot.waitUntil(lambda: panel._current == "merge" and panel.run_button.isEnabled(), timeout=LONG)
    assert _said(page) == "Makes a dataset of 62 rows"
    page.view.panels.close()
    page.list.duplicate_wanted.emit("d-rows")
    qtbot.waitUntil(lambda: page.view.dataset is not None and page.view.dataset.name == "rows copy", timeout=LONG)
    datasets.list.setFocus()
    qtbot.keyClick(datasets.list, Key.Key_Delete)
    qtbot.waitUntil(lambda: "rows copy" not in names(), timeout=LONG)
    assert any("rows copy is deleted" in said for said in open_data.said)


def test_every_transform_has_a_group_and_says_what_it_still_needs() -> None:
    transforms = load_transforms()
    assert {one.id for _, group in grouped(transforms) for one in group} == set(transforms)
    assert "More" not in [title for title, _ in grouped(transforms)]
    schema = form_schema(transforms["replace"], ["a"], {})
    assert schema["properties"]["column"]["suggestions"] == ["", "a"]
    assert missing(transforms["merge"].schema, {"datasets": []}) == ["Datasets"]
    assert missing(transforms["split"].schema, {}) == []
