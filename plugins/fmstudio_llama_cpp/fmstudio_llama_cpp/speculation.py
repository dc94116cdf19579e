"""Speculative decoding: several tokens are guessed, and checked in one evaluation; only what the model itself chooses stays.

Every token of the answer is chosen by the same sampler from the model's own logits, one draw a token. A guess that
differs from the choice is thrown away with all after it, so that guesses change the speed and never the distribution.
"""

from __future__ import annotations

import statistics
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Protocol

from fmstudio.api import Speculation

PLAIN_STEPS = 4
"""Tokens that are made without guessing first, so that there is something to compare with."""
TRIAL_STEPS = 8
"""Guesses before they are judged."""
_WINDOW = 16
_KEPT = 256
_LONGEST, _SHORTEST = 3, 2  # tokens that must repeat (Saxena, prompt lookup decoding, 2023: up to 3)


class Drafter(Protocol):
    """Guesses how one answer goes on."""

    method: str

    def prepare(self, held: Sequence[int], cancelled: Callable[[], bool]) -> None:
        """Take in what was evaluated so far; what this costs is not counted against guessing.

        Raises:
            EvaluationCancelled: `cancelled` said so.
        """

    def draft(self, held: Sequence[int], token: int, most: int, cancelled: Callable[[], bool]) -> list[int]:
        """Guess up to `most` tokens after `held` and `token`; none where nothing suggests itself.

        Raises:
            EvaluationCancelled: `cancelled` said so.
        """


class PromptLookup:
    """Guesses that what followed the last few tokens before follows them again; needs no second model."""

    method = "lookup"

    def __init__(self) -> None:
        self._seen: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self._indexed = 0

    def prepare(self, held: Sequence[int], cancelled: Callable[[], bool]) -> None:
        """See `Drafter.prepare`."""
        self._seen.extend(held[len(self._seen) :])

    def draft(self, held: Sequence[int], token: int, most: int, cancelled: Callable[[], bool]) -> list[int]:
        """See `Drafter.draft`. The latest of several places counts; a text that repeats itself is continued in rounds."""
        seen = self._seen
        seen.extend(held[len(seen) :])
        seen.append(token)
        self._index(len(seen))
        start = next(
            (at for n in range(_LONGEST, _SHORTEST - 1, -1) if (at := self._after.get(tuple(seen[-n:]), 0))), 0
        )
        if not start:
            return []
        period = len(seen) - start
        found = [seen[start + number % period] for number in range(most)]
        return list(takewhile(lambda token: token >= 0, found))  # what stands for a picture cannot be said

    def _index(self, end: int) -> None:
        """Note what follows each run of tokens that ends before `end`."""
        seen, after = self._seen, self._after
        for at in range(max(self._indexed, _SHORTEST), end):
            for n in range(_SHORTEST, min(_LONGEST, at) + 1):
                after[tuple(seen[at - n : at])] = at
        self._indexed = end


class Pace:
    """Whether guessing pays in one conversation: both ways are measured on it, and the slower one is left.

    Attributes:
        width: Tokens worth guessing at once: more while guesses come true, fewer when they do not.
        reason: Why guessing was given up; empty while it is on.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.width = max(1, min(most, 4))
        self.reason = ""
        self._plain: deque[float] = deque(maxlen=_WINDOW)
        self._ahead: deque[tuple[float, int]] = deque(maxlen=_WINDOW)

    @property
    def may_guess(self) -> bool:
        """Whether the next token may be guessed."""
        return not self.reason and len(self._plain) >= PLAIN_STEPS

    @property
    def plain_s(self) -> float:
        """Seconds a token without guessing; 0 = not measured."""
        return statistics.median(self._plain) if self._plain else 0.0

    @property
    def ahead_s(self) -> float:
        """Seconds a token with guessing, all that it costs included; 0 = not measured."""
        tokens = sum(count for _, count in self._ahead)
        return sum(seconds for seconds, _ in self._ahead) / tokens if tokens else 0.0

    def saw_plain(self, seconds: float) -> None:
        """A token was made without a guess."""
        self._plain.append(seconds)

    def saw_ahead(self, seconds: float, drafted: int, accepted: int) -> None:
        """A guess was checked: `accepted` of its tokens came true, and one more was chosen."""
        self._ahead.append((seconds, accepted + 1))
        self.width = min(self.most, self.width + 2) if accepted == drafted else max(1, self.width - 1)
        if len(self._ahead) >= TRIAL_STEPS and self.ahead_s > self.plain_s:
            self.reason = (
                f"Guessing ahead was slower here ({self.ahead_s * 1000:.1f} ms a token, {self.plain_s * 1000:.1f} ms "
                "without it) and is off for this conversation."
            )


class Paces:
    """What was found out about conversations, the latest `_KEPT` of them; nameless ones are not remembered."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Pace] = OrderedDict()

    def of(self, conversation: str, method: str, most: int) -> Pace:
        """Give the pace of a conversation with a method, a new one where nothing is known."""
        key = (conversation, method)
        pace = self._known.pop(key, None) or Pace(most)
        pace.most, pace.width = most, min(most, pace.width)
        if conversation:
            self._known[key] = pace
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return pace


class Speculator:
    """Guessing in one answer: the drafter, its pace, and the counts of this answer."""

    def __init__(self, drafter: Drafter, pace: Pace) -> None:
        self.drafter, self.pace = drafter, pace
        self.drafted = self.accepted = 0

    def draft(self, held: Sequence[int], token: int, room: int, cancelled: Callable[[], bool]) -> list[int]:
        """Guess, as far as it is worth while and there is `room`."""
        most = min(self.pace.width, room)
        return self.drafter.draft(held, token, most, cancelled) if most > 0 else []

    def saw_ahead(self, seconds: float, drafted: int, accepted: int) -> None:
        """Count a guess that was checked."""
        self.drafted += drafted
        self.accepted += accepted
        self.pace.saw_ahead(seconds, drafted, accepted)

    def report(self) -> Speculation:
        """What the answer's reader is told."""
        pace = self.pace
        return Speculation(
            method=self.drafter.method,
            drafted=self.drafted,
            accepted=self.accepted,
            plain_ms=pace.plain_s * 1000,
            ahead_ms=pace.ahead_s * 1000,
            reason=pace.reason,
        )
