"""Every file of the nasty corpus, through the session's preview and through the real import task in a child process."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.jobs.launcher import SubprocessLauncher
from fmstudio.jobs.outcome import Problem
from fmstudio.jobs.session import Session
from tests.helpers import ROOT
from tests.nasty import Nasty, make_corpus

LONGEST_S = 10.0


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Nasty]]:
    folder = tmp_path_factory.mktemp("nasty")
    return folder, make_corpus(folder)


class Runner:
    """The child process that imports, started again when a file took it down."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.worker.nasty_runner"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self._child, self._lines), daemon=True).start()

    @staticmethod
    def _read(child: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put("")

    def run(self, path: Path) -> dict[str, Any]:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(str(path)) + "\n")
        self._child.stdin.flush()
        try:
            self._next(60.0)  # the process may just be starting
            return self._next(LONGEST_S)
        except (queue.Empty, EOFError) as error:
            what = "hung" if isinstance(error, queue.Empty) else "crashed"
            self.close()
            self._start()
            return {"fault": f"{what} (exit code {self._child.returncode})"}

    def _next(self, timeout: float) -> dict[str, Any]:
        line = self._lines.get(timeout=timeout)
        if not line:
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.kill()
        self._child.wait()
        self._child.stdin.close()
        self._child.stdout.close()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    log = tmp_path_factory.mktemp("session") / "session.log"
    session = Session(SubprocessLauncher(), log, python=sys.executable)
    yield session
    session.close()


def complaint_of(nasty: Nasty, done: dict[str, Any]) -> str:
    """What is wrong with the outcome of an import; empty when all is as it must be."""
    if "fault" in done:
        return str(done["fault"])
    if "message" in done:
        if not done["is_user_error"]:
            return f"a bug: {done['message']}\n{done['details']}"
        if "Traceback" in done["message"] or not done["remedy"]:
            return f"an error without a way on: {done['message']}"
        if nasty.error == "":
            return f"an error instead of rows: {done['message']}"
        found = nasty.error is None or re.search(nasty.error, f"{done['message']} {done['remedy']}", re.IGNORECASE)
        return "" if found else f"another error: {done['message']} {done['remedy']}"
    if nasty.error:
        return f"{done['rows']} rows instead of an error"
    if nasty.rows is not None and done["rows"] != nasty.rows:
        return f"{done['rows']} rows instead of {nasty.rows}; {done['rejected']} rejects; {done['notes']}"
    if nasty.rejected is not None and done["rejected"] != nasty.rejected:
        return f"{done['rejected']} rejects instead of {nasty.rejected}"
    return "" if done["listed"] == done["rejected"] else f"{done['listed']} of {done['rejected']} rejects are listed"


def test_the_corpus_is_large_enough(corpus: tuple[Path, list[Nasty]]) -> None:
    assert len({nasty.name for nasty in corpus[1]}) == len(corpus[1]) >= 60


def test_each_file_gives_rows_or_a_clear_error(corpus: tuple[Path, list[Nasty]]) -> None:
    folder, files = corpus
    runner = Runner()
    try:
        outcomes = [(nasty, runner.run(folder / nasty.name)) for nasty in files]
    finally:
        runner.close()
    complaints = [f"{nasty.name!r}: {words}" for nasty, done in outcomes if (words := complaint_of(nasty, done))]
    assert not complaints, "\n".join(complaints)


def test_the_preview_of_each_file_answers(corpus: tuple[Path, list[Nasty]], session: Session) -> None:
    folder, files = corpus
    complaints = []
    for nasty in files:
        answered = threading.Event()
        answers: list[dict[str, Any] | Problem] = []

        def take(value: Any, answers: list[Any] = answers, answered: threading.Event = answered) -> None:
            answers.append(value)
            answered.set()

        session.call("inspect_file", {"path": str(folder / nasty.name)}, take, take)
        if not answered.wait(LONGEST_S):
            complaints.append(f"{nasty.name!r}: the preview hung")
            session.close()
        elif isinstance(answers[0], Problem):
            if not answers[0].is_user_error or not answers[0].remedy:
                complaints.append(f"{nasty.name!r}: {answers[0].message}\n{answers[0].details}")
            elif nasty.error == "" and nasty.rows:
                complaints.append(f"{nasty.name!r}: an error instead of rows: {answers[0].message}")
        elif nasty.rows and not answers[0]["rows"]:
            complaints.append(f"{nasty.name!r}: no rows in the preview")
    assert not complaints, "\n".join(complaints)
