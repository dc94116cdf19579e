"""The chat page with a real engine: two adapters blended while the model stays loaded, and drafts one chooses among."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QSlider

from fmstudio.project.chats import ChatMessage
from fmstudio.ui.context import AppContext
from fmstudio.ui.pages.chat import ChatPage
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_llama import build_tiny_llama
from tests.ui.chat_kit import make_context
from tests.ui.test_chat_page import ask, stored

pytestmark = pytest.mark.slow


@pytest.fixture
def context(tmp_path: Path, qtbot: Any) -> Iterator[AppContext]:
    made = make_context(tmp_path / "project", qtbot)
    assert made.project is not None
    for packaged in made.project.models.all():
        made.project.models.remove(packaged.id)
    made.project.models.add(build_tiny_llama(tmp_path)[1], "Tiny")
    for seed, name in enumerate(("manners", "tongue")):
        made.project.models.add(build_tiny_adapter(tmp_path / f"{name}.gguf", seed=seed), name)
    yield made
    if made.engine is not None:
        made.engine.stop()
    made.close()


@pytest.fixture
def page(context: AppContext, qtbot: Any) -> ChatPage:
    made = ChatPage(context)
    qtbot.addWidget(made)
    made.resize(1280, 900)
    made.show()
    made.page_shown()
    qtbot.waitUntil(lambda: bool(made.controller.library.chat_models()), timeout=15_000)
    made.controller.set_model(made.controller.library.chat_models()[0].id)
    qtbot.waitUntil(lambda: len(made.panel.adapter_rows) == 2, timeout=15_000)
    made.panel.asks_title.setChecked(False)
    made.panel.max_tokens.setValue(16)
    made.panel.temperature.setValue(0.9)
    return made


def answer(context: AppContext, page: ChatPage, qtbot: Any) -> ChatMessage:
    """Ask in a conversation of its own, so that nothing but the settings differs; give what was stored."""
    page.controller.open(None)
    ask(page, qtbot)
    qtbot.waitUntil(lambda: not page.controller.is_busy and len(page.controller.turns.path()) == 2, timeout=120_000)
    return stored(context, page)[-1]


def slide(slider: QSlider, qtbot: Any, position: int) -> None:
    """With the keyboard, in the steps a person has."""
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Home)
    for _ in range(position // slider.singleStep()):
        qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert slider.value() == position


def blend(page: ChatPage, qtbot: Any, first: int, second: int) -> None:
    """Set the scales, in hundredths; an adapter that is off is switched on with the mouse."""
    for row, scale in zip(page.panel.adapter_rows, (first, second), strict=True):
        if not row.switch.isChecked():
            qtbot.mouseClick(row.switch, Qt.MouseButton.LeftButton, pos=QPoint(8, row.switch.height() // 2))
        slide(row.slider, qtbot, scale)


def told(message: ChatMessage) -> list[tuple[str, float]]:
    return [(adapter["name"], adapter["scale"]) for adapter in message.facts["adapters"]]


def fix_seed(page: ChatPage, qtbot: Any, seed: str) -> None:
    box = page.panel.is_seed_fixed
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))
    qtbot.keyClick(page.panel.seed, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(page.panel.seed, seed)
    assert page.panel.is_seed_fixed.isChecked() and page.panel.seed.value() == int(seed)


def test_adapters_are_blended_on_the_loaded_model_and_the_old_blend_gives_the_old_answer(
    context: AppContext, page: ChatPage, qtbot: Any
) -> None:
    fix_seed(page, qtbot, "7")
    plain = answer(context, page, qtbot)
    pid, names = context.engine.pid, [row.switch.text() for row in page.panel.adapter_rows]
    assert pid and sorted(names) == ["manners", "tongue"] and told(plain) == []
    blend(page, qtbot, 60, 25)
    mixed = answer(context, page, qtbot)
    assert sorted(told(mixed)) == sorted(zip(names, (0.6, 0.25), strict=True))
    blend(page, qtbot, 10, 95)
    other = answer(context, page, qtbot)
    assert sorted(told(other)) == sorted(zip(names, (0.1, 0.95), strict=True))
    texts = [message.facts["tokens"] for message in (plain, mixed, other)]
    assert all(texts) and len({tuple(text) for text in texts}) == 3, "each blend says something else"
    blend(page, qtbot, 60, 25)
    again = answer(context, page, qtbot)
    assert (again.facts["tokens"], again.content) == (mixed.facts["tokens"], mixed.content)
    assert told(again) == told(mixed) and again.facts["seed"] == mixed.facts["seed"] == 7
    assert context.engine.pid == pid, "the base model stayed loaded"


def test_drafts_of_one_model_have_the_seeds_asked_for_and_choosing_one_teaches(
    context: AppContext, page: ChatPage, qtbot: Any
) -> None:
    fix_seed(page, qtbot, "7")
    qtbot.mouseClick(page._ways_button, Qt.MouseButton.LeftButton)
    qtbot.keyClick(page.ways.drafts, Qt.Key.Key_Up)
    assert page.ways.drafts.value() == 3, "two are offered at once"
    ask(page, qtbot)
    qtbot.waitUntil(page.views.compare.isVisible, timeout=60_000)
    columns = page.views.compare.columns
    qtbot.waitUntil(lambda: not page.controller.is_busy and all(c.answer.text for c in columns), timeout=60_000)
    drafts = [message for message in stored(context, page) if message.role == "assistant"]
    assert sorted(message.facts["seed"] for message in drafts) == [7, 8, 9]
    assert len({tuple(message.facts["tokens"]) for message in drafts}) == 3
    assert {message.parent_id for message in drafts} == {stored(context, page)[0].id}
    qtbot.keyClick(page.views.compare, Qt.Key.Key_2)
    assert context.project is not None and page.controller.conversation is not None
    chats, lessons, place = context.project.chats, context.project.lessons, page.controller.conversation.id
    qtbot.waitUntil(lambda: bool(chats.choices(place)) and lessons.count().preferences == 2, timeout=15_000)
    (choice,) = chats.choices(place)
    assert (choice["kind"], choice["chosen"]) == ("drafts", columns[1].answer.id)
    assert sorted([choice["chosen"], *choice["rejected"]]) == sorted(message.id for message in drafts)
