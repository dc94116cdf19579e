"""The registry of plugins. A plugin that fails is listed with its error; the app goes on."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.core.paths import first_party_plugins, user_plugins
from fmstudio.plugin_manager.manifest import Entry, Manifest, read_manifest

ENTRY_POINT_GROUP = "fmstudio.plugins"


@dataclass(frozen=True, slots=True)
class Contribution:
    """One thing a plugin adds. Its class is imported by `load`, in a worker (pages: in the window)."""

    entry: Entry
    plugin_id: str
    folder: Path
    requires: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Kind of contribution, e.g. ``operator``."""
        return self.entry.kind

    @property
    def id(self) -> str:
        """Id, unique in its kind."""
        return self.entry.id

    @property
    def title(self) -> str:
        """Name shown to the user."""
        return self.entry.title

    @property
    def facts(self) -> dict[str, Any]:
        """Static facts of the manifest beyond id, title and class."""
        return self.entry.facts

    def load(self) -> Any:
        """Import the plugin's module and return the class.

        Raises:
            UserError: The module or class is not there, or raises when imported; with the traceback in `details`.
        """
        module_name, _, class_name = self.entry.target.partition(":")
        if str(self.folder) not in sys.path:
            sys.path.insert(0, str(self.folder))
        try:
            return getattr(importlib.import_module(module_name), class_name)
        except ImportError as error:
            raise UserError(
                f"{self.title} (plugin {self.plugin_id}) needs something that is not installed: {error}.",
                remedy=self._install_line(),
            ) from error
        except Exception as error:
            import traceback

            raise UserError(
                f"{self.title} (plugin {self.plugin_id}) failed when it was loaded: {type(error).__name__}: {error}.",
                remedy="Switch the plugin off or tell its author; everything else works.",
                details=traceback.format_exc(),
            ) from error

    def _install_line(self) -> str:
        return f"Run: pip install {' '.join(self.requires)}" if self.requires else "Reinstall the plugin."


@dataclass(slots=True)
class Plugin:
    """A plugin that was found, working or not.

    Attributes:
        source: ``built-in``, ``user`` or ``entry point``.
        error: Why it cannot be used; None when its manifest is fine.
        enabled: False when the user switched it off or the app runs in safe mode.
    """

    id: str
    name: str
    version: str
    description: str
    folder: Path
    source: str
    error: str | None = None
    enabled: bool = True
    contributions: list[Contribution] = field(default_factory=list)


class PluginManager:
    """Finds plugins once, at construction; reads manifests only.

    Args:
        safe_mode: Leave out everything that did not ship with the app.
        disabled: Ids of third-party plugins that are switched off.
    """

    def __init__(self, *, safe_mode: bool = False, disabled: tuple[str, ...] = ()) -> None:
        self.safe_mode = safe_mode
        self.plugins: list[Plugin] = []
        for folder, source in self._folders():
            plugin = _read_plugin(folder, source)
            plugin.enabled = source == "built-in" or not (safe_mode or plugin.id in disabled)
            self._add(plugin)

    def _folders(self) -> Iterator[tuple[Path, str]]:
        yield from ((path, "built-in") for path in _plugin_folders(first_party_plugins()))
        yield from ((path, "user") for path in _plugin_folders(user_plugins()))
        if not _is_any_installed():
            return
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINT_GROUP):
            spec = importlib.util.find_spec(point.value.partition(":")[0])
            for place in (spec.submodule_search_locations or []) if spec else []:
                yield Path(place), "entry point"

    def _add(self, plugin: Plugin) -> None:
        twin = next((other for other in self.plugins if other.id == plugin.id), None)
        if twin:
            plugin.error = plugin.error or f"A plugin with the id “{plugin.id}” is already there ({twin.folder})."
        taken = {(c.kind, c.id) for other in self.plugins for c in other.contributions}
        clash = [f"{c.kind} {c.id}" for c in plugin.contributions if (c.kind, c.id) in taken]
        if clash and not plugin.error:
            plugin.error = f"It contributes what another plugin already does: {', '.join(clash)}."
        if plugin.error:
            plugin.contributions = []
        self.plugins.append(plugin)

    def contributions(self, kind: str) -> list[Contribution]:
        """All usable contributions of a kind, in the order they were found."""
        return [c for p in self.plugins if p.enabled and not p.error for c in p.contributions if c.kind == kind]

    def contribution(self, kind: str, contribution_id: str) -> Contribution:
        """Find one contribution.

        Raises:
            UserError: There is none of that id; the message lists those there are.
        """
        there = self.contributions(kind)
        for candidate in there:
            if candidate.id == contribution_id:
                return candidate
        names = ", ".join(c.id for c in there) or "none"
        raise UserError(f"There is no {kind.replace('_', ' ')} “{contribution_id}”.", remedy=f"There is: {names}.")


def _is_any_installed() -> bool:
    """Whether any installed package names the group: looking costs 6 ms for 150 packages, reading all of them 50."""
    wanted = ENTRY_POINT_GROUP.encode()
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as found:
                infos = [entry.path for entry in found if entry.name.endswith((".dist-info", ".egg-info"))]
        except OSError:  # no folder: a ZIP file, or nothing
            continue
        for info in infos:
            try:
                text = Path(info, "entry_points.txt").read_bytes()
            except OSError:
                continue
            if wanted in text:
                return True
    return False


def _plugin_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and (path / "plugin.toml").exists())


def _read_plugin(folder: Path, source: str) -> Plugin:
    try:
        manifest: Manifest = read_manifest(folder / "plugin.toml")
    except UserError as error:
        return Plugin(folder.name, folder.name, "", "", folder, source, error=str(error))
    import_root = folder if source != "entry point" else folder.parent
    return Plugin(
        id=manifest.id,
        name=manifest.name,
        version=manifest.version,
        description=manifest.description,
        folder=folder,
        source=source,
        contributions=[Contribution(e, manifest.id, import_root, manifest.requires) for e in manifest.entries],
    )
