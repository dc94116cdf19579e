"""What a dropped file is, and which page is its natural home. Looks at names and first bytes only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL_FILES = ("config.json", "adapter_config.json")
HEAD_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Home:
    """A page and the arguments for its `page_shown`; an empty page with a reason when there is no home."""

    page_id: str
    args: dict[str, Any]
    reason: str = ""


def find_home(paths: list[str]) -> Home:
    """Decide where dropped files go: a project, models, a recipe, else data to import."""
    files = [Path(path) for path in paths]
    if len(files) == 1 and (files[0] / "project.toml").is_file():
        return Home("project", {"folder": files[0]})
    models = [path for path in files if is_model(path)]
    if models:
        return Home("models", {"paths": [str(path) for path in models]})
    if len(files) == 1 and is_recipe(files[0]):
        return Home("recipes", {"path": str(files[0])})
    data = [path for path in files if path.is_file()]
    if data:
        return Home("data", {"files": [str(path) for path in data]})
    names = ", ".join(path.name for path in files)
    return Home("", {}, f"“{names}” is a folder without a model or a project in it. Drop its files instead.")


def is_model(path: Path) -> bool:
    """A GGUF file (by name or magic), or a folder with a model's or adapter's configuration."""
    if path.is_dir():
        return any((path / name).is_file() for name in MODEL_FILES)
    return path.suffix.lower() == ".gguf" or _head(path).startswith(b"GGUF")


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
