"""`World`: the engine, the store and the people; kills the engine, looks for hangs, measures, and says what failed."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmstudio.api import UserError
from fmstudio.jobs.engine import Engine
from fmstudio.jobs.launcher import SubprocessLauncher
from fmstudio.jobs.sse import post_chat
from fmstudio.project import Project
from tests.soak.ledger import Ledger, Turn
from tests.soak.people import Person
from tests.soak.process_figures import Figures, figures_of

BOUND_S = 60.0
"""Longest that anything may take, with several people on two cores; a hang is what takes longer."""
QUIET_S = 3.0
"""Until an engine nobody asks anything has nothing under way."""
LEAST_GROWTH = 24 << 20
MOST_GROWTH = 0.08
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM)
_QUESTIONS = ("What is your name?", "How do I restart the printer? " * 12, "naïve 漢字 😀")


@dataclass(slots=True)
class World:
    """All that lives during a soak.

    Args:
        folder: For the project and logs; empty.
        seconds: How long it goes on; the engine is killed during the first half only, so that its memory is then
            watched over one long life.
        model: A GGUF file.
        adapters: GGUF adapters that fit it.
        params: What the model is loaded with.

    Attributes:
        faults: All that should not have happened; empty in the end, or the soak failed.
        deaths: How often the engine was killed so far.
    """

    folder: Path
    seconds: float
    model: Path
    adapters: Sequence[Path]
    params: dict[str, Any]
    n_people: int = 5
    seed: int = 0
    bound_s: float = BOUND_S
    faults: list[str] = field(default_factory=list)
    deaths: int = 0
    is_over: bool = False
    is_alive: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    references: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    broken: list[Turn] = field(default_factory=list)
    samples: list[Figures] = field(default_factory=list)
    back_after: list[float] = field(default_factory=list)
    engine: Engine = field(init=False)
    ledger: Ledger = field(init=False)
    _alive: threading.Condition = field(default_factory=threading.Condition)
    _gate: threading.Condition = field(default_factory=threading.Condition)
    _at_work: int = 0
    _is_closed: bool = False
    _born: float = 0.0
    _random: random.Random = field(init=False)

    # ---- what people need ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Entered for each act; nobody gets in while the world wants quiet."""
        with self._gate:
            self._gate.wait_for(lambda: not self._is_closed or self.is_over)
            self._at_work += 1
        try:
            yield
        finally:
            with self._gate:
                self._at_work -= 1
                self._gate.notify_all()

    def wait_alive(self) -> None:
        """Wait until the engine is back."""
        with self._alive:
            if not self._alive.wait_for(lambda: self.is_alive or self.is_over, 2 * self.bound_s):
                self.fault("the engine did not come back")

    def fault(self, words: str) -> None:
        """Note what should not have happened."""
        self.faults.append(f"{time.monotonic() - self._born:.1f} s into the engine's life: {words}")

    def count(self, what: str) -> None:
        """Note that something was done."""
        with self._alive:
            self.counts[what] += 1

    def take_broken(self) -> Turn | None:
        """An answer that a death cut off, to be continued; each once."""
        with self._alive:
            return self.broken.pop() if self.broken else None

    # ---- its course ------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Let it all happen; give the report, whose ``faults`` are empty when all is well."""
        self._random = random.Random(self.seed)
        self.ledger = Ledger(Project.create(self.folder / "project"))
        self.engine = Engine(SubprocessLauncher(), log_path=self.folder / "engine.log", python=sys.executable)
        self.engine.start(self.model, params=self.params)
        people = [Person(self, number) for number in range(self.n_people)]
        try:
            self._live_again()
            self._learn_references()
            for person in people:
                person.start()
            self._go(people)
        finally:
            self.is_over = True
            with self._gate, self._alive:
                self._gate.notify_all()
                self._alive.notify_all()
            for person in people:
                if person.ident:
                    person.join(self.bound_s)
            self.engine.stop()
        self.faults += [f"hangs at the end: {person.doing}" for person in people if person.is_alive()]
        lost = self.ledger.lost(self.folder / "project")
        self.faults += [f"lost: {what}" for what in lost] + self._growth()
        return self._report()

    def _go(self, people: list[Person]) -> None:
        start = time.monotonic()
        next_kill = start + self._random.uniform(2, 6)
        next_quiet = start + 5
        pause = max(4.0, self.seconds / 60)
        while (now := time.monotonic()) < start + self.seconds:
            time.sleep(0.1)
            for person in people:
                if person.busy_since and now - person.busy_since > self.bound_s:
                    self._report_hang(person)
                    return
            if now >= next_quiet:
                if not self._look_in_quiet():
                    return
                next_quiet = time.monotonic() + pause
            elif now >= next_kill and now < start + self.seconds / 2:
                self._kill()
                next_kill = time.monotonic() + self._random.uniform(1, pause * 2)

    def _report_hang(self, person: Person) -> None:
        frames = sys._current_frames()
        stack = "".join(traceback.format_stack(frames[person.ident])) if person.ident in frames else ""
        self.fault(f"hang: {person.doing} takes more than {self.bound_s:g} s\n{stack}")

    def _live_again(self) -> None:
        self.engine.wait_ready(2 * self.bound_s)
        self._born = time.monotonic()
        self.samples.clear()
        with self._alive:
            self.is_alive = True
            self._alive.notify_all()

    def _kill(self) -> None:
        """End the engine at a random moment; it must be explained, and come back when asked to."""
        pid, number = self.engine.pid, self._random.choice(_SIGNALS)
        assert pid is not None
        with self._alive:
            self.deaths += 1
            self.is_alive = False
        killed = time.monotonic()
        os.kill(pid, number)
        while self.engine.state != "failed" and time.monotonic() - killed < self.bound_s:
            time.sleep(0.01)
        problem = self.engine.problem
        if problem is None or not problem.message or not problem.remedy:
            self.fault(f"the end by {number.name} is not explained: {self.engine.state} {problem}")
        elif number.name not in problem.message and number is not signal.SIGTERM:
            self.fault(f"{number.name} is explained as: {problem}")
        self.engine.restart()
        try:
            self._live_again()
        except UserError as error:
            self.fault(f"no restart after {number.name}: {error}")
            return
        self.back_after.append(time.monotonic() - killed)

    def _look_in_quiet(self) -> bool:
        """Wait until nobody is at work; then nothing may be under way in the engine, and its figures are taken."""
        with self._gate:
            self._is_closed = True
            is_quiet = self._gate.wait_for(lambda: not self._at_work, self.bound_s)
        try:
            if not is_quiet:
                self.fault("no quiet: somebody is still waiting for an answer")
                return False
            self._expect_idle()
            assert self.engine.pid is not None
            self.samples.append(figures_of(self.engine.pid, time.monotonic() - self._born))
            return True
        finally:
            with self._gate:
                self._is_closed = False
                self._gate.notify_all()

    def _expect_idle(self) -> None:
        until = time.monotonic() + QUIET_S
        while any(self._load()):
            if time.monotonic() > until:
                self.fault(f"{self._load()} requests are still under way or waiting, and nobody asks")
                return
            time.sleep(0.05)

    def _load(self) -> tuple[int, int]:
        """Requests under way and waiting, as the engine counts them."""
        connection = http.client.HTTPConnection("127.0.0.1", self.engine.port, timeout=10)
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {self.engine.key}"})
        lines = dict(line.split() for line in connection.getresponse().read().decode().splitlines() if line[:1] != "#")
        connection.close()
        return int(lines["fmstudio_requests_processing"]), int(lines["fmstudio_requests_deferred"])

    def _learn_references(self) -> None:
        ways = [[], [{"path": str(self.adapters[0]), "scale": 1.0}]] if self.adapters else [[]]
        ways += [[{"path": str(path), "scale": 0.5} for path in self.adapters]] if len(self.adapters) > 1 else []
        for question in _QUESTIONS:
            for lora in ways:
                body = {
                    "messages": [{"role": "user", "content": question}],
                    "temperature": 0,
                    "max_tokens": 20,
                    "lora": lora,
                }
                said = "".join(event.text for event in post_chat(self.engine.port, self.engine.key, body))
                self.references.append((f"{question[:20]} {lora}", body, said))

    # ---- the end ---------------------------------------------------------------------------------------------------

    def _growth(self) -> list[str]:
        """What grew between a third of the last life and its end."""
        if len(self.samples) < 3:
            return ["too few measurements of the last life: let it run for longer"]
        warm, last = self.samples[len(self.samples) // 3], self.samples[-1]
        found = []
        if last.own_bytes - warm.own_bytes > max(LEAST_GROWTH, MOST_GROWTH * warm.own_bytes):
            found.append(
                f"memory grew from {warm.own_bytes / 1e6:.1f} to {last.own_bytes / 1e6:.1f} MB: {self.samples}"
            )
        if last.n_files - warm.n_files > 4:
            found.append(f"open files grew from {warm.n_files} to {last.n_files}")
        if last.n_threads - warm.n_threads > 4:
            found.append(f"threads grew from {warm.n_threads} to {last.n_threads}")
        return found

    def _report(self) -> dict[str, Any]:
        lives = [self.samples[len(self.samples) // 3], self.samples[-1]] if self.samples else []
        return {
            "seconds": self.seconds,
            "acts": dict(self.counts),
            "kills": self.deaths,
            "slowest_restart_s": round(max(self.back_after, default=0), 2),
            "answers": self.ledger.ends(),
            "last_life": [
                {"s": round(f.seconds), "mb": round(f.own_bytes / 1e6, 1), "files": f.n_files, "threads": f.n_threads}
                for f in lives
            ],
            "faults": self.faults,
        }
