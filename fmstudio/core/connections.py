"""The ledger of connections: each one this program opened to another machine, when, for what, and how much came.

A connection is written down before it is opened and again when it has ended, so that not even a kill leaves one out.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.core.jsonfile import read_lines
from fmstudio.core.paths import home

LEDGER = "connections.jsonl"


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection.

    Attributes:
        created: When it was opened, seconds since 1970.
        address: Where it went.
        purpose: What for, in words.
        bytes: How much was received; None while that is not known: it is open, or was cut by a kill.
    """

    created: float
    address: str
    purpose: str
    bytes: int | None = None


def ledger_path() -> Path:
    """The file with the ledger; it need not exist."""
    return home() / LEDGER


def note_opening(address: str, purpose: str) -> str:
    """Write down that a connection is about to be opened; give the id for `note_end`.

    Raises:
        OSError: It cannot be written, so the connection must not be opened.
    """
    number = secrets.token_hex(6)
    _append({"id": number, "created": time.time(), "address": address, "purpose": purpose})
    return number


def note_end(number: str, received: int) -> None:
    """Write down that a connection has ended and how many bytes came.

    Raises:
        OSError: It cannot be written.
    """
    _append({"id": number, "bytes": received})


def connections() -> list[Connection]:
    """All that were written down, the newest first."""
    found: dict[str, dict[str, Any]] = {}
    for line in read_lines(ledger_path()):
        found.setdefault(str(line.get("id", "")), {}).update(line)
    return [
        Connection(one["created"], one["address"], one["purpose"], one.get("bytes"))
        for one in reversed(found.values())
        if "created" in one
    ]


def forget_connections() -> None:
    """Clear the ledger."""
    ledger_path().unlink(missing_ok=True)


def _append(line: dict[str, Any]) -> None:
    # One write of one line: lines of several processes do not mix.
    with ledger_path().open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
