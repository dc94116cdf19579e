"""YAML text → plain values, with nothing in it run and nothing nested too deep; errors name line and column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from fmstudio.api import UserError
from fmstudio_formats.depth import DEEPEST, may_be_too_deep
from fmstudio_formats.numbers import DECIMAL, DECIMAL_EXPONENT
from fmstudio_formats.yaml_aliases import check_references, may_have_references

_WHOLE = r"^(-?[1-9][0-9]*|0)$"
_NO_NUMBER = r"^(-?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"


def load_all(text: str, path: Path, loader: Any, first_line: int = 1) -> list[Any]:
    """Parse all documents of a text.

    Args:
        text: The YAML.
        path: Named in errors.
        loader: `text_loader` or `plain_loader`.
        first_line: Number of the text's first line in the file.

    Raises:
        UserError: It is broken; the message names line and column.
    """
    import yaml

    try:
        if may_be_too_deep(text) or "- " * DEEPEST in text or "? " * DEEPEST in text:
            _check_depth(text, path, loader, first_line)
        if may_have_references(text):
            check_references(text, path, loader, first_line)
        return list(yaml.load_all(text, loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + first_line}, column {mark.column + 1}" if mark else ""
        problem = error.problem or error.context or "it cannot be read"
        if mark and "nesting depth" in problem:  # a limit of libyaml's own, met while it looks ahead for a key
            raise _too_deep(path, mark.line + first_line) from error
        if error.context_mark and mark and error.context_mark.line != mark.line:
            problem += f" (in what began in line {error.context_mark.line + first_line})"
        raise UserError(
            f"{path.name}{place}: broken YAML: {problem}.",
            remedy="Mend that place and import again.",
            details=str(error),
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path.name} is broken YAML: {error}.", remedy="Mend the file and import again.") from error


def text_loader() -> Any:
    """Make a loader that reads every scalar as text."""
    import yaml

    return getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def plain_loader() -> Any:
    """Make a safe loader that reads only JSON's types: dates and yes/no stay the text they are.

    So does a number that would be written back in another way. YAML 1.1 takes 12:30 for 750, 01234 for 668 and +49 for
    49, where who wrote them meant a time, a zip code and a phone number; YAML 1.2 has dropped the first two.
    """
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    keep = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")

    class PlainLoader(base):  # type: ignore[misc,valid-type]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
            first: [(tag, pattern) for tag, pattern in resolvers if tag in keep]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }

    decimal = re.compile(f"(?=.*[.eE])({DECIMAL}|{DECIMAL_EXPONENT}|{_NO_NUMBER})", re.ASCII)
    for kind, pattern, first in (
        ("bool", re.compile(r"^(true|True|false|False)$"), "tTfF"),
        ("int", re.compile(_WHOLE), "-0123456789"),
        ("float", decimal, "-.0123456789"),
    ):
        PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", pattern, list(first))
    return PlainLoader


def _check_depth(text: str, path: Path, loader: Any, first_line: int) -> None:
    """Walk the events, which needs no recursion; building the values would, in C."""
    import yaml

    depth = 0
    for event in yaml.parse(text, loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            # The type stubs allow an event without a mark; parsed text always has one.
            raise _too_deep(path, first_line + (event.start_mark.line if event.start_mark else 0))


def _too_deep(path: Path, line: int) -> UserError:
    return UserError(f"{path.name}, line {line}: nested more than {DEEPEST} deep.", remedy="Flatten the file.")
