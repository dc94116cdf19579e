"""An engine whose library was built for another processor: real processes that die of it, and the way on in the window."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton

from fmstudio.jobs.engine import Engine
from fmstudio.ui.pages.chat import ChatPage
from tests.helpers import write_plugin
from tests.ui.chat_kit import make_context, write_tiny_gguf
from tests.ui.test_chat_page import ask, problem_card

ELSEWHERE = """
import os, signal
from fmstudio.api import ChatBackend, Chunk, ModelInfo

class Elsewhere(ChatBackend):
    @classmethod
    def probe_settings(cls):
        return [{"fast": True}, {"fast": False}]

    def load(self, model, params, settings):
        return ModelInfo(100, 100, True, 1, "elsewhere")

    def set_adapters(self, adapters): pass
    def count_tokens(self, messages): return 1

    def generate(self, request, cancelled):
        os.kill(os.getpid(), signal.SIGILL)
        yield Chunk()
"""
TABLE = (
    'requires = ["llama-cpp-python"]\n[[chat_backend]]\nid = "elsewhere"\ntitle = "Elsewhere"\n'
    'class = "elsewhere_code:Elsewhere"\nformats = ["gguf"]\n'
)


class EngineBuiltElsewhere(Engine):
    def start(self, model: Path, **options: Any) -> None:
        super().start(model, **{**options, "backend": "elsewhere", "params": None})


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_one_click_copies_the_command_that_builds_the_library_for_this_processor(
    own_home: Path, tmp_path: Path, qtbot: Any
) -> None:
    write_plugin(own_home, "elsewhere", TABLE, ELSEWHERE)
    context = make_context(tmp_path / "project", qtbot)
    try:
        assert context.project is not None
        model = context.project.models.add(write_tiny_gguf(tmp_path / "tiny.gguf"), "Tiny")
        context.engine = EngineBuiltElsewhere(context.launcher, log_path=tmp_path / "engine.log", python=sys.executable)
        page = ChatPage(context)
        qtbot.addWidget(page)
        page.resize(1080, 770)
        page.show()
        page.page_shown()
        qtbot.waitUntil(lambda: bool(page.controller.library.chat_models()), timeout=15_000)
        page.controller.set_model(model.id)
        ask(page, qtbot)
        qtbot.waitUntil(lambda: problem_card(page) is not None, timeout=60_000)
        card = problem_card(page)
        assert card is not None and "SIGILL" in card.problem.details and "C++ compiler" in card.problem.remedy
        copy = next(b for b in card.findChildren(QPushButton) if b.text() == "Copy the command")
        qtbot.waitUntil(copy.isVisible, timeout=5_000)
        command = card.problem.remedy_command
        assert command in copy.toolTip() and "terminal" in copy.toolTip()
        qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
        assert QGuiApplication.clipboard().text() == command and copy.text() == "Copied"
        version = importlib.metadata.version("llama-cpp-python")
        assert f"pip install llama-cpp-python=={version} --no-binary llama-cpp-python --force-reinstall" in command
        qtbot.waitUntil(lambda: copy.text() == "Copy the command", timeout=5_000)
        assert [b.text() for b in card.findChildren(QPushButton)].count("Restart engine and retry") == 1
    finally:
        if context.engine is not None:
            context.engine.stop()
        context.close()
