"""Jobs as the window shows them anywhere: in the status bar, in the message bar, and again after it was closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt

from fmstudio.jobs.spec import Job
from fmstudio.ui.pages.jobs import JobsPage
from fmstudio.ui.process import QProcessLauncher
from fmstudio.ui.shell import MainWindow
from fmstudio.ui.widgets.message_bar import ProblemCard
from tests.helpers import write_dripping_importer, write_slow_importer
from tests.ui.conftest import OpenWindow

LONG = 40_000


def start_import(window: MainWindow, path: Path) -> Job:
    project = window.context.project
    assert project is not None
    return window.context.submit(project.specs.import_files([path]))


def slow_file(folder: Path, home: Path, rows: int) -> Path:
    write_slow_importer(home)
    path = folder / "rows.slow"
    path.write_text(str(rows).ljust(1000))
    return path


def test_a_running_job_is_in_the_status_bar_and_can_be_stopped_and_retried(
    open_window: OpenWindow, project_folder: Path, own_home: Path, tmp_path: Path, qtbot: Any
) -> None:
    window = open_window(project_folder)
    job = start_import(window, slow_file(tmp_path, own_home, 60))
    tray = window.tray
    qtbot.waitUntil(lambda: job.progress.done > 3, timeout=LONG)
    assert tray.title.isVisible() and tray.title.text() == "Import rows"
    qtbot.mouseClick(tray.stop, Qt.MouseButton.LeftButton)
    assert not tray.stop.isEnabled() and tray.text.text() == "stopping…"
    qtbot.waitUntil(lambda: job.state == "cancelled", timeout=LONG)
    assert not tray.title.isVisible()
    window.context.retry(job.id)
    qtbot.waitUntil(lambda: job.state == "succeeded", timeout=LONG)
    assert "Import rows: done" in window.messages.messages()[-1].accessibleName()


def test_a_cancelled_import_goes_on_where_it_stood(
    open_window: OpenWindow, project_folder: Path, own_home: Path, tmp_path: Path, qtbot: Any
) -> None:
    write_dripping_importer(own_home)
    path = tmp_path / "rows.drip"
    path.write_text("250", "utf-8")
    window = open_window(project_folder)
    job = start_import(window, path)
    checkpoint = job.step_folder(0) / "checkpoint.json"
    qtbot.waitUntil(lambda: checkpoint.exists(), timeout=10_000)
    qtbot.mouseClick(window.tray.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: job.state == "cancelled", timeout=LONG)
    window.show_page("jobs", {})
    page = window.pages["jobs"]
    assert isinstance(page, JobsPage)
    qtbot.waitUntil(page.details.retry.isVisible, timeout=LONG)
    qtbot.mouseClick(page.details.retry, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: job.state == "succeeded", timeout=LONG)
    gone_on = [line for line in job.log if line.startswith("Going on after row")]
    assert len(gone_on) == 1 and gone_on[0] in page.details.log.toPlainText()
    assert window.context.project is not None
    qtbot.waitUntil(lambda: window.context.project.count("rows") == 25_000, timeout=LONG)


def test_the_same_import_again_goes_on_with_the_one_cut_short(
    open_window: OpenWindow, project_folder: Path, own_home: Path, tmp_path: Path, qtbot: Any
) -> None:
    path = slow_file(tmp_path, own_home, 60)
    window = open_window(project_folder)
    job, context = start_import(window, path), window.context
    qtbot.waitUntil(lambda: job.progress.done > 3, timeout=LONG)
    qtbot.mouseClick(window.tray.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: job.state == "cancelled", timeout=LONG)
    project, queue = context.project, context.queue
    assert project is not None and queue is not None
    begun: list[Job] = []
    context.build_and_submit(lambda: project.specs.import_files([path], name="another"), begun.append)
    qtbot.waitUntil(lambda: len(begun) == 1, timeout=LONG)
    context.build_and_submit(lambda: project.specs.import_files([path]), begun.append)
    qtbot.waitUntil(lambda: len(begun) == 2, timeout=LONG)
    assert begun[0] is not job and begun[1] is job
    qtbot.waitUntil(lambda: all(one.state == "succeeded" for one in queue.jobs()), timeout=LONG)
    context.build_and_submit(lambda: project.specs.import_files([path]), begun.append)
    qtbot.waitUntil(lambda: len(begun) == 3, timeout=LONG)
    assert begun[2] is not job  # what has come to its end is done anew
    qtbot.waitUntil(lambda: begun[2].is_finished, timeout=LONG)


def test_a_failed_job_says_why_and_where(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    path = tmp_path / "bad.yml"
    path.write_text("a: [1,\nb: }")
    window = open_window(project_folder)
    job = start_import(window, path)
    qtbot.waitUntil(lambda: job.state == "failed", timeout=LONG)
    cards = [m for m in window.messages.messages() if isinstance(m, ProblemCard)]
    assert len(cards) == 1 and "bad.yml, line 2" in cards[0].problem.message


def test_a_job_goes_on_when_the_window_is_closed_and_is_found_again(
    open_window: OpenWindow, project_folder: Path, own_home: Path, tmp_path: Path, qtbot: Any
) -> None:
    window = open_window(project_folder)
    job = start_import(window, slow_file(tmp_path, own_home, 150))
    qtbot.waitUntil(lambda: job.progress.done > 3, timeout=LONG)
    launcher = window.context.launcher
    assert isinstance(launcher, QProcessLauncher)
    window.close()
    launcher.abandon()  # what the end of the process does
    again = open_window(project_folder)
    queue = again.context.queue
    assert queue is not None
    found = queue.job(job.id)
    assert found is not job and not found.is_finished
    assert any("went on" in m.accessibleName() for m in again.messages.messages())
    qtbot.waitUntil(lambda: found.state == "succeeded", timeout=LONG)
    project = again.context.project
    assert project is not None
    assert [d.rows for d in project.datasets.all()] == [150]


def test_safe_mode_leaves_third_party_plugins_out(open_window: OpenWindow, own_home: Path) -> None:
    write_slow_importer(own_home)
    window = open_window(safe_mode=True)
    importers = [c.id for c in window.context.plugins.contributions("importer")]
    assert "slow" not in importers and "jsonl" in importers
