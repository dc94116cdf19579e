"""The Jobs page over a real store and real workers, some of which are killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QPushButton, QWidget

from fmstudio.api import UserError
from fmstudio.jobs.spec import Job, JobSpec, StepSpec, problem_from
from fmstudio.project import Project
from fmstudio.ui.context import AppContext
from fmstudio.ui.mending import mending_actions
from fmstudio.ui.pages.data import DataPage
from fmstudio.ui.pages.jobs import JobsPage, facts
from fmstudio.ui.widgets.message_bar import ProblemCard
from fmstudio.worker.main import explain
from tests.helpers import ROOT, wait_until, write_plugin, write_slow_importer
from tests.ui.chat_kit import make_context
from tests.ui.conftest import OpenWindow

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills workers with POSIX signals")
LONG = 60_000


@pytest.fixture
def context(tmp_path: Path, own_home: Path, qtbot: Any) -> Iterator[AppContext]:
    write_slow_importer(own_home)
    made = make_context(tmp_path / "project", qtbot)
    yield made
    if made.queue is not None:
        for job in made.queue.active:
            made.queue.cancel(job.id)
        qtbot.waitUntil(lambda: made.queue is None or not made.queue.active, timeout=LONG)
    qtbot.waitUntil(lambda: not made.launcher.running, timeout=LONG)
    made.close()


@pytest.fixture
def page(context: AppContext, qtbot: Any) -> JobsPage:
    made = JobsPage(context)
    qtbot.addWidget(made)
    made.resize(1100, 760)
    made.show()
    made.page_shown()
    return made


def submit(context: AppContext, tmp_path: Path, rows: int, name: str = "crawl") -> Job:
    assert context.project is not None
    path = tmp_path / f"{name}.slow"
    path.write_text(str(rows).ljust(1000), "utf-8")
    return context.submit(context.project.specs.import_files([path]))


def cell(page: JobsPage, row: int, column: int) -> str:
    return str(page.table.jobs.index(row, column).data())


def texts(widget: QWidget) -> str:
    return "\n".join(found.text() for found in widget.findChildren(QLabel) if not found.isHidden())


def click(qtbot: Any, button: QPushButton) -> None:
    assert button.isVisible()
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_without_jobs_the_page_says_what_it_is_for(page: JobsPage) -> None:
    assert page.empty.isVisible()
    assert page.empty.main_button.text() == "Import a file…"


def test_a_job_is_shown_live_and_with_its_result(
    context: AppContext, page: JobsPage, tmp_path: Path, qtbot: Any
) -> None:
    job = submit(context, tmp_path, 60)
    qtbot.waitUntil(lambda: cell(page, 0, 1) == "running" and cell(page, 0, 2) != "", timeout=LONG)
    assert page.table.isVisible()
    assert page.details.cancel.isVisible()
    assert not page.details.retry.isVisible()
    assert page.count.text() == "1 job, 1 active"
    qtbot.waitUntil(lambda: cell(page, 0, 1) == "done", timeout=LONG)
    qtbot.waitUntil(lambda: not page.details.cancel.isVisible(), timeout=LONG)
    assert job.state == "succeeded"
    qtbot.waitUntil(lambda: "Rows\n60" in texts(page.details), timeout=LONG)
    assert not page.details.retry.isVisible()
    assert page.details.problem_card is None


def test_a_job_leads_to_its_result(context: AppContext, page: JobsPage, tmp_path: Path, qtbot: Any) -> None:
    job = submit(context, tmp_path, 5)
    page.refresh(job.id)
    qtbot.waitUntil(lambda: page.details.job is not None)
    assert not page.details.result.isVisible(), "there is none yet"
    qtbot.waitUntil(lambda: page.details.result.isVisible(), timeout=60_000)
    places: list[tuple[str, Any]] = []
    context.navigated.connect(lambda place, args: places.append((place, args)))
    click(qtbot, page.details.result)
    assert places == [("data", {"dataset_id": job.spec.meta["dataset_id"]})]


def test_numbers_of_models_are_named_for_what_they_are(tmp_path: Path) -> None:
    spec = JobSpec.new("Convert", "convert", [StepSpec("convert", "export"), StepSpec("quality", "evaluate")])
    job = Job(spec, tmp_path, state="succeeded")
    job.results = {"convert": {"path": "/x.gguf", "export_bytes": 2_000_000}, "quality": {"top1_agreement": 0.5}}
    assert facts.result_lines(job) == [
        ("Size on disk", "2.0 MB"), ("Same likeliest token as the original", "50.0 %"), ("Written to", "/x.gguf"),
    ]  # fmt: skip
    assert facts.result_place(job) == ("models", {"model_id": job.id})
    assert facts.step_words("export", "model_export") == "Writing the folder"


def test_the_newest_job_is_first_and_a_wanted_one_is_chosen(
    context: AppContext, page: JobsPage, tmp_path: Path, qtbot: Any
) -> None:
    first = submit(context, tmp_path, 1, "first")
    second = submit(context, tmp_path, 1, "second")
    qtbot.waitUntil(lambda: first.is_finished and second.is_finished, timeout=LONG)
    qtbot.waitUntil(lambda: page.table.jobs.rowCount() == 2, timeout=LONG)
    assert [cell(page, row, 0) for row in (0, 1)] == ["Import second", "Import first"]
    page.page_shown(job_id=first.id)
    assert page.details.title.text() == "Import first"


def test_a_killed_worker_is_explained_and_retry_works(
    context: AppContext, page: JobsPage, tmp_path: Path, qtbot: Any
) -> None:
    job = submit(context, tmp_path, 40)
    qtbot.waitUntil(lambda: job.progress.done >= 3, timeout=LONG)
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: page.details.problem_card is not None, timeout=LONG)
    card = page.details.problem_card
    assert card is not None
    qtbot.waitUntil(card.isVisible, timeout=LONG)
    assert "SIGKILL" in card.problem.message
    assert "memory" in card.problem.message
    assert card.problem.remedy
    assert cell(page, 0, 1) == "failed"
    click(qtbot, page.details.copy)
    report = QGuiApplication.clipboard().text()
    assert job.id in report
    assert "SIGKILL" in report
    click(qtbot, page.details.retry)
    qtbot.waitUntil(lambda: job.state == "succeeded", timeout=LONG)
    qtbot.waitUntil(lambda: page.details.problem_card is None, timeout=LONG)
    assert context.project is not None
    assert context.project.count("crawl") == 40


def test_cancel_ends_the_worker(context: AppContext, page: JobsPage, tmp_path: Path, qtbot: Any) -> None:
    job = submit(context, tmp_path, 5000)
    qtbot.waitUntil(lambda: job.progress.done >= 3, timeout=LONG)
    pid = job.pid
    assert pid is not None
    click(qtbot, page.details.cancel)
    qtbot.waitUntil(lambda: page.details.retry.isVisible(), timeout=LONG)
    assert job.state == "cancelled"
    assert cell(page, 0, 1) == "stopped"
    assert page.details.problem_card is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_words_of_an_importer_and_its_numbers_are_shown(
    context: AppContext, page: JobsPage, own_home: Path, tmp_path: Path, qtbot: Any
) -> None:
    table = '[[importer]]\nid = "talks"\ntitle = "Talks"\nclass = "talks_code:Talks"\nsuffixes = [".talks"]\n'
    code = """
