"""`Lineage`: from any file, dataset, version, row, run, model, chat or export back to the source and forward to all use.

An edge goes the way data goes: file → version → next version → run → model → chat, version → export.
"""

from __future__ import annotations

from fmstudio.api.errors import UserError
from fmstudio.project.catalog import Catalog
from fmstudio.project.datasets import Datasets
from fmstudio.project.lineage_graph import Edge, Graph, Node, NodeKind
from fmstudio.project.lineage_row import row_graph
from fmstudio.project.lineage_world import World
from fmstudio.project.rows import RowReader

__all__ = ["Edge", "Graph", "Lineage", "Node", "NodeKind"]


class Lineage:
    """Reads the lineage of a project. Every method blocks; thread-safe."""

    def __init__(self, catalog: Catalog, datasets: Datasets, rows: RowReader) -> None:
        self._catalog, self._datasets, self._rows = catalog, datasets, rows

    def whole(self) -> Graph:
        """Everything the project knows, without a focus."""
        world = World(self._catalog)
        return Graph("", tuple(world.nodes.values()), tuple(world.edges))

    def of(self, kind: NodeKind, id: str) -> Graph:
        """The lineage of one thing: all it came from and all that came of it.

        Args:
            kind: What it is.
            id: ``dataset``: id or name, also of a deleted one. ``version``: ``DATASET@NUMBER``. ``row``:
                ``DATASET#ROW_ID``. ``file``: SHA-256, path or name. ``run``: job id. ``model``, ``chat``, ``export``:
                id. The name of any will do, too: of several the newest is meant.

        Raises:
            UserError: There is no such thing.
        """
        if kind == "row":
            dataset, _, row_id = id.rpartition("#")
            if not row_id.lstrip("-").isdigit():
                raise UserError(f"“{id}” names no row.", remedy="Write DATASET#ROW_ID.")
            return self.of_row(dataset, int(row_id))
        world = World(self._catalog)
        focus = self._found(world, kind, id)
        return world.around(focus, [focus, *(world.versions[focus] if kind == "dataset" else ())])

    def of_row(self, dataset: str, row_id: int) -> Graph:
        """The lineage of a row: where it came from, the versions that hold it, where it was dropped, what used it.

        Raises:
            UserError: No version of the dataset has or had that row.
        """
        found = self._datasets.get(dataset)
        return row_graph(World(self._catalog), self._catalog, self._datasets, self._rows, found, row_id)

    def _found(self, world: World, kind: NodeKind, wanted: str) -> str:
        if kind == "version":
            dataset, _, number = wanted.rpartition("@")
            if not dataset or not number.isdigit():
                raise UserError(f"“{wanted}” names no version.", remedy="Write DATASET@NUMBER.")
            owner = self._dataset(world, dataset)
            version = f"version:{owner.removeprefix('dataset:')}@{int(number)}"
            if version not in world.nodes:
                numbers = ", ".join(node.rpartition("@")[2] for node in world.versions[owner][-20:])
                raise UserError(f"“{dataset}” has no version {number}.", remedy=f"There is: {numbers}.")
            return version
        if kind == "dataset":
            return self._dataset(world, wanted)
        if f"{kind}:{wanted}" in world.nodes:
            return f"{kind}:{wanted}"
        there = [node for node in world.nodes.values() if node.kind == kind]
        for node in reversed(there):
            if wanted in (node.title, node.facts.get("path"), node.facts.get("sha256")):
                return node.id
        names = ", ".join(dict.fromkeys(node.title for node in there[-20:])) or "none yet"
        raise UserError(f"There is no {kind} “{wanted}” in this project.", remedy=f"There is: {names}.")

    def _dataset(self, world: World, wanted: str) -> str:
        """The node of a dataset by id or name; one that was deleted where no other has the name."""
        if f"dataset:{wanted}" in world.nodes:
            return f"dataset:{wanted}"
        named = [n for n in world.nodes.values() if n.kind == "dataset" and n.title == wanted]
        gone = [node.id for node in named if node.facts["is_deleted"]]
        if len(gone) < len(named) or not gone:
            return f"dataset:{self._datasets.get(wanted).id}"
        return gone[-1]
