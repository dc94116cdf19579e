"""Reads a file with one importer, through the manifest; shared by the tests of importers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmstudio.api import Part
from fmstudio.api.testing import FakeContext, FakeReport
from fmstudio.plugin_manager import PluginManager


def read(importer_id: str, path: Path, report: FakeReport | None = None, **params: Any) -> list[dict[str, Any]]:
    """Give all rows of a file."""
    kind = PluginManager().contribution("importer", importer_id).load()
    batches = kind().read(path, kind.Params(**params), report or FakeReport(), FakeContext())
    return [row for batch in batches for row in batch.to_pylist()]


def parts(importer_id: str, path: Path) -> list[Part]:
    """Give the parts of a file."""
    kind = PluginManager().contribution("importer", importer_id).load()
    found: list[Part] = kind().parts(path, FakeContext())
    return found


def file(path: Path, content: str | bytes) -> Path:
    """Write a file."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
