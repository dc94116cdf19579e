"""Numbers, sizes, times and plurals as they are shown everywhere."""

from __future__ import annotations

import time

from fmstudio.core.words import amount as amount
from fmstudio.core.words import duration as duration
from fmstudio.core.words import plural as plural
from fmstudio.core.words import size as size
from fmstudio.core.words import time_left as time_left


def number(value: float) -> str:
    """``12,345``."""
    return f"{value:,.0f}"


def short(text: str, most: int = 60) -> str:
    """At most so many characters of a text, then “…”."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def ago(moment: float, now: float | None = None) -> str:
    """``just now``, ``5 minutes ago``, ``yesterday``, else the date."""
    passed = (now or time.time()) - moment
    if passed < 60:
        return "just now"
    if passed < 3600:
        return f"{plural(int(passed // 60), 'minute')} ago"
    if passed < 86_400:
        return f"{plural(int(passed // 3600), 'hour')} ago"
    if passed < 2 * 86_400:
        return "yesterday"
    return time.strftime("%Y-%m-%d", time.localtime(moment))


def parameters(count: float) -> str:
    """``135 M``, ``1.1 B``, ``842 k`` parameters."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            value = count / limit
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{count:.0f}"
