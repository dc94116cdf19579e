"""The comparison of two versions: counts, cards, words, filters, keys, copying, export. Real projects, real events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog

from fmstudio.project import Project
from fmstudio.project.diff import DiffRow, Shift
from fmstudio.project.diff_html import measure
from fmstudio.ui.pages.data.diff_cards import MOST_HELD
from fmstudio.ui.pages.data.diff_sides import NOW
from fmstudio.ui.pages.data.diff_summary import SAME, direction, measure_words
from fmstudio.ui.pages.data.diff_words import card_of
from fmstudio.ui.pages.data.versions_view import VersionsView
from fmstudio.ui.theme import contrast, tokens
from fmstudio.ui.widgets.elided_button import ElidedButton
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.ui.widgets.word_diff_view import WordDiffView, shortened
from tests.ui.data_kit import LONG
from tests.ui.history_kit import Contexts, conversation, with_past
from tests.unit.edit_kit import leave_out_packaged_models, make_dataset, recipe_job, simple_table

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def contexts(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contexts]:
    leave_out_packaged_models(monkeypatch)
    made = Contexts(qtbot)
    yield made
    made.close()


def open_diff(qtbot: Any, contexts: Contexts, folder: Path, dataset: str) -> VersionsView:
    context = contexts(folder)
    view = VersionsView(context)
    qtbot.addWidget(view)
    view.resize(760, 560)
    view.show()
    view.activateWindow()
    view.show_part("compare")
    assert context.project is not None
    view.show_dataset(context.project.datasets.get(dataset))
    return view


def until_cards(qtbot: Any, view: VersionsView, total: int) -> None:
    qtbot.waitUntil(lambda: view.diff.cards.total == total and bool(view.diff.cards.held()), timeout=LONG)


def test_two_versions_like_a_pull_request(
    qtbot: Any, contexts: Contexts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = with_past(tmp_path / "p", 40)
    view = open_diff(qtbot, contexts, tmp_path / "p", dataset)
    diff = view.diff
    qtbot.waitUntil(lambda: diff.sides.before.count() == 3, timeout=LONG)
    assert diff.sides.after.currentData() == NOW, "edits that wait are what is asked about first"
    until_cards(qtbot, view, 3)
    assert not diff.sides.swap.isEnabled(), "the present state is always the side after"
    view.compare(1, 3)
    until_cards(qtbot, view, 40)
    assert diff.kinds["removed"].text() == "−12 removed" and diff.kinds["changed"].text() == "~28 changed"
    assert diff.unchanged.text() == "=0 unchanged" and not diff.kinds["added"].isEnabled()
    assert [one.text() for one in diff.summary.operations][1] == "Recipe “r” → version 3"

    qtbot.mouseClick(diff.kinds["changed"], LEFT)
    until_cards(qtbot, view, 28)
    assert {card.data.row.kind for card in diff.cards.held()} == {"changed"}
    diff.cards.setFocus()
    qtbot.keyClick(diff.cards, Qt.Key.Key_J)
    qtbot.keyClick(diff.cards, Qt.Key.Key_J)
    qtbot.keyClick(diff.cards, Qt.Key.Key_K)
    assert diff.place.text() == "1 of 28 changes"
    card = diff.cards.card()
    assert card is not None and card.data.row.columns == ("messages", "score")
    bubbles = card.data.cells[0].bubbles
    assert [bubble.kind for bubble in bubbles] == ["same", "same", "changed"]
    assert ("removed", "Please hold") in bubbles[2].pieces and ("added", "Hold") in bubbles[2].pieces
    qtbot.keyClick(diff.cards, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text().startswith(f"~ row {card.data.row.row_id}\n- messages: ")

    qtbot.mouseClick(diff.summary.operations[0], LEFT)
    qtbot.waitUntil(lambda: diff.cards.total not in (0, 28), timeout=LONG)
    assert diff.only.isVisible() and diff.only.text().startswith("Only: Commit edits")
    qtbot.mouseClick(diff.only, LEFT)
    until_cards(qtbot, view, 28)

    target = tmp_path / "out.html"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(target), ""))
    qtbot.mouseClick(diff.export, LEFT)
    qtbot.waitUntil(target.exists, timeout=LONG)
    qtbot.waitUntil(lambda: any(text.startswith("Written") for text in contexts.said), timeout=LONG)
    assert "Please hold" in target.read_text("utf-8")

    qtbot.mouseClick(diff.sides.swap, LEFT)
    until_cards(qtbot, view, 40)
    assert diff.kinds["added"].text() == "+12 added"


def test_counts_and_titles_are_whole_where_there_is_room_and_wrap_where_there_is_little(
    qtbot: Any, contexts: Contexts, tmp_path: Path
) -> None:
    dataset = with_past(tmp_path / "p", 40)
    view = open_diff(qtbot, contexts, tmp_path / "p", dataset)
    diff = view.diff
    qtbot.waitUntil(lambda: diff.sides.before.count() == 3, timeout=LONG)
    view.compare(1, 3)
    until_cards(qtbot, view, 40)
    for kind, made in diff.kinds.items():
        made.setText(f"{kind} 1,234,567 {kind}")
    diff.unchanged.setText("=12,345,678 unchanged")
    diff.place.setText("1,234,567 of 9,234,567 changes")
    for width in (1_700, 1_000, 640):
        view.resize(width, 560)
        if width == 1_000:
            diff.show_operation(1, "Recipe with a title far longer than a line of a small window can ever hold " * 2)
        qtbot.wait(60)
        parts = [*diff.kinds.values(), diff.unchanged, diff.place, diff.previous, diff.next, diff.copy]
        assert all(part.width() >= part.sizeHint().width() for part in parts), width
        assert all(diff.rect().contains(part.mapTo(diff, part.rect().bottomRight())) for part in [*parts, diff.only])
        one_line = diff.place.mapTo(diff, diff.place.rect().center()).y() == pytest.approx(
            diff.unchanged.mapTo(diff, diff.unchanged.rect().center()).y(), abs=3
        )
        assert one_line == (width == 1_700)
    assert diff.only.shown_text().endswith("…") and diff.only.width() > 200


def test_a_title_is_cut_by_the_room_alone(qtbot: Any) -> None:
    title = "Recipe that cleans, redacts & deduplicates everything the importer left behind"
    button = ElidedButton(title.replace("&", "&&"))
    qtbot.addWidget(button)
    button.resize(button.sizeHint())
    assert button.shown_text() == button.text()
    button.resize(200, button.height())
    assert button.shown_text().endswith("…") and len(button.shown_text()) > 15
    assert button.minimumSizeHint().width() < 100


def test_numbers_of_one_measure_are_written_by_one_rule() -> None:
    chars = Shift("mean length of created at", 19.0, 18.96, "characters")
    assert direction(chars)[0] == SAME, "what reads the same is the same"
    assert [measure_words(v, "characters") for v in (19.0, 18.9, 1_234.0)] == [
        "19.0 chars",
        "18.9 chars",
        "1,234.0 chars",
    ]
    assert [measure(v, "characters") for v in (19.0, 18.9)] == ["19.0 characters", "18.9 characters"]
    assert (measure_words(1_234.0, "rows"), measure(1_234.0, "rows")) == ("1,234", "1,234")


def test_one_version_has_nothing_to_compare(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p")
    dataset = make_dataset(project, "rows", simple_table(4))
    project.close()
    view = open_diff(qtbot, contexts, tmp_path / "p", dataset)
    qtbot.waitUntil(lambda: view.diff._message_title.text() == "Nothing to compare yet", timeout=LONG)
    assert not view.diff.export.isEnabled()
    assert view.ctx.project is not None
    project = view.ctx.project
    view.ctx.run_op(None, lambda: project.edits.set_cells(dataset, {1: {"text": "one"}}))
    until_cards(qtbot, view, 1)
    assert view.diff.cards.held()[0].data.cells[0].pieces == (("removed", "text 1"), ("gap", " → "), ("added", "one"))


def test_thousands_of_changes_are_never_all_in_memory(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p")
    dataset = make_dataset(project, "rows", simple_table(1_000))
    rows = simple_table(1_000)
    changed = rows.set_column(1, "text", pa.array([f"other {i}" for i in range(1_000)]))
    project.publish(recipe_job(project, dataset, changed))
    project.close()
    view = open_diff(qtbot, contexts, tmp_path / "p", dataset)
    until_cards(qtbot, view, 1_000)
    cards = view.diff.cards
    cards.setFocus()
    for number in range(1, 61):
        qtbot.keyClick(cards, Qt.Key.Key_J)
        qtbot.waitUntil(lambda number=number: cards.current == number - 1, timeout=LONG)  # type: ignore[misc]
        assert len(cards.held()) <= MOST_HELD
    card = cards.card()
    assert card is not None and card.data.row.row_id == 59
    qtbot.waitUntil(lambda: not card.visibleRegion().isEmpty(), timeout=LONG)
    qtbot.keyClick(cards, Qt.Key.Key_End)
    qtbot.waitUntil(lambda: cards.current == 999, timeout=LONG)
    assert [one.place for one in cards.held()] == list(range(cards.held()[0].place, 1_000))
    qtbot.keyClick(cards, Qt.Key.Key_K)
    assert cards.current == 998
    qtbot.keyClick(cards, Qt.Key.Key_Home)
    qtbot.waitUntil(lambda: cards.current == 0, timeout=LONG)
    qtbot.waitUntil(lambda: view.diff.summary.isVisible(), timeout=LONG)


def test_scrolling_loads_on_and_keeps_what_is_in_sight_in_its_place(
    qtbot: Any, contexts: Contexts, tmp_path: Path
) -> None:
    dataset = with_past(tmp_path / "p", 400)
    view = open_diff(qtbot, contexts, tmp_path / "p", dataset)
    qtbot.waitUntil(lambda: view.diff.sides.before.count() == 3, timeout=LONG)
    view.compare(1, 3)
    until_cards(qtbot, view, 400)
    cards = view.diff.cards
    bar = cards.verticalScrollBar()
    seen = 0
    qtbot.waitUntil(lambda: bar.maximum() > 0, timeout=LONG)

    def in_sight() -> list[int]:
        return [card.place for card in cards.held() if not card.visibleRegion().isEmpty()]

    for _ in range(60):
        held = [card.place for card in cards.held()]
        assert held == list(range(held[0], held[0] + len(held))) and len(held) <= MOST_HELD
        qtbot.waitUntil(lambda: bool(in_sight()) and not cards._is_busy and cards._anchor is None, timeout=LONG)
        assert in_sight()[0] <= seen + 6, "no jump over cards that were never seen"
        seen = max(seen, in_sight()[-1])
        bar.setValue(bar.value() + 300)
        qtbot.wait(1)  # lay out, ask for the next page
    assert seen > MOST_HELD


def test_a_failure_is_told_with_a_way_on(qtbot: Any, contexts: Contexts, tmp_path: Path) -> None:
    dataset = with_past(tmp_path / "p", 40)
    view = open_diff(qtbot, contexts, tmp_path / "p", dataset)
    qtbot.waitUntil(lambda: view.diff.sides.before.count() == 3, timeout=LONG)
    view.diff.compare(1, 77)
    qtbot.waitUntil(lambda: bool(view.diff.findChildren(ProblemCard)), timeout=LONG)
    assert view.diff.stack.currentWidget() is view.diff._failed


def test_cells_and_messages_in_words() -> None:
    before = {"row_id": 1, "a": None, "b": 3, "c": "x", "m": conversation(1)}
    after = {
        "row_id": 1,
        "a": "new",
        "b": 4,
        "c": None,
        "m": [*conversation(1)[:2], {"role": "user", "content": "Thanks"}],
    }
    card = card_of(DiffRow(1, "changed", before, after, ("a", "b", "c", "m")))
    assert card.cells[0].pieces == (("gap", "(nothing) → "), ("added", "new"))
    assert card.cells[1].pieces == (("removed", "3"), ("gap", " → "), ("added", "4"))
    assert card.cells[2].pieces == (("removed", "x"), ("gap", " → (nothing)"))
    assert [bubble.kind for bubble in card.cells[3].bubbles] == ["same", "same", "removed", "added"]
    gone = card_of(DiffRow(2, "removed", before, None, reason="too short"))
    assert [cell.column for cell in gone.cells] == ["a", "b", "c", "m"]
    assert gone.text.startswith("− row 2 (too short)\n- a: (nothing)\n- b: 3")


def test_long_texts_are_folded_around_their_changes() -> None:
    pieces = [("same", "a" * 50_000), ("removed", "old"), ("added", "new"), ("same", "b" * 50_000)]
    short = shortened(pieces)
    assert [kind for kind, _ in short] == ["gap", "same", "removed", "added", "same", "gap"]
    assert sum(len(text) for _, text in short) < 1_000
    assert shortened([("same", "short")]) == [("same", "short")]
    assert shortened([("added", "c" * 9_000)])[0] == ("added", "c" * 2_400)


def test_markup_in_a_text_is_shown_as_it_is_and_marks_have_contrast(qtbot: Any) -> None:
    view = WordDiffView([("same", "<b>x</b>\n<img src='file:///etc/passwd'>"), ("removed", "old"), ("added", "new")])
    qtbot.addWidget(view)
    assert view.toPlainText() == "<b>x</b>\n<img src='file:///etc/passwd'>oldnew"
    assert "removed: old" in view.accessibleName() and "added: new" in view.accessibleName()
    for name in ("light", "dark"):
        found = tokens(name)
        for token in ("danger", "positive"):
            assert contrast(found[token], found[f"{token}_soft"]) >= 4.5, (name, token)