from fmstudio.api import Importer

class Talks(Importer):
    def read(self, path, params, report, ctx):
        import pyarrow as pa
        for step in range(1, 6):
            ctx.metric("eval_loss", 1.0 / step, step)
        ctx.log("read all five")
        yield pa.RecordBatch.from_pydict({"text": ["a", "b"]})
"""
    write_plugin(own_home, "talks", table, code)
    context._plugins = None
    path = tmp_path / "x.talks"
    path.write_text("x", "utf-8")
    assert context.project is not None
    job = context.submit(context.project.specs.import_files([path]))
    qtbot.waitUntil(lambda: job.state == "succeeded", timeout=LONG)
    qtbot.waitUntil(lambda: "eval_loss" in page.details.plots, timeout=LONG)
    series = page.details.plots["eval_loss"].series
    assert [point[0] for point in series[0].points] == [1, 2, 3, 4, 5]
    assert series[0].points[4][1] == pytest.approx(0.2)
    assert series[0].name == "Held-out loss"
    assert "read all five" in page.details.log.toPlainText()


def kill_app_during_import(folder: Path, tmp_path: Path, rows: int) -> Path:
    """Start an import from the command line and kill that command; gives the job's folder."""
    path = tmp_path / "crawl.slow"
    path.write_text(str(rows).ljust(1000), "utf-8")
    app = subprocess.Popen(
        [sys.executable, "-m", "fmstudio", "import", str(path), "--project", str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    events = wait_until(lambda: next(iter(folder.glob("jobs/*/events.jsonl")), None), timeout=60)
    wait_until(lambda: '"progress"' in events.read_text(), timeout=60)
    os.kill(app.pid, signal.SIGKILL)
    app.wait()
    return Path(events.parent)


def reopen(context: AppContext, folder: Path, qtbot: Any) -> JobsPage:
    context.open_project(folder)
    qtbot.waitUntil(lambda: context.project is not None, timeout=LONG)
    page = JobsPage(context)
    qtbot.addWidget(page)
    page.show()
    page.page_shown()
    return page


def test_a_job_that_outlived_the_app_is_followed(context: AppContext, tmp_path: Path, qtbot: Any) -> None:
    folder = tmp_path / "left"
    Project.create(folder).close()
    kill_app_during_import(folder, tmp_path, 150)
    page = reopen(context, folder, qtbot)
    assert cell(page, 0, 1) == "running"
    before = page.details.job.progress.done  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: page.details.job.progress.done > before, timeout=LONG)  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: cell(page, 0, 1) == "done", timeout=LONG)
    assert context.project is not None
    assert context.project.count("crawl") == 150


