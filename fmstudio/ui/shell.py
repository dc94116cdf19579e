"""`MainWindow`: sidebar, page stack, message bar and status bar. It composes; behaviour lives in pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QKeySequence,
    QResizeEvent,
    QShortcut,
)
from PySide6.QtWidgets import QMainWindow, QStackedWidget, QWidget

from fmstudio.api.page import Page
from fmstudio.ui.context import AppContext, problem_of
from fmstudio.ui.dropped import find_home, named_in
from fmstudio.ui.history import step_history
from fmstudio.ui.page_entry import PageEntry
from fmstudio.ui.palette import Command, CommandPalette
from fmstudio.ui.theme import restyle
from fmstudio.ui.widgets.job_tray import JobTray
from fmstudio.ui.widgets.message_bar import MessageBar, ProblemCard
from fmstudio.ui.widgets.parts import column, holder, row
from fmstudio.ui.widgets.sidebar import Sidebar

NARROW_BELOW = 1000


class MainWindow(QMainWindow):
    """The window.

    Args:
        entries: The pages in order; the first nine get Ctrl+1 … Ctrl+9.
    """

    def __init__(self, context: AppContext, entries: list[PageEntry]) -> None:
        super().__init__()
        self.context = context
        self.pages: dict[str, Page] = {}
        self._entries: dict[str, PageEntry] = {}
        self._broken: dict[str, QWidget] = {}
        self.current_id = ""
        self.setWindowTitle(self.tr("FM Studio"))
        self.setMinimumSize(900, 600)
        self.resize(1280, 800)
        self.setAcceptDrops(True)
        self.sidebar, self.messages, self.tray = Sidebar(), MessageBar(), JobTray(context)
        self.stack = QStackedWidget()
        self.content = holder(column(self.messages, self.stack, gap=0))
        self.content.setObjectName("content")
        self.content.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        middle = row(self.sidebar, self.content, gap=0)
        middle.setStretch(1, 1)
        self.setCentralWidget(holder(column(middle, self.tray, gap=0)))
        self.palette_box = CommandPalette(self, self.commands)
        for entry in entries:
            self.add_page(entry)
        self._connect()
        self._add_shortcuts()
        self.show_page(entries[0].id, {})

    def add_page(self, entry: PageEntry) -> None:
        """Add a sidebar entry; the page is built when it is first shown."""
        number = len(self._entries) + 1
        self._entries[entry.id] = entry
        shortcut = f"Ctrl+{number}" if number <= 9 else ""
        self.sidebar.add(entry.id, entry.title, entry.icon, shortcut, at_bottom=entry.at_bottom)
        if shortcut:
            self._shortcut(shortcut, lambda: self.show_page(entry.id, {}))

    def _connect(self) -> None:
        context = self.context
        context.navigated.connect(self.show_page)
        context.notified.connect(self.messages.notify)
        context.problem_shown.connect(self.messages.show_problem)
        context.project_changed.connect(self._on_project)
        self.sidebar.chosen.connect(lambda page_id: self.show_page(page_id, {}))
        self.sidebar.help_wanted.connect(self.show_help)

    def _shortcut(self, keys: str, act: Callable[[], object]) -> None:
        QShortcut(QKeySequence(keys), self).activated.connect(lambda: act())

    def _add_shortcuts(self) -> None:
        self._shortcut("Ctrl+K", self.palette_box.toggle)
        self._shortcut("F1", self.show_help)
        self._shortcut("Ctrl+B", self.sidebar.toggle)
        self._shortcut("Ctrl+Z", self.undo)
        self._shortcut("Ctrl+Shift+Z", self.redo)
        self._shortcut("Ctrl+Y", self.redo)
        self._shortcut("Ctrl+Q", self.close)

    # ---- pages -----------------------------------------------------------------------------------------------------

    @Slot(str, object)
    def show_page(self, page_id: str, args: dict[str, Any]) -> None:
        """Bring a page to the front, building it when needed. Without a project, data pages lead to Home."""
        entry = self._entries.get(page_id)
        if entry is None:
            return
        if entry.needs_project and self.context.project is None:
            if self.current_id:
                self.context.notify("info", f"Open or make a project first; then {entry.title} has something to show.")
            page_id, args = next(iter(self._entries)), {}
            entry = self._entries[page_id]
        if self.current_id in self.pages and self.current_id != page_id:
            self.pages[self.current_id].page_hidden()
        self.current_id = page_id
        self.stack.setCurrentWidget(self._page(entry))
        self.sidebar.mark(page_id)
        if page_id in self.pages:
            self.pages[page_id].setFocus()
            self.pages[page_id].page_shown(**args)

    def entry(self, page_id: str) -> PageEntry:
        """The sidebar's entry of a page."""
        return self._entries[page_id]

    def build(self, page_id: str) -> None:
        """Build a page without showing it."""
        self._page(self._entries[page_id])

    def _page(self, entry: PageEntry) -> QWidget:
        if entry.id in self.pages:
            return self.pages[entry.id]
        if entry.id not in self._broken:
            try:
                page = self.pages[entry.id] = entry.load()(self.context)
            except Exception as error:  # noqa: BLE001 - a page (of a plugin) that cannot be built must not take the app
                card = ProblemCard(problem_of(error))
                self._broken[entry.id] = holder(column(card, None))
            else:
                self.stack.addWidget(page)
                return page
            self.stack.addWidget(self._broken[entry.id])
        return self._broken[entry.id]

    @Slot()
    def _on_project(self) -> None:
        project = self.context.project
        self.setWindowTitle(f"{project.name} – FM Studio" if project else "FM Studio")
        for page_id, page in list(self.pages.items()):
            if self._entries[page_id].needs_project:
                del self.pages[page_id]
                self.stack.removeWidget(page)
                page.deleteLater()
        if self.current_id not in self.pages:
            self.show_page(next(iter(self._entries)), {})

    # ---- actions ---------------------------------------------------------------------------------------------------

    def commands(self) -> list[Command]:
        """Everything the palette offers now: pages, this page's own commands, and the app's."""
        found = [
            Command(f"Go to {e.title}", lambda e=e: self.show_page(e.id, {}), f"Ctrl+{n}" if n <= 9 else "", e.icon)  # type: ignore[misc]
            for n, e in enumerate(self._entries.values(), 1)
        ]
        own = getattr(self.pages.get(self.current_id), "commands", None)
        if callable(own):
            found = [*own(), *found]
        if self.context.project is not None:
            found += [
                Command(self.tr("Undo the last change to the data"), self.undo, "Ctrl+Z", "undo"),
                Command(self.tr("Redo the change that was undone"), self.redo, "Ctrl+Shift+Z", "redo"),
                Command(self.tr("Close the project"), self.context.close_project, "", "close"),
            ]
        return [
            *found,
            Command(self.tr("Collapse or expand the sidebar"), self.sidebar.toggle, "Ctrl+B", "sidebar"),
            Command(self.tr("Help"), self.show_help, "F1", "help"),
            Command(self.tr("Quit"), self.close, "Ctrl+Q", "close"),
        ]

    @Slot()
    def show_help(self) -> None:
        """Show the help page of the page in front."""
        from fmstudio.ui.widgets.help_view import HelpView

        view = HelpView(self)
        view.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        view.show_page(self.current_id)
        view.show()

    def undo(self) -> None:
        """Take back the newest change to the data, and say which."""
        step_history(self.context, "undo")

    def redo(self) -> None:
        """Do again what was undone last, and say what."""
        step_history(self.context, "redo")

    # ---- dropping files --------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: take files from anywhere."""
        if named_in(event.mimeData()):
            event.acceptProposedAction()
            restyle(self.content, over="true")

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Qt: the files were carried away again."""
        restyle(self.content, over="")

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: give the files to the page in front, or find their natural home."""
        paths = named_in(event.mimeData())
        event.acceptProposedAction()
        restyle(self.content, over="")
        self.take_files(paths)

    def take_files(self, paths: list[str]) -> None:
        """Give files to the page in front, else recognise them and open their page."""
        page = self.pages.get(self.current_id)
        if page is not None and page.accept_files(paths):
            return
        home = find_home(paths)
        if home.page_id == "project":
            self.context.open_project(Path(home.args["folder"]))
        elif not home.page_id:
            self.context.notify("warning", home.reason)
        elif self.context.project is None:
            self.show_page(next(iter(self._entries)), {"dropped": home})
        else:
            self.show_page(home.page_id, home.args)

    # ---- size and end ----------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: in a narrow window the sidebar shows icons alone."""
        super().resizeEvent(event)
        crossed = (event.oldSize().width() < NARROW_BELOW) != (event.size().width() < NARROW_BELOW)
        if crossed or not event.oldSize().isValid():
            self.sidebar.set_wide(event.size().width() >= NARROW_BELOW)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Qt: running jobs go on by themselves and are found again; said once, in the terminal, never asked."""
        queue = self.context.queue
        running = [] if queue is None else [job.title for job in queue.active if job.state == "running"]
        if running:
            print(f"Still running, and here again when you reopen the project: {', '.join(running)}.")
        self.context.close()
        event.accept()
