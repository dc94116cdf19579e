"""What a command works with: an open project, a way to run a job to its end, a session worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fmstudio.api.errors import UserError
from fmstudio.cli.output import JobNarrator, say
from fmstudio.core.paths import cache
from fmstudio.core.settings import Settings
from fmstudio.jobs.launcher import SubprocessLauncher
from fmstudio.jobs.outcome import Problem
from fmstudio.jobs.queue import JobQueue
from fmstudio.jobs.session import Session
from fmstudio.jobs.spec import Job, JobSpec
from fmstudio.project import Project


class JobFailed(Exception):
    """A job did not succeed; carries its problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@contextmanager
def open_project(folder: str) -> Iterator[Project]:
    """Open a project for the length of a command.

    Raises:
        UserError: No project was named, or it cannot be opened.
    """
    if not folder:
        raise UserError("This command needs a project.", remedy="Name one with --project DIR.")
    project = Project.open(Path(folder))
    try:
        for place in project.recovered:
            say(f"Recovered an unfinished publication: {place}.")
        make_queue(project)  # publishes what workers finished while no app was there
        yield project
    finally:
        project.close()


def make_queue(project: Project) -> JobQueue:
    """The project's jobs, driven by this process; results are published on the worker's reader thread."""

    def publish(job: Job, published: Callable[[Problem | None], None]) -> None:
        try:
            project.publish(job)
        except UserError as error:
            published(Problem(error.message, error.remedy, error.details, True, error.can_retry))
        else:
            published(None)

    python = Settings.load().python
    return JobQueue(project.jobs_dir, SubprocessLauncher(), publish, python=python, is_driver=False)


def run_job(project: Project, spec: JobSpec, queue: JobQueue | None = None, *, again: Job | None = None) -> Job:
    """Run a job to its end; Ctrl+C cancels it.

    Args:
        again: A job that did not come to its end and wanted the same; it goes on in place of a new one.

    Raises:
        JobFailed: It failed or was cancelled.
    """
    queue = queue or make_queue(project)
    job = again or queue.submit(spec)
    if again is not None:
        queue.retry(again.id)
    try:
        queue.wait(job.id, JobNarrator())
    except KeyboardInterrupt:
        say("Stopping …")
        queue.cancel(job.id)
        queue.wait(job.id)
    if job.state != "succeeded":
        remedy = f"Nothing was changed. Go on with it by: fmstudio jobs --retry {job.id}"
        raise JobFailed(job.error or Problem(f"“{job.title}” was cancelled.", remedy))
    return job


@contextmanager
def session_worker() -> Iterator[Session]:
    """A session worker for the length of a command."""
    session = Session(SubprocessLauncher(), cache("logs", "session.log"), python=Settings.load().python)
    try:
        yield session
    finally:
        session.close()
