"""`Transforms`: previews of transforms, and the specifications of the jobs that run them."""

from __future__ import annotations

import itertools
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fmstudio.jobs.spec import JobSpec, StepSpec
from fmstudio.project.datasets import Dataset, Datasets
from fmstudio.project.edits import Edits
from fmstudio.project.folding import FOLDED, with_folding
from fmstudio.project.seen_rows import SeenRows
from fmstudio.recipes.sandbox import Seen, Stop, open_sandbox, stoppable
from fmstudio.recipes.transform_preview import TransformPreview, preview_transform
from fmstudio.recipes.transforms import TRANSFORMS, TransformKind, find_transform
from fmstudio.recipes.transforms.params import ComputeParams

__all__ = ["TRANSFORMS", "TransformPreview", "Transforms"]

STEP = "transform"


class Transforms:
    """Previews transforms. Every method blocks and is thread-safe.

    Args:
        folder: The project folder.
    """

    def __init__(self, datasets: Datasets, edits: Edits, seen: SeenRows, folder: Path) -> None:
        self._datasets = datasets
        self._edits = edits
        self._seen = seen
        self._folder = folder
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._running: Stop | None = None

    def preview(self, dataset: str, transform: str, params: dict[str, Any], limit: int = 50) -> TransformPreview:
        """What a transform would do to the current version with its pending edits; writes nothing.

        A new preview interrupts the one before it, which then raises `Cancelled`.

        Raises:
            UserError: A dataset is not there, or the parameters are wrong.
            Cancelled: It was interrupted.
        """
        kind = find_transform(transform)
        found = self._datasets.get(dataset)
        seen, others = self._seen.of(found), self._others(kind, params, None)
        temp = self._folder / "tmp" / f"preview-{next(self._numbers)}"
        folders = {str(temp), *seen.folders, *(folder for other in others for folder in other.folders)}
        try:
            with closing(open_sandbox(folders, temp)) as connection, self._as_running(connection):
                return preview_transform(connection, kind, params, seen, others, limit)
        finally:
            shutil.rmtree(temp, ignore_errors=True)

    def interrupt(self) -> None:
        """End the preview that is being made, if there is one."""
        with self._lock:
            self._stop()

    def spec(self, dataset: str, transform: str, params: dict[str, Any]) -> JobSpec:
        """The job that runs a transform.

        Raises:
            UserError: A dataset is not there, or a parameter is missing, misspelt or out of bounds.
        """
        kind = find_transform(transform)
        values = kind.parse(params)
        found, makes = self._datasets.get(dataset), kind.made(values)
        meta: dict[str, Any] = {
            "dataset_id": found.id,
            "transform": transform,
            "params": values.model_dump(mode="json"),
            "title": _title(kind, values, found),
        }
        work = {**meta, "files": FOLDED, "kind": found.kind, "next_row_id": self._edits.next_row_id(found.id)}
        spec = JobSpec.new(f"{kind.title}: {found.name}", "transform", [StepSpec(STEP, "transform", work)], meta=meta)
        job_folder = self._folder / "jobs" / spec.id
        others = self._others(kind, params, job_folder)
        work["others"] = [other.to_dict() for other in others]
        own = Seen(found.id, found.name, found.version, ())
        if makes == "version":
            work["dataset"] = own.to_dict()
            return with_folding(self._datasets, self._edits, found.id, spec)
        own = self._seen.of(found, edits_in=job_folder / "edits")
        work["dataset"], work["files"] = own.to_dict(), list(own.files)
        made_from = [{"id": one.dataset_id, "version": one.version} for one in (own, *others)]
        meta["source"] = {"transform": transform, "params": meta["params"], "datasets": made_from}
        meta["datasets"] = self._made(values, kind, found, makes)
        return spec

    @contextmanager
    def _as_running(self, connection: Any) -> Iterator[None]:
        """Be the preview that is being made; the one before is interrupted."""
        with stoppable(connection) as stop:
            with self._lock:
                self._stop()
                self._running = stop
            try:
                yield
            finally:
                with self._lock:
                    if self._running is stop:
                        self._running = None

    def _stop(self) -> None:
        if self._running is not None:
            self._running.ask()
            self._running = None

    def _others(self, kind: TransformKind, params: dict[str, Any], job_folder: Path | None) -> list[Seen]:
        names = list(kind.others(kind.parse(params)))
        found = [self._datasets.get(name) for name in names]
        return [
            self._seen.of(one, edits_in=job_folder / f"edits-{number}" if job_folder else None)
            for number, one in enumerate(found)
        ]

    def _made(self, values: Any, kind: TransformKind, dataset: Dataset, makes: str) -> list[dict[str, str]]:
        """Ids and names of the datasets that the job makes; ``output`` names the one of several."""
        base = getattr(values, "name", "").strip()
        if makes == "dataset":
            return [new_dataset(base or f"{dataset.name} {_SUFFIX.get(kind.id, kind.id)}", "")]
        return [new_dataset(f"{base or dataset.name} {output}", output) for output in values.shares]


_SUFFIX = {"sample": "sample", "merge": "merged", "join": "joined", "sort": "sorted", "split_rows": "split"}


def new_dataset(name: str, output: str) -> dict[str, str]:
    """Id and name of a dataset that a job will make, and which of its outputs that is."""
    return {"dataset_id": f"d-{secrets.token_hex(4)}", "name": name, "output": output}


def _title(kind: TransformKind, values: Any, dataset: Dataset) -> str:
    """What the transform does, for the history: also which column it overwrites, whose name may be written otherwise."""
    written = values.column.strip().casefold() if isinstance(values, ComputeParams) else ""
    replaced = next((column.name for column in dataset.columns if column.name.casefold() == written), "")
    return f"{kind.words(values)}, replaces column {replaced}" if replaced else kind.words(values)
