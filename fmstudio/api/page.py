"""`Page`: one place in the window's sidebar. The only module of the plugin contract that touches Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget


class PageContext(Protocol):
    """What a page is given. All calls are made on the main thread and return at once; callbacks come there, too."""

    @property
    def project(self) -> Any:
        """The open `Project`, or None; call its methods inside `run_query` and `run_op` only."""

    def run_query(
        self,
        fn: Callable[[], Any],
        on_done: Callable[[Any], None],
        on_error: Callable[[Any], None] | None = None,
        *,
        key: str = "",
        owner: QObject | None = None,
    ) -> None:
        """Read on a background thread; of several calls with one `key` only the newest answer arrives."""

    def run_op(
        self,
        owner: QObject | None,
        fn: Callable[[], Any],
        on_done: Callable[[Any], None] | None = None,
        on_error: Callable[[Any], None] | None = None,
    ) -> None:
        """Write on the one writer thread; `fn` returns the `Changes` that everybody is then told of."""

    def submit(self, spec: Any) -> Any:
        """Start a job."""

    def notify(self, level: str, text: str, action: tuple[str, Callable[[], None]] | None = None) -> None:
        """Say one sentence in the message bar; level: ``info``, ``positive``, ``warning`` or ``danger``."""

    def show_problem(self, problem: Any) -> None:
        """Show a `Problem` as a card: what happened, what to do, *Copy details*."""

    def navigate(self, page_id: str, **args: Any) -> None:
        """Go to a page; `args` reach its `page_shown`."""


class Page(QWidget):
    """Base class of all pages, the app's own and those of plugins.

    A page is built when it is shown for the first time, on the main thread; building takes milliseconds because data
    is fetched with ``context.run_query``.

    Attributes:
        id, title, icon: Sidebar entry; `icon` names an SVG in ``resources/icons``.
        context: What the page may ask of the app.
    """

    id: ClassVar[str] = ""
    title: ClassVar[str] = ""
    icon: ClassVar[str] = ""

    def __init__(self, context: PageContext) -> None:
        super().__init__()
        self.context = context
        self.setObjectName(f"page-{self.id}")
        self.setAccessibleName(self.title)

    def page_shown(self, **args: Any) -> None:
        """Called each time the page comes to the front, with the arguments of `PageContext.navigate`."""

    def page_hidden(self) -> None:
        """Called when another page comes to the front."""

    def accept_files(self, paths: list[str]) -> bool:
        """Take files that were dropped while this page is in front; False = the app finds their natural home."""
        return False
