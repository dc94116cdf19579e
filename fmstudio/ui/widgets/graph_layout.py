"""A layered drawing of a directed graph from left to right: pure numbers, no Qt.

After Sugiyama, Tagawa and Toda (1981): layers by the longest way from a source, then sweeps that order each layer by the
mean place of its neighbours, so that few edges cross. Small graphs (hundreds of nodes) are laid out in milliseconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

Pair = tuple[str, str]
SWEEPS = 6


def layered(nodes: Sequence[str], edges: Iterable[Pair]) -> tuple[list[list[str]], dict[Pair, list[str]]]:
    """Nodes by layer, the sources first, in an order in which few edges cross; and the way of each edge.

    An edge over several layers goes by a bend in each layer between, which has a place of its own there, so that it runs
    around the nodes and not through them. Edges that close a circle go straight; those from or to nodes that are not
    there are left out.

    Returns:
        The layers, with the names of bends among those of nodes, and for each edge the names it goes by.
    """
    there = set(nodes)
    pairs = [(a, b) for a, b in dict.fromkeys(edges) if a in there and b in there and a != b]
    order, forward = _without_circles(nodes, pairs)
    depth = _depths(order, forward)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        layers[depth[node]].append(node)
    ways: dict[Pair, list[str]] = {pair: list(pair) for pair in pairs}
    for number, (source, target) in enumerate(forward):
        bends = [f"\0{number}.{layer}" for layer in range(depth[source] + 1, depth[target])]
        for layer, bend in enumerate(bends, depth[source] + 1):
            layers[layer].append(bend)
        ways[source, target] = [source, *bends, target]
    sources, targets = _neighbours([piece for pair in forward for piece in pairwise(ways[pair])])
    for sweep in range(SWEEPS):
        _sweep(layers, sources if sweep % 2 == 0 else targets, is_back=sweep % 2 == 1)
    return layers, ways


def _depths(order: Sequence[str], forward: Sequence[Pair]) -> dict[str, int]:
    """The layer of each node: the longest way from a source; a source stands right before what came of it."""
    sources, targets = _neighbours(forward)
    depth = dict.fromkeys(order, 0)
    for node in order:
        depth[node] = max((depth[source] + 1 for source in sources[node]), default=0)
    for node in reversed(order):
        if targets[node] and not sources[node]:
            depth[node] = min(depth[target] for target in targets[node]) - 1
    return depth


def _neighbours(pairs: Iterable[Pair]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    sources: dict[str, list[str]] = defaultdict(list)
    targets: dict[str, list[str]] = defaultdict(list)
    for source, target in pairs:
        sources[target].append(source)
        targets[source].append(target)
    return sources, targets


def heights_of(layers: Sequence[Sequence[str]], edges: Iterable[Pair]) -> dict[str, float]:
    """A height for each node, in steps of one node: near its neighbours, apart from the others of its layer."""
    near: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        near[source].append(target)
        near[target].append(source)
    heights = {node: float(place) for layer in layers for place, node in enumerate(layer)}
    tallest = max((len(layer) for layer in layers), default=0)
    for layer in layers:
        for place, node in enumerate(layer):
            heights[node] = place + (tallest - len(layer)) / 2
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wishes = [_mean([heights[n] for n in near[node] if n in heights], heights[node]) for node in layer]
            for node, height in zip(layer, _apart(wishes), strict=True):
                heights[node] = height
    low = min(heights.values(), default=0.0)
    return {node: height - low for node, height in heights.items()}


def _without_circles(nodes: Sequence[str], pairs: Sequence[Pair]) -> tuple[list[str], list[Pair]]:
    """The nodes in an order in which edges point forward, and the edges that do."""
    onward: dict[str, list[str]] = defaultdict(list)
    for source, target in pairs:
        onward[source].append(target)
    finished: list[str] = []
    seen: set[str] = set()
    for start in nodes:
        stack = [(start, iter(onward[start]))] if start not in seen else []
        seen.add(start)
        while stack:
            node, rest = stack[-1]
            following = next((n for n in rest if n not in seen), None)
            if following is None:
                finished.append(node)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(onward[following])))
    order = finished[::-1]
    place = {node: number for number, node in enumerate(order)}
    return order, [(a, b) for a, b in pairs if place[a] < place[b]]


def _sweep(layers: list[list[str]], near: dict[str, list[str]], *, is_back: bool) -> None:
    places = {node: place for layer in layers for place, node in enumerate(layer)}
    for layer in reversed(layers) if is_back else layers:
        wish = {node: _mean([places[n] for n in near[node]], places[node]) for node in layer}
        layer.sort(key=lambda node: wish[node])
        places.update({node: place for place, node in enumerate(layer)})


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else float(otherwise)


def _apart(wishes: Sequence[float]) -> list[float]:
    """Heights at least one step apart, in the given order, as near to the wishes as a push down and a shift allow."""
    heights: list[float] = []
    for wish in wishes:
        heights.append(max(wish, heights[-1] + 1) if heights else wish)
    if not heights:
        return []
    shift = sum(wish - height for wish, height in zip(wishes, heights, strict=True)) / len(heights)
    return [height + shift for height in heights]