def test_a_job_whose_worker_died_with_the_app_is_interrupted(context: AppContext, tmp_path: Path, qtbot: Any) -> None:
    folder = tmp_path / "left"
    Project.create(folder).close()
    job_folder = kill_app_during_import(folder, tmp_path, 5000)
    pid = Job.load(job_folder).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    page = reopen(context, folder, qtbot)
    assert cell(page, 0, 1) == "interrupted"
    assert page.details.problem_card is not None
    assert "interrupted" in page.details.problem_card.problem.message
    assert page.details.retry.isVisible()
    job = page.details.job
    assert job is not None
    assert job.finished is not None
    assert abs(job.finished - (job_folder / "events.jsonl").stat().st_mtime) < 5


def test_a_narrow_table_keeps_titles_and_states(
    context: AppContext, page: JobsPage, tmp_path: Path, qtbot: Any
) -> None:
    job = submit(context, tmp_path, 1)
    qtbot.waitUntil(lambda: job.is_finished, timeout=LONG)
    page.table.resize(420, 300)
    assert [page.table.isColumnHidden(column) for column in range(5)] == [False, False, False, True, True]
    page.table.resize(800, 300)
    assert not any(page.table.isColumnHidden(column) for column in range(5))


def buttons(widget: QWidget) -> dict[str, QPushButton]:
    return {found.text(): found for found in widget.findChildren(QPushButton) if found.isVisibleTo(widget)}


def test_a_file_that_cannot_be_read_is_not_tried_again_but_read_otherwise(
    context: AppContext, page: JobsPage, tmp_path: Path, qtbot: Any
) -> None:
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 and nothing more PAR1")
    assert context.project is not None
    job = context.submit(context.project.specs.import_files([path]))
    qtbot.waitUntil(lambda: page.details.problem_card is not None, timeout=LONG)
    assert job.error is not None and job.error.is_user_error and not job.can_retry
    assert not page.details.retry.isVisible()
    card = page.details.problem_card
    assert card is not None
    gone: list[tuple[str, Any]] = []
    context.navigated.connect(lambda where, args: gone.append((where, args)))
    qtbot.waitUntil(buttons(card)["Change the mapping…"].isVisible, timeout=LONG)
    click(qtbot, buttons(card)["Change the mapping…"])
    click(qtbot, buttons(card)["Choose another file…"])
    assert gone == [("data", {"files": [str(path)]}), ("data", {"choose": True})]
    path.unlink()
    assert [text for text, _ in mending_actions(context, job)] == ["Choose another file…"]


def test_what_may_succeed_the_next_time_is_tried_again(context: AppContext, tmp_path: Path, qtbot: Any) -> None:
    job = submit(context, tmp_path, 1)
    qtbot.waitUntil(lambda: job.is_finished, timeout=LONG)
    assert not job.can_retry and mending_actions(context, job) == ()
    job.state = "cancelled"
    assert job.can_retry
    job.state = "failed"
    for error, can_retry in (
        (explain(OSError(errno.ENOSPC, "full")), True),
        (explain(MemoryError()), True),
        (explain(ValueError("a bug")), True),
        (explain(UserError("It cannot be read.")), False),
        (explain(UserError("The connection broke.", can_retry=True)), True),
    ):
        job.error = problem_from(error)
        assert job.can_retry == can_retry, error
        assert mending_actions(context, job)[0][0] == ("Retry" if can_retry else "Change the mapping…")
    job.save()
    assert Job.load(job.folder).error == job.error


def test_the_message_bar_offers_the_same(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    window = open_window(project_folder)
    project = window.context.project
    assert project is not None
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 and nothing more PAR1")
    window.context.submit(project.specs.import_files([path]))
    qtbot.waitUntil(lambda: "Change the mapping…" in buttons(window.messages), timeout=LONG)
    offered = buttons(window.messages)
    assert "Retry" not in offered
    click(qtbot, offered["Change the mapping…"])
    data = window.pages["data"]
    assert isinstance(data, DataPage)
    qtbot.waitUntil(lambda: data.stack.currentWidget() is data.importing, timeout=LONG)
    qtbot.waitUntil(lambda: bool(data.importing.findChildren(ProblemCard)), timeout=LONG)
    assert data.importing.title.text() == "Import broken.parquet"
