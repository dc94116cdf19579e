"""Servers that speak OpenAI's API, as models of the library. Their keys live in the system's keyring, never in a file."""

from __future__ import annotations

import ipaddress
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from fmstudio.api.errors import UserError
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes


def checked_url(url: str) -> str:
    """The base address of an endpoint, with its ``/v1`` where the path was left out.

    Raises:
        UserError: It is no http address, or holds a name and password.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise UserError(f"“{url}” is no address: {error}.", remedy="For example: http://127.0.0.1:8080/v1") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UserError(f"“{url}” is no address of a server.", remedy="For example: http://127.0.0.1:8080/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError("The address holds more than a place.", remedy="Put the key into its own field.")
    if parts.scheme == "http" and not is_loopback(url):
        raise UserError(
            "Over http a key and every message could be read on the way.", remedy="Use https for another machine."
        )
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_loopback(url: str) -> bool:
    """Whether an address leads to this computer, without asking anyone."""
    host = (urlsplit(url.strip()).hostname or "").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Endpoints:
    """Adds and changes the library's endpoints; `ModelLibrary` lists and removes them.

    An entry has ``kind`` and ``format`` ``"endpoint"`` and the facts ``url`` (with ``/v1``), ``model`` and ``has_key``.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def add(self, url: str, model: str, name: str = "", *, has_key: bool = False) -> tuple[Changes, str]:
        """Add an endpoint; give its id.

        Args:
            has_key: Whether it wants a key, which the keyring holds or the user is asked for.

        Raises:
            UserError: The address is none, or there is no model name.
        """
        base = checked_url(url)
        if not model.strip():
            raise UserError("The server needs to know which model is meant.", remedy="Write the model's name.")
        entry_id = f"e-{secrets.token_hex(4)}"
        values: dict[str, Any] = {
            "id": entry_id,
            "name": name.strip() or f"{model.strip()} at {urlsplit(base).netloc}",
            "kind": "endpoint",
            "format": "endpoint",
            "path": base,
            "bytes": 0,
            "facts": {"url": base, "model": model.strip(), "has_key": has_key},
            "base_id": "",
            "dataset_id": "",
            "job_id": "",
            "metrics": {},
            "is_removed": False,
            "created": time.time(),
        }
        with self._catalog.transaction() as connection:
            insert(connection, "models", values)
        return Changes(models=True), entry_id
