"""The way from one version to another along what they were made from, across branches of a dataset.

Versions form a tree: each knows its parent, and the first version of a branch has the version it was branched from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.project.catalog import Catalog

Place = tuple[str, int]
"""Id of a dataset and number of a version."""


@dataclass(frozen=True, slots=True)
class Link:
    """What made one version from another.

    Attributes:
        parent: The version it was made from.
        made: The version that was made.
        kind: Kind of the operation: recipe, transform, commit, update, branch.
        title: What was done, in words.
        operation_id: In the operation log; 0 when it is not there.
        record: What the operation measured (`Version.statistics`).
        is_taken_back: Whether the way goes from `made` to `parent`, against time.
        folded: Edit operations that were pending on `parent` and went into `made` first; none of a commit, which they are.
        fold_title: What those edits did, in words.
    """

    parent: Place
    made: Place
    kind: str
    title: str
    operation_id: int
    record: dict[str, Any]
    is_taken_back: bool = False
    folded: tuple[int, ...] = ()
    fold_title: str = ""


class VersionTree:
    """All versions of a project and what each was made from, as they were when this was made."""

    def __init__(self, catalog: Catalog) -> None:
        self._versions: dict[Place, dict[str, Any]] = {
            (row["dataset_id"], row["number"]): row
            for row in catalog.records("SELECT dataset_id, number, parent, operation, statistics FROM versions")
        }
        self.datasets = {row["id"]: row for row in catalog.records("SELECT * FROM datasets")}
        self._operations = {
            (row["dataset_id"], row["version_after"]): row
            for row in catalog.records(
                "SELECT id, kind, dataset_id, version_after, params FROM operations WHERE version_after IS NOT NULL"
                " AND version_before IS DISTINCT FROM version_after AND kind <> 'restore' ORDER BY id DESC"
            )
        }

    def parent(self, place: Place) -> Place | None:
        """The version a version was made from; of the first version of a branch, where it began."""
        version = self._versions.get(place)
        if version is None:
            return None
        if version["parent"] is not None:
            return place[0], int(version["parent"])
        began = (self.datasets.get(place[0], {}).get("source") or {}).get("branch_of") or {}
        origin = (str(began.get("dataset_id", "")), int(began.get("version") or 0))
        return origin if origin in self._versions else None

    def chain(self, place: Place) -> list[Place]:
        """A version and all it was made from, the newest first."""
        found: list[Place] = []
        at: Place | None = place
        while at is not None and at not in found:
            found.append(at)
            at = self.parent(at)
        return found

    def children(self, place: Place) -> list[Place]:
        """Versions made from a version, branches too."""
        return [other for other in self._versions if self.parent(other) == place]

    def numbers(self, dataset_id: str) -> list[int]:
        """Numbers of a dataset's versions, oldest first."""
        return sorted(number for owner, number in self._versions if owner == dataset_id)

    def record(self, place: Place) -> dict[str, Any]:
        """What making a version measured.

        Raises:
            UserError: There is no such version.
        """
        if place not in self._versions:
            raise UserError(f"There is no version {place[1]} of this dataset.")
        return dict(self._versions[place]["statistics"] or {})

    def is_collected(self, place: Place) -> bool:
        """Whether the version's files were taken away to free disk space."""
        return "collected" in (self._versions.get(place, {}).get("statistics") or {})

    def between(self, before: Place, after: Place) -> tuple[list[Link], Place | None]:
        """What lies between two versions, in order, and the newest version both come from.

        What only `before` went through comes first and is taken back. None when the two have nothing in common.
        """
        back, forth = self.chain(before), self.chain(after)
        shared = next((place for place in back if place in forth), None)
        if shared is None:
            return [], None
        taken = [self._link(place, is_taken_back=True) for place in back[: back.index(shared)]]
        done = [self._link(place) for place in reversed(forth[: forth.index(shared)])]
        return [*taken, *done], shared

    def _link(self, made: Place, *, is_taken_back: bool = False) -> Link:
        parent = self.parent(made)
        assert parent is not None
        version = self._versions[made]
        record = version["statistics"] or {}
        if parent[0] != made[0]:
            record = {}  # a branch keeps the record of the version it began as, whose steps are not its own
        operation = self._operations.get(made) or {
            "id": 0,
            "kind": "branch" if parent[0] != made[0] else "",
            "params": {},
        }
        link = Link(parent, made, operation["kind"], version["operation"], operation["id"], record, is_taken_back)
        params = operation["params"] or {}
        if link.kind == "commit" or not params.get("fold_title"):
            return link
        return replace(link, folded=tuple(params.get("folded", ())), fold_title=params["fold_title"])
