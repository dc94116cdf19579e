"""All nodes and edges of a project's lineage, read from the catalogue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from fmstudio.core.words import plural
from fmstudio.project.catalog import Catalog
from fmstudio.project.lineage_graph import Edge, Graph, Node, NodeKind

Place = tuple[str, int]


class World:
    """Everything the catalogue tells of, as it is now.

    Attributes:
        nodes: By id, in order of making.
        versions: Id of a dataset's node → its versions' nodes.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.versions: dict[str, list[str]] = defaultdict(list)
        self._add_datasets(catalog)
        self._add_models(catalog)
        self._add_chats(catalog)
        self._add_exports(catalog)
        # What was taken out of the catalogue leaves no loose ends.
        self.edges = [e for e in dict.fromkeys(self.edges) if e.source in self.nodes and e.target in self.nodes]

    def around(self, focus: str, starts: Iterable[str]) -> Graph:
        """All that the starts came from, and all that came of them."""
        begin = list(starts)
        return self.part(focus, {focus, *self.reached(begin, is_back=True), *self.reached(begin)})

    def part(self, focus: str, ids: set[str]) -> Graph:
        """These nodes and the datasets they belong to, with the edges among them."""
        owners = {f"dataset:{self.nodes[n].facts['dataset_id']}" for n in ids if n.startswith("version:")}
        kept = ids | owners
        nodes = tuple(node for node in self.nodes.values() if node.id in kept)
        return Graph(focus, nodes, tuple(e for e in self.edges if e.source in kept and e.target in kept))

    def reached(self, starts: Iterable[str], *, is_back: bool = False) -> set[str]:
        """The starts and all that came of them; with `is_back` all they came from."""
        onward: dict[str, list[str]] = defaultdict(list)
        for edge in self.edges:
            if not edge.source.startswith("dataset:"):  # a dataset only gathers its versions
                source, target = (edge.target, edge.source) if is_back else (edge.source, edge.target)
                onward[source].append(target)
        reached = set(starts)
        waiting = list(reached)
        while waiting:
            fresh = [node for node in onward[waiting.pop()] if node not in reached]
            reached.update(fresh)
            waiting += fresh
        return reached

    def _add(self, kind: NodeKind, id: str, title: str, subtitle: str, facts: dict[str, Any]) -> str:
        node = Node(f"{kind}:{id}", kind, title, subtitle, facts)
        self.nodes.setdefault(node.id, node)
        return node.id

    # ---- datasets, versions, files ---------------------------------------------------------------------------------

    def _add_datasets(self, catalog: Catalog) -> None:
        datasets = {row["id"]: row for row in catalog.records("SELECT * FROM datasets ORDER BY created")}
        for dataset_id, row in datasets.items():
            subtitle = "deleted" if row["is_deleted"] else f"at version {row['current_version']}"
            facts = {
                "dataset_id": dataset_id,
                "version": row["current_version"],
                **_some(row, "kind", "created", "is_deleted"),
            }
            self._add("dataset", dataset_id, row["name"], subtitle, facts)
        inputs = _inputs(catalog)
        for row in catalog.records("SELECT * FROM versions ORDER BY dataset_id, number"):
            if row["dataset_id"] in datasets:
                self._add_version(datasets[row["dataset_id"]], row, inputs.get((row["dataset_id"], row["job_id"]), []))

    def _add_version(self, dataset: dict[str, Any], row: dict[str, Any], inputs: list[Place]) -> None:
        dataset_id, number, record = row["dataset_id"], row["number"], row["statistics"] or {}
        facts = _some(
            row, "dataset_id", "rows", "dropped", "rejected", "bytes", "operation", "job_id", "created", "name"
        )
        facts |= {
            "version": number,
            "is_current": number == dataset["current_version"],
            "collected": record.get("collected"),
        }
        named = f" “{row['name']}”" if row["name"] else ""
        rows = plural(row["rows"], "row") + (", files collected" if facts["collected"] else "")
        node = self._add(
            "version", f"{dataset_id}@{number}", f"{dataset['name']}, version {number}{named}", rows, facts
        )
        self.versions[f"dataset:{dataset_id}"].append(node)
        self.edges.append(Edge(f"dataset:{dataset_id}", node, "current version" if facts["is_current"] else "version"))
        for file in _files(dataset["source"] or {}, row["parent"], record):
            self.edges.append(Edge(self._add_file(file), node, row["operation"]))
        origins = list(inputs)
        if row["parent"] is not None:
            origins.insert(0, (dataset_id, row["parent"]))
        else:
            origins += references(dataset["source"])
        for origin in dict.fromkeys(origins):
            if origin != (dataset_id, number):
                self.edges.append(Edge(f"version:{origin[0]}@{origin[1]}", node, row["operation"]))

    def _add_file(self, file: dict[str, Any]) -> str:
        path, digest = str(file.get("path") or ""), str(file.get("sha256") or "")
        name = str(file.get("name") or path.replace("\\", "/").rpartition("/")[2] or "file")
        facts = {"path": path, "sha256": digest, "bytes": file.get("bytes"), "imported": file.get("imported")}
        return self._add("file", digest or path or name, name, f"SHA-256 {digest[:12]}…" if digest else path, facts)

    # ---- what uses them --------------------------------------------------------------------------------------------

    def _add_models(self, catalog: Catalog) -> None:
        runs = {row["job_id"]: row for row in catalog.records("SELECT * FROM runs ORDER BY created")}
        for job_id, row in runs.items():
            facts = _some(row, "job_id", "dataset_id", "metrics", "created")
            run = self._add("run", job_id, row["name"], "training run", {**facts, "version": row["dataset_version"]})
            self.edges.append(Edge(f"version:{row['dataset_id']}@{row['dataset_version']}", run, "trained on"))
            self.edges.append(Edge(f"model:{row['base_id']}", run, "base model"))
        for row in catalog.records("SELECT * FROM models ORDER BY created"):
            facts = _some(row, "path", "format", "bytes", "job_id", "created", "is_removed")
            subtitle = f"{row['kind']} ({row['format']})" + (", removed" if row["is_removed"] else "")
            model = self._add("model", row["id"], row["name"], subtitle, {**facts, "model_id": row["id"]})
            if row["job_id"] in runs:
                self.edges.append(Edge(f"run:{row['job_id']}", model, "made"))
            elif made_from := (row["facts"] or {}).get("made_from"):
                self.edges.append(Edge(f"model:{made_from}", model, "converted"))

    def _add_chats(self, catalog: Catalog) -> None:
        models: dict[str, set[str]] = defaultdict(set)
        for chat, model, adapters in catalog.query(
            "SELECT DISTINCT conversation_id, json_extract_string(facts, '$.model.id'),"
            " json_extract_string(facts, '$.adapters[*].id') FROM messages WHERE role = 'assistant'"
        ):
            models[chat] |= {model, *(adapters or [])} - {None, ""}
        for row in catalog.records("SELECT * FROM conversations WHERE NOT is_deleted ORDER BY created"):
            facts = {"conversation_id": row["id"], "created": row["created"]}
            chat = self._add("chat", row["id"], row["title"], "conversation", facts)
            for model in sorted(models[row["id"]] or {row["model_id"]}):
                self.edges.append(Edge(f"model:{model}", chat, "answered"))

    def _add_exports(self, catalog: Catalog) -> None:
        for row in catalog.records("SELECT * FROM exports ORDER BY created"):
            name = str(row["path"]).replace("\\", "/").rstrip("/").rpartition("/")[2]
            facts = _some(
                row, "path", "sha256", "rows", "bytes", "exporter", "job_id", "created", "dataset_id", "version"
            )
            export = self._add("export", row["id"], name, f"{row['exporter']}, {plural(row['rows'], 'row')}", facts)
            self.edges.append(Edge(f"version:{row['dataset_id']}@{row['version']}", export, "exported"))


