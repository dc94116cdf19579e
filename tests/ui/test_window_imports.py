"""A window that shows and scrolls real rows, and every page, has loaded nothing that belongs in workers."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.memory import HEAVY, make_project, watch_window

PAGES = ("home", "data", "recipes", "models", "training", "chat", "jobs", "settings")


def test_no_page_imports_what_belongs_in_workers(tmp_path: Path) -> None:
    rows = 2_000
    found = watch_window(make_project(tmp_path, rows), rows, PAGES)
    assert set(found["pages"]) >= set(PAGES), "every page was built"
    assert not set(HEAVY) & set(found["modules"])
