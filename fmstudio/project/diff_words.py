"""Differences between two texts, word by word: pure Python, quick on long texts.

Lines first, then words inside the lines that changed. Units that are there once before and once after hold the texts
together (patience diff, Bram Cohen, 2003); the short pieces between them are compared by the standard library's `difflib`.
A long piece without such a unit is shown as a whole: `difflib` would take minutes for it and show a tangle.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Literal

Piece = tuple[Literal["same", "removed", "added"], str]

SMALL = 40_000
"""Units before × units after up to which a piece goes to `difflib`: 10 ms at worst."""

LONG_WORD = 40
"""Characters above which a word (an address, a sequence, base64) is compared inside, where it stayed for the most part."""

_UNITS = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]\s*|\w+\s*|[^\w\s]\s*|\s+")


def word_diff(before: str, after: str) -> list[Piece]:
    """What stayed, went and came, in reading order; joining "same" and "removed" gives `before`, "same" and "added" `after`.

    Units are words, punctuation marks and CJK characters, each with the white space behind it.
    """
    if before == after:
        return [("same", before)] if before else []
    head, tail = _ends(before, after)
    middle = _by_lines(before[head : len(before) - tail], after[head : len(after) - tail])
    return _joined([("same", before[:head]), *middle, ("same", before[len(before) - tail :] if tail else "")])


def _ends(before: str, after: str) -> tuple[int, int]:
    """Lengths of the common start and end, cut back to whole words."""
    shorter = min(len(before), len(after))
    head = _common(before, after, shorter)
    head = _boundary(before, after, head, step=-1)
    rest = shorter - head
    tail = _common(before[::-1], after[::-1], rest)
    while tail and (_splits(before, len(before) - tail) or _splits(after, len(after) - tail)):
        tail -= 1
    return head, tail


def _common(one: str, other: str, most: int) -> int:
    """Length of the common start, by halving: comparing slices is C, comparing characters is not."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _boundary(before: str, after: str, place: int, step: int) -> int:
    while place > 0 and (_splits(before, place) or _splits(after, place)):
        place += step
    return place


def _splits(text: str, place: int) -> bool:
    """Whether a cut here goes through a word or a run of white space."""
    if not 0 < place < len(text):
        return False
    left, right = text[place - 1], text[place]
    return (left.isspace() and right.isspace()) or (_is_word(left) and _is_word(right))


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def _by_lines(before: str, after: str) -> list[Piece]:
    if "\n" not in before and "\n" not in after:
        return _by_units(before, after)
    pieces: list[Piece] = []
    for kind, old, new in _compared(before.splitlines(keepends=True), after.splitlines(keepends=True)):
        pieces += [("same", old)] if kind == "equal" else _by_units(old, new)
    return pieces


def _by_units(before: str, after: str) -> list[Piece]:
    pieces: list[Piece] = []
    for kind, old, new in _compared(_UNITS.findall(before), _UNITS.findall(after)):
        pieces += [("same", old)] if kind == "equal" else _trimmed(old, new)
    return pieces


def _trimmed(old: str, new: str) -> list[Piece]:
    """Another text in place of one, less what both begin and end with: white space, or much of one very long word."""
    head, tail = _ends(old, new)
    shorter = min(len(old), len(new)) - head - tail
    if shorter > LONG_WORD:
        one, other = (text[head : len(text) - tail] for text in (old, new))
        more = _common(one, other, shorter)
        less = _common(one[::-1], other[::-1], shorter - more)
        if 2 * (more + less) >= shorter:
            head, tail = head + more, tail + less
    end_old, end_new = len(old) - tail, len(new) - tail
    return [("same", old[:head]), ("removed", old[head:end_old]), ("added", new[head:end_new]), ("same", old[end_old:])]


def _compared(old: list[str], new: list[str]) -> Iterator[tuple[str, str, str]]:
    """Runs of units: ``equal`` or not, and their text before and after."""
    if len(old) * len(new) <= SMALL:
        for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            yield kind, "".join(old[a:b]), "".join(new[c:d])
        return
    anchors = _anchors(old, new)
    if not anchors:
        yield "replace", "".join(old), "".join(new)
        return
    done_old = done_new = 0
    for i, j in anchors:
        yield from _compared(old[done_old:i], new[done_new:j])
        yield "equal", old[i], new[j]
        done_old, done_new = i + 1, j + 1
    yield from _compared(old[done_old:], new[done_new:])


def _anchors(old: list[str], new: list[str]) -> list[tuple[int, int]]:
    """Places of units that are there once on each side: the longest series that keeps their order on both."""
    once = {unit for unit, count in Counter(old).items() if count == 1}
    places = {unit: j for j, unit in enumerate(new) if unit in once}
    twice = {unit for unit, count in Counter(new).items() if count > 1}
    pairs = [(i, places[unit]) for i, unit in enumerate(old) if unit in places and unit not in twice]
    ends: list[int] = []
    piles: list[int] = []
    before: list[int] = []
    for number, (_, j) in enumerate(pairs):
        pile = bisect_left(ends, j)
        before.append(piles[pile - 1] if pile else -1)
        ends[pile : pile + 1], piles[pile : pile + 1] = [j], [number]
    series: list[tuple[int, int]] = []
    number = piles[-1] if piles else -1
    while number >= 0:
        series.append(pairs[number])
        number = before[number]
    return series[::-1]


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Leave out what is empty and join neighbours of one kind."""
    made: list[Piece] = []
    for kind, text in pieces:
        if not text:
            continue
        if made and made[-1][0] == kind:
            made[-1] = (kind, made[-1][1] + text)
        else:
            made.append((kind, text))
    return made
