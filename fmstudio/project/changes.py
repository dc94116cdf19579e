"""`Changes`: what an operation changed. Receivers look for themselves; nobody is told what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Changes:
    """The subjects an operation touched: ids of datasets and conversations, and whether models or runs changed."""

    datasets: frozenset[str] = frozenset()
    chats: frozenset[str] = frozenset()
    models: bool = False
    runs: bool = False

    def __or__(self, other: Changes) -> Changes:
        """Both together."""
        return Changes(
            self.datasets | other.datasets,
            self.chats | other.chats,
            self.models or other.models,
            self.runs or other.runs,
        )

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.datasets or self.chats or self.models or self.runs)
