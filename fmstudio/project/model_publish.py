"""What publishing does with the results of jobs about models. Called by `Publisher`, inside its lock."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from fmstudio.jobs.spec import Job
from fmstudio.models.inspect import fingerprint, inspect_model
from fmstudio.project.catalog import insert

PROOFS = ("same_prompts", "same_answers", "n_questions", "same_tokens", "n_texts")


def made_model(job: Job, out: Path) -> dict[str, Any]:
    """The library's row for a model that a job wrote; its files lie in `out` already."""
    meta, step = job.spec.meta, job.spec.meta.get("step", "convert")
    facts = inspect_model(out / Path(job.results[step]["path"]).name)
    made_from = {"fingerprint": fingerprint(facts.path), "made_from": meta["model_id"]}
    if meta.get("chat_template"):
        made_from["chat_template"] = meta["chat_template"]
    if meta.get("adapter_id"):
        made_from |= {"merged_adapter": meta["adapter_id"], "merged_scale": str(meta.get("scale", 1.0))}
    return {
        "id": job.id,
        "name": meta["name"],
        "kind": facts.kind,
        "format": facts.format,
        "path": str(facts.path),
        "bytes": facts.bytes,
        "facts": {**facts.facts, **made_from},
        "base_id": "",
        "dataset_id": "",
        "job_id": job.id,
        "metrics": _measured(job),
        "is_removed": False,
        "created": time.time(),
    }


def _measured(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "quality" in job.results:
        found["quality"] = {**job.results["quality"], "source_id": job.spec.meta["model_id"]}
    for step in ("proof", "vocabulary"):
        found |= {key: value for key, value in job.results.get(step, {}).items() if key in PROOFS}
    return found


def note_quality(connection: Any, job: Job) -> None:
    """Keep a quality report with the model it is about."""
    meta = job.spec.meta
    quality = {**job.results["quality"], "source_id": meta["source_id"]}
    _note(connection, meta["model_id"], "metrics", {"quality": quality})


def note_folder(connection: Any, job: Job) -> None:
    """Remember where a model was exported to, and what the proof said."""
    meta = job.spec.meta
    place = {"path": job.results["export"]["path"], "created": time.time(), "job_id": job.id}
    place |= {key: value for key, value in job.results.get("proof", {}).items() if key in PROOFS}
    held = connection.execute("SELECT facts FROM models WHERE id = ?", [meta["model_id"]]).fetchone()
    before = json.loads((held and held[0]) or "{}").get("folders", [])
    others = [one for one in before if one["path"] != place["path"]]
    _note(connection, meta["model_id"], "facts", {"folders": [place, *others][:20]})


def _note(connection: Any, model_id: str, column: str, values: dict[str, Any]) -> None:
    held = connection.execute(f"SELECT {column} FROM models WHERE id = ?", [model_id]).fetchone()
    if held is not None:
        merged = {**json.loads(held[0] or "{}"), **values}
        connection.execute(f"UPDATE models SET {column} = ? WHERE id = ?", [json.dumps(merged), model_id])


def insert_model(connection: Any, job: Job, out: Path) -> None:
    """Make a model that a job wrote known."""
    insert(connection, "models", made_model(job, out))


def drop_other_outputs(job: Job, step: str) -> None:
    """What other steps wrote for this one, a half-precision copy say, is of no more use."""
    for other in job.spec.steps:
        if other.name != step:
            shutil.rmtree(job.out_folder(other.name), ignore_errors=True)
