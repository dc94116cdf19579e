"""Filters in words become SQL that finds what was meant, whatever was typed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmstudio.project.filter_completion import completions
from fmstudio.project.filter_hints import hint
from fmstudio.project.filter_moments import period
from fmstudio.project.filters import (
    ColumnFilter,
    FilterColumn,
    Sort,
    all_of,
    filter_where,
    highlighted,
    kind_of,
    looks_like_sql,
    order_by,
    words_where,
)

COLUMNS = (
    FilterColumn("text", "string"),
    FilterColumn("my note", "string"),
    FilterColumn("n", "int64"),
    FilterColumn("ok", "bool"),
    FilterColumn("tags", "VARCHAR[]"),
    FilterColumn("messages", "list<element: struct<role: string, content: string>>"),
)
BY_NAME = {column.name: column for column in COLUMNS}
ROWS: list[tuple[Any, ...]] = [
    (0, "The Cat sleeps", None, 10, True, ["good", "short"], [("user", "Where is the cat?")]),
    (1, "a dog barks", "50% off_now", 20, False, [], [("user", "Dogs"), ("assistant", "bark LOUDLY")]),
    (2, "", 'it\'s "quoted"', None, None, None, None),
    (3, "cat and dog", "", 1234567, True, ["good"], []),
    (4, "see http://example.org", "ÄPFEL", -5, False, ["bad tag"], [("user", "")]),
]


@pytest.fixture(scope="module")
def table() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute(
        'CREATE TABLE t (row_id BIGINT, text VARCHAR, "my note" VARCHAR, n BIGINT, ok BOOLEAN, tags VARCHAR[],'
        " messages STRUCT(role VARCHAR, content VARCHAR)[])"
    )
    for row in ROWS:
        messages = None if row[6] is None else [{"role": role, "content": content} for role, content in row[6]]
        connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", [*row[:6], messages])
    yield connection
    connection.close()


def _ids(table: duckdb.DuckDBPyConnection, where: str, order: str = "row_id") -> list[int]:
    return [
        row[0] for row in table.execute(f"SELECT row_id FROM t WHERE {where or 'true'} ORDER BY {order}").fetchall()
    ]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("cat", [0, 3]),
        ("CAT dog", [3]),
        ("cat -dog", [0]),
        ('"cat and"', [3]),
        ("loudly", [1]),
        ("messages:cat", [0]),
        ("-messages:cat", [1, 2, 3, 4]),
        ("cat OR barks", [0, 1, 3]),
        ("50%", [1]),
        ("off_now", [1]),
        ("offXnow", []),
        ("it's", [2]),
        ('"my note":quoted', [2]),
        ("äpfel", [4]),
        ("n:20", [1]),
        ("n:>10", [1, 3]),
        ("n:10..20", [0, 1]),
        ("n:", [2]),
        ("-text:", [0, 1, 3, 4]),
        ("messages:", [2, 3]),
        ("tags:good", [0, 3]),
        ("-tags:good", [1, 2, 4]),
        ('tags:"bad tag"', [4]),
        ("http://example.org", [4]),
        ("ok:true", [0, 3]),
        ("   ", [0, 1, 2, 3, 4]),
        ("nothing_like_it", []),
    ],
)
def test_words_find_what_is_meant(table: duckdb.DuckDBPyConnection, text: str, ids: list[int]) -> None:
    assert _ids(table, words_where(text, COLUMNS)) == ids


@given(st.text(max_size=40))
def test_any_text_gives_sql_that_runs_and_a_phrase_finds_only_itself(text: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 0 AS row_id, ?::VARCHAR AS text, 1 AS n", ["x" + text])
        columns = (FilterColumn("text", "string"), FilterColumn("n", "int64"))
        connection.execute(f"SELECT * FROM t WHERE {words_where(text, columns) or 'true'}").fetchall()
        where = filter_where(ColumnFilter("text", "equals", ("x" + text,)), columns[0])
        assert connection.execute(f"SELECT count(*) FROM t WHERE {where}").fetchone() == (1,)


@pytest.mark.parametrize(
    ("text", "is_sql"),
    [
        ("n > 5", True),
        ("nonsense >", True),
        ("length(text) > 100", True),
        ("len(mesages) > 1", True),
        ("text LIKE '%cat%'", True),
        ("text IS NOT NULL", True),
        ("n BETWEEN 1 AND 5", True),
        ("n in (1, 2)", True),
        ("ok", True),
        ("not ok", True),
        ("n=5", True),
        ("what is love", False),
        ("cats in the house", False),
        ("I like cats", False),
        ("<br>", False),
        ("a <br> b", False),
        ("between you and me", False),
        ("text:cat -dog", False),
        ("it's fine", False),
        ("", False),
    ],
)
def test_sql_is_told_from_words(text: str, is_sql: bool) -> None:
    assert looks_like_sql(text, COLUMNS) is is_sql


@pytest.mark.parametrize(
    ("condition", "ids", "words"),
    [
        (ColumnFilter("text", "contains", ("dog",)), [1, 3], "text contains “dog”"),
        (ColumnFilter("text", "equals", ("a dog barks",)), [1], "text is “a dog barks”"),
        (ColumnFilter("text", "empty"), [2], "text is empty"),
        (ColumnFilter("n", "not_empty"), [0, 1, 3, 4], "n is not empty"),
        (ColumnFilter("n", "range", (10, 20)), [0, 1], "n 10 to 20"),
        (ColumnFilter("n", "range", (None, 0)), [4], "n ≤ 0"),
        (ColumnFilter("n", "range", (1_000, None)), [3], "n ≥ 1,000"),
        (ColumnFilter("n", "one_of", (10, None)), [0, 2], "n is 10 or missing"),
        (ColumnFilter("ok", "equals", (True,)), [0, 3], "ok is true"),
        (ColumnFilter("tags", "one_of", ("good",)), [0, 3], "tags is “good”"),
        (ColumnFilter("messages", "contains", ("bark",)), [1], "messages contains “bark”"),
    ],
)
def test_a_condition_on_one_column(
    table: duckdb.DuckDBPyConnection, condition: ColumnFilter, ids: list[int], words: str
) -> None:
    assert _ids(table, filter_where(condition, BY_NAME[condition.column])) == ids
    assert condition.in_words() == words


def test_conditions_join_and_a_comment_swallows_nothing(table: duckdb.DuckDBPyConnection) -> None:
    assert all_of(["", " "]) == ""
    assert all_of(["n > 1"]) == "n > 1"
    assert _ids(table, all_of(["n > 1 -- big", "", "ok"])) == [0, 3]


def test_order_puts_missing_last(table: duckdb.DuckDBPyConnection) -> None:
    assert _ids(table, "", order_by([Sort("n", True)])) == [3, 1, 0, 4, 2]
    assert _ids(table, "", order_by([Sort("ok"), Sort("n")])) == [4, 1, 0, 3, 2]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("string", "text"), ("large_string", "text"), ("VARCHAR", "text"), ("int64", "number"), ("TINYINT", "number"),
        ("double", "number"), ("decimal128(10, 2)", "number"), ("UBIGINT", "number"), ("bool", "boolean"),
        ("timestamp[us]", "time"), ("date32[day]", "time"), ("binary", "bytes"), ("BLOB", "bytes"),
        ("list<item: string>", "texts"), ("list<element: string not null>", "texts"), ("VARCHAR[]", "texts"),
        ("list<item: float>", "nested"), ("fixed_size_list<item: float>[256]", "nested"), ("FLOAT[256]", "nested"),
        ("struct<a: string>", "nested"), ("list<item: struct<a: string>>", "nested"),
        ("STRUCT(role VARCHAR, content VARCHAR)[]", "messages"),
    ],
)  # fmt: skip
def test_types_have_kinds(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_what_is_found_can_be_marked() -> None:
    assert [(t.text, t.column) for t in highlighted('cat -dog text:"a b"', COLUMNS, is_sql=False)] == [
        ("cat", ""),
        ("a b", "text"),
    ]
    assert [t.text for t in highlighted("text LIKE '%it''s%' AND n > 1", COLUMNS, is_sql=True)] == ["it's"]


def test_columns_functions_and_values_are_offered() -> None:
    values = {"text": ["red", "dark red", "blue"], "n": ["1", "10"]}

    def texts(typed: str, *, is_sql: bool) -> list[str]:
        return [offer.text for offer in completions(typed, COLUMNS, values, is_sql=is_sql)]

    assert texts("te", is_sql=False) == ["text:", '"my note":']
    assert texts("cat my", is_sql=False) == ['"my note":']
    assert texts("text:re", is_sql=False) == ["red", '"dark red"']
    assert texts("leng", is_sql=True) == ["length("]
    assert texts("text = 'b", is_sql=True) == ["'blue'"]
    assert texts("n = 1", is_sql=True) == ["1", "10"]
    assert texts("n > 5 AN", is_sql=True)[0] == "AND"
    assert completions("n > 1 AND my", COLUMNS, values, is_sql=True)[0].start == 10


NAMED = [
    FilterColumn(name, "string") for name in ("Priority (1-5)", "price €", "Customer Name", "Name", "topic", "is_open")
]


@pytest.mark.parametrize(
    ("typed", "column", "better"),
    [
        ("Priority:5", "Priority (1-5)", '"Priority (1-5)":5'),
        ("priority (1-5):5 x", "Priority (1-5)", '"Priority (1-5)":5 x'),
        ("cat -price:>100", "price €", 'cat -"price €":>100'),
        ("Customer Name:Anna -refund", "Customer Name", '"Customer Name":Anna -refund'),
        ("tpoic:paper", "topic", "topic:paper"),
        ("open:true", "is_open", "is_open:true"),
    ],
)
def test_a_name_that_is_no_column_is_told_with_the_likely_one(typed: str, column: str, better: str) -> None:
    found = hint(typed, NAMED)
    assert found is not None and (found.column, found.better) == (column, better)
    assert hint(better, NAMED) is None
    assert f'"{column}"' in words_where(better, NAMED)


@pytest.mark.parametrize(
    "typed",
    ["topic:x", '"Customer Name":Anna', "name:x", "http://is_open", "10:30", "priority: high", '"on Priority:5"'],
)
def test_a_colon_in_prose_is_no_mistake(typed: str) -> None:
    assert hint(typed, NAMED) is None


@pytest.mark.parametrize("is_sql", [True, False])
def test_a_name_of_several_words_is_completed_from_its_beginning(is_sql: bool) -> None:
    colon = "" if is_sql else ":"
    for typed, start in (("Customer N", 0), ("paper customer na", 6), ("Pri", 0), ("price", 0)):
        first = completions(typed, NAMED, {}, is_sql=is_sql)[0]
        assert first.text.startswith('"') and first.text.endswith(f'"{colon}') and first.start == start


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("day:>2024-03", [4]), ("day:<=2024-01", [0]), ("day:2024-02..2024-03", [1, 2, 3]), ("day:=2024-03-01", [2]),
        ("day:2024-03", [2, 3]), ("made:>2024-01-01T09:30", [1, 2, 3, 4]), ("made:2023..2024-01-01", [0]),
        ("clock:<10:00", [0, 1]), ("clock:10:30..11", [3]), ("day:>2024-13", []), ("price:0.10", [0, 1]),
        ("price:12345678901234567891.12", [2]),
    ],
)  # fmt: skip
def test_moments_and_long_numbers_are_asked_for_in_words(typed: str, found: list[int]) -> None:
    columns = [
        FilterColumn("day", "DATE"), FilterColumn("made", "TIMESTAMP"), FilterColumn("clock", "TIME"),
        FilterColumn("price", "DECIMAL(38,2)"),
    ]  # fmt: skip
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (row_id BIGINT, day DATE, made TIMESTAMP, clock TIME, price DECIMAL(38,2))")
    days = ("2024-01-31", "2024-02-29", "2024-03-01", "2024-03-31", "2024-04-01")
    prices = ("0.10", "0.10", "12345678901234567891.12", "12345678901234567891.13", None)
    for i, (day, price) in enumerate(zip(days, prices, strict=True)):
        at = "2024-01-01 09:30:59" if i == 0 else f"{day} 12:00:00"
        connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?)", [i, day, at, f"{8 + i}:15:00", price])
    assert _ids(connection, words_where(typed, columns)) == found


def test_a_condition_on_moments_reads_short() -> None:
    low, high = period("2024-02", "TIMESTAMP")
    assert (low, high) == ("2024-02-01 00:00:00", "2024-02-29 23:59:59.999999")
    assert ColumnFilter("n", "range", (-1, -1)).in_words() == "n is -1"
    assert ColumnFilter("at", "range", period("2024-02-01", "TIMESTAMP")).in_words() == "at is 2024-02-01"
    assert ColumnFilter("at", "range", (low, high)).in_words() == "at 2024-02-01 to 2024-02-29"
    for text, kind in (("foo", "DATE"), ("2024-02-30", "DATE"), ("2024-02", "TIME"), ("25:00", "TIME")):
        with pytest.raises(ValueError):
            period(text, kind)
