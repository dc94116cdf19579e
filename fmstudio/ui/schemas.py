"""Parameter schemas of contributions: asked of a worker once, then kept until a plugin changes.

The window builds forms from them; plugin code is never imported here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.core.paths import cache

if TYPE_CHECKING:
    from fmstudio.ui.context import AppContext

Schemas = dict[str, dict[str, Any]]


def load_schemas(
    context: AppContext, kind: str, on_done: Callable[[Schemas, dict[str, str]], None], owner: QObject | None = None
) -> None:
    """Get the schemas of all contributions of a kind: id → JSON schema, and id → why it cannot be loaded.

    Called back at once when they are in the cache, else when a worker has answered.
    """
    path = cache("schemas", f"{kind}-{_stamp(context, kind)}.json")
    stored = read_json(path)
    if isinstance(stored, dict):
        on_done(stored, {})
        return

    def take(answer: dict[str, Any]) -> None:
        schemas = {key.partition("/")[2]: schema for key, schema in answer["schemas"].items()}
        errors = {key.partition("/")[2]: text for key, text in answer["errors"].items()}
        if not errors:  # what failed may work tomorrow, after an installation
            write_json(path, schemas)
        on_done(schemas, errors)

    context.request("describe", {"kinds": [kind]}, take, key=f"describe-{kind}", owner=owner)


def _stamp(context: AppContext, kind: str) -> str:
    """Changes when a plugin of this kind is added, updated or edited."""
    parts = []
    for plugin in context.plugins.plugins:
        if any(c.kind == kind for c in plugin.contributions):
            newest = max((p.stat().st_mtime_ns for p in plugin.folder.rglob("*.py")), default=0)
            parts.append(f"{plugin.id} {plugin.version} {newest}")
    return hashlib.blake2b("\n".join(sorted(parts)).encode(), digest_size=8).hexdigest()
