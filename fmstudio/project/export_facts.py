"""Where a version came from, as an export tells it: source files, operations with their settings, datasets before it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from fmstudio import __version__
from fmstudio.api.dataset_exporter import DatasetFacts
from fmstudio.api.errors import UserError
from fmstudio.project.datasets import Dataset, Datasets, Version

GENERATIONS = 20
"""Datasets made from datasets that are followed back; more would be a catalogue that goes in circles."""


def dataset_facts(
    datasets: Datasets, dataset: Dataset, number: int, where: str, license: str, rejected: int | None = None
) -> DatasetFacts:
    """What is known of a version; the counts of rows that go out and of dropped reasons are the worker's to fill in.

    Args:
        rejected: Pieces that could not be read; None = those of this dataset's own imports.
    """
    chain = version_chain(datasets, dataset.id, number)
    ancestors = list(_ancestors(datasets, dataset, GENERATIONS))
    told = [operation for one, version in ancestors for operation in _operations(datasets, one, version, one.name)]
    files = [file for one in (*(one for one, _ in ancestors), dataset) for file in (one.source or {}).get("files", [])]
    unique = {file.get("sha256"): {key: file.get(key) for key in ("name", "bytes", "sha256")} for file in files}
    return DatasetFacts(
        name=dataset.name,
        kind=dataset.kind,
        version=number,
        version_name=chain[-1].name,
        where=where,
        license=license,
        created=time.time(),
        sources=list(unique.values()),
        operations=[*told, *_operations(datasets, dataset, number, "")],
        rejected=sum(version.rejected for version in chain) if rejected is None else rejected,
        app=f"FM Studio {__version__}",
    )


def version_chain(datasets: Datasets, dataset_id: str, number: int) -> list[Version]:
    """A version and all it was made from in its dataset, oldest first."""
    by_number = {version.number: version for version in datasets.versions(dataset_id)}
    chain: list[Version] = []
    parent: int | None = number
    while parent is not None:
        chain.append(by_number[parent])
        parent = by_number[parent].parent
    return chain[::-1]


def _ancestors(datasets: Datasets, dataset: Dataset, generations: int) -> Iterator[tuple[Dataset, int]]:
    """Datasets and versions that a dataset was made from (branch, transform, query), the oldest first."""
    source = dataset.source or {}
    before = [(one["id"], one["version"]) for one in source.get("datasets", [])]
    if branch := source.get("branch_of"):
        before.append((branch["dataset_id"], branch["version"]))
    for dataset_id, number in before if generations else ():
        try:
            found = datasets.get(dataset_id)
        except UserError:  # it was deleted: what it was is no longer told
            continue
        yield from _ancestors(datasets, found, generations - 1)
        yield found, number


def _operations(datasets: Datasets, dataset: Dataset, number: int, told_name: str) -> list[dict[str, Any]]:
    settings = {op.job_id: op.params or {} for op in datasets.operations(dataset.id) if op.job_id}
    return [
        {
            "dataset": told_name,
            "version": version.number,
            "operation": version.operation,
            "rows": version.rows,
            "dropped": version.dropped,
            "created": version.created,
            "steps": _steps(version.statistics.get("steps", []), settings.get(version.job_id, {})),
        }
        for version in version_chain(datasets, dataset.id, number)
    ]


def _steps(measured: Sequence[dict[str, Any]], settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What each step of a recipe, or the one of a transform, was set to and did."""
    if "transform" in settings:
        return [{"operator": settings["transform"], "params": settings.get("params", {})}]
    steps = (settings.get("recipe") or {}).get("steps", [])
    params = [step.get("params", {}) for step in steps] if len(steps) == len(measured) else [{}] * len(measured)
    return [
        {
            "operator": step.get("operator", ""),
            "params": own,
            **{key: step.get(key, 0) for key in ("dropped", "changed")},
        }
        for step, own in zip(measured, params, strict=True)
    ]
