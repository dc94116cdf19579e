"""An axis of moments: numbers for drawing, calendar steps for its ticks, and words. Moments are told as they stand, without a zone."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

Moment = datetime.date
"""A day or, as its subclass, a moment."""

MOST_CHARS = 40
_ISO = re.compile(r"\d{4}-\d\d-\d\d")
_EPOCH = datetime.datetime(1970, 1, 1)
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_SECONDS = (
    1, 2, 5, 10, 15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE,
    _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY,
)  # fmt: skip
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1_200, 2_400, 6_000, 12_000)


def moment_number(moment: Moment) -> float:
    """Seconds since 1970, of the moment as it is written."""
    if not isinstance(moment, datetime.datetime):
        moment = datetime.datetime(moment.year, moment.month, moment.day)
    return (moment.replace(tzinfo=None) - _EPOCH).total_seconds()


def read_moment(text: str) -> float | None:
    """The number of a moment written as ISO 8601 has it (``2024-05-01``, ``2024-05-01 12:30``); None for other texts."""
    if len(text) > MOST_CHARS or not _ISO.match(text):
        return None
    try:
        return moment_number(datetime.datetime.fromisoformat(text))
    except ValueError:
        return None


def moment_words(number: float) -> str:
    """Day and time; what is zero at the end is left out."""
    text = (_EPOCH + datetime.timedelta(seconds=number)).isoformat(" ")
    return text.removesuffix(" 00:00:00").removesuffix(":00") if len(text) == 19 else text


def time_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Places at steps of the clock or the calendar between two moments, about `count` of them, with their words."""
    rough = max(1.0, (high - low) / max(1, count))
    step = next((s for s in _SECONDS if s >= rough), 0)
    if step:
        first = int(-(-low // step)) * step
        return [(float(at), moment_words(at)) for at in range(first, int(high) + 1, step)]
    months = next((m for m in _MONTHS if m * 30.4 * _DAY >= rough), _MONTHS[-1])
    return list(_month_starts(low, high, months))


def _month_starts(low: float, high: float, months: int) -> Iterator[tuple[float, str]]:
    start, end = (_EPOCH + datetime.timedelta(seconds=at) for at in (low, high))
    first = (start.year * 12 + start.month - 1) // months * months
    for place in range(first, end.year * 12 + end.month, months):
        year, month = divmod(place, 12)
        if year >= datetime.MINYEAR and (at := moment_number(datetime.date(year, month + 1, 1))) >= low:
            yield at, f"{year:04}" if months % 12 == 0 else f"{year:04}-{month + 1:02}"
