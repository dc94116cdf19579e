"""`JobQueue`: runs jobs step by step in worker processes, survives their death and its own.

The truth is on disk (``spec.json``, ``state.json``, ``events.jsonl``, a DONE marker per step), so that a job goes on
when the window closes and is found again when it opens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from fmstudio.jobs.launcher import Launcher, Process, log_tail, worker_argv
from fmstudio.jobs.outcome import Problem, ProcessOutcome
from fmstudio.jobs.protocol import Cancel, Error, Progress, Wire, decode
from fmstudio.jobs.spec import Job, JobSpec, State, problem_from

CANCEL_GRACE_S = 10.0
TERMINATE_GRACE_S = 5.0

Published = Callable[[Problem | None], None]
Publisher = Callable[[Job, Published], None]
"""Puts a finished job's results into the project and then calls back, with a problem or None."""


class JobQueue:
    """All jobs of a project.

    Thread-safe. With a launcher whose callbacks come on the main thread, listeners are called there too.

    Args:
        jobs_dir: The project's ``jobs`` folder.
        python: Interpreter of the workers.
        publisher: See `Publisher`.
        cpu_slots: Jobs of slot ``cpu`` that run at a time; there is one ``gpu`` slot.
        is_driver: Whether to start jobs left queued by an earlier session (the window does, a command does not).
    """

    def __init__(
        self,
        jobs_dir: Path,
        launcher: Launcher,
        publisher: Publisher,
        *,
        python: str,
        cpu_slots: int = 2,
        is_driver: bool = True,
    ) -> None:
        self._dir = jobs_dir
        self._launcher = launcher
        self._publisher = publisher
        self._python = python
        self._slots = {"cpu": cpu_slots, "gpu": 1}
        self._is_driver = is_driver
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._jobs: dict[str, Job] = {}
        self._processes: dict[str, Process] = {}
        self._followed: dict[str, int] = {}
        self._terminated: set[str] = set()
        self._failures: dict[str, Problem] = {}
        self._mine: set[str] = set()
        self.listeners: list[Callable[[Job], None]] = []
        self._load()

    # ---- what the app asks -------------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """All jobs, newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.spec.created, reverse=True)

    def job(self, job_id: str) -> Job:
        """One job; KeyError when there is none."""
        return self._jobs[job_id]

    def submit(self, spec: JobSpec) -> Job:
        """Write the job's folder and start it as soon as a slot is free."""
        job = Job(spec, self._dir / spec.id)
        spec.save(job.folder)
        with self._lock:
            self._jobs[job.id] = job
            self._mine.add(job.id)
            self._save(job)
            self._announce(job)
            self._fill_slots()
        return job

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop; `tick` sharpens the request after 10 s and again after 5 s."""
        with self._lock:
            job = self._jobs[job_id]
            if job.state == "queued":
                self._finish(job, "cancelled")
            elif job.state == "running" and job.cancel_requested is None:
                job.cancel_requested = time.monotonic()
                (job.folder / "CANCEL").touch()
                if process := self._processes.get(job_id):
                    process.send(Cancel())
                self._announce(job)

    def retry(self, job_id: str) -> None:
        """Run a failed, cancelled or interrupted job again: finished steps are skipped, trainers resume."""
        with self._lock:
            job = self._jobs[job_id]
            if not job.is_finished or job.state == "succeeded":
                return
            (job.folder / "CANCEL").unlink(missing_ok=True)
            self._mine.add(job.id)
            if job.started and job.finished:
                job.started = time.time() - (job.finished - job.started)  # the pause is no time it took
            job.error, job.cancel_requested, job.finished, job.state = None, None, None, "queued"
            self._save(job)
            self._announce(job)
            self._fill_slots()

    def use_python(self, python: str) -> None:
        """Start workers with this interpreter from now on; those that run are left alone."""
        self._python = python

    def tick(self) -> None:
        """Do what time demands; call about ten times a second while jobs run."""
        with self._lock:
            for job in list(self._jobs.values()):
                if job.state != "running":
                    continue
                if job.id in self._followed:
                    self._follow(job)
                if job.cancel_requested is not None:
                    self._sharpen(job)

    def wait(self, job_id: str, on_change: Callable[[Job], None] | None = None) -> Job:
        """Block until a job is finished (command line and tests)."""
        while True:
            with self._changed:
                job = self._jobs[job_id]
                if job.is_finished:
                    return job
                self._changed.wait(0.1)
            self.tick()
            if on_change:
                on_change(job)

    @property
    def active(self) -> list[Job]:
        """Jobs that are queued or running."""
        return [job for job in self.jobs() if not job.is_finished]

    # ---- starting ------------------------------------------------------------------------------------------------

    def _fill_slots(self) -> None:
        for job in sorted(self._jobs.values(), key=lambda job: job.spec.created):
            busy = sum(j.state == "running" and j.spec.slot == job.spec.slot for j in self._jobs.values())
            is_ours = self._is_driver or job.id in self._mine
            if job.state == "queued" and is_ours and busy < self._slots[job.spec.slot]:
                self._start(job)

    def _start(self, job: Job) -> None:
        index = job.next_step()
        if index is None:
            self._publish(job)
            return
        job.state, job.step_index = "running", index
        job.started = job.started or time.time()
        job.error, job.progress, job.began = None, Progress(0), None
        self._save(job)
        process = self._launcher.start(
            worker_argv(self._python, "run", str(job.folder), str(index)),
            on_message=lambda message: self._on_message(job, message),
            on_exit=lambda outcome: self._on_exit(job, outcome),
            log_path=job.folder / "worker.log",
        )
        self._processes[job.id] = process
        job.pid = process.pid
        self._save(job)
        self._announce(job)

    def _on_message(self, job: Job, message: Wire) -> None:
        with self._lock:
            if isinstance(message, Error):
                self._failures[job.id] = problem_from(message)
            job.apply(message)
            self._announce(job)

    def _on_exit(self, job: Job, outcome: ProcessOutcome) -> None:
        with self._lock:
            self._processes.pop(job.id, None)
            self._followed.pop(job.id, None)
            self._terminated.discard(job.id)
            job.pid = None
            failure = self._failures.pop(job.id, None)
            done = (job.step_folder(job.step_index) / "DONE").exists()
            if done and (outcome.is_clean or failure is None):
                job.read_results()
                job.state = "queued"
                self._start(job)
            elif job.cancel_requested is not None:
                self._finish(job, "cancelled")
            else:
                step = job.spec.steps[job.step_index].name
                self._finish(job, "failed", failure or outcome.problem(f"The worker of “{job.title}” (step {step})"))

    # ---- ending ------------------------------------------------------------------------------------------------

    def _publish(self, job: Job) -> None:
        job.state = "running"

        def published(problem: Problem | None) -> None:
            with self._lock:
                job.published = problem is None
                self._finish(job, "failed" if problem else "succeeded", problem)

        self._publisher(job, published)

    def _finish(self, job: Job, state: State, problem: Problem | None = None) -> None:
        ended = job.last_step_ended() if state == "succeeded" else None
        job.state, job.error, job.finished, job.pid = state, problem, ended or time.time(), None
        self._save(job)
        self._announce(job)
        self._fill_slots()

    def _save(self, job: Job) -> None:
        try:
            job.save()
        except OSError as error:  # A full disk must not stop the queue: the state lives on in memory and is said.
            job.log.append(f"warning: the job's state could not be written: {error}")

    def _announce(self, job: Job) -> None:
        self._changed.notify_all()
        for listener in list(self.listeners):
            listener(job)

    # ---- cancel ladder and orphans -------------------------------------------------------------------------------

    def _sharpen(self, job: Job) -> None:
        waited = time.monotonic() - (job.cancel_requested or 0)
        process = self._processes.get(job.id)
        if process is None:
            return
        if waited > CANCEL_GRACE_S + TERMINATE_GRACE_S:
            process.kill()
        elif waited > CANCEL_GRACE_S and job.id not in self._terminated:
            self._terminated.add(job.id)
            process.terminate()

    def _load(self) -> None:
        """Find the jobs of earlier sessions: still running, finished while away, or interrupted."""
        with self._lock:
            for folder in sorted(self._dir.glob("*/spec.json")):
                try:
                    job = Job.load(folder.parent)
                except (ValueError, TypeError, KeyError):
                    continue
                self._jobs[job.id] = job
                if job.state == "running":
                    self._adopt(job)
            if self._is_driver:
                self._fill_slots()

    def _adopt(self, job: Job) -> None:
        if job.pid is not None and is_worker_alive(job.pid, job.folder):
            self._followed[job.id] = job.events_size()
            job.read_events()
        elif job.next_step() is None:
            self._publish(job)
        else:
            problem = Problem(
                f"“{job.title}” was interrupted: its worker ended while FM Studio was closed.",
                "Choose Retry: finished steps are kept.",
                log_tail(job.folder / "worker.log"),
            )
            self._finish(job, "interrupted", problem)
            job.finished = job.last_sign() or job.finished
            self._save(job)

    def _follow(self, job: Job) -> None:
        """Read on in the events of a worker that an earlier session started."""
        path = job.folder / "events.jsonl"
        try:
            with path.open("rb") as file:
                file.seek(self._followed[job.id])
                chunk = file.read()
        except OSError:
            chunk = b""
        complete = chunk[: chunk.rfind(b"\n") + 1]
        self._followed[job.id] += len(complete)
        for line in complete.decode("utf-8", "replace").splitlines():
            if (message := decode(line)) is not None:
                self._on_message(job, message)
        if job.pid is None or not is_worker_alive(job.pid, job.folder):
            self._on_orphan_end(job)

    def _on_orphan_end(self, job: Job) -> None:
        done = (job.step_folder(job.step_index) / "DONE").exists()
        if done and job.next_step() is not None and not self._is_driver:
            self._followed.pop(job.id, None)
            self._finish(job, "interrupted", Problem(f"“{job.title}” has steps left.", "Choose Retry to go on."))
        else:
            self._on_exit(job, ProcessOutcome(0, None, log_tail(job.folder / "worker.log")))


def is_worker_alive(pid: int, folder: Path) -> bool:
    """Whether that process runs and is the worker of that job folder (process ids are reused)."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(folder.name) in " ".join(process.cmdline())
    except psutil.Error:
        return False
