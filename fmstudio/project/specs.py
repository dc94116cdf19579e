"""Builders of job specifications. Pure: they look things up in the catalogue and start nothing."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fmstudio.api.errors import UserError
from fmstudio.jobs.spec import JobSpec, StepSpec
from fmstudio.project.datasets import Datasets
from fmstudio.project.models import ModelEntry, ModelLibrary


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

    def __init__(self, datasets: Datasets, models: ModelLibrary) -> None:
        self._datasets = datasets
        self._models = models

    def import_files(
        self,
        files: Sequence[Path],
        *,
        name: str = "",
        importer: str = "",
        mapping: dict[str, Any] | None = None,
        importer_params: dict[str, Any] | None = None,
    ) -> JobSpec:
        """Import files as one dataset.

        Raises:
            UserError: A file is not there or is no file.
        """
        paths = [Path(file).resolve() for file in files]
        for path in paths:
            if not path.is_file():
                raise UserError(f"There is no file {path}.", remedy="Check the name.")
        title = name or (paths[0].stem if len(paths) == 1 else f"{paths[0].stem} and {len(paths) - 1} more")
        params = {
            "files": [str(path) for path in paths],
            "importer": importer or None,
            "importer_params": importer_params or {},
            "mapping": mapping,
            "name": title,
        }
        meta = {"dataset_id": f"d-{secrets.token_hex(4)}", "name": title, "files": params["files"]}
        return JobSpec.new(f"Import {title}", "import", [StepSpec("import", "import_dataset", params)], meta=meta)

    def recipe(self, dataset: str, recipe: dict[str, Any], version: int | None = None) -> JobSpec:
        """Run a recipe on a version of a dataset; makes its next version."""
        found = self._datasets.get(dataset)
        number = found.version if version is None else version
        files = [str(f) for f in self._datasets.files(found.id, number)]
        meta = {"dataset_id": found.id, "version": number, "recipe": recipe}
        step = StepSpec("recipe", "run_recipe", {"recipe": recipe, "files": files, "kind": found.kind})
        return JobSpec.new(f"Run “{recipe['name']}” on {found.name}", "recipe", [step], meta=meta)

    def embed(self, dataset: str, embedder: str, column: str = "", params: dict[str, Any] | None = None) -> JobSpec:
        """Embed the current version of a dataset into a side column."""
        found = self._datasets.get(dataset)
        work = {
            "embedder": embedder,
            "embedder_params": params or {},
            "files": [str(f) for f in self._datasets.files(found.id)],
            "column": column,
        }
        meta = {
            "dataset_id": found.id,
            "version": found.version,
            "embedder": embedder,
            "column": column,
            "column_name": f"embedding_{embedder}",
        }
        return JobSpec.new(f"Embed {found.name} ({embedder})", "embed", [StepSpec("embed", "embed", work)], meta=meta)

    def train(self, run: TrainRun) -> JobSpec:
        """Train, export the adapter to GGUF and, where the base is a GGUF, compare engine and trainer.

        Raises:
            UserError: The dataset, its version or the base model is not there.
        """
        dataset = self._datasets.get(run.dataset)
        version = self._datasets.version(dataset.id, run.version).number
        base = self._base(run.base)
        files = [str(f) for f in self._datasets.files(dataset.id, version)]
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
        return JobSpec.new(f"Train {run.name}", "train", steps, slot="gpu", meta=meta)

    def _base(self, name: str) -> ModelEntry:
        path = Path(name)
        base = self._models.add(path) if path.exists() else self._models.get(name, kind="base")
        if base.kind != "base":
            raise UserError(f"{base.name} is an adapter.", remedy="Choose the base model it was made for.")
        if base.is_missing:
            raise UserError(f"The file of {base.name} is gone ({base.path}).", remedy="Put it back, or add it again.")
        return base
