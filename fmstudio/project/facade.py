"""`Project`: the one facade the window and the command line use. Every method blocks; none needs Qt."""

from __future__ import annotations

import shutil
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.core.jsonfile import write_text
from fmstudio.jobs.spec import Job
from fmstudio.project.catalog import Catalog, ProjectLocked
from fmstudio.project.changes import Changes
from fmstudio.project.datasets import Dataset, Datasets, Operation
from fmstudio.project.diff_reasons import dropped_page
from fmstudio.project.disk import Disk
from fmstudio.project.edits import Edits
from fmstudio.project.importing import Imports
from fmstudio.project.models import ModelLibrary
from fmstudio.project.overlay import EMPTY, Overlay
from fmstudio.project.publish import Publisher
from fmstudio.project.rejects import read_rejects, reject_files
from fmstudio.project.rows import Page, RowReader
from fmstudio.project.subject import subject

if TYPE_CHECKING:
    from fmstudio.project.chat_presets import ChatPresets
    from fmstudio.project.chats import Chats
    from fmstudio.project.console import Console
    from fmstudio.project.diff import Diffs
    from fmstudio.project.exports import Exports
    from fmstudio.project.lessons import Lessons
    from fmstudio.project.lineage import Lineage
    from fmstudio.project.model_endpoints import Endpoints
    from fmstudio.project.past import Past
    from fmstudio.project.seen_rows import SeenRows
    from fmstudio.project.specs import JobSpecs
    from fmstudio.project.statistics import Statistics
    from fmstudio.project.transforms import Transforms

__all__ = ["Project", "ProjectLocked"]

PROJECT_FILE = "project.toml"


