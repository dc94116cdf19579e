"""From a dropped file to a clean, searchable dataset: real mouse, real drop, real workers, real store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from fmstudio.project.sample import sample_files
from fmstudio.ui.pages.data import DataPage
from fmstudio.ui.pages.home import HomePage
from fmstudio.ui.pages.recipes import RecipesPage
from fmstudio.ui.shell import MainWindow
from tests.helpers import write_jsonl
from tests.ui.conftest import OpenWindow
from tests.ui.keyboard import Keyboard

LEFT = Qt.MouseButton.LeftButton
LONG = 40_000


def drop(window: MainWindow, *paths: Path) -> None:
    """Drop files on the window as a file manager does."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    where, action, buttons = window.rect().center(), Qt.DropAction.CopyAction, LEFT
    enter = QDragEnterEvent(where, action, mime, buttons, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    dropped = QDropEvent(QPointF(where), action, mime, buttons, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(window, dropped)
    assert dropped.isAccepted()


def click(qtbot: Any, place: QWidget, text: str) -> None:
    """Click the visible button of that text."""
    found = [b for b in place.findChildren(QAbstractButton) if b.text() == text and b.isVisible()]
    assert len(found) == 1, (text, found)
    qtbot.mouseClick(found[0], LEFT)


def data_page(window: MainWindow) -> DataPage:
    page = window.pages["data"]
    assert isinstance(page, DataPage)
    return page


def import_by_drop(qtbot: Any, window: MainWindow, path: Path, rows: int) -> DataPage:
    drop(window, path)
    page = data_page(window)
    qtbot.waitUntil(page.importing.import_button.isEnabled, timeout=LONG)
    qtbot.mouseClick(page.importing.import_button, LEFT)
    qtbot.waitUntil(lambda: page.view.dataset is not None and page.view.dataset.rows == rows, timeout=LONG)
    return page


def texts(page: DataPage) -> Callable[[int], Any]:
    return lambda row: (page.view.rows.table.rows.record(row) or {}).get("text")


def test_the_sample_project_is_one_click_away(open_window: OpenWindow, qtbot: Any) -> None:
    window = open_window()
    home = window.pages["home"]
    assert isinstance(home, HomePage)
    click(qtbot, home, "Open the sample project")
    qtbot.waitUntil(lambda: window.context.project is not None, timeout=LONG)
    qtbot.waitUntil(lambda: home.loop.cards["data"].number.text() == "1,050", timeout=LONG)
    assert home.loop.cards["data"].words.text() == "rows in 1 dataset"
    assert "Sample project" in window.windowTitle()
    qtbot.mouseClick(home.next_button, LEFT)
    assert window.current_id == "recipes"


def test_tech_support_becomes_ten_rows_and_comes_back(
    open_window: OpenWindow, project_folder: Path, qtbot: Any
) -> None:
    source = next(path for path in sample_files() if path.name == "tech_support.yml")
    window = open_window(project_folder)
    page = import_by_drop(qtbot, window, source, 1_050)
    dataset = page.view.dataset
    assert dataset is not None and dataset.kind == "conversation"
    click(qtbot, page, "Clean…")
    recipes = window.pages["recipes"]
    assert isinstance(recipes, RecipesPage)
    qtbot.waitUntil(lambda: bool(recipes._schemas), timeout=LONG)
    for operator in ("normalise_text", "exact_dedup", "length_filter"):
        recipes.add_step(operator, {})
    qtbot.waitUntil(recipes.run_button.isEnabled, timeout=LONG)
    assert recipes.preview.summary.text() == "10 of 1,050 rows would remain"
    recipes.choose(1)
    assert "1,040" in recipes.cards[1].result.text()
    assert recipes.preview.table.rows.total > 0
    qtbot.mouseClick(recipes.run_button, LEFT)
    window.show_page("data", {})
    qtbot.waitUntil(lambda: page.view.dataset is not None and page.view.dataset.rows == 10, timeout=LONG)
    assert page.view.dataset is not None and page.view.dataset.version == 2
    qtbot.waitUntil(lambda: page.view.tabs.buttons["dropped"].text() == "Dropped 1,040", timeout=LONG)
    page.view.show_tab("versions")
    qtbot.waitUntil(lambda: page.view.tabs.versions.table.rows.total == 2, timeout=LONG)
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: page.view.dataset is not None and page.view.dataset.rows == 1_050, timeout=LONG)
    qtbot.mouseClick(page.view.redo, LEFT)
    qtbot.waitUntil(lambda: page.view.dataset is not None and page.view.dataset.rows == 10, timeout=LONG)


def test_the_preview_shows_the_mapping_which_can_be_changed(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    rows = [{"question": f"q {i}", "answer": f"a {i}", "note": "n"} for i in range(5)]
    path = write_jsonl(tmp_path / "faq.jsonl", rows)
    with path.open("a") as file:
        file.write("{broken\n")
    window = open_window(project_folder)
    drop(window, path)
    view = data_page(window).importing
    qtbot.waitUntil(view.import_button.isEnabled, timeout=LONG)
    assert view.kind.currentData() == "prompt_completion"
    assert {t: c.currentData() for t, c in view.targets.items()} == {
        "prompt": "question",
        "input": "",
        "completion": "answer",
    }
    assert view.table.rows.columns[:2] == ("prompt", "completion")
    assert view.rejects.isVisible() and view.rejects.rows.total == 1
    view.targets["completion"].setCurrentIndex(view.targets["completion"].findData("note"))
    qtbot.waitUntil(lambda: (view.table.rows.record(0) or {}).get("completion") == "n", timeout=LONG)
    view.name.setText("Questions")
    qtbot.mouseClick(view.import_button, LEFT)
    page = data_page(window)
    qtbot.waitUntil(lambda: page.view.dataset is not None, timeout=LONG)
    assert page.view.dataset is not None and page.view.dataset.name == "Questions"
    qtbot.waitUntil(lambda: page.view.tabs.buttons["rejects"].text() == "Rejected 1", timeout=LONG)
    page.view.tabs.show_tab("rejects")
    pieces = page.view.tabs.lost.rejects.rows
    qtbot.waitUntil(lambda: pieces.total == 1, timeout=LONG)
    assert pieces.columns == ("reason", "line", "byte", "raw", "file")  # “row” is of Parquet, and empty here
    assert (pieces.record(0) or {})["byte"] == path.read_text().index("{broken")
    page.view.show_tab("rows")
    qtbot.waitUntil(lambda: (page.view.rows.table.rows.record(0) or {}).get("completion") == "n", timeout=LONG)


def test_rows_are_filtered_sorted_inspected_and_found_by_meaning(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    sentences = ["The cat sleeps on the sofa", "Interest rates were raised by the bank", "A puppy plays in the garden"]
    path = write_jsonl(tmp_path / "texts.jsonl", [{"text": t, "n": i} for i, t in enumerate(sentences * 100)])
    window = open_window(project_folder)
    page = import_by_drop(qtbot, window, path, 300)
    rows, text = page.view.rows, texts(page)
    qtbot.waitUntil(lambda: text(0) == sentences[0], timeout=LONG)
    qtbot.keyClick(page, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(rows.filter, "text LIKE '%cat%'")
    qtbot.keyClick(rows.filter, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: rows.count.text() == "100 of 300 rows", timeout=LONG)
    rows.filter.setText("nonsense >")
    qtbot.keyClick(rows.filter, Qt.Key.Key_Return)
    qtbot.waitUntil(rows.error.isVisible, timeout=LONG)
    assert "cannot be run" in rows.error.text()
    assert rows.filter.property("state") == "danger"
    rows.filter.clear()
    qtbot.waitUntil(lambda: rows.count.text() == "300 rows" and not rows.error.isVisible(), timeout=LONG)
    header = rows.table.horizontalHeader()
    place = list(rows.table.rows.columns).index("n") - 1
    for _ in range(2):
        where = header.sectionViewportPosition(place) + 12
        qtbot.mouseClick(header.viewport(), LEFT, pos=header.viewport().rect().center().__class__(where, 10))
    qtbot.waitUntil(lambda: (rows.table.rows.record(0) or {}).get("n") == 299, timeout=LONG)
    rows.table.selectRow(0)
    assert page.view.inspector.findChildren(QWidget)
    click(qtbot, page, "Search")
    click(qtbot, page, "Embed this dataset")
    qtbot.waitUntil(page.view.tabs.search.field.isVisible, timeout=LONG)
    qtbot.keyClicks(page.view.tabs.search.field, "a young dog")
    qtbot.keyClick(page.view.tabs.search.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.view.tabs.search.table.rows.total == 50, timeout=LONG)
    assert (page.view.tabs.search.table.rows.record(0) or {})["text"] == sentences[2]


def test_a_deleted_dataset_can_be_brought_back(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    window = open_window(project_folder)
    page = import_by_drop(qtbot, window, write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}]), 1)
    page.view.delete()
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.empty, timeout=LONG)
    click(qtbot, window.messages, "Undo")
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.view, timeout=LONG)


