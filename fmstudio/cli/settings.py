"""Settings of importers and exporters, and lists of columns, as they are written on the command line."""

from __future__ import annotations

import json

from fmstudio.api.errors import UserError


def parse_settings(items: list[str]) -> dict[str, str]:
    """Read ``key=value`` pairs; the format's own parameters make numbers and booleans of the texts.

    Raises:
        UserError: An item has no ``=``.
    """
    settings: dict[str, str] = {}
    for item in items:
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise UserError(f"“{item}” is no setting.", remedy="Write key=value, without spaces around the sign.")
        settings[key] = value
    return settings


def parse_names(text: str) -> list[str]:
    """Read names of columns with commas between; as a JSON list where a name has a comma in it.

    Raises:
        UserError: It begins as a JSON list and is none of texts.
    """
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"“{text}” is no list of columns.", remedy='Write a,b or, as JSON, ["a","b"].')
    return names
