"""What the Data page asks of the store: pages, filter and sort, edits, undo; at 1 M and 10 M rows."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from fmstudio.project import Project
from fmstudio.project.filters import FilterColumn, words_where
from tests.benchmarks import Figure
from tests.benchmarks._big_project import DATASET, big_project

MANY, MILLION = 10_000_000, 1_000_000
PAGES, PEER_PAGES, ROUNDS = 200, 15, 7
FIRST_MS = 300
ORDER = "score DESC"


def _in_words(words: str) -> tuple[str, str]:
    """Words as typed into the filter bar, and what a person would write in SQL."""
    return words_where(f'"{words}"', [FilterColumn("text", "string")]), f"text ILIKE '%{words}%'"


FILTERS: dict[str, tuple[Callable[[int], tuple[str, str]], int]] = {
    "filter in words (dozens match)": (lambda n: _in_words(f"fade{n:x}"), 300),
    "filter in letters alone (6 % match)": (lambda n: _in_words(f"says {'abcdef'[n % 6]}"), 300),
    "filter in two letters (21 % match)": (lambda n: _in_words(f"{'abcdef'[n % 6]}{'bcdefa'[n // 6]}"), 0),
    "filter in SQL, ILIKE (6 % match)": (lambda n: (f"text ILIKE '%says {n:x}%'",) * 2, 300),
    "filter on a number (1 % match)": (lambda n: (f"label = {n}",) * 2, 300),
    "filter that all rows match": (lambda n: (f"text ILIKE '%row%' AND label >= {-n}",) * 2, 0),
    "no filter": (lambda n: ("", f"label >= {-n}"), 300),
}
"""What is asked in the nth round, of us and of DuckDB, and the most milliseconds until matches are counted (0 = twice the
peer's); the first page has 300 in any case."""


def run() -> list[Figure]:
    """Pages at 10 M rows with and without edits; filter and sort, edits, undo and redo at 1 M."""
    with tempfile.TemporaryDirectory(prefix="fmstudio-store-") as folder:
        many = big_project(Path(folder) / "many", MANY)
        paging = _paging(many, Path(folder) / "many")
        many.close()
        one = big_project(Path(folder) / "one", MILLION)
        figures = [*paging, *_filters_and_sorts(one), *_changes(one)]
        one.close()
    return figures


def _paging(project: Project, folder: Path) -> list[Figure]:
    places = random.Random(0).sample(range(MANY - 1_000), PAGES)
    plain = page_p95(project, places)
    connection = duckdb.connect()
    source = f"read_parquet('{folder}/datasets/{DATASET}/v0001/*.parquet')"
    peer = _p95(
        [
            timed(lambda o=o: connection.execute(f"SELECT * FROM {source} LIMIT 200 OFFSET {o}").fetchall())
            for o in places[:PEER_PAGES]
        ]
    )
    connection.close()
    edit_some(project, MANY)
    edited = page_p95(project, places)
    return [
        Figure("random page p95, 10 M rows", plain, peer, "ms", "≤ 30 ms", plain <= 30, "DuckDB LIMIT/OFFSET"),
        Figure("… with 2,000 pending edits", edited, peer, "ms", "≤ 30 ms", edited <= 30, "DuckDB LIMIT/OFFSET"),
    ]


def edit_some(project: Project, rows: int, time: int = 0) -> None:
    """A thousand changed cells and a thousand deleted rows, all over the dataset; others each time (0 to 3)."""
    places = random.Random(1).sample(range(rows), 8_000)[2_000 * time : 2_000 * (time + 1)]
    project.edits.set_cells(DATASET, {row: {"text": f"edited {row}"} for row in places[:1_000]})
    project.edits.delete_rows(DATASET, places[1_000:])


def page_p95(project: Project, places: list[int]) -> float:
    """95th percentile of reading 200 rows at these places, in ms."""
    project.page(DATASET, offset=0, limit=200)
    return _p95([timed(lambda o=o: project.page(DATASET, offset=o, limit=200)) for o in places])


def _filters_and_sorts(project: Project) -> list[Figure]:
    """Each round asks something new, so that nothing is known from the round before; the peer does not count matches."""
    connection = duckdb.connect()
    source = f"read_parquet('{project.folder}/datasets/{DATASET}/v0001/*.parquet')"
    figures = []
    for name, (ask, goal) in FILTERS.items():
        first, counted, peer = [], [], []
        for number in range(ROUNDS):
            where, sql = ask(number)
            one, all_of_them = filter_and_sort(project, where, f"{ORDER} /* {number} */")
            first.append(one)
            counted.append(all_of_them)
            query = f"SELECT * FROM {source} WHERE {sql} ORDER BY {ORDER} LIMIT 200"
            peer.append(timed(lambda query=query: connection.execute(query).fetchall()))
        theirs = statistics.median(peer)
        for what, times in (("the first page", first), ("the number of matches", counted)):
            mine, most = statistics.median(times), FIRST_MS if times is first else goal
            title, said = f"{name} + sort to {what}, 1 M rows", f"≤ {most} ms" if most else "≤ 2 × peer"
            figures.append(Figure(title, mine, theirs, "ms", said, mine <= (most or 2 * theirs), "DuckDB TOP-N"))
    connection.close()
    return figures


def filter_and_sort(project: Project, where: str, order: str = ORDER) -> tuple[float, float]:
    """Time to the first page, and to the exact number of matches, in ms; as the window asks."""
    start = time.perf_counter()
    page = project.page(DATASET, offset=0, limit=200, where=where, order_by=order, first_will_do=True)
    first = time.perf_counter()
    if not page.is_counted:
        project.page(DATASET, offset=0, limit=200, where=where, order_by=order)
    return (first - start) * 1000, (time.perf_counter() - start) * 1000


def _changes(project: Project) -> list[Figure]:
    edit = timed(lambda: project.edits.set_cells(DATASET, {77_777: {"text": "corrected"}}))
    first = timed(lambda: project.page(DATASET, offset=77_700, limit=200))
    edit_some(project, MILLION)
    worst = undo_redo(project)
    shown = edit + first
    return [
        Figure("edit one cell and show its page, 1 M rows", shown, None, "ms", "≤ 200 ms", shown <= 200),
        Figure("slowest undo or redo, page included, 1 M rows", worst, None, "ms", "≤ 200 ms", worst <= 200),
    ]


def undo_redo(project: Project) -> float:
    """Undo three operations and do them again, each with the page that follows; the slowest, in ms."""
    steps: list[Callable[[], object]] = [project.undo] * 3 + [project.redo] * 3

    def seen(step: Callable[[], object]) -> None:
        step()
        project.page(DATASET, offset=0, limit=200)

    return max(timed(lambda step=step: seen(step)) for step in steps)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
