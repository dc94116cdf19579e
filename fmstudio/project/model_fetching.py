"""Models from the hub or an address: the job that downloads one, and what the library then knows of it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.jobs.spec import Job, JobSpec, StepSpec
from fmstudio.models.inspect import inspect_model

if TYPE_CHECKING:
    from fmstudio.models.hub import HubChoice, HubModel

KIND = "model_fetch"
STEP = "fetch"


def fetch_model_spec(model: HubModel, choice: HubChoice) -> JobSpec:
    """A job that downloads a choice of a model that was looked at (`fmstudio.models.hub.look`)."""
    name = model.name.rpartition("/")[2]
    work = {"name": model.name, "kind": choice.kind, "files": [file.to_dict() for file in choice.files]}
    meta = {
        "name": Path(choice.title).stem if choice.kind == "gguf" else name,
        "address": model.address,
        "hub_name": model.name,
        "revision": model.revision,
        "license": model.license,
        "files": [file.path for file in choice.files],
        "bytes": choice.bytes,
    }
    what = choice.title if choice.kind == "gguf" else model.name
    return JobSpec.new(f"Download {what}", KIND, [StepSpec(STEP, "fetch_model", work)], meta=meta)


def is_same_download(job: Job, spec: JobSpec) -> bool:
    """Whether a job that did not come to its end wanted the very same files, so that it can go on."""
    is_open = job.kind == KIND and job.state in ("failed", "cancelled", "interrupted")
    return is_open and all(job.spec.meta.get(k) == spec.meta[k] for k in ("hub_name", "revision", "files"))


def fetched_model(job: Job, out: Path) -> dict[str, Any]:
    """The library's row for a downloaded model; its files lie in `out` already.

    Raises:
        UserError: What came is no model (the worker has looked before, so the disk has changed since).
    """
    meta, result = job.spec.meta, job.results[STEP]
    facts = inspect_model(out / Path(result["path"]).name)
    more = {"source": meta["address"], "hub_name": meta["hub_name"], "revision": meta["revision"]}
    if result.get("sha256"):
        more["fingerprint"] = f"sha256:{result['sha256']}"
    if meta["license"] and not facts.facts.get("license"):
        more["license"] = meta["license"]
    return {
        "id": job.id,
        "name": meta["name"] or facts.name,
        "kind": facts.kind,
        "format": facts.format,
        "path": str(facts.path),
        "bytes": facts.bytes,
        "facts": {**facts.facts, **{key: value for key, value in more.items() if value}},
        "base_id": "",
        "dataset_id": "",
        "job_id": job.id,
        "metrics": {},
        "is_removed": False,
        "created": time.time(),
    }


def drop_parts(job: Job) -> None:
    """The files now lie in the project; what the download held them in is of no more use."""
    shutil.rmtree(job.step_folder(0) / "files", ignore_errors=True)


def choose(model: HubModel, wanted: str = "") -> HubChoice:
    """The choice that was named, or the only one.

    Raises:
        UserError: There are several, and none or none of them was named.
    """
    titles = ", ".join(choice.title for choice in model.choices)
    if wanted:
        near = [c for c in model.choices if wanted.lower() in c.title.lower()]
        exact = [c for c in near if wanted.lower() == c.title.lower()]
        if len(exact or near) == 1:
            return (exact or near)[0]
        raise UserError(f"{model.name} has no single “{wanted}”.", remedy=f"There is: {titles}.")
    if model.wanted < 0:
        raise UserError(f"{model.name} holds several models.", remedy=f"Name one of them: {titles}.")
    return model.choices[model.wanted]
