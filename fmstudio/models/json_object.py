"""Reading a small JSON file of a model folder: bounded in size, depth and time, whatever the file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from fmstudio.api.errors import UserError

MOST_BYTES: Final = 8 << 20
"""Largest config read: 100 times the largest seen. JSON takes up to 25 times its size in memory."""


def read_json_object(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UserError: It is no regular file, too large, no JSON, nested too deeply, or no object.
    """
    again = "Copy the folder again."
    try:
        if not path.is_file():
            raise UserError(f"“{path}” is no regular file.", remedy=again)
        size = path.stat().st_size
        if size > most_bytes:
            raise UserError(f"“{path}” is {size / 1e6:,.0f} MB; a file of that name has a few kilobytes.", remedy=again)
        with path.open("rb") as stream:
            data = stream.read(most_bytes + 1)
        value = json.loads(data[:most_bytes].decode("utf-8"))
    except RecursionError as error:
        raise UserError(f"“{path}” is nested too deeply to be a settings file.", remedy=again) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"“{path}” cannot be read: {reason}.", remedy="Check the file's permissions.") from error
    except ValueError as error:
        raise UserError(f"“{path}” is not readable JSON: {str(error)[:200]}.", remedy=again) from error
    if not isinstance(value, dict):
        raise UserError(f"“{path}” is not a JSON object.", remedy=again)
    return value


def text_of(value: Any, most: int = 500) -> str:
    """A text value of a config, cut to a sane length; empty for anything else."""
    return value[:most] if isinstance(value, str) else ""


def count_of(value: Any) -> int:
    """A whole number between 0 and 2⁵³ of a config; 0 for anything else."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
    return value if is_count else 0
