"""Pictures of every page in its states, light and dark: ``python -m tests.ui.screenshots FOLDER [--size 1280x800]``.

With ``--demo DIR`` (a project that ``fmstudio demo`` made) also of its training run and of a chat with its adapter.

Drives the real window over a real project in a temporary home; every number in the pictures was measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
TIMEOUT_S = 90.0


class Camera:
    """A window and the folder its pictures go to."""

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        from PySide6.QtWidgets import QApplication

        from fmstudio.app import build_window
        from fmstudio.ui.process import QProcessLauncher

        self.app = QApplication.instance() or QApplication([])
        self.folder = folder
        self.window = build_window(self.app, QProcessLauncher())  # type: ignore[arg-type]
        self.window.resize(*size)
        self.window.show()
        self.wait(0.3)

    def wait(self, seconds: float) -> None:
        """Let the window work."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.app.processEvents()
            time.sleep(0.005)

    def until(self, condition: Callable[[], object]) -> None:
        """Let the window work until something is true."""
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            self.wait(0.02)
            if time.monotonic() > end:
                raise TimeoutError("the window did not get there")

    def idle(self) -> None:
        """Let the window work until no job runs and no answer is awaited."""
        queue = self.window.context.queue
        self.until(lambda: self.window.context.background.pending == 0 and not (queue and queue.active))
        self.wait(0.3)

    def shoot(self, name: str) -> None:
        """Save the window in both themes."""
        from fmstudio.ui.theme import Theme

        for theme in ("light", "dark"):
            Theme.current().choose(theme)
            self.wait(0.15)
            self.window.grab().save(str(self.folder / f"{name}-{theme}.png"))
        print(name, file=sys.stderr)

    def page(self, page_id: str, **args: object) -> Any:
        """Show a page and give it."""
        self.window.show_page(page_id, args)
        self.wait(0.4)
        return self.window.pages[page_id]


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.ui.screenshots")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--demo", type=Path, default=None, help="a project made by the demo")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    width, _, height = arguments.size.partition("x")
    # A short neutral home, because its path is in some pictures.
    home = tempfile.mkdtemp(prefix="fmstudio-")
    os.environ["FMSTUDIO_HOME"] = home
    camera = Camera(arguments.folder, (int(width), int(height)))
    _empty(camera)
    _data(camera)
    _recipes(camera)
    _results(camera)
    _others(camera)
    if arguments.demo is not None:
        _demo(camera, arguments.demo)
    camera.window.close()
    sys.stdout.flush()
    os._exit(0)


def _empty(camera: Camera) -> None:
    context = camera.window.context
    camera.shoot("home-welcome")
    context.open_project(Path(os.environ["FMSTUDIO_HOME"]) / "support", create=True, name="Support assistant")
    camera.until(lambda: context.project is not None)
    camera.idle()
    camera.shoot("home-new")
    for page_id in ("data", "jobs", "recipes"):
        camera.page(page_id)
        camera.shoot(f"{page_id}-empty")


def _data(camera: Camera) -> None:
    from fmstudio.project.sample import sample_files

    source = next(path for path in sample_files() if path.name == "tech_support.yml")
    camera.window.take_files([str(source)])
    page: Any = camera.window.pages["data"]
    camera.until(page.importing.import_button.isEnabled)
    camera.wait(0.3)
    camera.shoot("data-import")
    page.importing.submit()
    camera.idle()
    camera.until(lambda: page.view.dataset is not None)
    camera.idle()
    page.view.rows.table.selectRow(3)
    camera.wait(0.2)
    camera.window.messages.clear()
    camera.shoot("data-rows")
    page.view.rows.filter.setText("len(mesages) > 1")
    page.view.rows.apply_filter()
    camera.until(page.view.rows.error.isVisible)
    camera.shoot("data-filter-error")
    page.view.rows.filter.clear()


def _recipes(camera: Camera) -> None:
    from fmstudio.core.paths import resource

    page = camera.page("recipes")
    page.open_file(str(resource("recipes", "clean_chat.yaml")))
    camera.until(page.run_button.isEnabled)
    page.choose(1)
    camera.wait(0.3)
    camera.shoot("recipes-preview")
    page.run()
    camera.wait(0.5)
    camera.idle()
    camera.shoot("recipes-ran")
    camera.window.messages.clear()


def _results(camera: Camera) -> None:
    page = camera.page("data")
    camera.idle()
    view = page.view
    camera.until(lambda: view.dataset.version == 2)
    camera.idle()
    view.show_tab("versions")
    camera.shoot("data-versions")
    view.show_tab("dropped")
    view.tabs.lost.dropped.selectRow(0)
    camera.wait(0.2)
    camera.shoot("data-dropped")
    view.embed_with("wordllama")
    camera.wait(0.3)
    camera.idle()
    view.show_tab("search")
    view.tabs.search.field.setText("my speakers are silent")
    view.tabs.search.search()
    camera.until(lambda: view.tabs.search.table.rows.total > 0)
    view.tabs.search.table.selectRow(0)
    camera.wait(0.2)
    camera.window.messages.clear()
    camera.shoot("data-search")


def _others(camera: Camera) -> None:
    context: Any = camera.window.context
    broken = Path(os.environ["FMSTUDIO_HOME"]) / "broken.yml"
    broken.write_text("questions: [1,\nanswers: }")
    context.submit(context.project.specs.import_files([broken]))
    camera.wait(0.3)
    camera.idle()
    page = camera.page("jobs")
    camera.shoot("jobs-failed")
    camera.window.messages.clear()
    page.table.selectRow(2)
    camera.wait(0.2)
    camera.shoot("jobs")
    for page_id in ("models", "training", "chat", "settings"):
        camera.page(page_id)
        camera.wait(1.0)
        camera.shoot(page_id)
    plugins = camera.page("plugins")
    camera.until(lambda: all(card.health in ("works", "failed", "off") for card in plugins.cards))
    camera.wait(0.2)
    camera.shoot("plugins")
    camera.page("home")
    camera.idle()
    camera.shoot("home")
    camera.window.palette_box.toggle()
    camera.wait(0.2)
    camera.shoot("palette")
    camera.window.palette_box.toggle()


def _demo(camera: Camera, folder: Path) -> None:
    context = camera.window.context
    context.open_project(folder)
    camera.until(lambda: context.project is not None and context.project.folder == folder.resolve())
    camera.idle()
    camera.page("home")
    camera.shoot("home-demo")
    run = next(job for job in context.queue.jobs() if job.kind == "train")
    camera.page("training", job_id=run.id)
    camera.idle()
    camera.shoot("training-run")
    models = context.project.models.all()
    adapter = next(m for m in models if m.kind == "adapter" and m.format == "gguf")
    page: Any = camera.page("chat", adapter_id=adapter.id)
    camera.idle()
    page.panel.temperature.setValue(0)
    page.panel.max_tokens.setValue(64)
    for count, question in enumerate(("What is communism?", "Do you like books?"), start=1):
        page.composer.sent.emit(question)
        camera.until(lambda count=count: len(page.controller.turns.path()) == 2 * count)
    camera.wait(1.0)
    camera.shoot("chat-adapter")


if __name__ == "__main__":
    sys.exit(main())
