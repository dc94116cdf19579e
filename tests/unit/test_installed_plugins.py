"""Plugins that came with an installed package are found by their entry point, and nothing else is read to find none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fmstudio.plugin_manager import PluginManager
from fmstudio.plugin_manager.manager import _is_any_installed

MANIFEST = 'id = "birds"\nname = "Birds"\nversion = "1"\napi = 1\ndescription = "for a test"\n'


def install(site: Path, entry_points: str) -> None:
    """What pip leaves of a package with a plugin in it."""
    package, info = site / "birds_plugin", site / "birds_plugin-1.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text("", "utf-8")
    (package / "plugin.toml").write_text(MANIFEST, "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: birds-plugin\nVersion: 1\n", "utf-8")
    (info / "entry_points.txt").write_text(entry_points, "utf-8")


def test_an_installed_plugin_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "[console_scripts]\nx = y:z\n[fmstudio.plugins]\nbirds = birds_plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (found,) = [plugin for plugin in PluginManager().plugins if plugin.id == "birds"]
    assert (found.source, found.error, found.folder) == ("entry point", None, tmp_path / "site" / "birds_plugin")


def test_other_packages_are_not_read_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "[console_scripts]\nbirds = birds_plugin:main\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "gone.zip"), str(tmp_path / "site")])
    assert not _is_any_installed()
    (tmp_path / "site" / "birds_plugin-1.dist-info" / "entry_points.txt").write_text("[fmstudio.plugins]\n", "utf-8")
    assert _is_any_installed()
