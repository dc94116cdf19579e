"""What a lineage is made of: nodes, edges, and the part of them that is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

NodeKind = Literal["file", "dataset", "version", "row", "run", "model", "chat", "export"]


@dataclass(frozen=True, slots=True)
class Node:
    """A thing in the graph.

    Attributes:
        id: ``KIND:ID``: ``version:d-1@3``, ``file:SHA256``, ``row:d-1#42`` …
        title: Its name.
        subtitle: A line more.
        facts: What is known of it, to show; a ``dataset_id``, ``version``, ``job_id``, ``path`` … to go there.
    """

    id: str
    kind: NodeKind
    title: str
    subtitle: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` came from `source`; `title` says how."""

    source: str
    target: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """A part of the lineage: the node that was asked for (`focus`), all it came from and all that came of it."""

    focus: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def node(self, node_id: str) -> Node:
        """A node by id; KeyError when it is not in this graph."""
        return {node.id: node for node in self.nodes}[node_id]

    def sources(self, node_id: str) -> list[Node]:
        """What a node came from directly."""
        return [self.node(edge.source) for edge in self.edges if edge.target == node_id]

    def targets(self, node_id: str) -> list[Node]:
        """What came of a node directly."""
        return [self.node(edge.target) for edge in self.edges if edge.source == node_id]
