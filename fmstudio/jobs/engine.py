"""`Engine`: starts, watches and explains the process that serves a model. `stream_chat`: a small client for it.

Pure callbacks over a `Launcher`: the window's delivers them on its own thread, the command line waits with
`wait_ready`. The key travels by environment. No HTTP happens here but in `stream_chat`.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fmstudio.api.errors import UserError
from fmstudio.core.conversation_states import conversations_folder
from fmstudio.jobs.engine_remedy import with_action, with_build
from fmstudio.jobs.launcher import Launcher, Process, worker_argv
from fmstudio.jobs.outcome import Problem, ProcessOutcome
from fmstudio.jobs.probe import Outcome, Probe, Working, forget, recall, settings_key
from fmstudio.jobs.protocol import Error, Ready, Shutdown, Wire
from fmstudio.jobs.spec import problem_from
from fmstudio.jobs.sse import ChatEvent, post_chat

KEY_VARIABLE = "FMSTUDIO_API_KEY"
STALE_EXIT = 4
"""Exit code of an engine whose remembered settings were found with another version of its library."""

EngineState = Literal["off", "probing", "loading", "ready", "failed"]
_NATIVE_CRASHES = frozenset({"SIGSEGV", "SIGILL", "SIGABRT", "SIGBUS", "SIGFPE"})
# Windows has no signals: an access violation and an illegal instruction are exit codes.
_NATIVE_CODES = frozenset({0xC0000005, 0xC000001D, 0xC0000409, -1073741819, -1073741795, -1073740791})


@dataclass(frozen=True, slots=True)
class _Start:
    """What a start was asked for; kept for a restart."""

    model: Path
    backend: str
    adapters: tuple[tuple[str, float], ...]
    params: dict[str, Any]
    port: int
    key: str
    states_mb: int


class Engine:
    """One model server at a time.

    Args:
        on_change: Called with the engine after each change of state, on the launcher's thread.

    Attributes:
        state: ``off``, ``probing`` (finding settings that work here), ``loading``, ``ready`` or ``failed``.
        problem: Why it failed, for the card.
        info: What the engine said of itself: ``n_ctx``, ``n_ctx_train``, ``n_params``, ``description``, ``settings`` …
        pid: Process id of the server, while there is one.
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        log_path: Path,
        python: str,
        on_change: Callable[[Engine], None] | None = None,
    ) -> None:
        self.state: EngineState = "off"
        self.problem: Problem | None = None
        self.info: dict[str, Any] = {}
        self.port = 0
        self.pid: int | None = None
        self._launcher, self._log_path, self._python = launcher, log_path, python
        self._on_change = on_change
        self._lock = threading.RLock()
        self._settled = threading.Event()
        self._exited = threading.Event()
        self._exited.set()
        self._start: _Start | None = None
        self._process: Process | None = None
        self._probe: Probe | None = None
        self._generation = 0
        self._may_probe_again = True
        self._error: Error | None = None
        self._library = ""

    @property
    def base_url(self) -> str:
        """Where it listens, with ``/v1``: what an OpenAI client needs; empty while it is not ready."""
        return f"http://127.0.0.1:{self.port}/v1" if self.state == "ready" else ""

    @property
    def key(self) -> str:
        """The key each request must carry."""
        return self._start.key if self._start else ""

    @property
    def model(self) -> Path | None:
        """The model that is served or loading."""
        return self._start.model if self._start else None

    @property
    def params(self) -> dict[str, Any]:
        """The backend's parameters the model was started with."""
        return dict(self._start.params) if self._start else {}

    def start(
        self,
        model: Path,
        *,
        backend: str = "llama_cpp",
        adapters: Sequence[Path | tuple[Path, float]] = (),
        params: dict[str, Any] | None = None,
        port: int = 0,
        key: str = "",
        states_mb: int = 0,
    ) -> None:
        """Serve a model; ends the one that is served. Returns at once.

        Args:
            adapters: Files, or (file, scale); a file alone acts fully. Their ids are 0, 1, … in this order.
            params: The backend's `Params`; an edited chat template is ``chat_template``.
            port: 0 = any free one.
            key: Empty = a new one.
            states_mb: MiB of disk for conversations, so that they go on at once after a restart; 0 = none.
        """
        pairs = tuple((str(a[0]), float(a[1])) if isinstance(a, tuple) else (str(a), 1.0) for a in adapters)
        start = _Start(model, backend, pairs, dict(params or {}), port, key or secrets.token_urlsafe(24), states_mb)
        with self._lock:
            self._end_process()
            self._start = start
            self._may_probe_again = True
            self._begin()

    def restart(self, params: Mapping[str, Any] | None = None) -> None:
        """Start again what was started last, after it failed or was stopped.

        Args:
            params: Changes to what it was started with, such as a problem's ``remedy_action``.

        Raises:
            UserError: Nothing was ever started.
        """
        with self._lock:
            if self._start is None:
                raise UserError("There is no model to load.", remedy="Choose one.")
            self._end_process()
            self._start = replace(self._start, params={**self._start.params, **(params or {})})
            self._may_probe_again = True
            self._begin()

    def stop(self) -> None:
        """Free the model; returns at once."""
        with self._lock:
            self._end_process()
            self._set("off")

    def wait_ready(self, timeout: float) -> None:
        """Wait until requests are answered (command line and tests).

        Raises:
            UserError: It failed, or took longer than `timeout` seconds.
        """
        if not self._settled.wait(timeout):
            self.stop()
            raise UserError(f"The model was not ready within {timeout:.0f} s.", remedy="Choose a smaller model.")
        if self.state != "ready":
            raise self.as_error()

    def wait_exit(self) -> None:
        """Wait until the server is gone (command line).

        Raises:
            UserError: It ended by itself.
        """
        while not self._exited.wait(0.5):  # in short waits: an endless one cannot be interrupted on Windows
            pass
        if self.state == "failed":
            raise self.as_error()

    def as_error(self) -> UserError:
        """The problem as an exception."""
        problem = self.problem or Problem("The model engine is not running.", "Load the model again.")
        action = problem.remedy_action
        return UserError(problem.message, remedy=problem.remedy_told, details=problem.details, remedy_action=action)

    def lost_connection(self, error: OSError) -> UserError:
        """Explain a broken connection: by the end of the process, which is reported a moment later, if it ended."""
        self._exited.wait(2)
        if self.state == "failed":
            return self.as_error()
        return UserError(f"The connection to the model engine was lost: {error}.", remedy="Try again.")

    def _begin(self) -> None:
        start = self._started()
        self._settled.clear()
        self.problem, self._error, self.info = None, None, {}
        self._generation += 1
        remembered = recall(settings_key(start.backend, start.model, self._python))
        if remembered is not None:
            self._spawn(remembered)
            return
        generation = self._generation
        self._probe = Probe(
            self._launcher,
            start.backend,
            start.model,
            self._python,
            self._log_path,
            lambda outcome: self._on_probed(generation, outcome),
        )
        self._set("probing")
        self._probe.start()

    def _on_probed(self, generation: int, outcome: Outcome) -> None:
        with self._lock:
            if generation != self._generation:
                return
            self._probe = None
            self._may_probe_again = False
            if isinstance(outcome, Problem):
                self._fail(outcome)
            else:
                self._spawn(outcome)

    def _spawn(self, working: Working) -> None:
        start, generation = self._started(), self._generation
        self._library = working.library
        try:
            params_file = self._write_params(start.params)
        except OSError as error:
            self._fail(Problem(f"The engine's settings could not be written: {error}.", "Free some disk space."))
            return
        arguments = {
            "--backend": start.backend,
            "--model": str(start.model),
            "--port": str(start.port),
            "--params": str(params_file),
            "--settings": json.dumps(working.settings),
            "--library": working.library,
            "--states": str(conversations_folder()),
            "--states-mb": str(start.states_mb),
            "--adapters": json.dumps(start.adapters),
        }
        self._exited.clear()
        self._set("loading")
        self._process = self._launcher.start(
            worker_argv(self._python, "serve", *(part for pair in arguments.items() for part in pair)),
            on_message=lambda message: self._on_message(generation, message),
            on_exit=lambda outcome: self._on_exit(generation, outcome),
            log_path=self._log_path,
            env={KEY_VARIABLE: start.key},
        )
        self.pid = self._process.pid

    def _write_params(self, params: dict[str, Any]) -> Path:
        """In a file: a chat template among them may be longer than a command line can be."""
        path = self._log_path.with_name(f"{self._log_path.stem}.params.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(params), "utf-8")
        return path

    def _on_message(self, generation: int, message: Wire) -> None:
        with self._lock:
            if generation != self._generation:
                return
            if isinstance(message, Ready):
                self.port, self.info = message.port, message.info
                self._set("ready")
            elif isinstance(message, Error):
                self._error = message

    def _on_exit(self, generation: int, outcome: ProcessOutcome) -> None:
        with self._lock:
            if generation != self._generation:
                return
            was_ready = self.state == "ready"
            self._process, self.pid = None, None
            start = self._started()
            is_crash = outcome.signal_name in _NATIVE_CRASHES or outcome.exit_code in _NATIVE_CODES
            if is_crash or outcome.exit_code == STALE_EXIT:
                forget(settings_key(start.backend, start.model, self._python))
                if not was_ready and self._may_probe_again:
                    self._may_probe_again = False
                    self._begin()
                    return
            if self._error is not None:
                self._fail(problem_from(self._error))
            else:
                problem = outcome.problem("The model engine")
                if is_crash:
                    problem = replace(problem, remedy="Load the model again: settings that work are looked for anew.")
                if outcome.is_illegal_instruction and not was_ready:  # else the next start looks for settings first
                    problem = with_build(problem, self._python, self._library)
                self._fail(problem, outcome.signal_name)

    def _fail(self, problem: Problem, signal: str = "") -> None:
        self.problem = with_action(
            problem, self._started().params, signal=signal, loaded_ctx=int(self.info.get("n_ctx") or 0)
        )
        self._set("failed")

    def _set(self, state: EngineState) -> None:
        self.state = state
        if state in ("off", "failed"):
            self._exited.set()
        if state in ("ready", "off", "failed"):
            self._settled.set()
        if self._on_change is not None:
            self._on_change(self)

    def _end_process(self) -> None:
        self._generation += 1
        if self._probe is not None:
            self._probe.stop()
            self._probe = None
        process, self._process, self.pid = self._process, None, None
        if process is not None:
            process.send(Shutdown())
            process.terminate()

    def _started(self) -> _Start:
        assert self._start is not None
        return self._start


def stream_chat(engine: Engine, body: dict[str, Any]) -> Iterator[ChatEvent]:
    """Ask and yield `ChatEvent` as they come; blocks, for the command line and tests.

    Args:
        body: Of ``/v1/chat/completions``; ``stream`` is added.

    Raises:
        UserError: The engine refused, or died; then with its own explanation.
    """
    try:
        yield from post_chat(engine.port, engine.key, body)
    except OSError as error:
        raise engine.lost_connection(error) from error
