"""`ModelLibrary`: base models and adapters of a project, each linked (not copied) and with its lineage."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.models.adapter_bases import fitting, require_base
from fmstudio.models.copying import copy_model
from fmstudio.models.inspect import ModelFacts, fingerprint, inspect_model, packaged_models
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model or adapter in the library.

    Attributes:
        kind: ``base``, ``adapter``, ``embedding`` or ``endpoint``.
        format: ``gguf``, ``hf``, ``peft`` or ``endpoint`` (a server; see `fmstudio.project.model_endpoints`).
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
    def chat_template(self) -> str:
        """The chat template the user edited (of a base), or that was trained on (of an adapter); empty = the own one."""
        return str(self.facts.get("chat_template") or "")

    @property
    def engine_params(self) -> dict[str, Any]:
        """What the engine must be told to load it as the user left it."""
        return {"chat_template": self.chat_template} if self.chat_template else {}

    @property
    def is_missing(self) -> bool:
        """Whether the file is gone from its place."""
        return self.format != "endpoint" and not self.path.exists()


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A model that was looked at; for an adapter the ids of the bases it fits."""

    facts: ModelFacts
    bases: tuple[str, ...] = ()


class ModelLibrary:
    """The models of a project."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def all(self) -> list[ModelEntry]:
        """Everything that was not removed, base models first, then newest adapters first."""
        rows = self._catalog.records(
            "SELECT * EXCLUDE (is_removed) FROM models WHERE NOT is_removed "
            "ORDER BY list_position(['base', 'embedding', 'endpoint', 'adapter'], kind), created DESC"
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

    def check(self, path: Path) -> CheckedModel:
        """Look at a file or folder without changing anything; for any thread.

        Raises:
            UserError: It is no model, is damaged, would execute code, or is an adapter that fits no base model here.
        """
        facts = inspect_model(path)
        if facts.kind != "adapter":
            return CheckedModel(facts)
        bases = [m for m in self.all() if m.kind == "base" and m.format in ("gguf", "hf") and not m.is_missing]
        ids, refusals = fitting(facts.path, facts.format, [(m.id, m.path, m.format) for m in bases])
        if bases and not ids:
            raise _fits_nothing(facts, len(bases), refusals)
        return CheckedModel(facts, tuple(ids))

    def register(self, checked: CheckedModel, name: str = "", facts: Mapping[str, Any] | None = None) -> ModelEntry:
        """Make a checked model known where it lies; the same place twice is the same entry.

        An adapter that fits exactly one base gets it; of several the user chooses (`choose_base`).

        Args:
            facts: More to remember of it.
        """
        known = self._catalog.query(
            "SELECT id FROM models WHERE path = ? AND NOT is_removed", [str(checked.facts.path)]
        )
        if known:
            return self.get(str(known[0][0]))
        entry = _from_facts(checked, name, facts or {})
        with self._catalog.transaction() as connection:
            insert(connection, "models", _row(entry))
        return entry

    def add(self, path: Path, name: str = "") -> ModelEntry:
        """Check, register and fingerprint at once; reads the whole file.

        Raises:
            UserError: See `check`.
        """
        return self.with_fingerprint(self.register(self.check(path), name))

    def copy_in(self, path: Path, folder: Path, cancelled: Callable[[], bool] = lambda: False) -> Path:
        """Copy a model into `folder` (of the project), whole or not at all; give the copy's path.

        Raises:
            UserError: It is no model, or the disk is too small.
        """
        return copy_model(self.check(path).facts, folder, cancelled)

    def with_fingerprint(self, entry: ModelEntry, cancelled: Callable[[], bool] = lambda: False) -> ModelEntry:
        """Compute and keep the hash of a model that has none yet; reads the whole file.

        Raises:
            UserError: The file cannot be read.
        """
        if entry.facts.get("fingerprint") or entry.format == "endpoint" or entry.is_missing:
            return entry
        try:
            made = fingerprint(entry.path, cancelled)
        except OSError as error:
            raise UserError(f"“{entry.path}” cannot be read: {error}.", remedy="Check the disk.") from error
        if made:
            self.note(entry.id, fingerprint=made)
        return self.get(entry.id)

    def note(self, model_id: str, **facts: Any) -> Changes:
        """Remember facts of an entry; None forgets one.

        Raises:
            UserError: There is no such entry.
        """
        with self._catalog.transaction() as connection:
            held = connection.execute("SELECT facts FROM models WHERE id = ?", [model_id]).fetchone()
            if held is None:
                raise UserError("The model is no longer in the library.")
            merged = {**json.loads(held[0] or "{}"), **facts}
            kept = json.dumps({k: v for k, v in merged.items() if v is not None}, ensure_ascii=False)
            connection.execute("UPDATE models SET facts = ? WHERE id = ?", [kept, model_id])
        return Changes(models=True)

    def note_metrics(self, model_id: str, metrics: Mapping[str, Any]) -> None:
        """Remember what was measured of an entry, beside what is known."""
        with self._catalog.transaction() as connection:
            held = connection.execute("SELECT metrics FROM models WHERE id = ?", [model_id]).fetchone()
            merged = {**json.loads((held and held[0]) or "{}"), **metrics}
            connection.execute("UPDATE models SET metrics = ? WHERE id = ?", [json.dumps(merged), model_id])

    def choose_base(self, adapter_id: str, base_id: str) -> Changes:
        """Say which base an adapter belongs to.

        Raises:
            UserError: It does not fit that base.
        """
        adapter, base = self.get(adapter_id), self.get(base_id)
        require_base(adapter.path, adapter.format, base.path, base.format)
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE models SET base_id = ? WHERE id = ?", [base.id, adapter.id])
        return Changes(models=True)

    def rename(self, model_id: str, name: str) -> Changes:
        """Call an entry otherwise.

        Raises:
            UserError: The name is empty.
        """
        if not name.strip():
            raise UserError("A model needs a name.", remedy="Write one.")
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE models SET name = ? WHERE id = ?", [name.strip(), model_id])
        return Changes(models=True)

    def adapters_of(self, base: ModelEntry) -> list[ModelEntry]:
        """Adapters that fit a base: those that name it, and those whose shapes do. Reads heads."""
        found = []
        for entry in self.all():
            if entry.kind != "adapter" or entry.is_missing:
                continue
            if entry.base_id != base.id:
                try:
                    require_base(entry.path, entry.format, base.path, base.format)
                except UserError:
                    continue
            found.append(entry)
        return found

    def add_packaged(self) -> None:
        """Register models that arrive inside installed packages, once; a removed one stays removed."""
        for name, path in packaged_models():
            if not self._catalog.query("SELECT 1 FROM models WHERE path = ?", [str(path.resolve())]):
                self.register(self.check(path), name)

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


def template_of(base: ModelEntry, adapter: ModelEntry | None = None) -> str:
    """The template to use with a base and an adapter: that of the adapter's training, where it is known.

    Empty = the base's own.
    """
    return adapter.chat_template if adapter is not None and adapter.facts.get("template_hash") else base.chat_template


def _fits_nothing(facts: ModelFacts, bases: int, refusals: list[UserError]) -> UserError:
    first = refusals[0].message
    text = f"“{facts.path.name}” belongs to none of the {bases} base models here. {first}" if bases > 1 else first
    return UserError(
        text,
        remedy="Add the base model it was trained on first, then the adapter.",
        details="\n".join(str(refusal) for refusal in refusals),
    )


def _from_facts(checked: CheckedModel, name: str, more: Mapping[str, Any]) -> ModelEntry:
    facts = checked.facts
    return ModelEntry(
        id=f"m-{secrets.token_hex(4)}",
        name=name or facts.name,
        kind=facts.kind,
        format=facts.format,
        path=facts.path,
        bytes=facts.bytes,
        facts={**facts.facts, **more},
        base_id=checked.bases[0] if len(checked.bases) == 1 else "",
        created=time.time(),
    )


def _row(entry: ModelEntry) -> dict[str, Any]:
    values = {f.name: getattr(entry, f.name) for f in fields(entry)}
    return {**values, "path": str(entry.path), "is_removed": False}


def _entry(row: dict[str, Any]) -> ModelEntry:
    return ModelEntry(
        **{**row, "path": Path(row["path"]), "facts": row["facts"] or {}, "metrics": row["metrics"] or {}}
    )
