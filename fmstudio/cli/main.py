"""The command line's door: arguments, exit codes, errors as sentences.

Exit codes: 0 done, 1 a fault (a bug, a dead worker), 2 a user's mistake. Errors go to stderr.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from fmstudio import __version__
from fmstudio.api.errors import UserError

USER_MISTAKE, FAULT = 2, 1

Handler = Callable[[argparse.Namespace], None]


def main(argv: list[str]) -> int:
    """Run a command and return its exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.safe_mode:
        os.environ["FMSTUDIO_SAFE_MODE"] = "1"
    if arguments.command is None:
        from fmstudio.app import run_window

        return run_window(Path(arguments.open) if arguments.open else None, safe_mode=arguments.safe_mode)
    return run_command(arguments)


def run_command(arguments: argparse.Namespace) -> int:
    """Call the command's handler and turn what it raises into a sentence and an exit code."""
    from fmstudio.cli.session import JobFailed

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names of files need not be text
    try:
        arguments.handler(arguments)
    except JobFailed as error:
        _complain(str(error.problem), error.problem.details, arguments.verbose)
        return USER_MISTAKE if error.problem.is_user_error else FAULT
    except UserError as error:
        _complain(str(error), error.details, arguments.verbose)
        return USER_MISTAKE
    except PermissionError as error:
        place = f" {error.filename}" if error.filename else ""
        _complain(
            f"This may not be read or written:{place}. Check its permissions.",
            traceback.format_exc(),
            arguments.verbose,
        )
        return USER_MISTAKE
    except KeyboardInterrupt:
        _complain("Stopped.", "", False)
        return FAULT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT
    except Exception as error:  # noqa: BLE001 - the last frame of a command: a bug becomes a sentence, not a trace
        _complain(
            f"Something went wrong that should not: {type(error).__name__}: {error}.", traceback.format_exc(), True
        )
        return FAULT
    return 0


def _complain(text: str, details: str, verbose: bool) -> None:
    print(f"fmstudio: {text}", file=sys.stderr)
    if verbose and details:
        print(details, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print one JSON document on stdout and nothing else",
    )
    shared.add_argument(
        "--verbose", action="store_true", default=argparse.SUPPRESS, help="show the details of an error"
    )
    shared.add_argument(
        "--safe-mode", action="store_true", default=argparse.SUPPRESS, help="leave out third-party plugins"
    )
    parser = argparse.ArgumentParser(
        prog="fmstudio",
        description="Manage data; align, deploy, optimise and monitor foundation models. No command: the window.",
        parents=[shared],
    )
    parser.set_defaults(json=False, verbose=False, safe_mode=False)
    parser.add_argument("--version", action="version", version=f"fmstudio {__version__}")
    parser.add_argument("--open", metavar="DIR", default="", help="project to open in the window")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    from fmstudio.cli import (
        chat_commands,
        conversion_commands,
        data_commands,
        export_commands,
        import_commands,
        insight_commands,
        library_commands,
        model_commands,
        network_command,
        row_commands,
        system_commands,
        transform_commands,
        version_commands,
    )

    for module in (
        system_commands,
        data_commands,
        import_commands,
        export_commands,
        library_commands,
        conversion_commands,
        model_commands,
        row_commands,
        version_commands,
        transform_commands,
        insight_commands,
        network_command,
        chat_commands,
    ):
        module.add_commands(commands, shared)
    return parser
