"""The help page of the command line lists every command there is, and none that is not."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest

from fmstudio.cli.main import _parser
from fmstudio.core.paths import resource

PAGE = resource("help", "command-line.md").read_text("utf-8")


def commands(parser: argparse.ArgumentParser, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that does something, e.g. ``("project", "new")``; ``("models",)`` does, and has others below it."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in inner:
        for name, below in action.choices.items():
            yield from commands(below, (*before, name))
    if before and parser.get_default("handler") is not None:
        yield before


EVERY = sorted(commands(_parser()))


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_the_help_page_tells_of_every_command(command: tuple[str, ...]) -> None:
    assert re.search(rf"^    fmstudio {' '.join(command)}(\s|$)", PAGE, re.MULTILINE)


def test_the_help_page_tells_of_no_command_that_is_not_there() -> None:
    told = re.findall(r"^    fmstudio ([a-z][a-z-]*(?: (?:new|info|run|export|import)\b)?)", PAGE, re.MULTILINE)
    assert told and set(told) <= {" ".join(command) for command in EVERY}
