"""The lineage as a graph and in words; walked by mouse and keys; saved. Real projects, real events."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPixmap
from PySide6.QtTest import QTest

from fmstudio.project.catalog import insert
from fmstudio.project.lineage_graph import Graph, Node
from fmstudio.ui.pages.data.lineage_view import NODE, LineageView
from fmstudio.ui.pages.data.lineage_words import boxes_of
from fmstudio.ui.widgets.graph_drawing import MARGIN, WIDTH
from fmstudio.ui.widgets.graph_layout import heights_of, layered
from fmstudio.ui.widgets.graph_view import READABLE
from fmstudio.ui.widgets.message_bar import ProblemCard
from tests.ui.data_kit import LONG
from tests.ui.history_kit import Contexts, with_past
from tests.unit.edit_kit import leave_out_packaged_models

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def contexts(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contexts]:
    leave_out_packaged_models(monkeypatch)
    made = Contexts(qtbot)
    yield made
    made.close()


@pytest.fixture
def view(qtbot: Any, contexts: Contexts, tmp_path: Path) -> LineageView:
    with_past(tmp_path / "p", 40)
    context = contexts(tmp_path / "p")
    project = context.project
    assert project is not None
    model = {"kind": "base", "format": "safetensors", "path": "/m", "bytes": 1, "is_removed": False, "facts": {}}
    run = {"name": "tune", "dataset_id": "d-support", "dataset_version": 3, "base_id": "m-1", "metrics": {}, "run": {}}
    with project._catalog.transaction() as connection:
        insert(connection, "models", {"id": "m-1", "name": "base", "job_id": "", "created": 1.0, **model})
        insert(connection, "models", {"id": "m-2", "name": "made", "job_id": "j-1", "created": 2.0, **model})
        insert(connection, "runs", {"job_id": "j-1", "created": 2.0, **run})
    made = LineageView(context)
    qtbot.addWidget(made)
    made.resize(900, 560)
    made.show()
    made.activateWindow()
    return made


def until_shown(qtbot: Any, view: LineageView, focus: str) -> None:
    qtbot.waitUntil(lambda: view._graph is not None and view._graph.focus == focus, timeout=LONG)
    qtbot.waitUntil(lambda: view.stack.currentWidget() is view._whole, timeout=LONG)


def test_a_dataset_back_to_its_file_and_forward_to_its_models(
    qtbot: Any, contexts: Contexts, view: LineageView, tmp_path: Path
) -> None:
    project = view.ctx.project
    assert project is not None
    view.show_dataset(project.datasets.get("support"))
    until_shown(qtbot, view, "version:d-support@3")
    titles = [view.list.item(i).text().split("\n")[0] for i in range(view.list.count())]
    assert titles[0].startswith("support, version 1") and "Training run tune" in titles and "Model made" in titles
    view.graph.setFocus()
    qtbot.keyClick(view.graph, Qt.Key.Key_Right)
    assert view.graph.current == "run:j-1"
    assert view.list.currentItem().text().startswith("Training run tune\ncame from support, version 3")
    assert view.open_button.text() == "Show the run"
    qtbot.keyClick(view.graph, Qt.Key.Key_Return)
    assert contexts.visited[-1] == ("training", {"job_id": "j-1"})
    qtbot.keyClick(view.graph, Qt.Key.Key_Left)
    qtbot.keyClick(view.graph, Qt.Key.Key_Left)
    assert view.graph.current == "version:d-support@2"

    qtbot.keyClick(view.graph, Qt.Key.Key_0)
    place = view.graph.position_of("model:m-2")
    qtbot.mouseClick(view.graph, LEFT, pos=place.toPoint())
    assert view.graph.current == "model:m-2"
    QTest.mouseDClick(view.graph, LEFT, pos=place.toPoint())
    assert contexts.visited[-1] == ("models", {"model_id": "m-2"})

    scale = view.graph.scale
    qtbot.keyClick(view.graph, Qt.Key.Key_Minus)
    assert view.graph.scale < scale
    for suffix in ("png", "svg"):
        view.save(tmp_path / f"graph.{suffix}")
    assert not QPixmap(str(tmp_path / "graph.png")).isNull()
    assert "support, version 2" in (tmp_path / "graph.svg").read_text("utf-8")
    view.save(tmp_path / "nowhere" / "graph.png")
    assert "cannot be written" in contexts.said[-1]


def test_a_graph_opens_whole_where_it_can_be_read_and_the_list_tells_all(qtbot: Any, view: LineageView) -> None:
    view.resize(860, 620)
    project = view.ctx.project
    assert project is not None
    view.show_dataset(project.datasets.get("support"))
    until_shown(qtbot, view, "version:d-support@3")
    qtbot.waitUntil(lambda: view.graph.isVisible() and view.graph.width() > 820, timeout=LONG)
    lines = [view.list.item(i) for i in range(view.list.count())]
    seen = [view.graph.position_of(one.data(NODE)).x() for one in lines]
    half = view.graph.scale * WIDTH / 2
    assert view.graph.scale >= READABLE
    assert min(seen) - half >= 0 and max(seen) + half <= view.graph.width()
    tall = view.list.fontMetrics().lineSpacing()
    assert all(view.list.visualItemRect(one).height() >= tall * len(one.text().split("\n")) for one in lines)


def test_a_graph_too_wide_to_be_read_leaves_no_empty_room_beyond_its_end(qtbot: Any, view: LineageView) -> None:
    view.resize(520, 620)
    view.show_thing("model", "m-2", "made")
    until_shown(qtbot, view, "model:m-2")
    qtbot.waitUntil(lambda: view.graph.isVisible() and 0 < view.graph.width() <= 520, timeout=LONG)
    end = view.graph.position_of("model:m-2").x() + view.graph.scale * (WIDTH / 2 + MARGIN)
    assert view.graph.scale == READABLE and abs(end - view.graph.width()) < 2


def test_a_row_and_a_row_that_is_not_there(qtbot: Any, view: LineageView) -> None:
    view.show_row("d-support", 3)
    until_shown(qtbot, view, "row:d-support#3")
    assert "support, version 1" in view.list.item(0).text()
    view.show_row("d-support", 99_999)
    qtbot.waitUntil(lambda: view.stack.currentWidget() is view._failed, timeout=LONG)
    assert "no row id 99999" in view.findChildren(ProblemCard)[0].problem.message


def test_panning_and_zooming_keep_the_point_under_the_mouse(qtbot: Any, view: LineageView) -> None:
    view.show_version("d-support", 2)
    until_shown(qtbot, view, "version:d-support@2")
    at = view.graph.position_of("version:d-support@2")
    view.graph.zoom(1.5, at)
    moved = view.graph.position_of("version:d-support@2") - at
    assert abs(moved.x()) < 0.01 and abs(moved.y()) < 0.01
    empty = QPointF(6, 6).toPoint()
    qtbot.mousePress(view.graph, LEFT, pos=empty)
    qtbot.mouseMove(view.graph, pos=QPointF(46, 26).toPoint())
    qtbot.mouseRelease(view.graph, LEFT, pos=QPointF(46, 26).toPoint())
    gone = view.graph.position_of("version:d-support@2") - at
    assert (round(gone.x()), round(gone.y())) == (40, 20)


def test_layers_run_from_sources_to_uses_and_long_edges_go_around() -> None:
    nodes = ["c", "b", "a", "base", "run"]
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "run"), ("base", "run")]
    layers, ways = layered(nodes, edges)
    at = {name: number for number, layer in enumerate(layers) for name in layer}
    assert [at[name] for name in ("a", "b", "c", "run")] == [0, 1, 2, 3]
    assert at["base"] == 2, "a source stands right before what came of it"
    assert len(ways["a", "c"]) == 3 and at[ways["a", "c"][1]] == 1
    heights = heights_of(layers, edges)
    for layer in layers:
        ordered = [heights[name] for name in layer]
        assert all(b - a >= 0.999 for a, b in pairwise(ordered))


def test_a_circle_and_an_empty_graph_are_drawn_too() -> None:
    layers, ways = layered(["a", "b"], [("a", "b"), ("b", "a"), ("b", "b"), ("a", "gone")])
    assert layers == [["a"], ["b"]] and set(ways) == {("a", "b"), ("b", "a")}
    assert layered([], []) == ([], {})


def test_ends_out_of_sight_are_named_and_a_click_goes_there(qtbot: Any, view: LineageView) -> None:
    view.resize(520, 480)
    project = view.ctx.project
    assert project is not None
    view.show_dataset(project.datasets.get("support"))
    until_shown(qtbot, view, "version:d-support@3")
    graph, ends = view.graph, view.graph.ends.buttons
    assert graph.position_of("version:d-support@1").x() < 0
    qtbot.waitUntil(ends["left"].isVisible, timeout=LONG)
    assert ends["left"].text().startswith("‹ support, version 1") and "support, version 1" in ends["left"].toolTip()
    assert graph.rect().contains(ends["left"].geometry())
    qtbot.mouseClick(ends["left"], LEFT)
    assert graph.current == "version:d-support@1" and graph.hasFocus()
    qtbot.waitUntil(lambda: ends["left"].isHidden() and ends["right"].isVisible(), timeout=LONG)
    assert graph.rect().contains(ends["right"].geometry()) and ends["right"].text() == "made ›"
    qtbot.keyClick(graph, Qt.Key.Key_End)
    assert graph.current == "model:m-2"
    qtbot.keyClick(graph, Qt.Key.Key_Home)
    assert graph.current in ("version:d-support@1", "model:m-1"), "what the model began with"
    view.resize(1600, 700)
    qtbot.keyClick(graph, Qt.Key.Key_0)
    qtbot.waitUntil(lambda: ends["left"].isHidden() and ends["right"].isHidden(), timeout=LONG)


def test_a_row_of_collected_versions_is_no_thing_that_is_gone() -> None:
    row = Node("row:d#1", "row", "Row id 1", "in the current version", {"collected": ["d, version 1"]})
    version = Node("version:d@1", "version", "d, version 1", "", {"collected": {"reason": "old"}})
    boxes = boxes_of(Graph("row:d#1", (row, version), ()))
    assert [box.is_faint for box in boxes] == [False, True]
