"""Conversations that were evaluated and left: their key/value state, kept in memory up to a bound.

A state belongs to what made it: the adapters and control vectors that acted then (its key). It is never used under
another key, for then every value in it would be wrong.
"""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Span = tuple[int, int]
MOST_BYTES = 2 << 30
_SHARE_OF_FREE = 8


@dataclass(slots=True, eq=False)
class SavedState:
    """One conversation.

    Attributes:
        slices: Where the prompt evaluations of `tokens` began and ended.
        data: The native state, as bytes.
        ticket: Of the answer that is under way and needs it; None when it is kept only because it may be of use.
    """

    key: Hashable
    tokens: list[int]
    slices: list[Span]
    data: Any
    conversation: str = ""
    ticket: object | None = None
    used: float = field(default_factory=time.monotonic)

    @property
    def bytes(self) -> int:
        """Memory it takes."""
        return int(self.data.nbytes)


class StateShelf:
    """Saved states; the one unused for longest goes first.

    Args:
        most_bytes: Bound for the states that no answer under way needs.
        is_whole_only: The model cannot forget an end (recurrent and hybrid ones): a state helps only as a whole.
    """

    def __init__(self, most_bytes: int, *, is_whole_only: bool) -> None:
        self.most_bytes, self._is_whole_only = most_bytes, is_whole_only
        self._states: list[SavedState] = []

    def __iter__(self) -> Iterator[SavedState]:
        return iter(self._states)

    def put(self, state: SavedState) -> None:
        """Keep it. Of the same conversation only the longer is kept, where that serves both."""
        if not self._is_whole_only and state.ticket is None:
            self._states = [
                s for s in self._states if s.ticket or s.key != state.key or not starts_with(state.tokens, s.tokens)
            ]
        self._states.append(state)
        self.trim()

    def trim(self) -> None:
        """Hold to the bound."""
        idle = sorted((s for s in self._states if s.ticket is None), key=lambda s: s.used)
        over = sum(s.bytes for s in idle) - self.most_bytes
        for state in idle:
            if over <= 0:
                return
            self._states.remove(state)
            over -= state.bytes

    def best(self, key: Hashable, prompt: Sequence[int]) -> tuple[SavedState | None, int]:
        """Give the state that saves most of `prompt`, and how many tokens that is."""
        best: SavedState | None = None
        most = 0
        for state in self._states:
            if state.ticket is not None or state.key != key:
                continue
            length = common_start(state.tokens, state.slices, prompt)
            if self._is_whole_only and length < len(state.tokens):
                continue
            if length > most:
                best, most = state, length
        return best, most

    def take(self, ticket: object) -> SavedState:
        """Give and remove what an answer under way left."""
        state = next(s for s in self._states if s.ticket is ticket)
        self._states.remove(state)
        return state

    def remove(self, state: SavedState) -> None:
        """Forget one."""
        self._states.remove(state)

    def release(self, ticket: object) -> None:
        """The answer is over: what it left may go when room is needed."""
        for state in self._states:
            if state.ticket is ticket:
                state.ticket = None
        self.trim()

    def forget(self, conversation: str) -> None:
        """Forget a conversation, but for what an answer under way needs."""
        self._states = [s for s in self._states if s.ticket is not None or s.conversation != conversation]

    def clear(self) -> None:
        """Forget all but what answers under way need."""
        self._states = [s for s in self._states if s.ticket is not None]


def common_start(held: Sequence[int], slices: Sequence[Span], prompt: Sequence[int]) -> int:
    """Give the length of the longest usable common start, in tokens.

    At least the last token of the prompt is left to evaluate. A slice that was evaluated at once is kept whole or not
    at all: then asking the same again repeats the same arithmetic, and with the same seed the same answer.
    """
    kept = 0
    most = min(len(held), len(prompt) - 1)
    if list(held[:most]) == list(prompt[:most]):
        kept = most
    else:
        while held[kept] == prompt[kept]:
            kept += 1
    return next((start for start, end in slices if start < kept < end), kept)


def starts_with(tokens: Sequence[int], start: Sequence[int]) -> bool:
    """Whether `tokens` begin with `start`."""
    return len(start) <= len(tokens) and list(tokens[: len(start)]) == list(start)


def state_bound(megabytes: int) -> int:
    """Bytes for saved conversations: what was asked for, or an eighth of the free memory, 2 GiB at most."""
    if megabytes >= 0:
        return megabytes << 20
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not known on this system
        free = 4 << 30
    return min(MOST_BYTES, free // _SHARE_OF_FREE)
