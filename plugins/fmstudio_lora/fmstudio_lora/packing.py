"""Examples → packs: many rows laid end to end in one sequence, with what they all begin with stored once.

A pack is exact, not an approximation: every row sees its own tokens and the shared beginning, at the positions it would
have alone (`attention.py`), so losses and gradients are those of the single rows. No padding goes through the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmstudio_lora.data import Example


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of similar length, for the attention of which a little padding is cheap.

    Attributes:
        flat: int64, for each real token of the group its place in the pack.
        padded: int64, for the same tokens their place in the padded grid ``rows × length``.
        lengths: int64, real tokens of each row.
        rows, length: Size of the grid.
    """

    flat: Any
    padded: Any
    lengths: Any
    rows: int
    length: int


@dataclass(frozen=True, slots=True)
class Pack:
    """One pass through the model.

    Attributes:
        tokens, positions: int64, shape ``(1, n)``.
        shared: How many tokens at the start belong to every row.
        groups: Which rows lie where.
        source: int64, for each learned token the place whose output predicts it.
        target: int64, the learned tokens.
        row_tokens: Real tokens of the rows, the shared beginning counted in each: what unpacked training would process.
        owner: int64, for each learned token the index of its example in the list given to `pack`.
    """

    tokens: Any
    positions: Any
    shared: int
    groups: tuple[Group, ...]
    source: Any
    target: Any
    row_tokens: int
    owner: Any

    @property
    def n_learned(self) -> int:
        return int(self.target.numel())


def plan(examples: Sequence[Example], max_tokens: int) -> list[list[int]]:
    """Divide examples, by length, into packs of at most `max_tokens` (a longer example gets a pack of its own)."""
    shared = _shared_length(examples)
    order = sorted(range(len(examples)), key=lambda i: (-len(examples[i].tokens), i))
    packs: list[list[int]] = []
    size = max_tokens + 1
    for i in order:
        own = len(examples[i].tokens) - shared
        if size + own > max_tokens:
            packs.append([])
            size = shared
        packs[-1].append(i)
        size += own
    return packs


def pack(examples: Sequence[Example], chosen: Sequence[int], device: Any) -> Pack:
    """Lay the chosen examples end to end, in the order given (longest first pads least)."""
    import torch

    rows = [examples[i] for i in chosen]
    shared = _shared_length(rows)
    tokens, positions = list(rows[0].tokens[:shared]), list(range(shared))
    source: list[int] = []
    target: list[int] = []
    owner: list[int] = []
    starts: list[int] = []
    for index, row in zip(chosen, rows, strict=True):
        start = len(tokens)
        starts.append(start)
        tokens += row.tokens[shared:]
        positions += range(shared, len(row.tokens))
        for at in range(max(shared, 1), len(row.tokens)):
            if row.learned[at]:
                source.append(start + at - shared - 1 if at > shared else shared - 1)
                target.append(row.tokens[at])
                owner.append(index)

    def tensor(values: list[int]) -> Any:
        return torch.tensor(values, dtype=torch.int64, device=device)

    lengths = [len(row.tokens) - shared for row in rows]
    return Pack(
        tokens=tensor(tokens)[None],
        positions=tensor(positions)[None],
        shared=shared,
        groups=tuple(_group(starts[a:b], lengths[a:b], tensor) for a, b in _spans(lengths)),
        source=tensor(source),
        target=tensor(target),
        row_tokens=sum(len(row.tokens) for row in rows),
        owner=tensor(owner),
    )


def _shared_length(rows: Sequence[Example]) -> int:
    """Tokens with which all rows begin; every row keeps one token, and every learned token, of its own."""
    if len(rows) < 2:
        return 0
    first = rows[0].tokens
    limit = min(min(len(row.tokens) - 1, _first_learned(row)) for row in rows)
    for at in range(limit):
        if any(row.tokens[at] != first[at] for row in rows):
            return at
    return limit


def _first_learned(row: Example) -> int:
    return row.learned.index(True) if True in row.learned else len(row.tokens)


def _spans(lengths: list[int]) -> list[tuple[int, int]]:
    """Cut rows, longest first, where a row is shorter than 0.6 of its group's longest (that much padding is cheaper
    than another group's calls)."""
    spans: list[tuple[int, int]] = []
    start = 0
    for at in range(1, len(lengths) + 1):
        if at == len(lengths) or lengths[at] < 0.6 * lengths[start] or lengths[at] > lengths[start]:
            spans.append((start, at))
            start = at
    return spans


def _group(starts: list[int], lengths: list[int], tensor: Any) -> Group:
    longest = max(lengths)
    flat = [start + i for start, n in zip(starts, lengths, strict=True) for i in range(n)]
    padded = [row * longest + i for row, n in enumerate(lengths) for i in range(n)]
    return Group(tensor(flat), tensor(padded), tensor(lengths), rows=len(starts), length=longest)
