"""Specifications of import jobs: one dataset, one for each file or part, or a dataset's next version."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.core import schemas
from fmstudio.core.addresses import is_remote, name_of, title_of
from fmstudio.jobs.spec import Job, JobSpec, StepSpec
from fmstudio.project.datasets import Datasets


@dataclass(frozen=True)
class ImportRequest:
    """What is to be imported and how; see `JobSpecs.import_files`. Files are absolute paths and addresses.

    Attributes:
        parts: Tables to read of each file; of those in `parts_of`, by path, the ones that are listed there.
        shape: What the mapping was made for (`fmstudio.worker.inspection.shape_key`), where each file and part becomes its
            own dataset: those of another shape are read by what is in them. Empty: it is meant for all.
    """

    files: tuple[str, ...]
    name: str = ""
    importer: str = ""
    mapping: dict[str, Any] | None = None
    importer_params: dict[str, Any] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    parts_of: dict[str, Sequence[str]] = field(default_factory=dict)
    is_corrected: bool = False
    known_shapes: dict[str, Any] = field(default_factory=dict)
    shape: str = ""

    @property
    def count(self) -> int:
        """Number of files and parts."""
        return sum(len(self.tables(path)) for path in self.files)

    @property
    def title(self) -> str:
        """Name of the dataset."""
        first = title_of(self.files[0])
        return self.name or (first if len(self.files) == 1 else f"{first} and {len(self.files) - 1} more")

    def tables(self, path: str) -> Sequence[str]:
        """The parts of a file that are to be read; an empty name stands for the first, or the only one."""
        return self.parts_of.get(path) or self.parts or ("",)

    def params(self) -> dict[str, Any]:
        """What the task is given."""
        return {
            "files": list(self.files),
            "importer": self.importer or None,
            "importer_params": self.importer_params,
            "mapping": self.mapping,
            "name": self.title,
            "parts": list(self.parts),
            "known_shapes": {} if self.mapping else self.known_shapes,
        }

    def meta(self) -> dict[str, Any]:
        """What publishing needs."""
        return {
            "dataset_id": f"d-{secrets.token_hex(4)}",
            "name": self.title,
            "files": list(self.files),
            "remember": {"importer_params": self.importer_params, "shape": self.shape} if self.is_corrected else {},
        }


def existing(files: Sequence[Path | str]) -> tuple[str, ...]:
    """Give absolute paths; addresses as they are.

    Raises:
        UserError: A file is not there, or none was named.
    """
    named = tuple(str(file) if is_remote(str(file)) else str(Path(file).resolve()) for file in files)
    if not named:
        raise UserError("No file was given.", remedy="Name at least one file.")
    if "" in map(str, files):
        raise UserError("The name of a file is empty.", remedy="Name a file; . is the folder you are in.")
    for file in named:
        if not is_remote(file) and not Path(file).exists():
            raise UserError(f"There is no file {file}.", remedy="Check the name.")
    return named


def cut_short(jobs: Iterable[Job], spec: JobSpec) -> Job | None:
    """Find an import that did not come to its end and wanted the very same, so that it can go on where it stood.

    One with a step that is done is none: its file may have changed since, and is not looked at again.
    """
    if spec.kind != "import":
        return None
    unfinished = (job for job in jobs if job.kind == "import" and job.can_retry and job.next_step() == 0)
    return next((job for job in unfinished if _wanted(job.spec) == _wanted(spec)), None)


def _wanted(spec: JobSpec) -> str:
    # As JSON, for tuples come back as lists.
    wanted = [[step.params for step in spec.steps], spec.meta.get("update_of"), spec.meta.get("remember")]
    return json.dumps(wanted, sort_keys=True, default=str)


def fetch_spec(address: str) -> JobSpec:
    """Fetch what lies behind an address for a look; nothing becomes part of the project.

    Raises:
        UserError: It is no address.
    """
    if not is_remote(address):
        raise UserError(f"“{address}” is no address.", remedy="Write https://… or hf:owner/name.")
    step = StepSpec("fetch", "fetch", {"address": address})
    return JobSpec.new(f"Fetch {name_of(address)}", "fetch", [step], meta={"address": address})


def one_spec(request: ImportRequest) -> JobSpec:
    """All files and parts as one dataset."""
    step = StepSpec("import", "import_dataset", request.params())
    return JobSpec.new(f"Import {request.title}", "import", [step], meta=request.meta())


def each_spec(request: ImportRequest) -> JobSpec:
    """A dataset for each file and part: one job, a step each, published together."""
    if request.shape and request.mapping:
        known = {**request.known_shapes, request.shape: request.mapping}
        request = replace(request, mapping=None, known_shapes=known)
    steps: list[StepSpec] = []
    made: list[dict[str, Any]] = []
    for path in request.files:
        for part in request.tables(path):
            stem = title_of(path)
            title = " ".join(word for word in (request.name or stem, part) if word) if part else stem
            one = replace(request, files=(path,), parts=(part,) if part else (), parts_of={}, name=title)
            step = "import" if not steps else f"import-{len(steps) + 1}"
            steps.append(StepSpec(step, "import_dataset", one.params()))
            made.append({**one.meta(), "step": step})
    meta = {**made[0], "files": list(request.files), "datasets": made}
    return JobSpec.new(f"Import {len(made)} datasets", "import", steps, meta=meta)


def update_spec(datasets: Datasets, request: ImportRequest, update_of: str, key: str) -> JobSpec:
    """The files as the next version of a dataset.

    Raises:
        UserError: There is no such dataset.
    """
    dataset = datasets.get(update_of)
    if stored := (dataset.source or {}).get("mapping"):  # read as the dataset's own files were
        if request.mapping is None:
            request = replace(request, mapping=stored)
        elif schemas.is_partial(request.mapping):
            known = schemas.Mapping.of({**stored, "notes": []})
            request = replace(request, mapping=schemas.completed(request.mapping, [known]).to_dict())
    folder = datasets.version_folder(dataset.id, 1).parent
    taken = sorted([*folder.glob("v*/rows-*.parquet"), *folder.glob("v*/dropped/rows-*.parquet")])
    noted = [v.statistics["collected"]["last_row_id"] for v in datasets.versions(dataset.id) if v.is_collected]
    update = {
        "files": [str(file) for file in datasets.files(dataset.id)],
        "taken": [str(file) for file in taken],
        "taken_up_to": max(noted, default=-1),
        "key": key,
    }
    params = {**request.params(), "update": update}
    meta = {
        **request.meta(),
        "dataset_id": dataset.id,
        "name": dataset.name,
        "update_of": dataset.id,
        "version": dataset.version,
        "key": key,
    }
    step = StepSpec("import", "import_dataset", params)
    return JobSpec.new(f"Update {dataset.name} from {name_of(request.files[0])}", "import", [step], meta=meta)