def references(value: Any) -> Iterator[Place]:
    """Versions that stored facts name: mappings with ``dataset_id`` (or ``id``) and ``version``, at any depth."""
    if isinstance(value, dict):
        dataset_id, version = value.get("dataset_id") or value.get("id"), value.get("version")
        if isinstance(dataset_id, str) and isinstance(version, int):
            yield dataset_id, version
        for inside in value.values():
            yield from references(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from references(inside)


def _files(source: dict[str, Any], parent: int | None, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The files a version was read from: an update's own; a first version's; none of what was made in the project."""
    if parent is not None:
        return list((record.get("source") or {}).get("files", []))
    if "branch_of" in source:
        return []
    every = [*source.get("earlier", []), *source.get("files", [])]
    # Updates stand behind the files of the first import, which were all read at one time.
    return [file for file in every if file.get("imported") == every[0].get("imported")]


def _inputs(catalog: Catalog) -> dict[tuple[str, str], list[Place]]:
    """Dataset and job → versions the operation names in its parameters: what was merged or joined in.

    By dataset, too: a branch keeps the job of the version it was made from, but not what that was made of.
    """
    rows = catalog.records("SELECT dataset_id, job_id, params FROM operations WHERE job_id <> ''")
    return {(row["dataset_id"], row["job_id"]): list(dict.fromkeys(references(row["params"]))) for row in rows}


def _some(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}
