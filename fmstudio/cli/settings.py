"""Settings of importers and exporters as they are written on the command line."""

from __future__ import annotations

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
