"""`plugin.toml`: what it may say, and clear errors when it says something else. Imports no plugin code."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError

API_VERSION = 1

KINDS = (
    "importer",
    "operator",
    "embedder",
    "chat_backend",
    "trainer",
    "evaluator",
    "exporter",
    "dataset_exporter",
    "page",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One contribution as the manifest names it; `facts` are the static keys beyond id, title and class."""

    kind: str
    id: str
    title: str
    target: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A plugin's own description."""

    id: str
    name: str
    version: str
    description: str
    requires: tuple[str, ...]
    entries: tuple[Entry, ...]


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        UserError: It cannot be read, lacks a key, names an unknown kind or asks for another API version.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The manifest {path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"The manifest {path} is not valid TOML: {error}.") from error
    if _text(table, "id", path) == "" or table.get("api") != API_VERSION:
        raise UserError(
            f"The manifest {path} asks for plugin API {table.get('api')!r}; this FM Studio offers {API_VERSION}.",
            remedy="Install a version of the plugin made for it.",
        )
    unknown = [key for key, value in table.items() if isinstance(value, list) and key not in (*KINDS, "requires")]
    if unknown:
        raise UserError(f"The manifest {path} has unknown tables: {', '.join(unknown)}.")
    return Manifest(
        id=_text(table, "id", path),
        name=_text(table, "name", path),
        version=_text(table, "version", path),
        description=_text(table, "description", path),
        requires=tuple(table.get("requires", ())),
        entries=tuple(_entry(kind, item, path) for kind in KINDS for item in table.get(kind, ())),
    )


def _entry(kind: str, item: dict[str, Any], path: Path) -> Entry:
    target = _text(item, "class", path, kind)
    if target.count(":") != 1:
        raise UserError(f"The manifest {path}: class “{target}” of a {kind} is not of the form module:Class.")
    facts = {key: value for key, value in item.items() if key not in ("id", "title", "class")}
    return Entry(kind, _text(item, "id", path, kind), _text(item, "title", path, kind), target, facts)


def _text(table: dict[str, Any], key: str, path: Path, kind: str = "") -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        place = f"a [[{kind}]] table" if kind else "the top"
        raise UserError(f"The manifest {path} lacks “{key}” in {place}.")
    return value
