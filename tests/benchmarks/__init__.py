"""Benchmarks: ours and the peer in turn, in one run. ``python -m tests.benchmarks [NAME …] [--json]``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured comparison.

    Attributes:
        name: What was measured.
        ours, peer: Values in `unit`; `peer` is None for an absolute goal.
        unit: ``s``, ``ms``, ``MB``, ``tokens/s`` …
        goal: In words, e.g. ``"≤ 2 × peer"``.
        met: Whether `ours` meets it.
        peer_name: What stood beside us.
    """

    name: str
    ours: float
    peer: float | None
    unit: str
    goal: str
    met: bool
    peer_name: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's."""
        return self.ours / self.peer if self.peer else None
