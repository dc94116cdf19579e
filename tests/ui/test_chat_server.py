"""Servers that speak OpenAI's API as models of the chat: their fields, keys, limits and errors; and a second FM Studio."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PySide6.QtCore import QMimeData, Qt
from PySide6.QtGui import QImage

from fmstudio.core import keyring_store
from fmstudio.core.connections import connections
from fmstudio.ui.pages.chat import ChatPage, choosing
from fmstudio.ui.pages.chat.dialect import DIALECTS, STANDARD, dialect_of
from fmstudio.ui.widgets.message_bar import ProblemCard
from tests.helpers import ROOT
from tests.ui.chat_kit import FakeOpenAI, Script, make_context

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext

WAIT = 15_000


@pytest.fixture
def context(tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppContext]:
    monkeypatch.setattr("fmstudio.project.models.ModelLibrary.add_packaged", lambda self: None)
    monkeypatch.setattr(keyring_store, "read_key", lambda _: FakeOpenAI.key)
    made = make_context(tmp_path / "project", qtbot)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    made = FakeOpenAI()
    yield made
    made.close()


def page_with(
    context: AppContext, qtbot: Any, url: str, model: str = "their-model", *, has_key: bool = True
) -> ChatPage:
    assert context.project is not None
    context.project.endpoints.add(url, model, "Theirs", has_key=has_key)
    page = ChatPage(context)
    qtbot.addWidget(page)
    page.resize(1100, 700)
    page.show()
    page.page_shown()
    qtbot.waitUntil(lambda: page.controller.library.get(page.controller.model_id) is not None, timeout=WAIT)
    return page


def ask(page: ChatPage, qtbot: Any, text: str = "Hello") -> None:
    page.panel.asks_title.setChecked(False)
    page.composer.input.setFocus()
    qtbot.keyClicks(page.composer.input, text)
    qtbot.keyClick(page.composer.input, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)


def card(page: ChatPage) -> ProblemCard | None:
    return page.findChild(ProblemCard)


def test_a_server_answers_and_is_sent_only_what_it_knows(context: AppContext, server: FakeOpenAI, qtbot: Any) -> None:
    page = page_with(context, qtbot, f"http://127.0.0.1:{server.port}/v1")
    assert "server" in page.header.models.currentText()
    assert f"sent to http://127.0.0.1:{server.port}" in page._no_turns.words.text()
    ask(page, qtbot)
    qtbot.waitUntil(lambda: len(page.controller.turns.path()) == 2, timeout=WAIT)
    answer = page.controller.turns.path()[1]
    assert answer.content == "Hello, world."
    assert answer.facts["engine"]["server"] == "other" and answer.facts["timings"]["first_text_ms"] > 0
    body = server.bodies[0]
    assert set(body) <= STANDARD and body["model"] == "their-model" and body["seed"] == answer.facts["seed"]
    assert context.engine is None, "no engine was started"
    assert not page.panel.top_k.isEnabled() and "does not know" in page.panel.top_k.toolTip()
    assert not page.header.meter.isVisible() and "does not count" in page.header.state.toolTip()
    assert connections() == [], "this computer is no network"
    shown = page.transcript.cards[-1]
    actions = {action.text(): action for action in shown.make_menu().actions()}
    tokens = actions["Tokens and their alternatives (T)"]
    assert not tokens.isEnabled() and "likely" in tokens.toolTip()
    said: list[str] = []
    context.notified.connect(lambda _level, text, _action: said.append(text))
    qtbot.keyClick(shown, Qt.Key.Key_N)
    assert said and "go on" in said[0] and not page.controller.is_busy


def test_kinds_of_servers_are_told_apart() -> None:
    def owned(by: str) -> Any:
        return {"data": [{"id": "m", "owned_by": by}]}

    assert [dialect_of(owned(by)).name for by in ("llamacpp", "vllm", "library", "fmstudio", "openai")] == [
        "llamacpp", "vllm", "ollama", "fmstudio", "other",
    ]  # fmt: skip
    assert dialect_of({"nothing": 1}).name == "other"
    body = {"messages": [], "top_k": 4, "repeat_penalty": 1.1, "lora": [], "return_progress": True}
    assert DIALECTS["vllm"].fitted(body) == {"messages": [], "top_k": 4, "repetition_penalty": 1.1}


def test_stop_leaves_the_server_and_keeps_what_came(context: AppContext, server: FakeOpenAI, qtbot: Any) -> None:
    server.script = Script(pieces=["word "] * 400, delay=0.02)
    page = page_with(context, qtbot, f"http://127.0.0.1:{server.port}")
    ask(page, qtbot)
    qtbot.waitUntil(lambda: page.controller.turn is not None and len(page.controller.turn.text) > 10, timeout=WAIT)
    qtbot.keyClick(page.composer.input, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: len(page.controller.turns.path()) == 2, timeout=WAIT)
    assert page.controller.turns.path()[1].facts["finish_reason"] == "cancelled"
    qtbot.waitUntil(server.hung_up.is_set, timeout=WAIT)


def test_a_refused_key_is_explained_and_a_missing_one_asked_for(
    context: AppContext, server: FakeOpenAI, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring_store, "read_key", lambda _: "wrong")
    page = page_with(context, qtbot, f"http://127.0.0.1:{server.port}/v1")
    ask(page, qtbot)
    qtbot.waitUntil(lambda: card(page) is not None, timeout=WAIT)
    shown = card(page)
    assert shown is not None and "refuses the key" in shown.problem.message
    assert [m.role for m in page.controller.turns.path()] == ["user"], "the question is kept"
    monkeypatch.setattr(keyring_store, "read_key", lambda _: "")
    monkeypatch.setattr(choosing.QInputDialog, "getText", lambda *_: (FakeOpenAI.key, True))
    kept: list[tuple[str, str]] = []
    monkeypatch.setattr(keyring_store, "keep_key", lambda name, key: kept.append((name, key)))
    page.controller.retry()
    qtbot.waitUntil(lambda: len(page.controller.turns.path()) == 2, timeout=WAIT)
    assert kept == [(page.controller.model_id, FakeOpenAI.key)]


def test_another_machine_needs_the_network(context: AppContext, qtbot: Any) -> None:
    page = page_with(context, qtbot, "https://models.example.org/v1")
    ask(page, qtbot)
    qtbot.waitUntil(lambda: card(page) is not None, timeout=WAIT)
    shown = card(page)
    assert shown is not None and "network is off" in shown.problem.message and "Settings" in shown.problem.remedy
    assert connections() == []


def test_a_server_that_is_gone_is_explained_and_the_turn_is_made_again(
    context: AppContext, server: FakeOpenAI, qtbot: Any
) -> None:
    server.script = Script(pieces=["some ", "words ", "lost"], die_after=2)
    page = page_with(context, qtbot, f"http://127.0.0.1:{server.port}/v1")
    ask(page, qtbot)
    qtbot.waitUntil(lambda: card(page) is not None, timeout=WAIT)
    shown = card(page)
    assert shown is not None and "does not answer" in shown.problem.message
    assert page.controller.turns.path()[1].content == "some words "


def test_pictures_travel_to_servers_and_are_refused_by_the_engine(
    context: AppContext, server: FakeOpenAI, qtbot: Any
) -> None:
    page = page_with(context, qtbot, f"http://127.0.0.1:{server.port}/v1")
    image = QImage(40, 20, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.red)
    pasted = QMimeData()
    pasted.setImageData(image)
    page.composer.input.insertFromMimeData(pasted)
    qtbot.waitUntil(lambda: len(page.composer.attachments) == 1, timeout=WAIT)
    assert page.composer.attachments[0]["detail"] == "40 × 20"
    ask(page, qtbot, "What is this?")
    qtbot.waitUntil(lambda: len(page.controller.turns.path()) == 2, timeout=WAIT)
    parts = server.bodies[0]["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url"]
    assert parts[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert context.project is not None and page.controller.conversation is not None
    kept = context.project.chats.messages(page.controller.conversation.id)[0]
    assert page.transcript.cards[0].data.images == (kept.facts["attachments"][0]["data"],)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="ends the server by signal")
def test_a_second_fmstudio_on_loopback_is_a_model_like_any_other(
    context: AppContext, tmp_path: Path, qtbot: Any
) -> None:
    from fmstudio.project import Project
    from tests.tiny_llama import build_tiny_llama

    tiny = build_tiny_llama(tmp_path / "tiny")[1]
    Project.create(tmp_path / "other").close()
    argv = [sys.executable, "-m", "fmstudio", "serve", "--model", str(tiny), "--port", "0"]
    process = subprocess.Popen(
        [*argv, "--project", str(tmp_path / "other")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FMSTUDIO_API_KEY": FakeOpenAI.key},
    )
    try:
        assert process.stderr is not None
        url = next(line for line in process.stderr if line.startswith("Serving on ")).split()[2]
        page = page_with(context, qtbot, url, tiny.stem)
        page.panel.max_tokens.setValue(12)
        ask(page, qtbot)
        qtbot.waitUntil(lambda: len(page.controller.turns.path()) == 2, timeout=60_000)
        answer = page.controller.turns.path()[1]
        assert answer.facts["engine"]["server"] == "fmstudio" and answer.facts["tokens"]
        assert answer.facts["usage"]["completion_tokens"] > 0
        assert page.panel.top_k.isEnabled(), "it knows our settings"
        qtbot.waitUntil(lambda: page.header.meter.isVisible(), timeout=WAIT)
        said: list[str] = []
        context.notified.connect(lambda level, text, _action: said.append(f"{level}: {text}"))
        qtbot.keyClick(page.transcript.cards[-1], Qt.Key.Key_Y)
        qtbot.waitUntil(lambda: bool(said), timeout=60_000)
        assert said[0].startswith("positive") and "tokens came again" in said[0], said
        qtbot.keyClick(page.transcript.cards[-1], Qt.Key.Key_T)
        qtbot.waitUntil(page.views.tokens.isVisible, timeout=60_000)
        assert [token.id for token in page.views.tokens.tokens] == answer.facts["tokens"]
        assert connections() == []
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        assert process.stderr is not None
        process.stderr.close()
