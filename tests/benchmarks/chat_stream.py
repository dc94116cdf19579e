"""A frame of an answer that streams into a chat of 20 000 tokens: the budget is 16 ms, flat with length.

A frame is what the page does 30 times a second: Markdown of the tail, layout, scrolling and painting, with 1 to 3 new
tokens.
"""

from __future__ import annotations

import time

from PySide6.QtWidgets import QApplication

from fmstudio.ui.theme import Theme
from fmstudio.ui.widgets.chat_card_data import CardData
from fmstudio.ui.widgets.chat_transcript import Transcript
from tests.benchmarks import Figure

BUDGET_MS, FRAMES = 16.0, 300
PARAGRAPH = "Some words of an ordinary answer that goes on and **on** with `code` in it, as answers do. " * 4 + "\n\n"
LIST = "".join(f"- point {i} of a list with some words\n" for i in range(12)) + "\n"
CODE = "```python\n" + "".join(f"value_{i} = compute({i})  # a line\n" for i in range(30)) + "```\n\n"
TABLE = "| a | b |\n|---|---|\n" + "".join(f"| {i} | some words |\n" for i in range(10)) + "\n"


def answer(tokens: int) -> str:
    """An answer of about so many tokens (4 characters each): prose, lists, code, tables."""
    blocks, text = [PARAGRAPH, PARAGRAPH, LIST, CODE, PARAGRAPH, TABLE], ""
    while len(text) < tokens * 4:
        text += blocks[len(text) // 400 % len(blocks)]
    return text[: tokens * 4]


def stream(transcript: Transcript, text: str, start: int, frames: int) -> tuple[list[float], float]:
    """Show the answer grow by 12 characters a frame from `start` on.

    Returns:
        Milliseconds of each frame in ascending order, and the mean of processor time.
    """
    transcript.show_tail("Model", text[:start], "")
    settled = time.perf_counter() + 1.0  # what stands there already is coloured beside: that is no frame's work
    while time.perf_counter() < settled:
        QApplication.processEvents()
        time.sleep(0.01)
    times, used = [], time.process_time()
    for frame in range(frames):
        end = start + 12 * (frame + 1)
        started = time.perf_counter()
        transcript.show_tail("Model", text[:end], f"{frame}")
        QApplication.processEvents()
        times.append((time.perf_counter() - started) * 1000)
    return sorted(times), (time.process_time() - used) * 1000 / frames


def run() -> list[Figure]:
    """Stream at several lengths of the answer and of the conversation before it; the first is what the others stand beside."""
    app = QApplication.instance() or QApplication([])
    assert isinstance(app, QApplication)
    Theme(app, "light")
    figures, shortest = list[Figure](), 0.0
    for before, length in ((0, 500), (0, 5_000), (0, 20_000), (20_000, 500), (20_000, 4_000)):
        times, busy = _measure(before, length)
        late = times[int(len(times) * 0.95)]
        shortest = shortest or late
        name = f"chat frame p95, {length:,} tokens after {before:,} (median {times[len(times) // 2]:.1f}, processor {busy:.1f})"
        figures.append(Figure(name, late, shortest, "ms", f"≤ {BUDGET_MS:g} ms", late <= BUDGET_MS, "500 tokens"))
    return figures


def _measure(before: int, length: int) -> tuple[list[float], float]:
    transcript = Transcript()
    transcript.resize(1000, 800)
    transcript.show()
    turns = [CardData(f"t{i}", "assistant" if i % 2 else "user", "Model", answer(500)) for i in range(before // 500)]
    transcript.show_turns(turns)
    QApplication.processEvents()
    try:
        return stream(transcript, answer(length + 1_000), length * 4 - 600, FRAMES)
    finally:
        transcript.close()
        transcript.deleteLater()
