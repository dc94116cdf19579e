"""Where things are: the app's own files, and the user's. Creates nothing but the user data folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def _shipped(name: str) -> Path:
    """Find a folder that travels with the app: inside the package in a wheel, beside it in a checkout."""
    inside = _PACKAGE / f"_{name}"
    return inside if inside.is_dir() else _PACKAGE.parent / name


def resource(*parts: str) -> Path:
    """Path of a shipped resource, e.g. ``resource("themes", "dark.toml")``."""
    return _shipped("resources").joinpath(*parts)


def first_party_plugins() -> Path:
    """The folder of the plugins that ship with the app."""
    return _shipped("plugins")


def home() -> Path:
    """The user's FM Studio folder: ``FMSTUDIO_HOME``, else the platform's place for application data."""
    chosen = os.environ.get("FMSTUDIO_HOME")
    folder = Path(chosen) if chosen else _platform_home()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _platform_home() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "FM Studio"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "FM Studio"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "fmstudio"


def user_plugins() -> Path:
    """The folder the user drops plugins into; it need not exist."""
    return home() / "plugins"


def cache(*parts: str) -> Path:
    """A path below the cache folder; everything there can be deleted at any time. The parent exists."""
    path = home().joinpath("cache", *parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
