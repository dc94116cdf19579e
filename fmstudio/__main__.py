"""The one door: ``python -m fmstudio`` opens the window, runs a command, or is a worker."""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Dispatch to worker or command line; each imports only what it needs."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["worker"]:
        from fmstudio.worker.main import main as worker_main

        return worker_main(arguments[1:])
    if not arguments:  # straight to the window: the commands' imports would cost it half a second
        from fmstudio.app import run_window

        return run_window()
    from fmstudio.cli.main import main as cli_main

    return cli_main(arguments)


if __name__ == "__main__":
    code = main()
    if sys.argv[1:2] == ["worker"]:
        from fmstudio.worker.main import leave

        leave(code)
    sys.exit(code)
