"""Moments as they are typed into a filter: ``2024``, ``2024-03``, ``2024-03-01``, ``2024-03-01 09:30`` or ``09:30``."""

from __future__ import annotations

import calendar
import datetime
import re

from fmstudio.project.statistics_moments import is_clock, is_day

_CLOCK = r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<second>\d\d))?)?"
_MOMENT = re.compile(rf"(?P<year>\d{{4}})(?:-(?P<month>\d{{1,2}})(?:-(?P<day>\d{{1,2}})(?:[T ]{_CLOCK})?)?)?$")
_TIME = re.compile(rf"{_CLOCK}$")
_RANGE = re.compile(r"(?P<sign><=|>=|<|>|=)?(?P<low>[\dT: -]+?)(?:\.\.(?P<high>[\dT: -]+))?$")


def period(text: str, type_name: str) -> tuple[str, str]:
    """The first and the last moment that a text means, as the column writes them: a month has many of them.

    Raises:
        ValueError: It means none, or none that a column of this type can hold.
    """
    found = (_TIME if is_clock(type_name) else _MOMENT).match(text.strip())
    if found is None:
        raise ValueError(f"“{text}” is no moment")
    parts = {name: int(value) for name, value in found.groupdict().items() if value is not None}
    first = datetime.time(parts.get("hour", 0), parts.get("minute", 0), parts.get("second", 0))
    last = datetime.time(parts.get("hour", 23), parts.get("minute", 59), parts.get("second", 59), 999_999)
    if is_clock(type_name):
        return first.isoformat(), last.isoformat()
    year, months = parts["year"], (parts.get("month", 1), parts.get("month", 12))
    begin = datetime.date(year, months[0], parts.get("day", 1))
    end = datetime.date(year, months[1], parts.get("day", calendar.monthrange(year, months[1])[1]))
    if is_day(type_name):
        return begin.isoformat(), end.isoformat()
    return f"{begin} {first}", f"{end} {last}"


def range_sql(name: str, text: str, type_name: str) -> str | None:
    """SQL condition of ``>2024-03``, ``<=2024`` or ``2024-01..2024-03`` on a column; None when the text is no such range.

    Args:
        name: The column as SQL writes it.
    """
    found = _RANGE.match(text)
    if found is None or not (found["sign"] or found["high"]):
        return None
    try:
        first, last = period(found["low"], type_name)
        if found["high"]:
            return f"{name} BETWEEN '{first}' AND '{period(found['high'], type_name)[1]}'"
    except ValueError:
        return None
    if found["sign"] == "=":
        return f"{name} BETWEEN '{first}' AND '{last}'"
    return f"{name} {found['sign']} '{last if found['sign'] in ('>', '<=') else first}'"


def bound_words(text: str) -> str:
    """An end of a range as short as it can be said: a whole day needs no hour."""
    return text.removesuffix(" 00:00:00").removesuffix(" 23:59:59.999999")
