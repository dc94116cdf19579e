"""Builders of job specifications. Pure: they look things up in the catalogue and start nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fmstudio.api.errors import UserError
from fmstudio.jobs.spec import JobSpec, StepSpec
from fmstudio.project.console import Console
from fmstudio.project.datasets import Datasets
from fmstudio.project.edits import Edits
from fmstudio.project.exports import ExportInclude, Exports
from fmstudio.project.folding import FOLDED, commit_spec, with_folding
from fmstudio.project.import_specs import (
    ImportRequest,
    each_spec,
    existing,
    fetch_spec,
    one_spec,
    update_spec,
)
from fmstudio.project.model_fetching import fetch_model_spec
from fmstudio.project.model_specs import QualityPrompts, convert_spec, folder_spec, merge_spec, quality_spec
from fmstudio.project.models import ModelEntry, ModelLibrary
from fmstudio.project.transforms import Transforms

if TYPE_CHECKING:
    from fmstudio.models.hub import HubChoice, HubModel


class TrainRun(BaseModel):
    """A training run as written in ``RUN.yaml``.

    Example:
        >>> TrainRun(name="support", dataset="tech_support", base="SmolLM2-135M-Instruct").trainer
        'lora_sft'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the adapter in the model library.")
    dataset: str = Field(description="Name or id of the dataset.")
    version: int | None = Field(default=None, description="Version of the dataset; empty = the current one.")
    base: str = Field(description="Name, id or path of the base model.")
    trainer: str = Field(default="lora_sft", description="Id of the trainer.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of the trainer.")

    @classmethod
    def parse(cls, value: Any) -> TrainRun:
        """Validate a mapping.

        Raises:
            UserError: A field is missing, misspelt or of the wrong type; the message names each.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
            raise UserError(
                f"This training run is not complete: {wrong}.", remedy="See: fmstudio train --help."
            ) from error


class JobSpecs:
    """Makes the specifications of every kind of job."""

    def __init__(
        self,
        datasets: Datasets,
        models: ModelLibrary,
        exports: Exports,
        edits: Edits,
        transforms: Transforms,
        console: Console,
    ) -> None:
        self._datasets = datasets
        self._edits = edits
        self._models = models
        self._exports = exports
        self._transforms = transforms
        self._console = console

    def import_files(
        self,
        files: Sequence[Path | str],
        *,
        name: str = "",
        importer: str = "",
        mapping: dict[str, Any] | None = None,
        importer_params: dict[str, Any] | None = None,
        parts: Sequence[str] | Mapping[str, Sequence[str]] = (),
        each_its_own: bool = False,
        update_of: str = "",
        update_key: str = "",
        is_corrected: bool = False,
        known_shapes: dict[str, Any] | None = None,
        shape: str = "",
    ) -> JobSpec:
        """Import files, folders and archives as one dataset, as one each, or as the next version of a dataset.

        Args:
            files: Paths; and addresses (https, ``hf:owner/name``), which the worker fetches where the user allowed it.
            parts: Tables of each file to read (sheets, tables of a database), or those of each by its path; none = the first.
            each_its_own: Every file, and every part of it, becomes a dataset of its own, named after it.
            update_of: Dataset whose next version this makes: rows that are in both keep their ids.
            update_key: Column that names a row in an update; empty = rows are matched by their whole content.
            is_corrected: Remember the mapping for files of this shape when the import has succeeded.
            known_shapes: Remembered mappings to use where none is given (`Imports.mappings`).
            shape: Shape key of what the mapping was made for; where each becomes a dataset of its own, others are read by
                what is in them. Empty: the mapping is meant for all.

        Raises:
            UserError: A file is not there, or an update cannot be made of this.
        """
        request = ImportRequest(
            files=existing(files), name=name, importer=importer, mapping=mapping, importer_params=importer_params or {},
            parts=() if isinstance(parts, Mapping) else tuple(parts),
            parts_of=dict(parts) if isinstance(parts, Mapping) else {},
            is_corrected=is_corrected and bool(mapping), known_shapes=known_shapes or {}, shape=shape,
        )  # fmt: skip
        if update_of:
            return update_spec(self._datasets, request, update_of, update_key)
        return each_spec(request) if each_its_own and request.count > 1 else one_spec(request)

    def fetch(self, address: str) -> JobSpec:
        """Fetch what lies behind an address, so that it can be previewed; see `import_specs.fetch_spec`."""
        return fetch_spec(address)

    def recipe(self, dataset: str, recipe: dict[str, Any], version: int | None = None) -> JobSpec:
        """Run a recipe on a version of a dataset; makes its next version.

        On the current version (the default) pending edits are folded in first.
        """
        found = self._datasets.get(dataset)
        title, meta = f"Run “{recipe['name']}” on {found.name}", {"dataset_id": found.id, "recipe": recipe}
        work = {"recipe": recipe, "files": FOLDED, "kind": found.kind}
        if version is None or version == found.version:
            spec = JobSpec.new(title, "recipe", [StepSpec("recipe", "run_recipe", work)], meta=meta)
            return with_folding(self._datasets, self._edits, found.id, spec)
        work["files"] = [str(f) for f in self._datasets.files(found.id, version)]
        step = StepSpec("recipe", "run_recipe", work)
        return JobSpec.new(title, "recipe", [step], meta={**meta, "version": version})

    def commit(self, dataset: str) -> JobSpec:
        """Make the pending edits of a dataset its next version.

        Raises:
            UserError: Nothing waits for a commit.
        """
        return commit_spec(self._datasets, self._edits, dataset)

    def transform(self, dataset: str, transform: str, params: dict[str, Any]) -> JobSpec:
        """Run a transform on the current version with its pending edits; see `Transforms.spec`."""
        return self._transforms.spec(dataset, transform, params)

    def sql_dataset(self, sql: str, name: str) -> JobSpec:
        """Make a dataset of all the rows that a query gives; see `Console.save_spec`."""
        return self._console.save_spec(sql, name)

    def embed(self, dataset: str, embedder: str, column: str = "", params: dict[str, Any] | None = None) -> JobSpec:
        """Embed the current version of a dataset into a side column; pending edits are folded in first."""
        found = self._datasets.get(dataset)
        work = {
            "embedder": embedder,
            "embedder_params": params or {},
            "files": FOLDED,
            "column": column,
        }
        meta = {
            "dataset_id": found.id,
            "embedder": embedder,
            "column": column,
            "column_name": f"embedding_{embedder}",
        }
        title = f"Embed {found.name} ({embedder})"
        spec = JobSpec.new(title, "embed", [StepSpec("embed", "embed", work)], meta=meta)
        return with_folding(self._datasets, self._edits, found.id, spec)

    def export_dataset(
        self,
        dataset: str,
        exporter: str,
        target: Path,
        *,
        params: dict[str, Any] | None = None,
        version: int | None = None,
        include: ExportInclude | None = None,
        license: str = "",
        overwrite: bool = False,
    ) -> JobSpec:
        """Export a dataset's rows to a file or folder; see `Exports.spec`."""
        return self._exports.spec(
            dataset,
            exporter,
            target,
            params=params,
            version=version,
            include=include,
            license=license,
            overwrite=overwrite,
        )

    def train(self, run: TrainRun) -> JobSpec:
        """Train, export the adapter to GGUF and, where the base is a GGUF, compare engine and trainer.

        On the current version (the default) pending edits are folded in first.

        Raises:
            UserError: The dataset, its version or the base model is not there.
        """
        dataset = self._datasets.get(run.dataset)
        version = self._datasets.version(dataset.id, run.version).number
        base = self._base(run.base)
        is_current = version == dataset.version
        files = FOLDED if is_current else [str(f) for f in self._datasets.files(dataset.id, version)]
        steps = [
            StepSpec(
                "train",
                "train",
                {
                    "trainer": run.trainer,
                    "params": run.params,
                    "base_model": str(base.path),
                    "train_files": files,
                    "eval_files": [],
                    "chat_template": base.chat_template,
                },
            ),
            StepSpec(
                "export",
                "export",
                {
                    "exporter": "peft_to_gguf",
                    "source": {"from_step": "train", "key": "adapter_dir"},
                    "base_model": str(base.path),
                },
            ),
        ]
        if base.format == "gguf":
            steps.append(
                StepSpec(
                    "evaluate",
                    "evaluate",
                    {
                        "evaluator": "adapter_parity",
                        "base_model": str(base.path),
                        "adapter": {"from_step": "export", "key": "path"},
                        "reference": {"from_step": "train", "key": "reference"},
                    },
                )
            )
        meta = {
            "name": run.name,
            "dataset_id": dataset.id,
            "version": version,
            "base_id": base.id,
            "run": {**run.model_dump(), "version": version, "base_fingerprint": base.facts.get("fingerprint", "")},
        }
        spec = JobSpec.new(f"Train {run.name}", "train", steps, slot="gpu", meta=meta)
        return with_folding(self._datasets, self._edits, dataset.id, spec) if is_current else spec

    def fetch_model(self, model: HubModel, choice: HubChoice) -> JobSpec:
        """Download a model that was looked at; see `fmstudio.models.hub.look`."""
        return fetch_model_spec(model, choice)

    def convert(self, model: str, precision: str, prompts: QualityPrompts | None = None) -> JobSpec:
        """Write a base model in another precision, and measure it on `prompts`; see `model_specs.convert_spec`."""
        return convert_spec(self._base(model), precision, prompts)

    def merge(
        self,
        adapter: str,
        base: str = "",
        precision: str = "",
        scale: float = 1.0,
        prompts: QualityPrompts | None = None,
    ) -> JobSpec:
        """Merge an adapter into a base (by default its own); see `model_specs.merge_spec`.

        Raises:
            UserError: One of them is not there, or the adapter belongs to no model yet.
        """
        found = self._models.get(adapter, kind="adapter")
        if not (base or found.base_id):
            raise UserError(f"“{found.name}” belongs to no base model yet.", remedy="Choose its base model first.")
        return merge_spec(found, self._base(base or found.base_id), precision, scale, prompts)

    def measure_model(self, model: str, source: str, prompts: QualityPrompts) -> JobSpec:
        """Measure what a conversion did to a model; see `model_specs.quality_spec`."""
        return quality_spec(self._models.get(model), self._models.get(source), prompts)

    def export_model(
        self, model: str, target: Path, *, adapter: str = "", copy: bool = False, context: int = 4096
    ) -> JobSpec:
        """Write a folder for Ollama, llama-server and vLLM; see `model_specs.folder_spec`."""
        found = self._models.get(adapter, kind="adapter", file_format="gguf") if adapter else None
        return folder_spec(self._base(model), found, target, copy=copy, context=context)

    def quality_prompts(self, dataset: str = "", most: int = 32) -> QualityPrompts:
        """The rows of a dataset's current version as prompts; without a dataset the built-in ones."""
        if not dataset:
            return QualityPrompts(most=most)
        return QualityPrompts(self._datasets.files(self._datasets.get(dataset).id), most)

    def _base(self, name: str) -> ModelEntry:
        path = Path(name)
        base = self._models.add(path) if path.exists() else self._models.get(name, kind="base")
        if base.kind != "base":
            raise UserError(f"{base.name} is an adapter.", remedy="Choose the base model it was made for.")
        if base.is_missing:
            raise UserError(f"The file of {base.name} is gone ({base.path}).", remedy="Put it back, or add it again.")
        return self._models.with_fingerprint(base)
