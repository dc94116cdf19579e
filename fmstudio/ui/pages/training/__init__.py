"""The Training page: new runs, live curves, results."""

from fmstudio.ui.pages.training.page import TrainingPage

__all__ = ["TrainingPage"]
