"""Pictures of the Models page in all its states: ``python -m tests.ui.model_pictures FOLDER [--size 1280x800]``.

Over a real project: models found, converted and measured, merged, downloaded from a hub on this machine, refused.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from tests.helpers import ROOT
from tests.hub_server import Hub, running_hub
from tests.ui.chat_kit import write_tiny_gguf, write_tiny_lora
from tests.ui.screenshots import Camera

BUILD = "import sys; from pathlib import Path; from tests.tiny_llama import build_tiny_llama as b; b(Path(sys.argv[1]))"


def main() -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.ui.model_pictures")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="1280x800")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    width, _, height = arguments.size.partition("x")
    home = Path(tempfile.mkdtemp(prefix="fmstudio-"))
    os.environ["FMSTUDIO_HOME"] = str(home)
    os.environ["HOME"] = str(home / "user")
    subprocess.run([sys.executable, "-c", BUILD, str(home / "tiny")], check=True, cwd=ROOT, capture_output=True)
    camera = Camera(arguments.folder, (int(width), int(height)))
    context = camera.window.context
    context.open_project(home / "support", create=True, name="Support assistant")
    camera.until(lambda: context.project is not None)
    camera.idle()
    with running_hub() as hub:
        hub.models["acme/wren"] = {"wren-F32.gguf": write_tiny_gguf(home / "wren.gguf", width=2048).read_bytes()}
        hub.cards["acme/wren"] = {"cardData": {"license": "cc-by-4.0"}}
        _empty(camera)
        _library(camera, home)
        _downloads(camera, hub)
        _failed(camera, home)
    camera.window.close()
    sys.stdout.flush()
    os._exit(0)


def _empty(camera: Camera) -> None:
    project: Any = camera.window.context.project
    packaged = project.models.all()
    for entry in packaged:
        project.models.remove(entry.id)
    camera.page("models")
    camera.idle()
    camera.shoot("models-empty")
    for entry in packaged:
        project.models.restore(entry.id)


def _library(camera: Camera, home: Path) -> None:
    (home / "user" / ".cache" / "llama.cpp").mkdir(parents=True)
    write_tiny_gguf(home / "user" / ".cache" / "llama.cpp" / "cached.gguf", width=256)
    page = camera.page("models")
    page.refresh()
    camera.idle()
    page.add_paths([home / "tiny" / "tiny-llama-f32.gguf", home / "tiny" / "hf"])
    camera.idle()
    page.add_paths([write_tiny_lora(home / "tuned.gguf", width=64)])
    camera.idle()
    _choose(page, "SmolLM2-135M-Instruct")
    camera.until(lambda: page.details.template is not None and page.details.template.sample.toPlainText())
    camera.window.messages.clear()
    camera.shoot("models")
    page.doing.convert(page.details.entry)
    camera.idle()
    camera.shoot("models-convert")
    page.form.precision.setCurrentIndex(page.form.precision.findData("Q8_0"))
    page.form.go.click()
    camera.wait(2.0)
    camera.shoot("models-working")
    camera.idle()
    camera.window.messages.clear()
    _choose(page, "SmolLM2-135M-Instruct Q8_0")
    camera.idle()
    camera.shoot("models-made")
    page.servers.ask()
    page.form.url.setText("http://127.0.0.1:1/v1")
    page.form.try_out()
    camera.idle()
    camera.shoot("models-server")
    page.close_form()


def _downloads(camera: Camera, hub: Hub) -> None:
    context = camera.window.context
    page = camera.page("models")
    page.doing.ask_download()
    camera.wait(0.3)
    camera.shoot("models-download-off")
    context.settings.allow_network, context.settings.hub = True, hub.address
    context.settings.save()
    page.page_shown()
    page.form.address.setText("acme/wren")
    page.form.look()
    camera.idle()
    camera.shoot("models-download")
    hub.cut_after, hub.hangs = 9_000_000, True
    page.form.go.click()
    camera.until(lambda: any(path.startswith("/cdn/") for path, _, _ in hub.seen))
    camera.wait(0.5)
    camera.shoot("models-downloading")
    hub.released.set()
    hub.hangs = False
    camera.idle()
    camera.window.messages.clear()


def _failed(camera: Camera, home: Path) -> None:
    page = camera.page("models")
    whole = (home / "tiny" / "tiny-llama-f32.gguf").read_bytes()
    (home / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    (home / "weights.bin").write_bytes(b"\x80\x04.")
    page.add_paths([home / "cut.gguf", home / "weights.bin"])
    camera.idle()
    camera.shoot("models-refused")


def _choose(page: Any, name: str) -> None:
    page.view.selectRow(next(place for place, entry in enumerate(page.table.entries) if entry.name == name))


if __name__ == "__main__":
    sys.exit(main())
