"""GBNF for whole numbers and fractions within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

_MOST_DIGITS = 15  # whole numbers that a 64-bit fraction holds exactly
_LIMIT = 10**_MOST_DIGITS - 1
_FRACTION = '("." [0-9]{1,6})?'
Refuse = Callable[[str], Exception]


def integer_rule(schema: Mapping[str, Any], refuse: Refuse) -> str:
    """Whole numbers within ``minimum``, ``maximum`` and their exclusive kin; fifteen digits at most."""
    if schema.get("multipleOf", 1) != 1:
        raise refuse("multipleOf cannot be enforced")
    low, high, low_open, high_open = _bounds(schema, refuse)
    least = -_LIMIT if low is None else low + low_open
    most = _LIMIT if high is None else high - high_open
    if least > most:
        raise refuse("no number lies between its bounds")
    parts: list[str] = []
    if most >= 0:
        parts.append(_whole(max(0, least), most))
    if least < 0:
        parts.append(f'"-" ({_whole(max(1, -most), -least)})')
    return " | ".join(parts)


def number_rule(schema: Mapping[str, Any], refuse: Refuse) -> str:
    """Numbers within bounds that are whole; up to six digits after the point."""
    if "multipleOf" in schema:
        raise refuse("multipleOf cannot be enforced")
    low, high, low_open, high_open = _bounds(schema, refuse)
    least, most = -_LIMIT if low is None else low, _LIMIT if high is None else high
    if least > most or (least == most and (low_open or high_open)):
        raise refuse("no number lies between its bounds")
    parts: list[str] = []
    if most > 0 or (most == 0 and not high_open):
        parts.extend(_magnitudes(max(0, least), most, open_low=low_open and least >= 0, open_high=high_open))
    if least < 0:
        start = max(0, -most)
        # Minus zero is zero, which a bound may exclude: below zero begins with a fraction or with one.
        is_open = high_open if start else True
        parts.extend(f'"-" ({part})' for part in _magnitudes(start, -least, open_low=is_open, open_high=low_open))
    return " | ".join(parts)


def _magnitudes(low: int, high: int, *, open_low: bool, open_high: bool) -> Iterator[str]:
    """Numbers from `low` to `high` without a sign."""
    if open_low and low < high:
        yield f'"{low}." [0-9]{{0,5}} [1-9]'
        low += 1
    elif open_low:
        return
    if low <= high - 1:
        yield f"({_whole(low, high - 1)}) {_FRACTION}"
    if not open_high and low <= high:
        yield f'"{high}"'


def _bounds(schema: Mapping[str, Any], refuse: Refuse) -> tuple[int | None, int | None, bool, bool]:
    """Lower and upper bound, and whether each is itself excluded."""

    def read(word: str) -> int | None:
        value = schema.get(word)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or abs(value) > _LIMIT:
            raise refuse(f"{word} must be a whole number of {_MOST_DIGITS} digits at most")
        return int(value)

    low, high = read("minimum"), read("maximum")
    above, below = read("exclusiveMinimum"), read("exclusiveMaximum")
    low_open = above is not None and (low is None or above >= low)
    high_open = below is not None and (high is None or below <= high)
    return above if low_open else low, below if high_open else high, low_open, high_open


def _whole(low: int, high: int) -> str:
    """Decimal numbers from `low` to `high`, both not negative."""
    parts: list[str] = []
    for digits in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (digits - 1) if digits > 1 else 0)
        parts.extend(_same_length(str(first), str(min(high, 10**digits - 1))))
    return " | ".join(parts)


def _same_length(low: str, high: str) -> Iterator[str]:
    """Patterns of digits from `low` to `high`, which have as many digits."""
    more = len(low) - 1
    if low == high:
        yield f'"{low}"'
    elif _is_block(low, high):
        yield f"[{low[0]}-{high[0]}]" + (f" [0-9]{{{more}}}" if more else "")
    elif low[0] == high[0]:
        for rest in _same_length(low[1:], high[1:]):
            yield f'"{low[0]}" {rest}'
    else:
        middle_low, middle_high = int(low[0]), int(high[0])
        if low[1:].strip("0"):
            middle_low += 1
            for rest in _same_length(low[1:], "9" * more):
                yield f'"{low[0]}" {rest}'
        if high[1:].strip("9"):
            middle_high -= 1
            for rest in _same_length("0" * more, high[1:]):
                yield f'"{high[0]}" {rest}'
        if middle_low <= middle_high:
            yield f"[{middle_low}-{middle_high}]" + (f" [0-9]{{{more}}}" if more else "")


def _is_block(low: str, high: str) -> bool:
    return not low[1:].strip("0") and not high[1:].strip("9")