class Project:
    """An open project folder.

    Attributes:
        datasets: Datasets, versions, operation log.
        edits: What the user changes by hand, until it is committed.
        models: The model library.
        disk: Space on the disk, and collecting what nothing needs.
        imports: Known files and remembered mappings.
        recovered: What was mended when the project was opened.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self._catalog = Catalog(folder / "catalog.duckdb")
        self.datasets = Datasets(self._catalog, folder)
        self._rows = RowReader(folder)
        self.edits = Edits(self._catalog, self.datasets, self._rows)
        self.disk = Disk(self._catalog, self._rows, folder)
        self.models = ModelLibrary(self._catalog)
        self.imports = Imports(self._catalog, self.datasets)
        self._publisher = Publisher(self._catalog, self.datasets, folder, self._rows)
        self.recovered = [*self.disk.recover(), *self._publisher.recover(self.jobs_dir)]
        self.models.add_packaged()

    # ---- subjects, made when they are first asked for ---------------------------------------------------------------

    @subject
    def past(self) -> Past:
        """Earlier states of datasets, to look at."""
        from fmstudio.project.past import Past

        return Past(self.datasets, self._rows)

    @subject
    def statistics(self) -> Statistics:
        """What the columns hold, in numbers."""
        from fmstudio.project.statistics import Statistics

        return Statistics(self.datasets, self._rows)

    @subject
    def diffs(self) -> Diffs:
        """What differs between versions."""
        from fmstudio.project.diff import Diffs

        return Diffs(self._catalog, self.datasets, self._rows)

    @subject
    def lineage_graph(self) -> Lineage:
        """Where everything came from and what used it."""
        from fmstudio.project.lineage import Lineage

        return Lineage(self._catalog, self.datasets, self._rows)

    @subject
    def endpoints(self) -> Endpoints:
        """Servers that are used as models."""
        from fmstudio.project.model_endpoints import Endpoints

        return Endpoints(self._catalog)

    @subject
    def chats(self) -> Chats:
        """Conversations and ratings."""
        from fmstudio.project.chats import Chats

        return Chats(self._catalog, self.folder)

    @subject
    def presets(self) -> ChatPresets:
        """Named settings of chats, in versions."""
        from fmstudio.project.chat_presets import ChatPresets

        return ChatPresets(self._catalog)

    @subject
    def lessons(self) -> Lessons:
        """The datasets that grow from what is judged in the chat."""
        from fmstudio.project.lessons import Lessons

        return Lessons(self._catalog, self.datasets, self.edits, self.chats, self.folder, self.page)

    @subject
    def exports(self) -> Exports:
        """What went out of the project."""
        from fmstudio.project.exports import Exports

        return Exports(self._catalog, self.datasets, self.edits, self.folder)

    @subject
    def _seen_rows(self) -> SeenRows:
        from fmstudio.project.seen_rows import SeenRows

        return SeenRows(self.datasets, self.edits, self.folder)

    @subject
    def transforms(self) -> Transforms:
        """Previews of transforms."""
        from fmstudio.project.transforms import Transforms

        return Transforms(self.datasets, self.edits, self._seen_rows, self.folder)

    @subject
    def console(self) -> Console:
        """Read-only SQL over the datasets."""
        from fmstudio.project.console import Console

        return Console(self._catalog, self.datasets, self._seen_rows, self.folder)

    @subject
    def specs(self) -> JobSpecs:
        """Builders of job specifications."""
        from fmstudio.project.specs import JobSpecs

        return JobSpecs(self.datasets, self.models, self.exports, self.edits, self.transforms, self.console)

    @property
    def jobs_dir(self) -> Path:
        """Where the folders of jobs are."""
        return self.folder / "jobs"

    @classmethod
    def create(cls, folder: Path, name: str = "") -> Project:
        """Make a project folder and open it.

        Raises:
            UserError: The folder holds something already, or cannot be written.
        """
        folder = folder.resolve()
        if (folder / PROJECT_FILE).exists():
            raise UserError(f"{folder} is a project already.", remedy="Open it instead.")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} is not an empty folder.", remedy="Choose a new or an empty one.")
        title = (name or folder.name).replace("\\", "").replace('"', "'")
        try:
            for sub in ("datasets", "models", "jobs", "tmp"):
                (folder / sub).mkdir(parents=True, exist_ok=True)
            text = f'name = "{title}"\nformat = 1\ncreated = {time.strftime("%Y-%m-%dT%H:%M:%S")}\n'
            write_text(folder / PROJECT_FILE, text)
        except OSError as error:
            raise UserError(f"The folder {folder} cannot be made: {error}.", remedy="Choose another place.") from error
        return cls(folder, title)

    @classmethod
    def open(cls, folder: Path) -> Project:
        """Open a project.

        Raises:
            ProjectLocked: Another process has it open.
            UserError: The folder is no project, or its catalogue is damaged or newer.
        """
        folder = folder.resolve()
        try:
            table = tomllib.loads((folder / PROJECT_FILE).read_text("utf-8"))
        except FileNotFoundError as error:
            raise UserError(
                f"{folder} is no FM Studio project.", remedy=f"Make one with: fmstudio project new {folder}"
            ) from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UserError(f"{folder / PROJECT_FILE} cannot be read: {error}.") from error
        for sub in ("datasets", "models", "jobs", "tmp"):
            (folder / sub).mkdir(exist_ok=True)
        return cls(folder, str(table.get("name", folder.name)))

    def close(self) -> None:
        """Let go of the project; another process may open it then."""
        made = vars(self)
        if "transforms" in made:
            self.transforms.interrupt()
        if "console" in made:
            self.console.close()
        self._rows.close()
        self._catalog.close()
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)

    # ---- rows ------------------------------------------------------------------------------------------------------

    def page(
        self,
        dataset: str,
        *,
        offset: int = 0,
        limit: int = 200,
        where: str = "",
        order_by: str = "",
        version: int | None = None,
        columns: Sequence[str] | None = None,
        first_will_do: bool = False,
    ) -> Page:
        """Rows of a dataset's version; see `RowReader.page`.

        The current version (the default) shows with the edits that wait for a commit, an older one as it was published.
        """
        files, overlay = self._seen(dataset, version)
        return self._rows.page(
            files, offset=offset, limit=limit, where=where, order_by=order_by, columns=columns, overlay=overlay,
            first_will_do=first_will_do,
        )  # fmt: skip

    def place(self, dataset: str, row_id: int, where: str, order_by: str, version: int | None = None) -> int | None:
        """Where a row is among those that `page` gives, from 0; None when it is not among them."""
        files, overlay = self._seen(dataset, version)
        return self._rows.place(files, row_id, where, order_by, overlay)

    def count(self, dataset: str, where: str = "", version: int | None = None) -> int:
        """Number of rows that match."""
        files, overlay = self._seen(dataset, version)
        return self._rows.count(files, where, overlay)

    def rows_by_id(self, dataset: str, row_ids: Sequence[int]) -> Page:
        """Rows of the current version by ``row_id``, in the order asked for."""
        files, overlay = self._seen(dataset, None)
        return self._rows.by_id(files, row_ids, overlay=overlay)

    def ids(self, dataset: str, where: str, limit: int = -1) -> list[int]:
        """Ids of the rows that match a condition, ascending."""
        files, overlay = self._seen(dataset, None)
        return self._rows.ids(files, where, overlay, limit)

    def _seen(self, dataset: str, version: int | None) -> tuple[list[Path], Overlay]:
        """Files of a version and the edits through which it is seen, both of one moment."""
        dataset_id = self.datasets.id_of(dataset)
        state = self.datasets.overlays.state(dataset_id)
        if version not in (None, state.version):
            return self.datasets.files(dataset_id, version), EMPTY
        files = sorted(self.datasets.version_folder(dataset_id, state.version).glob("rows-*.parquet"))
        return files, self.datasets.overlays.of(dataset_id, state.operations)

    def dropped(self, dataset: str, version: int | None = None, *, offset: int = 0, limit: int = 200) -> Page:
        """Rows that making this version dropped, with ``step``, ``operator`` and ``reason``."""
        found = self.datasets.version(self.datasets.get(dataset).id, version)
        return dropped_page(self.datasets, self._rows, (found.dataset_id, found.number), offset, limit)

    def rejects(self, dataset: str, limit: int = 200, version: int | None = None) -> list[dict[str, Any]]:
        """Pieces that could not be read of the files a version came from; see `fmstudio.project.rejects`."""
        found = self.datasets.version(self.datasets.get(dataset).id, version)
        return read_rejects(reject_files(self._catalog, self.folder, (found.dataset_id, found.number)), limit)

    # ---- undo and lineage ------------------------------------------------------------------------------------------

    def undo(self, dataset: str | None = None) -> Operation | None:
        """Take back the newest operation; None when there is nothing to undo."""
        return self.datasets.undo(dataset)

    def redo(self, dataset: str | None = None) -> Operation | None:
        """Do the undone operation again; None when there is nothing."""
        return self.datasets.redo(dataset)

    def lineage(self, dataset: str) -> list[dict[str, Any]]:
        """From the source files to the current version, oldest first: one mapping per step."""
        found = self.datasets.get(dataset)
        by_number = {version.number: version for version in self.datasets.versions(found.id)}
        chain = []
        number: int | None = found.version
        while number is not None:
            version = by_number[number]
            chain.append(
                {
                    "version": version.number,
                    "operation": version.operation,
                    "rows": version.rows,
                    "dropped": version.dropped,
                    "created": version.created,
                    "job_id": version.job_id,
                    "statistics": version.statistics,
                }
            )
            number = version.parent
        chain.append({"source": found.source})
        return chain[::-1]

    # ---- jobs and search -------------------------------------------------------------------------------------------

    def publish(self, job: Job) -> Changes:
        """Make a finished job's results part of the project; idempotent. See `Publisher.publish`."""
        return self._publisher.publish(job)

    def known_file(self, path: Path) -> list[Dataset]:
        """Datasets made from this very content; see `Imports.known_file`."""
        return self.imports.known_file(path)

    def search_params(self, dataset: str, embedder: str = "") -> dict[str, Any]:
        """What the session request ``search`` needs for this dataset, but the query.

        Raises:
            UserError: The current version has no embedding yet.
        """
        found: Dataset = self.datasets.get(dataset)
        for column in self.datasets.side_columns(found.id, found.version):
            if not embedder or column["facts"]["embedder"] == embedder:
                files = sorted((self.folder / column["folder"]).glob("embedding-*.parquet"))
                return {"embedder": column["facts"]["embedder"], "embedding_files": [str(f) for f in files]}
        raise UserError(
            f"Version {found.version} of {found.name} has no embedding yet.",
            remedy=f"Make one first: fmstudio embed {found.name}",
        )
