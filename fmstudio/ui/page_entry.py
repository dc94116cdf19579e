"""`PageEntry`: a page that the sidebar names and that is not built, nor its module imported, before it is shown."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from fmstudio.api.page import Page


@dataclass(frozen=True, slots=True)
class PageEntry:
    """A page that is not built yet. `load` gives its class; `needs_project` = shows Home while none is open."""

    id: str
    title: str
    icon: str
    load: Callable[[], type[Page]]
    needs_project: bool = True
    at_bottom: bool = False

    @classmethod
    def of(cls, page_id: str, title: str, icon: str, target: str, **more: bool) -> PageEntry:
        """An entry whose class is named ``module:Class`` and imported when the page is first shown."""
        module, _, name = target.partition(":")
        return cls(page_id, title, icon, lambda: getattr(importlib.import_module(module), name), **more)
