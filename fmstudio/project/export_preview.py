"""What a worker needs to write the first rows of an export, to be looked at before it is made."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.project.export_facts import dataset_facts

if TYPE_CHECKING:
    from fmstudio.project.facade import Project

PREVIEW_ROWS = 5
_LOCK = threading.Lock()


def preview_request(
    project: Project, dataset: str, exporter: str, params: Mapping[str, Any], where: str, license: str
) -> dict[str, Any]:
    """Parameters of the worker request ``preview_export``; pending edits are written to the project's ``tmp`` for it.

    Raises:
        UserError: The dataset is not there.
    """
    found = project.datasets.get(dataset)
    work = project.folder / "tmp" / "export-preview"
    overlay = None
    with _LOCK:
        if project.edits.pending(found.id):
            shutil.rmtree(work, ignore_errors=True)
            made = project.edits.export_overlay(found.id, work / "overlay")
            overlay = {"rows": str(made["rows"]), "deleted": str(made["deleted"])}
        work.mkdir(parents=True, exist_ok=True)
    facts = dataset_facts(project.datasets, found, found.version, where, license)
    return {
        "exporter": exporter,
        "exporter_params": dict(params),
        "files": [str(path) for path in project.datasets.files(found.id, found.version)],
        "overlay": overlay,
        "where": where,
        "columns": [],
        "folder": str(project.folder),
        "workdir": str(work),
        "limit": PREVIEW_ROWS,
        "facts": facts.to_dict(),
    }


def default_target(folder: Path, name: str, suffix: str) -> Path:
    """Where an export goes unless the user says otherwise: a name of the dataset's that is free there."""
    plain = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name).strip(" .") or "dataset"
    places = (folder / f"{plain}{f'-{number}' if number > 1 else ''}{suffix}" for number in range(1, 1_000))
    return next((place for place in places if not place.exists()), folder / f"{plain}{suffix}")
