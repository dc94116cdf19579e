"""Data: datasets, their rows and versions, import with a preview, search by meaning."""

from fmstudio.ui.pages.data.page import DataPage

__all__ = ["DataPage"]
