"""Answers arrive on the main thread, in order, once, and only when still wanted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from PySide6.QtCore import QObject, Signal

from fmstudio.ui.background import Background


class _Sender(QObject):
    told = Signal(bool)


def test_ten_thousand_signals(qtbot: Any) -> None:
    """PySide6 6.12.0 on Python 3.11 loses a reference to True at each emit and aborts after a few hundred."""
    heard: list[bool] = []
    sender = _Sender()
    sender.told.connect(heard.append)
    for _ in range(10_000):
        sender.told.emit(True)
    assert len(heard) == 10_000
    assert all(value is True for value in heard)


@pytest.fixture
def background(qtbot: Any) -> Background:
    return Background()


def test_posts_from_many_threads_run_on_the_main_thread(qtbot: Any, background: Background) -> None:
    heard: list[tuple[int, int, threading.Thread]] = []

    def note(worker: int, number: int) -> None:
        heard.append((worker, number, threading.current_thread()))

    def post(worker: int) -> None:
        for number in range(500):
            background.bridge.post(partial(note, worker, number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(post, range(4)))
    qtbot.waitUntil(lambda: len(heard) == 2_000)
    assert {thread for _, _, thread in heard} == {threading.main_thread()}
    for worker in range(4):
        assert [n for w, n, _ in heard if w == worker] == list(range(500))


def test_of_one_key_only_the_newest_answer_arrives(qtbot: Any, background: Background) -> None:
    answers: list[Any] = []
    gate = threading.Event()
    background.read(lambda: gate.wait(5) and "old", answers.append, answers.append, key="page")
    background.read(lambda: "new", answers.append, answers.append, key="page")
    gate.set()
    qtbot.waitUntil(lambda: background.pending == 0)
    assert answers == ["new"]


def test_writes_run_one_after_another_in_order(qtbot: Any, background: Background) -> None:
    order: list[int] = []
    for number in range(50):
        background.write(partial(order.append, number), lambda _: None, lambda _: None)
    qtbot.waitUntil(lambda: background.pending == 0)
    assert order == list(range(50))


def test_an_error_arrives_as_an_error(qtbot: Any, background: Background) -> None:
    errors: list[BaseException] = []
    background.read(lambda: 1 / 0, lambda _: None, errors.append)
    qtbot.waitUntil(lambda: bool(errors))
    assert isinstance(errors[0], ZeroDivisionError)


def test_nothing_is_delivered_to_an_owner_that_is_gone(qtbot: Any, background: Background) -> None:
    from shiboken6 import delete

    answers: list[Any] = []
    owner, gate = QObject(), threading.Event()
    background.read(lambda: gate.wait(5), answers.append, answers.append, owner=owner)
    delete(owner)
    gate.set()
    qtbot.waitUntil(lambda: background.pending == 0)
    assert answers == []
