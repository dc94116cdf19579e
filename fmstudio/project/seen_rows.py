"""`SeenRows`: datasets as the user sees them, as files that a query or a worker can read without the catalogue.

Pending edits are written as two small Parquet files beside the version's own.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from dataclasses import replace
from pathlib import Path

from fmstudio.api.errors import UserError
from fmstudio.project.datasets import Dataset, Datasets
from fmstudio.project.edits import Edits
from fmstudio.recipes.sandbox import Seen

KEPT = 16
"""States of edits whose files are kept while the project is open."""


class SeenRows:
    """Gives `Seen` of datasets. Thread-safe.

    Args:
        folder: The project folder; edits that only a query looks at are kept in its ``tmp`` folder.
    """

    def __init__(self, datasets: Datasets, edits: Edits, folder: Path) -> None:
        self._datasets = datasets
        self._edits = edits
        self._temp = folder / "tmp" / "seen"
        self._lock = threading.Lock()

    def of(self, dataset: Dataset, *, edits_in: Path | None = None) -> Seen:
        """The current version of a dataset, with its pending edits.

        Args:
            edits_in: Folder for the edits, of a job that needs them for itself; None = one that is kept while the
                project is open.
        """
        state = self._datasets.overlays.state(dataset.id)
        plain = self.published(dataset, state.version)
        if not state.operations:
            return plain
        edits = self._written(dataset.id, edits_in) if edits_in else self._kept(dataset.id, state.operations)
        return replace(plain, edits=edits)

    def published(self, dataset: Dataset, number: int) -> Seen:
        """A version as it was published, without edits."""
        folder = self._datasets.version_folder(dataset.id, number)
        files = tuple(str(file) for file in sorted(folder.glob("rows-*.parquet")))
        return Seen(dataset.id, dataset.name, number, files)

    def _kept(self, dataset_id: str, operations: tuple[int, ...]) -> dict[str, str]:
        name = hashlib.blake2b(repr((dataset_id, operations)).encode(), digest_size=10).hexdigest()
        target = self._temp / f"{dataset_id}-{name}"
        edits = {"rows": str(target / "rows.parquet"), "deleted": str(target / "deleted.parquet")}
        with self._lock:
            if not target.is_dir():
                fresh = target.with_name(f"{target.name}.new")
                shutil.rmtree(fresh, ignore_errors=True)
                made = self._edits.export_overlay(dataset_id, fresh)
                if tuple(made["operations"]) != operations:
                    shutil.rmtree(fresh)
                    raise UserError("The dataset changed at this very moment.", remedy="Try again.")
                self._forget_old()
                fresh.rename(target)
        return edits

    def _forget_old(self) -> None:
        """Remove the edits of states long past; a query that still reads some was asked of the newest ones."""
        old = sorted(self._temp.iterdir(), key=lambda folder: folder.stat().st_mtime)[:-KEPT]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)

    def _written(self, dataset_id: str, target: Path) -> dict[str, str]:
        made = self._edits.export_overlay(dataset_id, target)
        return {"rows": made["rows"], "deleted": made["deleted"]}
