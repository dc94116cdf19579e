"""Branches: a new dataset whose first version holds the same files as a version of another one.

The files are linked beside, renamed into place, then made known in one transaction. A kill in between leaves a folder
that `Publisher.recover` takes away: all in it is also where it was branched from.
"""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path

from fmstudio.api.errors import UserError
from fmstudio.core.jsonfile import fsync_folder, write_json
from fmstudio.core.linking import link_file
from fmstudio.project.carrying import carry
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.history import log_operation
from fmstudio.project.overlay import Overlays
from fmstudio.project.side_columns import STANDS

OWNER_FILE = "made-by.json"
"""Says in each folder of results which job left it there, or that it is a branch."""


def branch_version(catalog: Catalog, folder: Path, overlays: Overlays, origin: tuple[str, int], name: str) -> str:
    """Make a dataset from a version; give its id.

    Args:
        folder: The project folder.
        origin: Id of the dataset and number of the version.
        name: Name of the new dataset, which is free.

    Raises:
        UserError: The files can be neither linked nor copied.
    """
    made = f"d-{secrets.token_hex(4)}"
    place = folder / "datasets" / made / "v0001"
    try:
        _link_folder(folder / "datasets" / origin[0] / f"v{origin[1]:04d}", folder / "tmp" / made, place)
    except OSError as error:
        shutil.rmtree(place.parent, ignore_errors=True)
        raise UserError(
            f"The branch “{name}” cannot be made: {error}.",
            remedy="Free some disk space, or check the folder's permissions, then try again.",
        ) from error
    try:
        _enter(catalog, overlays, origin, made, name)
    except BaseException:
        shutil.rmtree(place.parent, ignore_errors=True)
        raise
    return made


def _link_folder(source: Path, beside: Path, target: Path) -> None:
    shutil.rmtree(beside, ignore_errors=True)
    ignore = shutil.ignore_patterns(OWNER_FILE)
    shutil.copytree(source, beside, ignore=ignore, copy_function=lambda a, b: link_file(Path(a), Path(b)))
    write_json(beside / OWNER_FILE, {"job_id": "", "branch_of": str(source.name)})
    target.parent.mkdir(parents=True)
    beside.replace(target)
    fsync_folder(target.parent)


def _enter(catalog: Catalog, overlays: Overlays, origin: tuple[str, int], made: str, name: str) -> None:
    dataset_id, number = origin
    with catalog.transaction() as connection:
        old = catalog.records("SELECT name, kind, source FROM datasets WHERE id = ?", [dataset_id])[0]
        version = catalog.records("SELECT * FROM versions WHERE dataset_id = ? AND number = ?", list(origin))[0]
        state = overlays.state(dataset_id)
        came_from = {"dataset_id": dataset_id, "name": old["name"], "version": number}
        dataset = {
            "id": made,
            "name": name,
            "kind": old["kind"],
            "current_version": 1,
            "is_deleted": False,
            "created": time.time(),
            "source": {**(old["source"] or {}), "branch_of": came_from},
        }
        insert(connection, "datasets", dataset)
        title = f"Branch of {old['name']}, version {number}"
        begun = {
            "dataset_id": made,
            "number": 1,
            "parent": None,
            "operation": title,
            "created": time.time(),
            "name": "",
        }
        insert(connection, "versions", {**version, **begun})
        connection.execute(
            "INSERT INTO side_columns SELECT ?, 1, name, type, folder, facts, job_id, created FROM side_columns s"
            f" WHERE dataset_id = ? AND version = ? AND {STANDS}",
            [made, *origin],
        )
        log_operation(connection, "branch", made, None, 1, title, came_from)
        if state.version == number:
            carry(catalog, connection, state.operations, (made, 1), set, -1, is_same=True)
