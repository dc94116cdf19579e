"""Guessing ahead in the chat: chosen in the panel, loaded with, told below the answer, greyed for servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QPushButton,
    QSpinBox,
    QStyle,
    QStyleOptionSpinBox,
)

from fmstudio.jobs.outcome import Problem
from fmstudio.project.models import ModelEntry
from fmstudio.ui.context import AppContext
from fmstudio.ui.pages.chat import ChatPage
from fmstudio.ui.pages.chat.planning import settings_of
from fmstudio.ui.pages.chat.settings import ChatSettings
from fmstudio.ui.pages.chat.turn import Library
from fmstudio.ui.pages.chat.words import remedy_words
from tests.ui.chat_kit import FakeOpenAI, Script, write_tiny_gguf
from tests.ui.test_chat_page import ask, base, context, page, problem_card, server, stored, wait_idle

__all__ = ["base", "context", "page", "server"]

SLOWER = "Guessing ahead was slower here (31.0 ms a token, 20.1 ms without it) and is off for this conversation."


@pytest.fixture
def draft(context: AppContext, base: ModelEntry, tmp_path: Path) -> ModelEntry:
    assert context.project is not None
    return context.project.models.add(write_tiny_gguf(tmp_path / "draft.gguf", 16), "Draft")


def choose(page: ChatPage, method: str) -> None:
    """What a click in the list does."""
    box = page.panel.guessing.method
    box.setCurrentIndex(box.findData(method))
    box.activated.emit(box.currentIndex())


def test_a_way_to_guess_loads_the_model_again_with_it(
    context: AppContext, draft: ModelEntry, page: ChatPage, qtbot: Any
) -> None:
    qtbot.waitUntil(lambda: page.panel.guessing.draft.count() == 1, timeout=15_000)
    rows = page.panel.guessing
    page.controller.set_model(page.controller.library.entries[0].id)
    chosen, other = page.controller.model_id, rows.draft.itemData(0)
    assert other != chosen and not rows.draft.isVisible()
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    choose(page, "lookup")
    ask(page, qtbot)
    wait_idle(page, qtbot, 4)
    assert context.engine.params == {"speculation": "lookup", "draft_tokens": 8} and len(context.engine.starts) == 2
    choose(page, "draft")
    assert rows.draft.isVisible() and rows.draft.currentData() == other, "the only one there is"
    ask(page, qtbot)
    wait_idle(page, qtbot, 6)
    entry = page.controller.library.get(other)
    assert entry is not None and entry.path != context.engine.starts[-1]
    drafting = {"speculation": "draft", "draft_tokens": 8, "draft_p_min": 0.75}
    assert context.engine.params == {**drafting, "draft_model": str(entry.path)}
    facts = stored(context, page)[-1].facts
    assert (facts["guess_ahead"]["method"], facts["guess_ahead"]["model"]["id"]) == ("draft", other)
    again = settings_of(facts)
    assert (again.speculation, again.draft_model_id) == ("draft", other), "a turn is made again as it was made"
    ask(page, qtbot)
    wait_idle(page, qtbot, 8)
    assert len(context.engine.starts) == 3, "nothing changed, nothing is loaded"
    choose(page, "off")
    ask(page, qtbot)
    wait_idle(page, qtbot, 10)
    assert context.engine.params is None and not rows.draft.isVisible()


def test_it_is_kept_with_the_conversation(context: AppContext, draft: ModelEntry, page: ChatPage, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: page.panel.guessing.draft.count() == 1, timeout=15_000)
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    choose(page, "draft")
    page.controller.save_settings()
    first = page.controller.conversation
    assert first is not None

    def is_kept() -> bool:
        kept = page.listing.conversations.get(first.id)
        return kept is not None and kept.settings.get("speculation") == "draft"

    qtbot.waitUntil(is_kept, timeout=15_000)
    page.controller.open(None)
    page.controller.settings = ChatSettings()
    page.choosing.show_settings()
    assert page.panel.guessing.method.currentData() == "off"
    page.listing.open_id(first.id)
    assert page.panel.guessing.method.currentData() == "draft"
    assert page.panel.guessing.draft.currentData() == page.controller.settings.draft_model_id != ""


def pick(page: ChatPage, qtbot: Any, method: str) -> None:
    """Choose with the arrow keys."""
    box = page.panel.guessing.method
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Home)
    for _ in range(box.findData(method)):
        qtbot.keyClick(box, Qt.Key.Key_Down)
    assert box.currentData() == method


def write_number(box: QAbstractSpinBox, qtbot: Any, text: str) -> None:
    qtbot.mouseClick(box.lineEdit(), Qt.MouseButton.LeftButton)
    qtbot.keyClick(box, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Tab)


def press_up(box: QSpinBox, qtbot: Any) -> None:
    """Click the upper arrow."""
    option = QStyleOptionSpinBox()
    box.initStyleOption(option)
    control = QStyle.SubControl.SC_SpinBoxUp
    arrow = box.style().subControlRect(QStyle.ComplexControl.CC_SpinBox, option, control, box)
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=arrow.center())


def test_length_and_certainty_of_guesses_are_set_by_hand_sent_and_kept(
    context: AppContext, draft: ModelEntry, page: ChatPage, qtbot: Any
) -> None:
    rows = page.panel.guessing
    qtbot.waitUntil(lambda: rows.draft.count() == 1, timeout=15_000)
    assert not rows.tokens.isVisible() and not rows.certainty.isVisible(), "nothing is guessed"
    assert "tokens" in rows.tokens.toolTip() and "certain" in rows.certainty.toolTip()
    pick(page, qtbot, "lookup")
    qtbot.waitUntil(rows.tokens.isVisible, timeout=5_000)
    assert not rows.certainty.isVisible(), "a text is not certain of itself"
    write_number(rows.tokens, qtbot, "12")
    press_up(rows.tokens, qtbot)
    assert rows.tokens.value() == 13
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    assert context.engine.params == {"speculation": "lookup", "draft_tokens": 13}
    pick(page, qtbot, "draft")
    qtbot.waitUntil(rows.certainty.isVisible, timeout=5_000)
    write_number(rows.certainty, qtbot, "0.4")
    qtbot.keyClick(rows.certainty, Qt.Key.Key_Up)
    assert rows.certainty.value() == 0.45
    write_number(rows.tokens, qtbot, "99")
    assert rows.tokens.value() == 9, "31 tokens at most: the second digit is not taken"
    ask(page, qtbot)
    wait_idle(page, qtbot, 4)
    assert context.engine.params["draft_tokens"] == 9 and context.engine.params["draft_p_min"] == 0.45
    again = settings_of(stored(context, page)[-1].facts)
    assert (again.draft_tokens, again.draft_p_min) == (9, 0.45), "a turn is made again as it was made"
    first = page.controller.conversation
    assert first is not None
    page.controller.save_settings()

    def is_kept() -> bool:
        kept = page.listing.conversations.get(first.id)
        return kept is not None and kept.settings.get("draft_p_min") == 0.45

    qtbot.waitUntil(is_kept, timeout=15_000)
    page.controller.open(None)
    page.controller.settings = ChatSettings()
    page.choosing.show_settings()
    assert not rows.tokens.isVisible() and (rows.tokens.value(), rows.certainty.value()) == (8, 0.75)
    page.listing.open_id(first.id)
    assert (rows.tokens.value(), rows.certainty.value()) == (9, 0.45)
    pick(page, qtbot, "off")
    qtbot.waitUntil(lambda: not rows.tokens.isVisible() and not rows.certainty.isVisible(), timeout=5_000)


def test_without_a_second_model_there_is_no_draft_and_it_says_so(page: ChatPage) -> None:
    from PySide6.QtGui import QStandardItemModel

    items = page.panel.guessing.method.model()
    assert isinstance(items, QStandardItemModel)
    assert not items.item(2).isEnabled() and "no second model" in items.item(2).toolTip()


def test_a_model_does_not_draft_for_itself(base: ModelEntry, draft: ModelEntry) -> None:
    library, settings = Library([base, draft]), ChatSettings(speculation="draft", draft_model_id=draft.id)
    drafting = {"speculation": "draft", "draft_tokens": 8, "draft_p_min": 0.75}
    assert library.engine_params(base, settings) == {**drafting, "draft_model": str(draft.path)}
    assert library.engine_params(draft, settings) == {}
    assert Library([base]).engine_params(base, settings) == {**drafting, "draft_model": ""}


def test_a_draft_model_the_engine_refuses_is_a_card_with_a_way_on(
    context: AppContext, draft: ModelEntry, page: ChatPage, qtbot: Any
) -> None:
    qtbot.waitUntil(lambda: page.panel.guessing.draft.count() == 1, timeout=15_000)
    choose(page, "draft")
    action = {"draft_model": "", "speculation": "off"}
    why = "“draft.gguf” cannot draft for this model: its vocabulary is another."
    context.engine.next_problem = Problem(why, "Choose a smaller model of the same family.", remedy_action=action)
    ask(page, qtbot)
    qtbot.waitUntil(lambda: problem_card(page) is not None, timeout=15_000)
    card = problem_card(page)
    assert card is not None
    mend = next(b for b in card.findChildren(QPushButton) if b.text() == "Do not guess ahead")
    qtbot.mouseClick(mend, Qt.MouseButton.LeftButton)
    wait_idle(page, qtbot, 2)
    assert context.engine.params is None and page.panel.guessing.method.currentData() == "off"
    choose(page, "draft")
    ask(page, qtbot)
    wait_idle(page, qtbot, 4)
    assert context.engine.params["speculation"] == "draft", "a remedy does not stand in the way of the next choice"


def test_remedies_are_said_in_words() -> None:
    assert remedy_words({"draft_model": "", "speculation": "off"}) == "Do not guess ahead"
    assert remedy_words({"speculation": "lookup"}) == "Guess ahead from the text"
    assert remedy_words({"n_ctx": 2048, "kv_type": "q8_0"}) == "Use a context of 2,048 tokens, Keep the context in q8_0"


def test_the_answer_says_how_guessing_went_and_why_it_was_switched_off(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    said = {"method": "lookup", "drafted": 40, "accepted": 30, "plain_ms": 20.1, "ahead_ms": 12.0, "reason": ""}
    server.script = Script(speculation=said)
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    assert stored(context, page)[-1].facts["speculation"] == said
    numbers = page.transcript.cards[-1].data.numbers
    assert "75% of 40 guesses right" in numbers
    assert page.transcript.cards[-1].data.note == ""
    off = {**said, "drafted": 12, "accepted": 1, "ahead_ms": 31.0, "reason": SLOWER}
    why = "guessing ahead is off, it was slower: 31.0 ms a token, 20.1 ms without"
    server.script = Script(speculation=off)
    ask(page, qtbot)
    wait_idle(page, qtbot, 4)
    shown = page.transcript.cards[-1].data
    assert shown.note == why and "8% of 12 guesses right" in shown.numbers and why not in shown.numbers
    off |= {"drafted": 0, "accepted": 0}
    server.script = Script(speculation=off)
    ask(page, qtbot)
    wait_idle(page, qtbot, 6)
    shown = page.transcript.cards[-1].data
    assert shown.note == "" and why in shown.numbers and "guesses" not in shown.numbers
    server.script = Script(speculation={**off, "plain_ms": 0, "ahead_ms": 0, "reason": "It cannot."})
    ask(page, qtbot)
    wait_idle(page, qtbot, 8)
    assert "It cannot." in page.transcript.cards[-1].data.numbers
    server.script = Script()
    ask(page, qtbot)
    wait_idle(page, qtbot, 10)
    assert "speculation" not in stored(context, page)[-1].facts


def test_a_server_decides_for_itself(context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any) -> None:
    assert context.project is not None
    context.project.endpoints.add(f"http://127.0.0.1:{server.port}/v1", "their-model", "Theirs", has_key=False)
    page.choosing.load()

    def found() -> list[ModelEntry]:
        return [entry for entry in page.controller.library.entries if entry.name == "Theirs"]

    qtbot.waitUntil(lambda: bool(found()), timeout=15_000)
    rows = page.panel.guessing
    assert rows.method.isEnabled() and "check them at once" in rows.method.toolTip()
    page.controller.set_model(found()[0].id)
    assert not rows.method.isEnabled() and "Theirs is a server" in rows.method.toolTip()
    assert not page.panel.n_ctx.isEnabled() and "decides itself" in page.panel.n_ctx.toolTip()
