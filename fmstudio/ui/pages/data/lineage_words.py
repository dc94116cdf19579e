"""The lineage in words: icons, what each thing is called, what is known of it, and where a click on it leads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fmstudio.ui.widgets import words
from fmstudio.ui.widgets.graph_view import Box, Way

if TYPE_CHECKING:
    from fmstudio.project.lineage_graph import Graph, Node

KINDS = {
    "file": ("file", "muted", "File"),
    "dataset": ("data", "accent", "Dataset"),
    "version": ("data", "accent", "Version"),
    "row": ("info", "accent", "Row"),
    "run": ("training", "warning", "Training run"),
    "model": ("models", "positive", "Model"),
    "chat": ("chat", "muted", "Chat"),
    "export": ("export", "muted", "Export"),
}
"""Kind → icon, colour token, word."""
FACTS = (
    ("operation", "made by"), ("rows", "rows"), ("dropped", "rows dropped"), ("rejected", "pieces rejected"),
    ("bytes", "size"), ("created", "made"), ("imported", "imported"), ("path", "path"), ("sha256", "SHA-256"),
    ("exporter", "format"), ("format", "format"), ("origin", "origin"), ("source_file", "from the file"),
    ("source_line", "line"), ("line", "line"), ("source_byte", "byte"), ("byte", "byte"), ("page", "page"),
    ("source_row", "row in the file"), ("held_by", "held by"), ("dropped_at", "dropped at"), ("collected", "files freed"),
)  # fmt: skip
MOST_NAMED = 6


@dataclass(frozen=True, slots=True)
class Door:
    """Where a thing leads: a page with arguments, or a file's folder; and what the button says."""

    title: str
    page: str = ""
    args: Mapping[str, Any] | None = None
    path: str = ""


def trimmed(graph: Graph) -> Graph:
    """The graph without the datasets, which only gather their versions; a dataset asked for gives way to its newest."""
    gathered = {edge.source for edge in graph.edges if edge.source.startswith("dataset:")}
    focus = graph.focus
    if focus in gathered:
        own = [edge.target for edge in graph.edges if edge.source == focus]
        node = {node.id: node for node in graph.nodes}
        current = [version for version in own if node[version].facts.get("is_current")]
        focus = (current or own)[-1]
    nodes = tuple(node for node in graph.nodes if node.id not in gathered)
    return replace(graph, focus=focus, nodes=nodes, edges=tuple(e for e in graph.edges if e.source not in gathered))


def boxes_of(graph: Graph) -> list[Box]:
    """The nodes as they are drawn."""
    made = []
    for node in graph.nodes:
        icon, token, word = KINDS.get(node.kind, ("info", "muted", node.kind))
        lost = ("is_removed", "is_deleted") if node.kind == "row" else ("collected", "is_removed", "is_deleted")
        is_gone = any(node.facts.get(fact) for fact in lost)
        subtitle = f"{word}: {node.subtitle}" if node.kind in ("file", "model", "export") else node.subtitle or word
        made.append(Box(node.id, node.title, subtitle, icon, token, node.id == graph.focus, is_gone))
    return made


def ways_of(graph: Graph) -> list[Way]:
    """The edges as they are drawn."""
    return [Way(edge.source, edge.target, edge.title) for edge in graph.edges]


def line_of(graph: Graph, node: Node) -> str:
    """A node and what is next to it, in words: the graph for those who read it."""
    word = KINDS.get(node.kind, ("", "", node.kind))[2]
    is_named = node.kind == "version" or node.title.lower().startswith(word.lower())
    name = node.title if is_named else f"{word} {node.title}"
    before = [f"{one.title}" for one in graph.sources(node.id)]
    after = [f"{one.title}" for one in graph.targets(node.id)]
    parts = [name]
    if before:
        parts.append(f"came from {_listed(before)}")
    if after:
        parts.append(f"led to {_listed(after)}")
    return "\n".join(parts)


def ways_in_words(graph: Graph, node: Node) -> Iterator[str]:
    """How a node came of others and what came of it, a line each."""
    for edge in graph.edges:
        if edge.target == node.id:
            yield f"← {graph.node(edge.source).title}" + (f" ({edge.title})" if edge.title else "")
    for edge in graph.edges:
        if edge.source == node.id:
            yield f"→ {graph.node(edge.target).title}" + (f" ({edge.title})" if edge.title else "")


def facts_of(graph: Graph, node: Node) -> Iterator[tuple[str, str]]:
    """What is known of a node: name and value in words."""
    titles = {other.id.removeprefix("version:"): other.title for other in graph.nodes}
    for key, name in FACTS:
        value = node.facts.get(key)
        if value not in (None, "", 0, [], {}):
            yield name, _value(key, value, titles)


def door_of(node: Node) -> Door | None:
    """Where the thing can be seen; None where there is no such place."""
    facts = node.facts
    if node.kind in ("dataset", "version", "row"):
        args = {key: facts[key] for key in ("dataset_id", "version", "row_id") if facts.get(key) is not None}
        if facts.get("is_deleted"):
            return None
        title = {"dataset": "Open the dataset", "version": "Show its rows", "row": "Show the dataset"}[node.kind]
        return Door(title, "data", args)
    if node.kind == "run":
        return Door("Show the run", "training", {"job_id": facts.get("job_id")})
    if node.kind == "model":
        return Door("Show the model", "models", {"model_id": facts.get("model_id")})
    if node.kind == "chat":
        return Door("Open the chat", "chat", {"conversation_id": facts.get("conversation_id")})
    if node.kind in ("file", "export") and facts.get("path"):
        return Door("Open its folder", path=str(facts["path"]))
    return None


def _value(key: str, value: Any, titles: Mapping[str, str]) -> str:
    if key == "bytes":
        return words.size(float(value))
    if key in ("created", "imported") and isinstance(value, int | float):
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(value))
    if isinstance(value, dict):
        if key == "collected":
            return str(value.get("reason") or "its files were collected")
        return "; ".join(f"{titles.get(str(at), at)}: {why}" for at, why in list(value.items())[:MOST_NAMED])
    if isinstance(value, list | tuple):
        return _listed([titles.get(str(at), str(at)) for at in value])
    return words.number(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _listed(names: list[str]) -> str:
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
