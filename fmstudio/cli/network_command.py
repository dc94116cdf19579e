"""The command ``network``: whether data and models may be fetched, from which hub, and the ledger of all connections."""

from __future__ import annotations

import argparse
import time
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.cli.output import print_json, print_table
from fmstudio.core.addresses import hub_address
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
        choices=("on", "off", "clear", "hub", "token"),
        help="allow it, forbid it, clear the list of connections, name a mirror of the hub, keep your token for it",
    )
    network.add_argument("value", nargs="?", default="", help="with hub: its address; without one, the hub itself")
    network.set_defaults(handler=network_command)


def network_command(args: argparse.Namespace) -> None:
    """``fmstudio network [on|off|clear]``."""
    settings = Settings.load()
    if args.change == "clear":
        forget_connections()
    elif args.change == "hub":
        settings.hub = hub_address(args.value)
        settings.save()
    elif args.change == "token":
        _keep_token()
    elif args.change:
        settings.allow_network = args.change == "on"
        settings.save()
    found = connections()
    if args.json:
        print_json({"allowed": settings.allow_network, "hub": settings.hub, "connections": found})
        return
    print("Data may be fetched from addresses you name." if settings.allow_network else "The network is not used.")
    if settings.hub:
        print(f"Models and datasets of the hub come from {settings.hub}.")
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


def _keep_token() -> None:
    """Put the user's token for the hub into the keyring; an empty one takes it out."""
    from fmstudio.cli.endpoint_keys import ask_key
    from fmstudio.core.keyring_store import HUB_NAME, forget_key, keep_key

    token = ask_key("the hub (empty: forget it)")
    if not token:
        forget_key(HUB_NAME)
    elif not keep_key(HUB_NAME, token):
        raise UserError("There is no system keyring to keep it in.", remedy="Set the variable HF_TOKEN instead.")
