"""Adding models: looked at on a reader thread, written down on the writer's, hashed in the background. No widgets."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmstudio.project import Project
    from fmstudio.project.models import CheckedModel, ModelEntry

MODEL_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".gguf", ".safetensors"})


def looks_like_model(path: Path) -> bool:
    """Whether a dropped path is this page's business, by its name alone."""
    if path.is_dir():
        return (path / "config.json").exists() or (path / "adapter_config.json").exists()
    return path.suffix.lower() in MODEL_SUFFIXES or path.name in ("config.json", "adapter_config.json")


def look(project: Project, path: Path, copy: bool = False) -> CheckedModel:
    """Look at a file or folder, and copy it into the project where that was asked for. For a reader thread.

    Raises:
        UserError: It is damaged, no model, would execute code when opened, or an adapter for a model not here.
    """
    checked = project.models.check(path)
    if copy:
        place = project.folder / "models" / f"copy-{secrets.token_hex(4)}"
        return project.models.check(project.models.copy_in(path, place))
    return checked


def register(project: Project, checked: CheckedModel, name: str = "") -> tuple[Any, ModelEntry]:
    """Write it down. For the writer thread: takes a millisecond."""
    from fmstudio.project.changes import Changes

    return Changes(models=True), project.models.register(checked, name)


def related(project: Project, entry: ModelEntry) -> list[tuple[str, str]]:
    """(id, name) of a base model's adapters; of an adapter the bases it fits when there are several to choose from."""
    if entry.kind == "base":
        return [(one.id, one.name) for one in project.models.adapters_of(entry)]
    if entry.job_id:  # trained here: its base is known
        return []
    ids = project.models.check(entry.path).bases
    names = {one.id: one.name for one in project.models.all()}
    return [(base_id, names[base_id]) for base_id in ids] if len(ids) > 1 or not entry.base_id else []
