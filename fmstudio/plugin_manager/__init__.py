"""Finds plugins, reads their manifests and loads a contribution's class at first use."""

from fmstudio.plugin_manager.manager import Contribution, Plugin, PluginManager

__all__ = ["Contribution", "Plugin", "PluginManager"]
