"""A project: the facade over everything a person made. The only package that opens the catalogue."""

from fmstudio.project.changes import Changes
from fmstudio.project.facade import Project, ProjectLocked

__all__ = ["Changes", "Project", "ProjectLocked"]
