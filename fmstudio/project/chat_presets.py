"""Presets of the chat: system prompt, sampler and adapters under a name, each change a version of its own."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.core.jsonfile import write_text
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes

FORMAT = "fmstudio chat preset"
MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Preset:
    """A version of a preset.

    Attributes:
        settings: As `Conversation.settings`: sampler, system prompt, adapters.
        note: What changed, in the user's words.
    """

    id: str
    name: str
    version: int
    settings: dict[str, Any]
    note: str
    created: float


_FIELDS = "id, name, version, settings, note, created"


class ChatPresets:
    """The presets of a project. Versions are never changed; deleting hides all of them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def all(self) -> list[Preset]:
        """The newest version of each preset, by name."""
        rows = self._catalog.records(
            f"SELECT {_FIELDS} FROM chat_presets WHERE NOT is_deleted"
            " QUALIFY row_number() OVER (PARTITION BY id ORDER BY version DESC) = 1 ORDER BY lower(name)"
        )
        return [Preset(**row) for row in rows]

    def versions(self, preset_id: str) -> list[Preset]:
        """All versions of a preset, newest first."""
        rows = self._catalog.records(
            f"SELECT {_FIELDS} FROM chat_presets WHERE id = ? ORDER BY version DESC", [preset_id]
        )
        return [Preset(**row) for row in rows]

    def save(self, name: str, settings: dict[str, Any], note: str = "") -> tuple[Changes, Preset]:
        """Save settings under a name: a new preset, or the next version of the one that has the name.

        Saving what the newest version holds already makes no version.

        Raises:
            UserError: The name is empty.
        """
        clean = name.strip()
        if not clean:
            raise UserError("A preset needs a name.")
        with self._catalog.transaction() as connection:
            old = next((preset for preset in self.all() if preset.name.casefold() == clean.casefold()), None)
            if old is not None and old.settings == json.loads(json.dumps(settings)):
                return Changes(), old
            preset_id, version = (old.id, old.version + 1) if old else (f"p-{secrets.token_hex(6)}", 1)
            made = Preset(preset_id, old.name if old else clean, version, settings, note.strip(), time.time())
            insert(connection, "chat_presets", {**_row(made), "is_deleted": False})
        return Changes(chats=frozenset({""})), made

    def set_deleted(self, preset_id: str, is_deleted: bool) -> Changes:
        """Hide a preset or bring it back."""
        with self._catalog.transaction() as connection:
            connection.execute("UPDATE chat_presets SET is_deleted = ? WHERE id = ?", [is_deleted, preset_id])
        return Changes(chats=frozenset({""}))

    def export(self, preset: Preset, target: Path) -> Path:
        """Write a preset as JSON, to hand on.

        Raises:
            UserError: It cannot be written there.
        """
        value = {"format": FORMAT, "name": preset.name, "version": preset.version, "settings": preset.settings}
        try:
            write_text(target, json.dumps(value, ensure_ascii=False, indent=1) + "\n")
        except OSError as error:
            raise UserError(f"{target} cannot be written: {error}.", remedy="Choose another place.") from error
        return target

    def import_file(self, path: Path) -> tuple[Changes, Preset]:
        """Read a preset that was exported.

        Raises:
            UserError: The file is no preset.
        """
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError("it is too large")
            value = json.loads(path.read_text("utf-8"))
            if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value["settings"], dict):
                raise ValueError("it is something else")
            return self.save(str(value["name"]), value["settings"], f"from {path.name}")
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{path.name} is no chat preset: {error}.", remedy="Choose a file that *Export preset* wrote."
            ) from error


def _row(preset: Preset) -> dict[str, Any]:
    return {
        "id": preset.id,
        "name": preset.name,
        "version": preset.version,
        "settings": preset.settings,
        "note": preset.note,
        "created": preset.created,
    }
