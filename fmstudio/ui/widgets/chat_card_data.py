"""What the card of a turn shows, and the keys of its actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CardData:
    """What a card shows.

    Attributes:
        id: The turn's id; empty while an answer is being made.
        who: ``user`` or ``assistant`` (others are shown like a user's).
        speaker: Name in the card's head: the person, or model and adapters.
        numbers: What was measured, in words.
        version, versions: Which of how many versions of this turn; the first is 1.
        correction: How the answer should have been; empty = not corrected.
        is_preferred: Preferred to the other versions.
        is_cut: The answer ended before its end, so that going on is the natural next thing.
        files: Names of attached files, in words.
        thoughts: What the model thought before it answered.
        images: Attached pictures as data URIs.
        lacks: Actions that this turn cannot have, and why not.
    """

    id: str
    who: str
    speaker: str
    text: str
    numbers: str = ""
    note: str = ""
    rating: int = 0
    correction: str = ""
    version: int = 1
    versions: int = 1
    is_preferred: bool = False
    is_cut: bool = False
    files: str = ""
    thoughts: str = ""
    images: tuple[str, ...] = ()
    lacks: Mapping[str, str] = field(default_factory=dict)


KEYS = {
    "G": "good", "B": "poor", "C": "correct", "P": "prefer", "R": "again", "N": "continue", "E": "branch",
    "D": "compare", "Q": "quote", "T": "tokens", "Y": "reproduce",
}  # fmt: skip
"""One key each, when a turn has the focus. Left and right show other versions, Del deletes, Ctrl+C copies."""
FOR_ANSWERS = {"good", "poor", "correct", "prefer", "again", "continue", "tokens", "reproduce"}
