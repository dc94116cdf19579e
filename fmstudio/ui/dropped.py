"""What a dropped file is, and which page is its natural home. Looks at names and first bytes only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.core.addresses import is_remote, name_of

if TYPE_CHECKING:
    from PySide6.QtCore import QMimeData

MODEL_FILES = ("config.json", "adapter_config.json")
WEIGHTS = (".gguf", ".safetensors", ".pt", ".pth", ".ckpt")
"""Suffixes of weights; the Models page says why it takes no pickles."""
HEAD_BYTES = 4_096
MOST_LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class Home:
    """A page and the arguments for its `page_shown`; an empty page with a reason when there is no home."""

    page_id: str
    args: dict[str, Any]
    reason: str = ""


def named_in(mime: QMimeData) -> list[str]:
    """What is carried: the paths of files, or else one web address."""
    urls = mime.urls()
    return [url.toLocalFile() for url in urls if url.isLocalFile()] or [
        url.toString() for url in urls[:1] if is_remote(url.toString())
    ]


def find_home(paths: list[str]) -> Home:
    """Decide where dropped files and folders go: a project, models, a recipe, else data to import."""
    if paths and is_remote(paths[0]) and name_of(paths[0]).lower().endswith(".gguf"):
        return Home("models", {"address": paths[0]})
    if paths and is_remote(paths[0]):
        return Home("data", {"files": paths[:1]})
    files = [Path(path) for path in paths]
    if len(files) == 1 and (files[0] / "project.toml").is_file():
        return Home("project", {"folder": files[0]})
    models = [path for path in files if is_model(path)]
    if models:
        return Home("models", {"paths": [str(path) for path in models]})
    if len(files) == 1 and is_recipe(files[0]):
        return Home("recipes", {"path": str(files[0])})
    data = [path for path in files if path.is_file() or _holds_files(path)]
    if data:
        return Home("data", {"files": [str(path) for path in data]})
    names = ", ".join(path.name for path in files)
    if any(path.is_dir() for path in files):
        return Home("", {}, f"“{names}” is an empty folder. Drop one with files in it.")
    return Home("", {}, f"“{names}” is not there any more.")


def _holds_files(path: Path) -> bool:
    """Whether a folder has a file in it, in itself or one folder below; looks no further, so that it is quick."""
    if not path.is_dir():
        return False
    try:
        inside = list(islice(path.iterdir(), MOST_LOOKED_AT))
        return any(item.is_file() or (item.is_dir() and any(islice(item.iterdir(), 1))) for item in inside)
    except OSError:
        return False


def is_model(path: Path) -> bool:
    """A file of weights (by name or magic), or a folder with a model's or adapter's configuration."""
    if path.is_dir():
        return any((path / name).is_file() for name in MODEL_FILES)
    return path.suffix.lower() in WEIGHTS or _head(path).startswith(b"GGUF")


def is_recipe(path: Path) -> bool:
    """A YAML file with ``steps`` at its top level."""
    if path.suffix.lower() not in (".yml", ".yaml") or not path.is_file():
        return False
    lines = _head(path).decode("utf-8", "replace").splitlines()
    return any(line.startswith("steps:") for line in lines)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""
