"""Moments counted as seconds, in words and as the column that holds them would write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

DAY = 86_400.0
_BEGIN = datetime(1970, 1, 1)
_DAYS_ALONE, _SECONDS_TOO = 20 * DAY, 3_600.0
"""Spans from which days say enough, and below which seconds are needed."""


def is_clock(type_name: str) -> bool:
    """Whether a column holds times of a day (``TIME``), which are counted from midnight."""
    name = type_name.lower()
    return name.startswith("time") and not name.startswith("timestamp")


def is_day(type_name: str) -> bool:
    """Whether a column holds whole days (``DATE``, ``date32[day]``)."""
    return type_name.lower().startswith("date") and "ms" not in type_name.lower()


def is_length(type_name: str) -> bool:
    """Whether a column holds lengths of time (``INTERVAL``), which have no beginning."""
    return type_name.lower().startswith(("interval", "duration"))


def moment_words(seconds: float, type_name: str, span: float = 0.0) -> str:
    """A moment as short as it can be said among others.

    Args:
        seconds: Since 1970 in UTC; of a clock since midnight; of a length of time its own.
        span: Seconds between the first and the last of those it is told from; 0 = say all.
    """
    if is_length(type_name):
        return str(timedelta(seconds=round(seconds)))
    found = _moment(seconds)
    if found is None:
        return f"{seconds:,.0f} s"
    if is_clock(type_name):
        return found.strftime("%H:%M" if span >= _SECONDS_TOO else "%H:%M:%S")
    day = found.date().isoformat()
    if is_day(type_name) or span >= _DAYS_ALONE:
        return day
    return f"{day} {found.strftime('%H:%M:%S' if 0 < span < _SECONDS_TOO else '%H:%M')}"


def moment_text(seconds: float, type_name: str, *, is_before: bool = False) -> str | None:
    """A moment as text that SQL compares with the column; None where there is none.

    Args:
        is_before: The last moment before it.
    """
    found = None if is_length(type_name) else _moment(seconds)
    if found is None:
        return None
    if is_day(type_name):
        return found.date().isoformat()
    found -= timedelta(microseconds=1) if is_before else timedelta()
    if is_clock(type_name):
        return found.time().isoformat()
    is_zoned = "zone" in type_name.lower() or "tz" in type_name.lower()
    return (found.replace(tzinfo=UTC) if is_zoned else found).isoformat(" ")


def _moment(seconds: float) -> datetime | None:
    try:
        return _BEGIN + timedelta(seconds=seconds)
    except (OverflowError, ValueError):  # beyond the year 9999
        return None
