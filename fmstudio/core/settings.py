"""The user's settings: few, declared once, kept in one JSON file."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.core.paths import home


@dataclass(slots=True)
class Settings:
    """What the user chose.

    Attributes:
        theme: ``system``, ``light`` or ``dark``.
        worker_python: Interpreter of the workers; empty = the app's own. Torch with CUDA may live elsewhere.
        recent: Folders of the projects opened last, newest first.
        disabled_plugins: Ids of third-party plugins the user switched off.
        allow_network: Whether data and models may be fetched from addresses the user names. Nothing else ever uses the
            network.
        hub: Address of a mirror of the Hugging Face hub; empty = the hub itself (or what ``HF_ENDPOINT`` says).
        conversation_mb: MiB of disk for evaluated conversations, which then go on at once; 0 = none.
    """

    theme: str = "system"
    worker_python: str = ""
    recent: list[str] = field(default_factory=list)
    disabled_plugins: list[str] = field(default_factory=list)
    allow_network: bool = False
    hub: str = ""
    conversation_mb: int = 2048

    @classmethod
    def load(cls) -> Settings:
        """Read the settings; unknown or missing keys fall back to defaults."""
        stored = read_json(_path(), {})
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in stored.items() if key in known})

    def save(self) -> None:
        """Write the settings."""
        write_json(_path(), asdict(self))

    def remember_project(self, folder: Path) -> None:
        """Put a project first in the list of recent ones and save."""
        text = str(folder)
        self.recent = [text, *[other for other in self.recent if other != text]][:12]
        self.save()

    @property
    def python(self) -> str:
        """The interpreter that runs workers."""
        return self.worker_python or sys.executable


def _path() -> Path:
    return home() / "settings.json"
