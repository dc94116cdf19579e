"""Places: renames folders of results into the project, and gives back those the catalogue does not know.

Each folder of results holds a marker that says whose it is. So a kill at any moment leaves a folder either known to the
catalogue or on its way back to its job, which publishes it again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from fmstudio.api.errors import UserError
from fmstudio.core.jsonfile import fsync_folder, read_json, write_json
from fmstudio.jobs.spec import Job
from fmstudio.project.branching import OWNER_FILE
from fmstudio.project.catalog import Catalog


class Places:
    """Where results are put. One user at a time (see `Publisher`).

    Args:
        folder: The project folder.
    """

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog = catalog
        self._folder = folder
        self._taken: list[Path] = []

    def take(self, job: Job, step: str | None, target: Path) -> None:
        """Rename a step's output folder (None: all steps' outputs) to where it stays.

        Raises:
            UserError: The results are not there.
            OSError: They cannot be moved.
        """
        source = job.folder / "out" if step is None else job.out_folder(step)
        if not source.is_dir():
            raise UserError(
                f"The results of “{job.title}” are no longer there ({source.name}).", remedy="Run it again."
            )
        write_json(source / OWNER_FILE, {"job_id": job.id, "step": step or "."})
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not self._give_back(target, self._folder / "jobs"):
            shutil.rmtree(target)
        self._taken.append(target)
        source.replace(target)
        fsync_folder(target.parent)

    def keep(self) -> None:
        """The catalogue knows what was taken."""
        self._taken.clear()

    def return_all(self) -> None:
        """The catalogue could not be told: put everything back, so that the job can be published again."""
        for target in reversed(self._taken):
            if target.exists():
                self._give_back(target, self._folder / "jobs")
        self._taken.clear()

    def recover(self, jobs_dir: Path) -> list[str]:
        """Give folders that no catalogue entry knows back to their jobs, take half-made branches away; say which."""
        known = {
            *(f"datasets/{d}/v{n:04d}" for d, n in self._catalog.query("SELECT dataset_id, number FROM versions")),
            *(row[0] for row in self._catalog.query("SELECT folder FROM side_columns")),
            *(f"models/{row[0]}" for row in self._catalog.query("SELECT job_id FROM models WHERE job_id <> ''")),
        }
        said = []
        for marker in [
            # First, as it takes the place of all the job's outputs; others then come into it.
            *self._folder.glob(f"models/*/{OWNER_FILE}"),
            *self._folder.glob(f"datasets/*/*/{OWNER_FILE}"),
            *self._folder.glob(f"datasets/*/columns/*/{OWNER_FILE}"),
        ]:
            place = marker.parent.relative_to(self._folder).as_posix()
            if place in known:
                continue
            if "branch_of" in read_json(marker, {}):
                shutil.rmtree(marker.parent.parent)
                said.append(place)
            elif self._give_back(marker.parent, jobs_dir):
                said.append(place)
        return said

    def _give_back(self, place: Path, jobs_dir: Path) -> bool:
        """Rename a folder back to the job that made it; False when its job is not there."""
        owner = read_json(place / OWNER_FILE, {})
        if not owner.get("job_id") or not (jobs_dir / owner["job_id"]).is_dir():
            return False
        out = jobs_dir / owner["job_id"] / "out" / owner["step"]
        out.parent.mkdir(exist_ok=True)
        shutil.rmtree(out, ignore_errors=True)
        place.replace(out)
        fsync_folder(out.parent)
        fsync_folder(place.parent)
        return True
