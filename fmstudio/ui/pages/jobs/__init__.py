"""Jobs: everything that runs or ran, its log, its numbers and its result."""

from fmstudio.ui.pages.jobs.page import JobsPage

__all__ = ["JobsPage"]
