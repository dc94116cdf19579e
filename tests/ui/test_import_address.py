"""Imports from addresses in a real window, over a web server on this machine: the switch, the panel, the ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel

from fmstudio.core.settings import Settings
from fmstudio.ui.dropped import find_home, named_in
from fmstudio.ui.pages.data import DataPage
from fmstudio.ui.pages.settings import SettingsPage
from fmstudio.ui.shell import MainWindow
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.worker.fetching import LOOPBACK
from tests.ui.conftest import OpenWindow

LONG = 40_000
GOOD = b'{"text": "one"}\n{"text": "two"}\n'


class Site(BaseHTTPRequestHandler):
    """One small file; one that is said to be far too large for a look; one that never ends."""

    hold = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/gone.jsonl":
            self.send_response(404)
            self.end_headers()
            return
        self.send_response(200)
        size = {"/large.jsonl": 300 << 20, "/slow.jsonl": 1 << 20}.get(self.path, len(GOOD))
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(GOOD)
        if self.path == "/slow.jsonl":
            self.wfile.flush()
            self.hold.wait(20)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Site.hold = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv(LOOPBACK, address)
    yield address
    Site.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


def data_page(window: MainWindow) -> DataPage:
    window.show_page("data", {})
    page = window.pages["data"]
    assert isinstance(page, DataPage)
    return page


def texts(widget: Any) -> str:
    return "\n".join(found.text() for found in widget.findChildren(QLabel) if found.isVisibleTo(widget))


def test_the_network_is_off_until_the_switch_is_set(
    open_window: OpenWindow, project_folder: Path, site: str, qtbot: Any
) -> None:
    window = open_window(project_folder)
    page = data_page(window)
    page.list.menu.aboutToShow.emit()
    assert not page.list.address.isEnabled() and "network is off" in page.list.address.text()
    page.open_address(f"{site}/birds.jsonl")
    assert page.address.off.isVisible() and not page.address.go.isEnabled()
    assert page.ctx.queue is not None and page.ctx.queue.jobs() == []
    qtbot.mouseClick(page.address.settings, Qt.MouseButton.LeftButton)
    settings = window.pages["settings"]
    assert isinstance(settings, SettingsPage)
    qtbot.waitUntil(lambda: "No connection" in settings.network.count.text(), timeout=LONG)
    qtbot.waitUntil(settings.network.allow.hasFocus, timeout=LONG)
    qtbot.keyClick(settings.network.allow, Qt.Key.Key_Space)
    assert Settings.load().allow_network
    window.show_page("data", {})
    page.list.menu.aboutToShow.emit()
    assert page.list.address.isEnabled()


def test_an_address_is_fetched_previewed_imported_and_listed(
    open_window: OpenWindow, project_folder: Path, site: str, qtbot: Any
) -> None:
    Settings(allow_network=True).save()
    window = open_window(project_folder)
    page, address = data_page(window), f"{site}/birds.jsonl"
    page.list.address.trigger()
    qtbot.keyClicks(page.address.address, address)
    qtbot.keyClick(page.address.address, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.importing, timeout=LONG)
    qtbot.waitUntil(page.importing.import_button.isEnabled, timeout=LONG)
    assert page.importing.name.text() == "birds" and page.importing.table.rows.total == 2
    qtbot.mouseClick(page.importing.import_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(page._datasets) == 1, timeout=LONG)
    assert page._datasets[0].source["files"][0]["path"] == address
    window.show_page("settings", {})
    settings = window.pages["settings"]
    assert isinstance(settings, SettingsPage)
    qtbot.waitUntil(lambda: settings.network.count.text() == "1 connection", timeout=LONG)
    record = settings.network.table.rows.record(0)
    assert record is not None and record["address"] == address and record["received"] == "32 B"
    qtbot.mouseClick(settings.network.clear_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "No connection" in settings.network.count.text(), timeout=LONG)
    page = data_page(window)
    page.preview([address])
    qtbot.waitUntil(page.importing.known.isVisible, timeout=LONG)
    assert "byte for byte the same" in page.importing.known.text.text()


def test_what_is_gone_is_said_and_what_is_large_is_imported_unseen(
    open_window: OpenWindow, project_folder: Path, site: str, qtbot: Any
) -> None:
    Settings(allow_network=True).save()
    page = data_page(open_window(project_folder))
    page.preview([f"{site}/gone.jsonl"])
    qtbot.waitUntil(lambda: "404" in texts(page.address), timeout=LONG)  # Qt shows the card one event after it is there
    assert page.address.findChildren(ProblemCard) and page.address.go.isEnabled()
    page.preview([f"{site}/large.jsonl"])
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.importing, timeout=LONG)
    view = page.importing
    assert "larger than 256 MiB" in view.facts.text() and view.import_button.isEnabled()
    assert view.import_button.text() == "Import without a preview"
    assert view._arguments()["mapping"] is None


def test_esc_stops_a_download(open_window: OpenWindow, project_folder: Path, site: str, qtbot: Any) -> None:
    Settings(allow_network=True).save()
    page = data_page(open_window(project_folder))
    page.preview([f"{site}/slow.jsonl"])
    qtbot.waitUntil(lambda: bool(page.address._job_id), timeout=LONG)
    assert page.ctx.queue is not None
    job = page.ctx.queue.jobs()[0]
    qtbot.waitUntil(lambda: job.state == "running", timeout=LONG)
    page._on_escape()
    assert page.stack.currentWidget() is page.empty
    Site.hold.set()
    qtbot.waitUntil(lambda: job.is_finished, timeout=LONG)
    assert job.state in ("cancelled", "failed") and page.stack.currentWidget() is page.empty


def test_a_copied_or_dropped_address_goes_the_same_way(
    open_window: OpenWindow, project_folder: Path, site: str, qtbot: Any
) -> None:
    page = data_page(open_window(project_folder))
    QGuiApplication.clipboard().setText(f" {site}/birds.jsonl\n")
    page.paste()
    assert page.stack.currentWidget() is page.address and page.address.address.text() == f"{site}/birds.jsonl"
    mime = QMimeData()
    mime.setUrls([QUrl("https://example.org/a.csv")])
    assert find_home(named_in(mime)).args == {"files": ["https://example.org/a.csv"]}
