"""Servers that speak OpenAI's API, as models of the library. Their keys live in the system's keyring, never in a file."""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from fmstudio.api.errors import UserError
from fmstudio.core.addresses import checked_url
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes


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
