"""`AppContext`: what a page is given. It connects; it decides nothing and draws nothing."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from fmstudio.api.errors import Cancelled, UserError
from fmstudio.core.settings import Settings
from fmstudio.jobs.outcome import Problem
from fmstudio.ui.background import Background

if TYPE_CHECKING:
    from fmstudio.jobs.launcher import Launcher
    from fmstudio.jobs.queue import JobQueue, Published
    from fmstudio.jobs.session import Session
    from fmstudio.jobs.spec import Job, JobSpec
    from fmstudio.plugin_manager import PluginManager
    from fmstudio.project import Changes, Project

TICK_MS = 100
JUST_NOW_S = 5.0

Action = tuple[str, Callable[[], None]]
OnDone = Callable[[Any], None]
OnProblem = Callable[[Problem], None]


def problem_of(error: BaseException) -> Problem:
    """Turn an exception into what the problem card shows; an unexpected one is a fault, with its traceback."""
    details = "".join(traceback.format_exception(error))
    if isinstance(error, UserError):
        return Problem(error.message, error.remedy, error.details or details, True, error.can_retry)
    kind = type(error).__name__
    return Problem(f"Something went wrong that should not: {kind}: {error}.", "Copy the details for a report.", details)


class AppContext(QObject):
    """The open project and everything a page may do with it. Lives on the main thread.

    Signals:
        data_changed: (Changes, origin) after every operation; receivers look for themselves.
        job_changed: (Job) a job's state, progress, log or metrics changed.
        project_changed: Another project is open, or none.
        project_opening: (folder or "") a project is being opened; empty when that has ended.
        navigated: (page id, arguments) a page shall come to the front.
        notified: (level, text, action or None) a sentence for the message bar.
        problem_shown: (Problem, actions) a card for the message bar.
        theme_changed: Colours changed; widgets that paint by hand repaint.
    """

    data_changed = Signal(object, object)
    job_changed = Signal(object)
    project_changed = Signal()
    project_opening = Signal(str)
    navigated = Signal(str, object)
    notified = Signal(str, str, object)
    problem_shown = Signal(object, object)
    theme_changed = Signal()

    def __init__(
        self, settings: Settings, launcher: Launcher, *, safe_mode: bool = False, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.settings = settings
        self.launcher = launcher
        self.safe_mode = safe_mode
        self.background = Background(self)
        self.project: Project | None = None
        self.queue: JobQueue | None = None
        self.engine: Any = None
        """The model engine; set by the composition root."""
        self._session: Session | None = None
        self._plugins: PluginManager | None = None
        self._calls: dict[str, int] = {}
        self._ticker = QTimer(self, interval=TICK_MS)
        self._ticker.timeout.connect(self._tick)

    # ---- what is there ---------------------------------------------------------------------------------------------

    @property
    def plugins(self) -> PluginManager:
        """The plugins; their manifests are read at first use."""
        if self._plugins is None:
            from fmstudio.plugin_manager import PluginManager

            disabled = tuple(self.settings.disabled_plugins)
            self._plugins = PluginManager(safe_mode=self.safe_mode, disabled=disabled)
        return self._plugins

    @property
    def session(self) -> Session:
        """The worker that answers short requests; it starts at the first one. See also `request`."""
        if self._session is None:
            from fmstudio.core.paths import cache
            from fmstudio.jobs.session import Session

            self._session = Session(self.launcher, cache("session.log"), python=self.settings.python)
        return self._session

    # ---- reading and writing ---------------------------------------------------------------------------------------

    def run_query(
        self,
        fn: Callable[[], Any],
        on_done: OnDone,
        on_error: OnProblem | None = None,
        *,
        key: str = "",
        owner: QObject | None = None,
    ) -> None:
        """Read from the project on a background thread.

        Args:
            fn: Must not touch widgets; take what it needs into locals first.
            on_error: Gets a `Problem`; without it the problem is shown in the message bar.
            key: Latest wins among calls of the same key.
            owner: Nothing is delivered once this object is gone.
        """
        project, failed = self.project, self._failed(on_error)

        def done(value: Any) -> None:
            if self.project is project:
                on_done(value)

        def fail(error: BaseException) -> None:
            if self.project is project:  # what a closed project cannot answer is no news
                failed(error)

        self.background.read(fn, done, fail, key=key, owner=owner)

    def run_op(
        self,
        owner: QObject | None,
        fn: Callable[[], Any],
        on_done: OnDone | None = None,
        on_error: OnProblem | None = None,
    ) -> None:
        """Change the project on the writer thread.

        `fn` returns `Changes` (or None), or ``(Changes, value)``; `data_changed` is emitted with `owner` as origin and
        then `on_done` is called with the value (or the changes).
        """

        def done(result: Any) -> None:
            changes, value = result if isinstance(result, tuple) else (result, result)
            if changes:
                self.data_changed.emit(changes, owner)
            if on_done is not None:
                on_done(value)

        project, failed = self.project, self._failed(on_error)

        def fail(error: BaseException) -> None:
            if self.project is project:  # what was meant for a project that is closed by now is no news
                failed(error)

        self.background.write(fn, done, fail)

    def request(
        self,
        method: str,
        params: dict[str, Any],
        on_result: Callable[[dict[str, Any]], None],
        on_error: OnProblem | None = None,
        *,
        key: str = "",
        owner: QObject | None = None,
    ) -> None:
        """Ask the session worker; like `Session.call`, with the answer on the main thread and latest-wins by `key`."""
        from shiboken6 import isValid

        session = self.session
        ticket = self._calls[key] = self._calls.get(key, 0) + 1

        def deliver(take: Callable[[Any], None], value: Any) -> None:
            is_old = session is not self._session or (key and self._calls[key] != ticket)
            if is_old or (owner is not None and not isValid(owner)):
                return
            take(value)

        failed = on_error or self.show_problem
        session.call(
            method,
            params,
            lambda result: self.background.on_main(lambda: deliver(on_result, result)),
            lambda problem: self.background.on_main(lambda: deliver(failed, problem)),
        )

    def _failed(self, on_error: OnProblem | None) -> Callable[[BaseException], None]:
        def failed(error: BaseException) -> None:
            if not isinstance(error, Cancelled):
                (on_error or self.show_problem)(problem_of(error))

        return failed

    # ---- telling ---------------------------------------------------------------------------------------------------

    def notify(self, level: str, text: str, action: Action | None = None) -> None:
        """Say one sentence in the message bar; level: ``info``, ``positive``, ``warning`` or ``danger``."""
        self.notified.emit(level, text, action)

    def show_problem(self, problem: Problem, actions: tuple[Action, ...] = ()) -> None:
        """Show what happened, what to do now, *Copy details*, and buttons that mend it."""
        self.problem_shown.emit(problem, actions)

    def navigate(self, page_id: str, **args: Any) -> None:
        """Bring a page to the front; `args` reach its `page_shown`."""
        self.navigated.emit(page_id, args)

    # ---- jobs ------------------------------------------------------------------------------------------------------

    def submit(self, spec: JobSpec) -> Job:
        """Start a job (or queue it). A project must be open."""
        if self.queue is None:
            raise UserError("No project is open.", remedy="Open or make one on the Home page.")
        job = self.queue.submit(spec)
        self._ticker.start()
        return job

    def build_and_submit(
        self, build: Callable[[], JobSpec], on_submitted: OnDone | None = None, on_error: OnProblem | None = None
    ) -> None:
        """Build a specification on a background thread (it looks things up), then start the job.

        An import that was cut short and wanted the very same goes on in place of a new one.
        """

        def submit(spec: JobSpec) -> None:
            job = self._cut_short(spec) or self.submit(spec)
            if on_submitted is not None:
                on_submitted(job)

        self.run_query(build, submit, on_error)

    def _cut_short(self, spec: JobSpec) -> Job | None:
        """Go on with an import that a specification asks for again; None = there is none."""
        from fmstudio.project.import_specs import cut_short

        job = cut_short(self.queue.jobs(), spec) if self.queue is not None else None
        if job is not None:
            self.retry(job.id)
        return job

    def retry(self, job_id: str) -> None:
        """Run a failed, cancelled or interrupted job again."""
        if self.queue is not None:
            self.queue.retry(job_id)
            self._ticker.start()

    def _publish(self, job: Job, published: Published) -> None:
        project = self.project

        def start() -> None:
            if project is None:
                return
            self.background.write(lambda: project.publish(job), done, lambda error: published(problem_of(error)))

        def done(changes: Changes) -> None:
            published(None)
            if changes:
                self.data_changed.emit(changes, None)

        self.background.on_main(start)

    def _on_job(self, job: Job) -> None:
        self.background.on_main(lambda: self.job_changed.emit(job))

    @Slot()
    def _tick(self) -> None:
        if self.queue is None or not self.queue.active:
            self._ticker.stop()
        else:
            self.queue.tick()

    def choose_python(self, python: str) -> None:
        """Run workers that start from now on with another interpreter (empty = the app's own), and remember it."""
        self.settings.worker_python = python
        self.settings.save()
        if self.queue is not None:
            self.queue.use_python(self.settings.python)
        if self._session is not None:
            self._session.close()
            self._session = None

    # ---- the project -----------------------------------------------------------------------------------------------

    def open_project(self, folder: Path, *, create: bool = False, name: str = "", then: OnDone | None = None) -> None:
        """Close what is open and open (or make) a project; `then` is called with it."""
        self.project_opening.emit(str(folder))
        old = self._let_go()

        def work() -> Project:
            if old is not None:
                old.close()
            from fmstudio.project import Project

            return Project.create(folder, name) if create else Project.open(folder)

        def done(project: Project) -> None:
            self.project_opening.emit("")
            self._take(project)
            if then is not None:
                then(project)

        def failed(error: BaseException) -> None:
            self.project_opening.emit("")
            self.project_changed.emit()
            self.show_problem(problem_of(error))

        self.background.write(work, done, failed)

    def close_project(self) -> None:
        """Close the project; jobs go on in their workers."""
        old = self._let_go()
        if old is not None:
            self.background.write(old.close, lambda _: None, lambda error: self.show_problem(problem_of(error)))
        self.project_changed.emit()

    def _let_go(self) -> Project | None:
        old, self.project = self.project, None
        self._ticker.stop()
        if self.queue is not None:
            self.queue.listeners.clear()
            self.queue = None
        session, self._session = self._session, None
        if session is not None:
            session.close()
        return old

    def _take(self, project: Project) -> None:
        from fmstudio.jobs.queue import JobQueue

        self.project = project
        self.settings.remember_project(project.folder)
        self.queue = JobQueue(project.jobs_dir, self.launcher, self._publish, python=self.settings.python)
        self.queue.listeners.append(self._on_job)
        self.project_changed.emit()
        for job in self.queue.jobs():
            is_news = job.state == "interrupted" and time.time() - (job.finished or 0) < JUST_NOW_S
            if is_news and job.error is not None:
                self.show_problem(job.error, (("Retry", lambda job_id=job.id: self.retry(job_id)),))  # type: ignore[misc]
        running = [job.title for job in self.queue.active]
        if running:
            self._ticker.start()
            self.notify("info", f"Jobs went on while the window was closed: {', '.join(running)}.")

    def close(self) -> None:
        """End everything of this process; running jobs go on by themselves."""
        old = self._let_go()
        if self.engine is not None:
            self.engine.stop()
        self.background.close()
        if old is not None:
            old.close()
