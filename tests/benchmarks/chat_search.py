"""Full text over 100 000 messages in a real project: the budget is 100 ms a search.

Run: ``python -m tests.benchmarks.chat_search``. Also times what was not chosen: ILIKE on the text itself.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fmstudio.project import Project
from fmstudio.project.chat_records import ChatMessage, Conversation
from fmstudio.project.models import ModelLibrary

MESSAGES, EACH = 100_000, 20
BUDGET_MS = 100.0


def fill(project: Project) -> list[str]:
    """Conversations of 20 turns, 20 to 160 words a turn, words as skewed as those of a language."""
    choose = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(choose.choices(letters, k=choose.randint(2, 10))) for _ in range(30_000)]
    for start in range(0, MESSAGES, 10_000):
        talks = []
        for number in range(start // EACH, (start + 10_000) // EACH):
            talk = Conversation(f"c-{number}", f"Talk {number}", "", {}, number, number)
            turns = []
            for place in range(EACH):
                picked = (words[min(29_999, int(choose.paretovariate(0.6)))] for _ in range(choose.randint(20, 160)))
                parent = f"t-{number}-{place - 1}" if place else None
                role = "assistant" if place % 2 else "user"
                text = " ".join(picked).capitalize()
                turns.append(ChatMessage(f"t-{number}-{place}", talk.id, parent, role, text, {}, number + place / 100))
            talks.append((talk, turns))
        project.chats.add_whole(talks)
    return words


def timed(work: Callable[[], object], rounds: int = 9) -> tuple[float, float, float]:
    """Median and worst in milliseconds and the median of processor time, after one round to warm up."""
    work()
    times, busy = [], []
    for _ in range(rounds):
        started, used = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - started) * 1000)
        busy.append((time.process_time() - used) * 1000)
    return statistics.median(times), max(times), statistics.median(busy)


def main() -> None:
    """Fill a project, close it, open it, search."""
    ModelLibrary.add_packaged = lambda self: None  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        project = Project.create(Path(folder) / "p")
        started = time.perf_counter()
        words = fill(project)
        print(f"filled with {MESSAGES:,} messages in {time.perf_counter() - started:.1f} s")
        project.close()
        project = Project.open(Path(folder) / "p")
        size = project._catalog.query("SELECT sum(length(content)) FROM messages")[0][0]
        print(f"{size / 1e6:.0f} MB of text")
        worst = 0.0
        for name, search in (
            ("rare word", words[2500]), ("two words", f"{words[40]} {words[900]}"), ("a letter", "e"),
            ("common word", words[2]), ("nothing", "zzqqzz"), ("phrase", f'"{words[2]} {words[3]}"'),
        ):  # fmt: skip
            middle, slowest, busy = timed(lambda search=search: project.chats.found(search))  # type: ignore[misc]
            worst = max(worst, middle)
            count = len(project.chats.found(search))
            print(
                f"{name:12} median {middle:6.1f} ms, worst {slowest:6.1f} ms, processor {busy:5.0f} ms, {count} found"
            )
        sql = "SELECT DISTINCT conversation_id FROM messages WHERE content ILIKE ?"
        middle, _, _ = timed(lambda: project._catalog.query(sql, [f"%{words[2500]}%"]))
        print(f"{'ILIKE':12} median {middle:6.1f} ms (not chosen)")
        project.close()
    print(f"budget {BUDGET_MS:.0f} ms: {'held' if worst <= BUDGET_MS else 'NOT held'} (slowest median {worst:.1f} ms)")


if __name__ == "__main__":
    main()
