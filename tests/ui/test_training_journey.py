"""Training as a person meets it: a model and rows dropped on the window, a run begun, stopped and resumed by mouse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QWidget

from fmstudio.ui.shell import MainWindow
from tests.helpers import ROOT
from tests.ui.conftest import OpenWindow

LONG = 120_000
ROWS = 240


def drop(window: MainWindow, *paths: Path) -> None:
    """A real drag and drop from the desktop."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    place, buttons, keys = QPoint(600, 400), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(place, Qt.DropAction.CopyAction, mime, buttons, keys)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(QPointF(place), Qt.DropAction.CopyAction, mime, buttons, keys))


def click(qtbot: Any, button: QWidget) -> None:
    qtbot.waitUntil(lambda: button.isVisible() and button.isEnabled(), timeout=LONG)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def words(widget: QWidget) -> str:
    return "\n".join(one.text() for one in widget.findChildren(QLabel) if one.isVisible())


@pytest.mark.slow
def test_a_run_is_begun_stopped_resumed_and_its_adapter_is_in_the_library(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.tiny_llama import build_tiny_llama as b; b(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "tiny")], check=True, cwd=ROOT, capture_output=True)
    rows = tmp_path / "talk.jsonl"
    turns = [("user", "What is light number {n}?"), ("assistant", "It is green and stays so for {n} seconds.")]
    lines = [{"messages": [{"role": r, "content": t.format(n=n)} for r, t in turns]} for n in range(ROWS)]
    rows.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    window = open_window(project_folder)
    window.resize(1280, 800)
    context: Any = window.context

    drop(window, tmp_path / "tiny" / "tiny-llama-f32.gguf")
    qtbot.waitUntil(lambda: window.current_id == "models", timeout=LONG)
    models: Any = window.pages["models"]
    qtbot.waitUntil(
        lambda: models.details.entry is not None and models.details.entry.name == "tiny-llama", timeout=LONG
    )
    window.show_page("data", {})
    drop(window, rows)
    data: Any = window.pages["data"]
    click(qtbot, data.importing.import_button)
    qtbot.waitUntil(lambda: bool(context.project.datasets.all()), timeout=LONG)

    window.show_page("models", {})
    click(qtbot, next(b for b in models.details.findChildren(QPushButton) if b.text() == "Train on it"))
    qtbot.waitUntil(lambda: window.current_id == "training", timeout=LONG)
    page: Any = window.pages["training"]
    form = page.form
    qtbot.waitUntil(lambda: form.params is not None and form.base.currentText().startswith("tiny-llama"), timeout=LONG)
    form.params.set_values({"epochs": 8.0, "max_eval_records": 2, "max_new_tokens": 4, "checkpoint_seconds": 0.0})
    click(qtbot, form.start)

    view = page.run_view
    qtbot.waitUntil(lambda: len(view.job.metrics.get("train_loss", [])) > 5 if view.job else False, timeout=LONG)
    assert view.isVisible() and "Part 1 of 3" in words(view) and "Training loss" in words(view)
    click(qtbot, view.cancel)
    qtbot.waitUntil(lambda: view.job.state == "cancelled", timeout=LONG)
    done = len(view.job.metrics["train_loss"])
    assert done < 8 * ROWS * 0.9 / 8
    click(qtbot, view.resume)
    qtbot.waitUntil(lambda: view.job.state == "succeeded", timeout=LONG)
    qtbot.waitUntil(lambda: "Top-1 agreement" in words(view) and "Held-out answers" in words(view), timeout=LONG)
    steps = [step for step, _ in view.job.metrics["train_loss"]]
    assert len(steps) < 2 * len(set(steps)), "it went on; it did not begin anew"

    made = [m for m in context.project.models.all() if m.kind == "adapter"]
    assert {m.format for m in made} == {"gguf", "peft"}
    base = next(m for m in context.project.models.all() if m.name == "tiny-llama")
    assert all((m.base_id, m.dataset_version, m.job_id) == (base.id, 1, view.job.id) for m in made)
    window.show_page("models", {"model_id": next(m.id for m in made if m.format == "gguf")})
    qtbot.waitUntil(lambda: "Trained on" in words(models.details), timeout=LONG)
    assert "talk, version 1" in words(models.details)
    click(qtbot, next(b for b in models.details.findChildren(QPushButton) if b.text() == "Show the training run"))
    qtbot.waitUntil(lambda: window.current_id == "training" and view.isVisible(), timeout=LONG)
    window.show_page("jobs", {"job_id": view.job.id})
    jobs: Any = window.pages["jobs"]
    qtbot.waitUntil(lambda: jobs.details.job is not None and jobs.details.job.id == view.job.id, timeout=LONG)
    click(qtbot, jobs.details.result)
    qtbot.waitUntil(lambda: window.current_id == "training", timeout=LONG)
