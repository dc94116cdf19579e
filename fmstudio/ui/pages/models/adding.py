"""Adding a model file: checked first, so that a file which cannot work is refused with its reason. No widgets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError

if TYPE_CHECKING:
    from fmstudio.project import Project
    from fmstudio.project.models import ModelEntry

PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
MODEL_SUFFIXES = PICKLES | {".gguf", ".safetensors"}


def looks_like_model(path: Path) -> bool:
    """Whether a dropped path is this page's business, by its name alone."""
    if path.is_dir():
        return (path / "config.json").exists() or (path / "adapter_config.json").exists()
    return path.suffix.lower() in MODEL_SUFFIXES or path.name in ("config.json", "adapter_config.json")


def add_checked(project: Project, path: Path) -> tuple[Any, ModelEntry]:
    """Register a file or folder where it lies.

    Raises:
        UserError: It is damaged, no model, would execute code when opened, or an adapter for a model not here.
    """
    from fmstudio.project.changes import Changes

    if path.suffix.lower() in PICKLES:
        raise UserError(
            f"“{path.name}” is a pickle, which can run any code when it is opened. It was not opened.",
            remedy="Ask for the safetensors or GGUF version of the model.",
        )
    if path.suffix.lower() == ".safetensors":
        path = path.parent
    if path.suffix.lower() == ".gguf":
        _check_adapter(project, path)
    return Changes(models=True), project.models.add(path)


def _check_adapter(project: Project, path: Path) -> None:
    """Refuse a LoRA that fits no base model of the library; without any base there is nothing to compare with."""
    from fmstudio.api.gguf_header import read_gguf_header, require_matching_adapter

    adapter = read_gguf_header(path)
    if not adapter.is_adapter:
        return
    bases = [m for m in project.models.all() if m.kind == "base" and m.format == "gguf" and not m.is_missing]
    refusals: list[UserError] = []
    for base in bases:
        try:
            require_matching_adapter(adapter, read_gguf_header(base.path))
        except UserError as error:
            refusals.append(error)
        else:
            return
    if refusals:
        raise UserError(
            refusals[0].message
            if len(refusals) == 1
            else f"“{path.name}” belongs to none of the {len(refusals)} base models here. {refusals[0].message}",
            remedy="Add the base model it was trained on first, then the adapter.",
            details="\n".join(str(refusal) for refusal in refusals),
        )