def test_a_file_dropped_without_a_project_waits_for_one(
    open_window: OpenWindow, tmp_path: Path, project_folder: Path, qtbot: Any
) -> None:
    window = open_window()
    drop(window, write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}]))
    assert window.current_id == "home"
    window.context.open_project(project_folder, create=True)
    qtbot.waitUntil(lambda: window.current_id == "data", timeout=LONG)
    qtbot.waitUntil(data_page(window).importing.import_button.isEnabled, timeout=LONG)


def test_a_dropped_recipe_opens_in_recipes(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: Mine\nsteps:\n- operator: length_filter\n  params:\n    min_words: 7\n")
    window = open_window(project_folder)
    drop(window, path)
    page = window.pages["recipes"]
    assert isinstance(page, RecipesPage)
    qtbot.waitUntil(lambda: len(page.cards) == 1, timeout=LONG)
    assert page.recipe() == {"name": "Mine", "steps": [{"operator": "length_filter", "params": {"min_words": 7}}]}
    page.save(str(tmp_path / "again.yaml"))
    qtbot.waitUntil((tmp_path / "again.yaml").exists, timeout=LONG)


def test_a_transform_needs_no_mouse(open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any) -> None:
    window = open_window(project_folder)
    path = write_jsonl(tmp_path / "texts.jsonl", [{"text": f"colour {i}", "n": i} for i in range(30)])
    page = import_by_drop(qtbot, window, path, 30)
    view, keys = page.view, Keyboard(window)
    qtbot.waitUntil(lambda: view.rows.table.rows.total == 30, timeout=LONG)
    for reached in (
        page.list.list,
        view.header.change,
        view.header.export,
        view.tabs.buttons["rows"],
        view.rows.filter,
        view.rows.table,
    ):
        keys.tab_to(reached)
    keys.press("Ctrl+H")
    qtbot.waitUntil(lambda: view.panels.transform.form is not None, timeout=LONG)
    keys.write("colour")
    keys.press("Tab")
    keys.write("color")
    qtbot.waitUntil(view.panels.transform.run_button.isEnabled, timeout=LONG)
    keys.tab_to(view.panels.transform.run_button)
    keys.press("Space")
    qtbot.waitUntil(lambda: view.dataset is not None and view.dataset.version == 2, timeout=LONG)
    assert view.rows.table.hasFocus()


def test_what_can_be_done_is_in_the_palette_with_its_keys(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    window = open_window(project_folder)
    page = import_by_drop(qtbot, window, write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}]), 1)
    qtbot.waitUntil(lambda: bool(page.view.panels.transform.transforms), timeout=LONG)
    offered = {command.title: command.shortcut for command in page.commands()}
    for title, keys in (
        ("Find and replace in a…", "Ctrl+H"), ("Change a: all changes…", "Ctrl+T"), ("Export a…", "Ctrl+E"),
        ("SQL of a", "Alt+3"), ("Commit the edits of a", "Ctrl+S"), ("Change a: Compute column…", ""),
        ("Split a into train, validation and test…", ""), ("Lineage of a", ""), ("Disk use of this project", ""),
    ):  # fmt: skip
        assert offered[title] == keys
    menu = {action.text() for action in page.view.header.change.menu().actions()}
    assert {"Find and replace…\tCtrl+H", "All changes…\tCtrl+T", "Sample…"} <= menu
