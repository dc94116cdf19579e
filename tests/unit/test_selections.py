"""Filters and orders give the same rows whether these are kept whole or by their ids, looked at in pieces or at once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fmstudio.api import UserError
from fmstudio.project import selections
from fmstudio.project.filters import FilterColumn, words_where
from fmstudio.project.overlay_model import Cells, Overlay
from fmstudio.project.rows import RowReader
from fmstudio.project.text_match import any_case, in_any_case, is_caseless

ROWS = 20_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files with gaps between their row ids."""
    folder = tmp_path_factory.mktemp("project")
    made = []
    with duckdb.connect() as connection:
        for part in range(2):
            path = folder / f"rows-{part:05d}.parquet"
            ids = f"range({part * ROWS}, {(part + 1) * ROWS})"
            connection.execute(
                f"COPY (SELECT i AS row_id, 'Row ' || i || ' von Ärger' AS text, i % 7 AS n FROM {ids} t(i)"
                f" WHERE i % 2 = 0) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)"
            )
            made.append(path)
    return made


@pytest.fixture
def reader(files: list[Path]) -> Iterator[RowReader]:
    reader = RowReader(files[0].parent)
    yield reader
    reader.close()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are looked at in several pieces, and few are kept whole."""
    monkeypatch.setattr(selections, "WHOLE_BYTES", 2_000)
    monkeypatch.setattr(selections, "CHUNK_BYTES", 40_000)


EDITED = Cells({0: [("n", "4\x1f99"), ("text", '8\x1f"edited"')]})
OVERLAY = Overlay("k", EDITED, {90_001: '{"text": "added", "n": 3}'}, frozenset([6]))


@pytest.mark.parametrize("overlay", [Overlay(), OVERLAY], ids=["published", "edited"])
@pytest.mark.parametrize(("whole", "chunk"), [(8 << 20, 96 << 20), (8 << 20, 40_000), (2_000, 40_000), (0, 96 << 20)])
def test_however_it_is_done(
    reader: RowReader, files: list[Path], monkeypatch: pytest.MonkeyPatch, whole: int, chunk: int, overlay: Overlay
) -> None:
    monkeypatch.setattr(selections, "WHOLE_BYTES", whole)
    monkeypatch.setattr(selections, "CHUNK_BYTES", chunk)
    every = {row["row_id"]: row for row in reader.page(files, offset=0, limit=99_999, overlay=overlay).records()}
    for where, keep in (("n = 3", lambda row: row["n"] == 3), ("n >= 0", lambda row: True)):
        wanted = [row for row in every.values() if keep(row)]
        wanted.sort(key=lambda row: (-row["n"], row["row_id"]))
        page = reader.page(files, offset=5, limit=50, where=where, order_by="n DESC", overlay=overlay)
        assert page.records() == wanted[5:55] and page.total == len(wanted)
        assert reader.count(files, where, overlay) == len(wanted)
        assert reader.ids(files, where, overlay) == sorted(row["row_id"] for row in wanted)
    chosen = reader.page(files, offset=0, limit=2, where="n = 3", columns=["n", "row_id"], overlay=overlay)
    assert chosen.columns == ("n", "row_id") and chosen.rows == [(3, 10), (3, 24)]


@pytest.mark.parametrize("overlay", [Overlay(), OVERLAY], ids=["published", "edited"])
@pytest.mark.parametrize("order_by", ["n DESC", "text", ""])
@pytest.mark.parametrize("where", ["n >= 0", "n < 3", ""])
def test_the_first_rows_come_before_all_are_found_and_are_the_same(
    reader: RowReader, files: list[Path], small_pieces: None, where: str, order_by: str, overlay: Overlay
) -> None:
    ask = partial(reader.page, files, where=where, order_by=order_by, overlay=overlay)
    first = ask(offset=0, limit=50, first_will_do=True)
    again = ask(offset=0, limit=50, first_will_do=True)
    assert first == again and len(first.rows) == 50
    counted = ask(offset=0, limit=50)
    assert counted.rows == first.rows and counted.is_counted and counted.total == reader.count(files, where, overlay)
    assert (first.is_counted, first.total) == ((False, 50) if where else (True, counted.total))
    assert ask(offset=0, limit=50, first_will_do=True) == counted  # known by now
    both = ask(offset=0, limit=80).rows  # beyond the first ones
    assert both[:50] == first.rows and ask(offset=40, limit=40).rows == both[40:]
    assert ask(offset=30, limit=20).rows == both[30:50]


def test_what_is_asked_for_by_several_at_once_is_looked_for_once(
    reader: RowReader, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    make = selections._Search.make

    def slow(self: selections._Search, first: int) -> selections.Selection:
        made.append(first)
        time.sleep(0.2)
        return make(self, first)

    monkeypatch.setattr(selections._Search, "make", slow)
    with ThreadPoolExecutor(3) as pool:
        pages = list(pool.map(lambda at: reader.page(files, offset=at, limit=2, where="n = 3"), (0, 2, 4)))
        assert made == [0] and len({row for page in pages for row in page.rows}) == 6
        wrong = [pool.submit(reader.page, files, offset=at, limit=2, where="m = 3") for at in (0, 2, 4)]
        assert all(isinstance(asked.exception(10), UserError) for asked in wrong)  # none waits for ever


def test_few_matches_are_counted_at_once(reader: RowReader, files: list[Path]) -> None:
    page = reader.page(files, offset=0, limit=50, where="row_id < 60", order_by="n", first_will_do=True)
    assert page.is_counted and page.total == len(page.rows) == 30


def test_first_rows_that_are_fewer_than_was_thought_are_all(
    reader: RowReader, files: list[Path], small_pieces: None
) -> None:
    page = reader.page(files, offset=0, limit=3_000, where="row_id < 4000", order_by="n", first_will_do=True)
    assert page.is_counted and page.total == len(page.rows) == 2_000


def test_no_table_stays_of_what_is_no_longer_asked_for(
    reader: RowReader, files: list[Path], small_pieces: None
) -> None:
    for number in range(8):
        for first_will_do in (True, False):
            reader.page(files, offset=0, limit=5, where=f"n <> {number}", order_by="n", first_will_do=first_will_do)
    with reader._cursor() as cursor:
        tables = [row[0] for row in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
    assert len([name for name in tables if name.startswith("sel_")]) == 2 * selections.KEPT


def test_brackets_that_close_nothing_cannot_escape_their_piece(reader: RowReader, files: list[Path]) -> None:
    tricky = "n = 1) OR (n = 2"
    assert reader.count(files, tricky) == reader.count(files, "n IN (1, 2)")


@pytest.mark.parametrize(
    ("where", "order_by", "said"),
    [
        ("m = 1", "", "This filter cannot be run"),
        ("m = 1", "n", "This filter cannot be run"),
        ("n = 1", "m", "This order cannot be run"),
        ("", "m", "This order cannot be run"),
        ("n = 1", "n; SELECT 1", "Only one condition|This order"),
    ],
)
def test_what_is_wrong_is_named(reader: RowReader, files: list[Path], where: str, order_by: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        reader.page(files, offset=0, limit=1, where=where, order_by=order_by)


@pytest.mark.parametrize(
    "text",
    [
        "4711",
        "東京",
        "…",
        "3.5%",
        "привет",
        "Ärger",
        "ärger",
        "von",
        "x1",
        "İ",
        "K",
        "ß",
        "Row 17",
        "r 4711 V",
        "a.r",
        "V[o]n",
    ],
)
def test_words_are_found_whatever_their_case(reader: RowReader, files: list[Path], text: str) -> None:
    with duckdb.connect() as connection:
        lowered = connection.execute("SELECT lower(?)", [text]).fetchall()[0][0]
    assert not is_caseless(text) or lowered == text
    where = words_where(f'"{text}"', [FilterColumn("text", "string")])
    slow = f"contains(lower(text), lower('{text}'))"
    assert reader.count(files, where) == reader.count(files, slow)


def test_no_letter_becomes_what_is_taken_for_caseless() -> None:
    every = "".join(chr(code) for code in range(0x250) if chr(code).isprintable())
    letters = random.Random(1).sample([chr(code) for code in range(0x20, 0xFFFF) if not 0xD800 <= code < 0xE000], 9_000)
    with duckdb.connect() as connection:
        pairs = connection.execute("SELECT c, lower(c) FROM (SELECT unnest(?) AS c)", [[*every, *letters]]).fetchall()
    assert [(one, low) for one, low in pairs if one != low and any(is_caseless(char) for char in low)] == []


def test_every_letter_is_looked_for_in_all_its_forms() -> None:
    """As DuckDB lowers them, over the whole of Unicode."""
    chars = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    with duckdb.connect() as connection:
        pairs = "SELECT c, lower(c) FROM (SELECT unnest(?) AS c) WHERE lower(c) <> c"
        low = dict(connection.execute(pairs, [chars]).fetchall())
    forms: dict[str, set[str]] = {}
    for capital, small in low.items():
        forms.setdefault(small, {small}).add(capital)
    assert len(low) > 1_400
    for small, same in forms.items():
        for char in same:
            assert set(any_case(char)) == {*same, *"[]"}, (small, char)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


@given(TEXTS, TEXTS, st.sampled_from([str.upper, str.lower, str.title, str]))
@example("A kelvin \u212a", "KELVIN k", str)
@example("a\nb.*(x)?", "\nB.*(X)?", str)
def test_a_pattern_finds_what_lowering_both_finds(text: str, wanted: str, change: object) -> None:
    with duckdb.connect() as connection:
        for part in (wanted, text[2:9], change(text[1:6])):  # type: ignore[operator]
            sql = f"SELECT {in_any_case('$1', part)}, contains(lower($1), lower($2))"
            found, lowered = connection.execute(sql, [text, part]).fetchall()[0]
            assert found == lowered, part


@pytest.mark.parametrize("length", [500, 501, 5_000])
def test_a_very_long_text_is_still_found(reader: RowReader, files: list[Path], length: int) -> None:
    column = FilterColumn("text || repeat('Ä', 6000)", "string")
    long = "ärger" + "ä" * (length - 5)
    assert reader.count(files, words_where(f'"{long}"', [column]).replace(f'"{column.name}"', column.name)) == ROWS
