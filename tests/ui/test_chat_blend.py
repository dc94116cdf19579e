"""The chat page with a real engine: two adapters blended while the model stays loaded, and drafts one chooses among."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSlider

from fmstudio.project.chats import ChatMessage
from fmstudio.ui.context import AppContext
from fmstudio.ui.pages.chat import ChatPage
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_llama import build_tiny_llama
from tests.ui.chat_kit import make_context

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


def ask(page: ChatPage, qtbot: Any, text: str = "Where is the river?") -> None:
    page.composer.input.setFocus()
    page.composer.set_text(text)
    qtbot.keyClick(page.composer.input, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)


def answer(page: ChatPage, qtbot: Any) -> ChatMessage:
    """Ask in a conversation of its own, so that nothing but the settings differs; give what was stored."""
    settings = page.controller.settings
    page.controller.open(None)
    page.controller.settings = settings
    ask(page, qtbot)
    qtbot.waitUntil(lambda: not page.controller.is_busy and len(page.controller.turns.path()) == 2, timeout=120_000)
    context = page.controller.context if hasattr(page.controller, "context") else None
    assert context is None or context.project is not None
    return page.controller.turns.path()[-1]


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
            qtbot.mouseClick(row.switch, Qt.MouseButton.LeftButton, pos=row.switch.rect().center() * 0 + _box(row))
        slide(row.slider, qtbot, scale)


def _box(row: Any) -> Any:
    from PySide6.QtCore import QPoint

    return QPoint(8, row.switch.height() // 2)


def told(message: ChatMessage) -> list[tuple[str, float]]:
    return [(adapter["name"], adapter["scale"]) for adapter in message.facts["adapters"]]
