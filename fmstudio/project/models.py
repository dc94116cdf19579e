"""`ModelLibrary`: base models and adapters of a project, each linked (not copied) and with its lineage."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.models.inspect import ModelFacts, fingerprint, inspect_model, packaged_models
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model or adapter in the library.

    Attributes:
        format: ``gguf``, ``hf`` or ``peft``.
        facts: architecture, n_params, quantization, context_length, license, has_chat_template, fingerprint …
        base_id: For an adapter trained here: the base model's id. dataset_id, dataset_version, job_id: its lineage.
        metrics: For an adapter trained here: what the run measured.
    """

    id: str
    name: str
    kind: str
    format: str
    path: Path
    bytes: int
    facts: dict[str, Any] = field(default_factory=dict)
    base_id: str = ""
    dataset_id: str = ""
    dataset_version: int | None = None
    job_id: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    created: float = 0.0

    @property
    def is_missing(self) -> bool:
        """Whether the file is gone from its place."""
        return not self.path.exists()


class ModelLibrary:
    """The models of a project."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def all(self) -> list[ModelEntry]:
        """Everything that was not removed, base models first, then newest adapters first."""
        rows = self._catalog.records(
            "SELECT * EXCLUDE (is_removed) FROM models WHERE NOT is_removed ORDER BY kind DESC, created DESC"
        )
        return [_entry(row) for row in rows]

    def get(self, id_or_name: str, kind: str = "", file_format: str = "") -> ModelEntry:
        """Find by id, name or path; among several of one name the newest.

        Raises:
            UserError: There is none; the message lists those there are.
        """
        there = [m for m in self.all() if (not kind or m.kind == kind) and (not file_format or m.format == file_format)]
        for entry in sorted(there, key=lambda m: -m.created):
            if id_or_name in (entry.id, entry.name, str(entry.path)):
                return entry
        names = ", ".join(dict.fromkeys(m.name for m in there)) or "none yet"
        what = kind or "model"
        raise UserError(f"There is no {what} “{id_or_name}” in this project.", remedy=f"There is: {names}.")

    def add(self, path: Path, name: str = "") -> ModelEntry:
        """Register a file or folder where it lies; the same place twice is the same entry.

        Raises:
            UserError: It is no model, is damaged, or would execute code (see `inspect_model`).
        """
        facts = inspect_model(path)
        known = self._catalog.query("SELECT id FROM models WHERE path = ? AND NOT is_removed", [str(facts.path)])
        if known:
            return self.get(str(known[0][0]))
        entry = _from_facts(facts, name)
        values = {
            "id": entry.id,
            "name": entry.name,
            "kind": entry.kind,
            "format": entry.format,
            "path": str(entry.path),
            "bytes": entry.bytes,
            "facts": entry.facts,
            "base_id": "",
            "dataset_id": "",
            "job_id": "",
            "metrics": {},
            "is_removed": False,
            "created": entry.created,
        }
        with self._catalog.transaction() as connection:
            insert(connection, "models", values)
        return entry

    def add_packaged(self) -> None:
        """Register models that arrive inside installed packages, once; a removed one stays removed."""
        for name, path in packaged_models():
            if not self._catalog.query("SELECT 1 FROM models WHERE path = ?", [str(path.resolve())]):
                self.add(path, name)

    def remove(self, model_id: str) -> Changes:
        """Take an entry out of the library; the file stays where it is."""
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE models SET is_removed = true WHERE id = ?", [model_id])
        return Changes(models=True)

    def restore(self, model_id: str) -> Changes:
        """Undo `remove`."""
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE models SET is_removed = false WHERE id = ?", [model_id])
        return Changes(models=True)

    def runs(self) -> list[dict[str, Any]]:
        """Finished training runs, newest first: job_id, name, dataset, base, run, metrics."""
        return self._catalog.records("SELECT * FROM runs ORDER BY created DESC")


def _from_facts(facts: ModelFacts, name: str) -> ModelEntry:
    return ModelEntry(
        id=f"m-{secrets.token_hex(4)}",
        name=name or facts.name,
        kind=facts.kind,
        format=facts.format,
        path=facts.path,
        bytes=facts.bytes,
        facts={**facts.facts, "fingerprint": fingerprint(facts.path)},
        created=time.time(),
    )


def _entry(row: dict[str, Any]) -> ModelEntry:
    return ModelEntry(
        **{**row, "path": Path(row["path"]), "facts": row["facts"] or {}, "metrics": row["metrics"] or {}}
    )
