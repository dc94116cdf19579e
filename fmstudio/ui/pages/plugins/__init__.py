"""Plugins: what each adds, and whether it works."""

from fmstudio.ui.pages.plugins.page import PluginsPage

__all__ = ["PluginsPage"]
