"""The command ``network``: whether data may be fetched, and the ledger of all connections."""

from __future__ import annotations

import argparse
import time
from typing import Any

from fmstudio.cli.output import print_json, print_table
from fmstudio.core.connections import connections, forget_connections
from fmstudio.core.settings import Settings


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's command."""
    network = commands.add_parser(
        "network", parents=[shared], help="whether data may be fetched from addresses, and every connection made"
    )
    network.add_argument(
        "change",
        nargs="?",
        choices=("on", "off", "clear"),
        help="allow it, forbid it, or clear the list of connections",
    )
    network.set_defaults(handler=network_command)


def network_command(args: argparse.Namespace) -> None:
    """``fmstudio network [on|off|clear]``."""
    settings = Settings.load()
    if args.change == "clear":
        forget_connections()
    elif args.change:
        settings.allow_network = args.change == "on"
        settings.save()
    found = connections()
    if args.json:
        print_json({"allowed": settings.allow_network, "connections": found})
        return
    print("Data may be fetched from addresses you name." if settings.allow_network else "The network is not used.")
    rows = [
        (
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.created)),
            one.purpose,
            "not known" if one.bytes is None else f"{one.bytes:,}",
            one.address,
        )
        for one in found
    ]
    if rows:
        print_table(("when", "purpose", "bytes", "address"), rows)
