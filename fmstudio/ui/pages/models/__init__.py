"""The Models page: base models and adapters of the project, with lineage and measured figures."""

from fmstudio.ui.pages.models.page import ModelsPage

__all__ = ["ModelsPage"]
