"""`Session`: one worker that answers short requests and keeps what it loaded (an embedder, a preview)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.jobs.launcher import Launcher, Process, worker_argv
from fmstudio.jobs.outcome import Problem, ProcessOutcome
from fmstudio.jobs.protocol import Request, Response, Shutdown, Wire

OnResult = Callable[[dict[str, Any]], None]
OnError = Callable[[Problem], None]


class Session:
    """Starts its worker at the first call and again after it died.

    Args:
        log_path: Where the worker's stderr goes.
    """

    def __init__(self, launcher: Launcher, log_path: Path, *, python: str) -> None:
        self._launcher = launcher
        self._log_path = log_path
        self._python = python
        self._lock = threading.RLock()
        self._process: Process | None = None
        self._generation = 0
        self._next_id = 0
        self._waiting: dict[int, tuple[OnResult, OnError]] = {}

    def call(self, method: str, params: dict[str, Any], on_result: OnResult, on_error: OnError) -> int:
        """Send a request; exactly one callback comes, on the launcher's thread. Returns the request's id.

        Args:
            method: Module in ``fmstudio.worker.requests``.
        """
        with self._lock:
            if self._process is None:
                self._start()
            self._next_id += 1
            self._waiting[self._next_id] = (on_result, on_error)
            request = Request(self._next_id, method, params)
            process = self._process
        if process is not None:
            process.send(request)
        return request.id

    def forget(self, request_id: int) -> None:
        """Drop the callbacks of a request whose answer is no longer wanted."""
        self._waiting.pop(request_id, None)

    def call_blocking(self, method: str, params: dict[str, Any], timeout: float = 600) -> dict[str, Any]:
        """Like `call`, waiting for the answer (command line and tests).

        Raises:
            UserError: The request failed, or no answer came in `timeout` seconds.
        """
        answered = threading.Event()
        answer: list[dict[str, Any] | Problem] = []

        def take(value: dict[str, Any] | Problem) -> None:
            answer.append(value)
            answered.set()

        self.call(method, params, take, take)
        if not answered.wait(timeout):
            raise UserError(f"No answer to “{method}” in {timeout:.0f} s.", remedy="Try again.")
        value = answer[0]
        if isinstance(value, Problem):
            raise UserError(value.message, remedy=value.remedy, details=value.details)
        return value

    def close(self) -> None:
        """End the worker; open requests fail."""
        with self._lock:
            process, self._process = self._process, None
            self._generation += 1
        if process is not None:
            process.send(Shutdown())
            process.terminate()
        self._fail_all(Problem("The request was given up because the project was closed."))

    def _start(self) -> None:
        self._generation += 1
        generation = self._generation
        self._process = self._launcher.start(
            worker_argv(self._python, "session"),
            on_message=self._on_message,
            on_exit=lambda outcome: self._on_exit(generation, outcome),
            log_path=self._log_path,
        )

    def _on_message(self, message: Wire) -> None:
        if not isinstance(message, Response):
            return
        on_result, on_error = self._waiting.pop(message.id, (None, None))
        if message.error is not None and on_error is not None:
            fields = {key: message.error.get(key, "") for key in ("message", "remedy", "details")}
            on_error(Problem(**fields, is_user_error=bool(message.error.get("is_user_error"))))
        elif on_result is not None:
            on_result(message.result or {})

    def _on_exit(self, generation: int, outcome: ProcessOutcome) -> None:
        with self._lock:
            if generation != self._generation:
                return
            self._process = None
        self._fail_all(outcome.problem("The helper process"))

    def _fail_all(self, problem: Problem) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for _, on_error in waiting.values():
            on_error(problem)
