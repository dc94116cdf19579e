"""Settings: few, and each says what it does."""

from fmstudio.ui.pages.settings.page import SettingsPage

__all__ = ["SettingsPage"]
