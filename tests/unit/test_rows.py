"""Paging: any page of any version is exactly that slice of its rows, whatever gaps the row ids have."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmstudio.api import UserError
from fmstudio.project.overlay import EMPTY, Overlay
from fmstudio.project.rows import RowReader

ROWS = 30_000


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RowReader, list[Path], list[int]]]:
    """Two files, small row groups, half of the row ids missing."""
    folder = tmp_path_factory.mktemp("project")
    ids = sorted(random.Random(1).sample(range(ROWS * 2), ROWS))
    files = []
    with duckdb.connect() as connection:
        for part, chunk in enumerate((ids[: ROWS // 3], ids[ROWS // 3 :])):
            path = folder / f"rows-{part:05d}.parquet"
            connection.execute(
                f"COPY (SELECT unnest({chunk}) AS row_id, 'text ' || row_id AS text) TO '{path}'"
                " (FORMAT parquet, ROW_GROUP_SIZE 2048)"
            )
            files.append(path)
    reader = RowReader(folder)
    yield reader, files, ids
    reader.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offset=st.integers(0, ROWS + 500), limit=st.integers(0, 5000))
def test_a_page_is_the_slice(version: tuple[RowReader, list[Path], list[int]], offset: int, limit: int) -> None:
    reader, files, ids = version
    page = reader.page(files, offset=offset, limit=limit)
    assert [row[0] for row in page.rows] == ids[offset : offset + limit]
    assert page.total == ROWS
    assert page.columns == ("row_id", "text")


def test_a_filtered_and_sorted_page_is_the_slice(version: tuple[RowReader, list[Path], list[int]]) -> None:
    reader, files, ids = version
    page = reader.page(files, offset=100, limit=50, where="row_id % 3 = 0", order_by="row_id DESC")
    wanted = [i for i in reversed(ids) if i % 3 == 0]
    assert [row[0] for row in page.rows] == wanted[100:150]
    assert page.total == len(wanted)
    assert reader.count(files, "row_id % 3 = 0") == len(wanted)


def test_the_place_of_a_row_is_where_its_page_has_it(version: tuple[RowReader, list[Path], list[int]]) -> None:
    reader, files, ids = version
    some, absent = random.Random(2).sample(ids, 40), next(i for i in range(ROWS * 2) if i not in set(ids))
    gone = sorted(random.Random(3).sample(ids, 500))
    overlay = Overlay("e", added={99_001: '{"text": "new"}', 99_007: '{"text": "newer"}'}, deleted=frozenset(gone))
    for where, order in (("", ""), ("row_id % 3 = 0", ""), ("", "row_id DESC"), ("row_id % 3 = 0", "text DESC")):
        for seen, more in ((EMPTY, []), (overlay, [99_001, 99_007, *gone[:5]])):
            every = [
                r[0]
                for r in reader.page(
                    files, offset=0, limit=ROWS * 2, where=where, order_by=order, columns=["row_id"], overlay=seen
                ).rows
            ]
            places = {row_id: place for place, row_id in enumerate(every)}
            for row_id in [*some, absent, ids[0], ids[-1], *more]:
                assert reader.place(files, row_id, where, order, seen) == places.get(row_id)


def test_chosen_columns_hold_under_a_filter(version: tuple[RowReader, list[Path], list[int]]) -> None:
    reader, files, _ = version
    page = reader.page(files, offset=0, limit=3, where="row_id > 5", columns=["text"])
    assert page.columns == ("text",)
    assert all(len(row) == 1 for row in page.rows)


@pytest.mark.parametrize(
    "where",
    ["nonsense", "1=1) UNION SELECT 1, 'x' --; DROP TABLE x", "row_id IN (SELECT 1 FROM read_text('/etc/hostname'))"],
)
def test_a_bad_or_prying_condition_is_refused(version: tuple[RowReader, list[Path], list[int]], where: str) -> None:
    reader, files, _ = version
    with pytest.raises(UserError):
        reader.page(files, offset=0, limit=1, where=where)


def test_rows_by_id_keep_the_order_asked_for(version: tuple[RowReader, list[Path], list[int]]) -> None:
    reader, files, ids = version
    wanted = [ids[500], ids[3], ids[20_000]]
    assert [row[0] for row in reader.by_id(files, [*wanted, -1]).rows] == wanted
