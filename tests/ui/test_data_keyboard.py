"""The whole Data page without a mouse: every step below is made of key events alone, in the real window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QPlainTextEdit,
    QWidget,
)

from fmstudio.project import Project
from fmstudio.ui.pages.data import DataPage
from fmstudio.ui.pages.data.dataset_tabs import TABS
from fmstudio.ui.shell import MainWindow
from tests.ui.conftest import OpenWindow
from tests.ui.data_kit import LONG, add_dataset
from tests.ui.keyboard import Keyboard

TOPICS = ("power", "sound", "pairing")


class Desk:
    """A window on two datasets, with a keyboard before it."""

    def __init__(self, window: MainWindow, qtbot: Any) -> None:
        self.window, self._qtbot = window, qtbot
        self.keys = Keyboard(window)
        self.keys.press("Ctrl+2")
        page = window.pages["data"]
        assert isinstance(page, DataPage)
        self.page, self.view, self.rows = page, page.view, page.view.rows
        self.table = self.rows.table
        self.until(lambda: self.table.rows.total == 60)

    def until(self, condition: Callable[[], object]) -> None:
        self._qtbot.waitUntil(lambda: bool(condition()), timeout=LONG)

    def idle(self) -> None:
        """Let everything that was asked arrive."""
        self.until(lambda: self.window.context.background.pending == 0 and not self._later())

    def _later(self) -> bool:
        return any(timer.isActive() for timer in (self.rows._again, self.rows.bar._later))

    def record(self, row: int) -> dict[str, Any]:
        return self.table.rows.record(row) or {}

    def is_at(self, widget: QWidget) -> bool:
        return QApplication.focusWidget() is widget


@pytest.fixture
def here(open_window: OpenWindow, project_folder: Path, qtbot: Any) -> Desk:
    project = Project.create(project_folder)
    add_dataset(project, "faq", [{"text": "How do I reset it?"}])
    add_dataset(
        project, "support", [{"text": f"case {i}", "topic": TOPICS[i % 3], "n": (i * 37) % 100} for i in range(60)]
    )
    project.close()
    return Desk(open_window(project_folder), qtbot)


def test_rows_are_found_sorted_changed_and_brought_back(here: Desk) -> None:
    keys, rows, table = here.keys, here.rows, here.table
    keys.tab_to(here.page.list.list)
    keys.press("Up")
    here.until(lambda: here.view.dataset is not None and here.view.dataset.name == "faq" and table.rows.total == 1)
    keys.press("Down")
    here.until(lambda: table.rows.total == 60)

    keys.press("Alt+1", "Down", "Down")
    assert here.is_at(table) and table.currentIndex().row() == 2
    here.until(lambda: here.view.inspector.title.text() == "Row 3")

    keys.press("Ctrl+F")
    keys.write("topic:sound")
    keys.press("Return")
    here.until(lambda: rows.count.text() == "20 of 60 rows")
    keys.press("Return")
    assert here.is_at(table) and table.currentIndex().row() == 0

    keys.press("Right", "Right", "S")
    here.until(lambda: here.record(0).get("n") == 2)
    keys.press("S")
    here.until(lambda: here.record(0).get("n") == 92)

    keys.press("F2")
    keys.replace("1000")
    keys.press("Return")
    here.until(lambda: here.record(0).get("n") == 1000)
    here.idle()
    keys.press("T")
    keys.write("gold")
    keys.press("Return")
    here.until(lambda: here.record(0).get("tags") == ["gold"])
    here.idle()
    assert here.is_at(table)
    keys.press("+")
    here.until(lambda: here.record(0).get("rating") == 1)
    here.idle()
    keys.press("Del")
    here.until(lambda: rows.count.text() == "19 of 59 rows")
    keys.press("Ctrl+Z")
    here.until(lambda: rows.count.text() == "20 of 60 rows" and here.record(0).get("n") == 1000)
    keys.press("Ctrl+Y")
    here.until(lambda: rows.count.text() == "19 of 59 rows")

    keys.press("Ctrl+F", "Esc", "Esc")
    here.until(lambda: rows.count.text() == "59 rows")
    assert here.is_at(table)
    keys.press("Ctrl+S", "Ctrl+S")  # pressed twice, committed once
    here.until(lambda: here.view.dataset is not None and here.view.dataset.version == 2)
    assert here.window.context.queue is not None
    assert len(here.window.context.queue.jobs()) == 1


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # what the offscreen platform says of a menu
def test_columns_are_shaped_filtered_and_explained(here: Desk) -> None:
    keys, rows, table = here.keys, here.rows, here.table
    keys.press("Alt+1", "Right")
    before = table.columnWidth(1)
    keys.press("Alt+Shift+Right")
    assert table.columnWidth(1) > before
    keys.press("Ctrl+Shift+Left")
    assert table.header.visualIndex(1) == 0

    keys.press("F")
    keys.write("pair")
    keys.press("Return")
    here.until(lambda: rows.count.text() == "20 of 60 rows")
    assert here.is_at(table)
    keys.choose("clear the filter")
    here.until(lambda: rows.count.text() == "60 rows")
    assert here.is_at(table)

    keys.press("I")
    panel = rows.heads.statistics
    here.until(lambda: panel.histogram.isVisible())
    keys.tab_to(panel.histogram)
    keys.press("Esc")
    assert here.is_at(table) and not panel.isVisible()

    keys.press("Shift+F10")
    menu: Any = QApplication.activePopupWidget()
    assert "Column topic" in [action.text() for action in menu.actions()]
    keys.press("Esc")
    keys.press("H")
    assert table.isColumnHidden(1) and not table.isColumnHidden(table.currentIndex().column())
    keys.choose(": columns")
    assert here.is_at(rows.columns.search)
    keys.press("Esc")
    assert here.is_at(table)


def test_the_past_is_walked_compared_and_exported(here: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, table = here.keys, here.table
    keys.press("Alt+1", "F2")
    keys.replace("changed by hand")
    keys.press("Return")
    here.until(lambda: here.record(0).get("text") == "changed by hand")
    here.idle()

    keys.press("Alt+4")
    past = here.view.tabs.versions
    here.until(lambda: past.history.list.lines.rowCount() == 2)
    assert here.is_at(past.history.list)
    keys.press("Alt+Left")
    here.until(lambda: (past.history.table.rows.record(0) or {}).get("text") == "case 0")
    keys.press("Esc")
    here.until(lambda: (past.history.table.rows.record(0) or {}).get("text") == "changed by hand")

    keys.choose("compare versions of support")
    here.until(lambda: past.diff.cards.total == 1)
    assert here.is_at(past.diff.cards)
    keys.press("J")
    assert past.diff.cards.current == 0
    target = tmp_path / "difference.html"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(target), ""))
    keys.tab_to(past.diff.export, backwards=True)
    keys.press("Space")
    here.until(target.exists)
    assert "changed by hand" in target.read_text()

    keys.choose("versions of support: name")
    assert here.is_at(past.table)
    keys.press("Alt+1")
    assert here.is_at(table)
    keys.choose("lineage of the chosen row")
    lineage = here.view.panels.lineage
    here.until(lambda: lineage.list.count() > 1)
    assert lineage.title.text() == "Lineage of row id 0" and here.is_at(lineage.list)
    keys.press("Esc")
    assert here.is_at(table)


def test_a_query_is_asked_and_the_rows_go_out(here: Desk, tmp_path: Path) -> None:
    keys, view = here.keys, here.view
    keys.press("Alt+3")
    keys.write("SELECT text, n FROM support WHERE n > 97 ORDER BY n")
    keys.press("Ctrl+Return")
    sql = view.tabs.sql
    here.until(lambda: sql.table.rows.total == 2)
    assert (sql.table.rows.record(0) or {}) == {"text": "case 54", "n": 98}
    keys.tab_to(sql.table)

    keys.press("Ctrl+E")
    panel = view.panels.export
    here.until(lambda: panel.formats.currentItem() is not None and panel.formats.hasFocus())
    keys.press("Down", "Down")
    chosen = panel.formats.current()
    assert chosen is not None and chosen.id == "csv"
    keys.tab_to(panel.target.field)
    keys.replace(str(tmp_path / "out.csv"))
    keys.press("Ctrl+Return")
    here.until(panel.result.isVisible)
    assert (tmp_path / "out.csv").read_text().splitlines()[:2] == ["text,topic,n", "case 0,power,0"]
    keys.tab_to(panel.result.copy_button)
    keys.press("Esc")
    assert view.panels.front is None


def test_every_control_of_every_view_has_a_name(here: Desk) -> None:
    here.keys.press("Alt+1", "Down")
    view, rows = here.view, here.rows
    for tab, _ in TABS:
        view.show_tab(tab)
    for part in ("history", "versions", "compare"):
        view.tabs.show_past(part)
    view.show_tab("rows")
    for open_panel in (view.open_export, view.open_lineage, view.open_disk, lambda: view.open_transform("replace")):
        open_panel()
        here.idle()
    here.until(lambda: view.panels.transform.form is not None)
    view.panels.close()
    rows.heads.open_statistics(0)
    here.until(rows.heads.statistics.histogram.isVisible)
    rows.column_commands.ask_filter(1)
    rows.open_columns()
    places = [here.page, rows.heads.statistics, rows.column_menu.popup, rows.columns]
    nameless = [str(w) for place in places if place is not None for w in _controls(place) if not _name(w)]
    assert nameless == []


def _controls(place: QWidget) -> list[QWidget]:
    kinds = (QAbstractButton, QLineEdit, QPlainTextEdit, QComboBox, QAbstractItemView, QAbstractSlider)
    found = [widget for kind in kinds for widget in place.findChildren(kind)]
    can_focus = [w for w in found if w.focusPolicy() & Qt.FocusPolicy.TabFocus and not w.objectName().startswith("qt_")]
    return [w for w in can_focus if not _is_inside(w, QComboBox, QLineEdit, QAbstractSpinBox)]


def _is_inside(widget: QWidget, *kinds: type[QWidget]) -> bool:
    around = widget.parentWidget()
    return around is not None and (isinstance(around, kinds) or _is_inside(around, *kinds))


def _name(widget: QWidget) -> str:
    return widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")
