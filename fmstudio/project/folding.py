"""The first step of a job that works on what the user sees: it folds the pending edits in.

The edits are written to the job's folder when the job is specified, so that later ones cannot slip in; those come along
when the result is published (see `NextVersions`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.jobs.spec import JobSpec, StepSpec
from fmstudio.project.datasets import Datasets
from fmstudio.project.edits import Edits, Pending

STEP = "commit"
FOLDED: Any = {"folded": "files"}
"""Stands, as a parameter of a step, for the files of the version with the edits folded in."""


def commit_spec(datasets: Datasets, edits: Edits, dataset: str) -> JobSpec:
    """A job that makes the pending edits of a dataset its next version.

    Raises:
        UserError: Nothing waits for a commit.
    """
    found = datasets.get(dataset)
    pending = edits.pending(found.id)
    if not pending:
        raise UserError(f"“{found.name}” has no edits that wait for a commit.", remedy="Edit something first.")
    meta = {"dataset_id": found.id, "transform": "commit", "params": {}, "title": commit_title(pending)}
    spec = JobSpec.new(f"Commit the edits of {found.name}", "transform", [], meta=meta)
    return with_folding(datasets, edits, found.id, spec)


def with_folding(datasets: Datasets, edits: Edits, dataset_id: str, spec: JobSpec) -> JobSpec:
    """Put a commit step before the steps of a job when edits are pending on the dataset.

    Parameters of steps that are `FOLDED` become the files of the version, with the edits folded in.
    ``meta`` gets ``version``, ``folded`` and ``fold_title``, which `NextVersions` needs.
    """
    version = datasets.overlays.state(dataset_id).version
    files: Any = [str(file) for file in datasets.files(dataset_id, version)]
    if not edits.pending(dataset_id):
        # Edits that were set back are part of what the job sees: they must not come along to what it makes.
        nothing = {"version": version, "folded": list(datasets.overlays.state(dataset_id).operations)}
        return _filled(spec, files, nothing, [])
    folder = datasets.folder / "jobs" / spec.id / "overlay"
    overlay = edits.export_overlay(dataset_id, folder)
    if overlay["version"] != version:
        raise UserError("The dataset changed at this very moment.", remedy="Try again.")
    step = StepSpec(STEP, "transform", {"transform": "commit", "params": {}, "files": files, "overlay": overlay})
    title = commit_title(edits.pending(dataset_id))
    folded = {"version": version, "folded": overlay["operations"], "fold_title": title}
    return _filled(spec, {"from_step": STEP, "key": "paths"}, folded, [step])


def _filled(spec: JobSpec, files: Any, meta: dict[str, Any], first: list[StepSpec]) -> JobSpec:
    steps = [
        replace(step, params={name: files if value == FOLDED else value for name, value in step.params.items()})
        for step in spec.steps
    ]
    return replace(spec, steps=(*first, *steps), meta={**spec.meta, **meta})


def commit_title(pending: Pending) -> str:
    """What a commit does, in words."""
    parts = [
        f"{count:,} {word if count == 1 else f'{word}s'} {done}"
        for count, word, done in (
            (pending.cells, "cell", "edited"),
            (pending.added, "row", "added"),
            (pending.deleted, "row", "deleted"),
        )
        if count
    ]
    return f"Commit edits ({', '.join(parts)})" if parts else "Commit edits"
