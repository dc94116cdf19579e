"""Home: open or make a project; with one open, where it stands and what to do next."""

from fmstudio.ui.pages.home.page import HomePage

__all__ = ["HomePage"]
