"""Checks what a user wrote against what there is, and says what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from fmstudio.api import Params, UserError

_LISTED = 20
"""Names that are listed."""


def nearest(name: str, names: Sequence[str]) -> str:
    """Give a sentence that helps on: the nearest name, or those there are, the first of many."""
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"Did you mean “{near[0]}”?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"There is: {', '.join(names[:_LISTED]) or 'none'}{more}."


def make_params(kind: Any, values: dict[str, Any], title: str) -> Params:
    """Make the parameters of a contribution.

    Args:
        kind: The contribution's class, with its `Params`.
        values: What the user set.
        title: Where this stands, for the message.

    Raises:
        UserError: A name is unknown or a value is out of bounds; the message names each field.
    """
    try:
        params: Params = kind.Params(**values)
    except ValueError as error:
        from pydantic import ValidationError  # loaded already, if it is one

        if not isinstance(error, ValidationError):
            raise
        fields = kind.Params.field_names()
        unknown = [str(e["loc"][0]) for e in error.errors() if e["type"] == "extra_forbidden"]
        told = "; ".join(_told(dict(e)) for e in error.errors())
        remedy = nearest(unknown[0], fields) if unknown else "Correct it and run again."
        raise UserError(f"{title}: {told}.", remedy=remedy, details=str(error)) from error
    except TypeError as error:
        raise UserError(f"{title}: {error}.", remedy="Parameter names are text.") from error
    return params


def _told(error: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in error["loc"]) or "the parameters"
    if error["type"] == "extra_forbidden":
        return f"there is no parameter “{name}”"
    if error["type"] == "missing":
        return f"“{name}” is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:  # the parameters do not fit together: their values would be a wall of text
        return f"{message[:1].lower()}{message[1:]}"
    return f"“{name}” is {error['input']!r}: {message[:1].lower()}{message[1:]}"
