"""The SQL console reads the datasets as the user sees them, and can do nothing else."""

from __future__ import annotations

import csv
import datetime
import math
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import UserError
from fmstudio.project import Project
from fmstudio.project.console_csv import csv_text
from fmstudio.recipes.console_views import tables_in
from tests.helpers import wait_until
from tests.unit.edit_kit import leave_out_packaged_models, make_dataset, shown, simple_table
from tests.unit.transform_kit import run_spec, texts_table, transform


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with ``chats`` of 100 rows and ``my data`` of two."""
    leave_out_packaged_models(monkeypatch)
    project = Project.create(tmp_path / "project")
    make_dataset(project, "chats", simple_table(100))
    make_dataset(project, "my data", texts_table(["a", "b"], select=[1, 2]))
    yield project
    project.close()


def rows(project: Project, sql: str) -> list[tuple[Any, ...]]:
    return project.console.run(sql).rows


def test_a_query_sees_datasets_versions_dropped_rows_and_edits(project: Project) -> None:
    transform(project, "chats", "filter", where="n < 3")
    project.edits.set_cells("d-chats", {0: {"text": "edited"}})
    project.edits.delete_rows("d-chats", [1])
    assert rows(project, "SELECT text FROM chats WHERE row_id = 0") == [("edited",)]
    left = sum(1 for i in range(100) if i % 7 < 3)
    assert rows(project, "SELECT count(*) FROM chats") == [(left - 1,)]
    assert rows(project, 'SELECT count(*) FROM "chats@1"') == [(100,)]
    assert rows(project, 'SELECT count(*), min(text) FROM "chats@2"') == [(left, "text 0")]
    assert rows(project, 'SELECT count(*), any_value(operator) FROM "chats.dropped"') == [(100 - left, "filter")]
    assert rows(project, "FROM chats SELECT max(row_id)")[0][0] > 90
    assert rows(project, 'SELECT m."select" FROM "my data" m JOIN chats c ON c.row_id = m.row_id') == [(1,)]
    project.undo("d-chats")
    assert rows(project, "SELECT count(*) FROM CHATS") == [(left,)], "names in capitals, and the edit is taken back"


def test_rows_stand_in_their_order_also_where_edits_wait(project: Project) -> None:
    project.edits.set_cells("d-chats", {0: {"text": "edited"}, 50: {"text": "edited"}})
    assert rows(project, "SELECT row_id FROM chats LIMIT 3") == [(0,), (1,), (2,)]
    run_spec(project, project.specs.sql_dataset("SELECT * FROM chats", "saved"))
    assert [row["source_row_id"] for row in shown(project, "saved")] == list(range(100))


def test_a_pivot_is_run_when_it_names_its_values(project: Project) -> None:
    assert len(rows(project, "FROM (PIVOT chats ON n IN (1, 2) USING count(*) GROUP BY messages)")) > 0
    with pytest.raises(UserError, match="name the values") as caught:
        project.console.run("FROM (PIVOT chats ON n USING count(*))")
    assert " IN (" in caught.value.remedy


def test_rejects_are_a_table(project: Project) -> None:
    folder = project.datasets.version_folder("d-chats", 1)
    (folder / "rejects.jsonl").write_text(
        '{"file": "a.csv", "line": 3, "byte": null, "row": null, "reason": "broken", "raw": "x\\u0000,"}\n', "utf-8"
    )
    assert rows(project, 'SELECT file, line, reason FROM "chats.rejects"') == [("a.csv", 3, "broken")]


def test_tables_of_lost_rows_are_there_when_nothing_was_lost(project: Project) -> None:
    assert rows(project, 'SELECT count(*) FROM "chats.rejects" WHERE line > 1 AND raw = reason') == [(0,)]
    assert rows(project, 'SELECT reason, count(n) FROM "chats.dropped" WHERE step = 1 GROUP BY ALL') == []


@pytest.mark.parametrize(
    "sql",
    [
        "WITH x AS (SELECT 1 AS a) SELECT a FROM x",
        "DESCRIBE chats",
        "SUMMARIZE chats",
        "SUMMARIZE SELECT text FROM chats",
        "EXPLAIN SELECT * FROM chats",
        "EXPLAIN ANALYZE SELECT count(*) FROM chats",
        "SHOW TABLES",
        "VALUES (1), (2)",
        "FROM chats LIMIT 1;",
        "-- a comment\nSELECT 1 /* more */ ;",
        "SELECT unnest(messages).content FROM chats",
    ],
)
def test_what_reads_is_run(project: Project, sql: str) -> None:
    result = project.console.run(sql)
    assert result.rows
    assert len(result.columns) == len(result.types) == len(result.rows[0])


def test_show_tables_lists_the_datasets(project: Project) -> None:
    assert rows(project, "SHOW TABLES") == [("chats",), ("my data",)]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY chats TO '{project}/datasets/out.csv'",
        "COPY (SELECT 1) TO '{outside}/out.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{project}/datasets/out.csv'",
        "explain (analyze) copy (SELECT 1) TO '{project}/datasets/out.csv'",
        "/* x */ EXPLAIN /* y */ ANALYZE COPY (SELECT 1) TO '{project}/datasets/out.csv'",
        "ATTACH '{project}/catalog.duckdb'",
        "ATTACH '{outside}/other.db'",
        "INSTALL httpfs",
        "LOAD json",
        "PRAGMA database_list",
        "PRAGMA memory_limit='50GB'",
        "CALL pragma_version()",
        "SET enable_external_access=true",
        "SET memory_limit='50GB'",
        "RESET memory_limit",
        "USE main",
        "CREATE TABLE x AS SELECT 1",
        "CREATE OR REPLACE VIEW chats AS SELECT 1",
        "DROP VIEW chats",
        "INSERT INTO chats VALUES (1)",
        "DELETE FROM chats",
        "UPDATE chats SET text = 'x'",
        "WITH x AS (INSERT INTO chats SELECT * FROM chats RETURNING *) SELECT * FROM x",
        "EXPORT DATABASE '{project}/datasets/x'",
        "BEGIN",
        "CHECKPOINT",
        "PREPARE a AS SELECT 1",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY (SELECT 1) TO '{project}/datasets/out.csv'",
        "",
        "   -- nothing\n",
        "SELECT * FROM read_csv('{outside}/secret.csv')",
        "SELECT * FROM '{outside}/secret.csv'",
        "SELECT * FROM read_text('{outside}/secret.csv')",
        "SELECT * FROM read_parquet('{outside}/secret.parquet')",
        "SELECT * FROM read_parquet('{project}/datasets/../../secret.parquet')",
        "SELECT * FROM read_json('{project}/project.toml')",
        "SELECT * FROM glob('{outside}/*')",
        "SELECT * FROM read_csv('https://example.org/x.csv')",
        "SELECT getenv('HOME')",
        "SELECT * FROM sniff_csv('{outside}/secret.csv')",
        "SELEC * FROM chats",
        "SELECT * FROM chats WHERE",
    ],
)
def test_what_does_more_than_read_is_refused_in_words(project: Project, tmp_path: Path, sql: str) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    (tmp_path / "secret.parquet").write_bytes(project.datasets.files("d-chats")[0].read_bytes())
    before = sorted(str(path) for path in tmp_path.rglob("*") if path.is_file() and "catalog" not in path.name)
    with pytest.raises(UserError) as caught:
        project.console.run(sql.format(project=project.folder, outside=tmp_path))
    assert "Traceback" not in caught.value.message
    assert "\n" not in caught.value.message
    after = sorted(str(path) for path in tmp_path.rglob("*") if path.is_file() and "catalog" not in path.name)
    assert before == after, "nothing was written"
    assert rows(project, "SELECT count(*) FROM chats") == [(100,)], "and the console goes on"


@pytest.mark.parametrize(
    ("sql", "helps"),
    [
        ("SELECT * FROM chatz", "“chats”"),
        ("SELECT txt FROM chats", "“text”"),
        ("SELECT lenght(text) FROM chats", "“length”"),
        ("SELECT * FROM nowhere_at_all", "my data"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(project: Project, sql: str, helps: str) -> None:
    with pytest.raises(UserError) as caught:
        project.console.run(sql)
    assert helps in (caught.value.remedy or "")


def test_of_many_columns_and_of_other_mistakes_not_all_names_are_listed(project: Project) -> None:
    make_dataset(project, "wide", texts_table(["a"], **{f"c{i}": [i] for i in range(200)}))
    with pytest.raises(UserError) as caught:
        project.console.run("SELECT zzz FROM wide")
    assert caught.value.remedy.endswith("c26, c27 and 172 more.")
    with pytest.raises(UserError) as caught:
        project.console.run("SELECT [1, {'b': 2}] FROM wide")
    assert "wide" not in caught.value.remedy


def test_a_result_is_cut_at_the_limit_and_says_so(project: Project) -> None:
    cut = project.console.run(
        "SELECT a.row_id FROM chats a, chats b, chats c, chats d ORDER BY ALL DESC LIMIT 50", limit=10
    )
    assert (len(cut.rows), cut.total_shown, cut.is_cut) == (10, 10, True)
    streamed = project.console.run("SELECT 1 FROM range(100000000000), range(1000000)", limit=5)
    assert (len(streamed.rows), streamed.is_cut) == (5, True)
    whole = project.console.run("SELECT * FROM chats", limit=100)
    assert (len(whole.rows), whole.is_cut) == (100, False)
    assert project.console.run("SELECT * FROM chats WHERE false").columns[0] == "row_id"


def test_a_query_that_needs_too_much_ends_with_a_sentence(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmstudio.project.console.MOST_TEMP", "20MB")
    monkeypatch.setattr("fmstudio.recipes.sandbox.MEMORY", "100MB")
    project.console.close()
    with pytest.raises(UserError, match="more memory"):
        project.console.run("SELECT list(a.text || b.text || c.text) FROM chats a, chats b, chats c, chats d")
    assert rows(project, "SELECT count(*) FROM chats") == [(100,)]


def test_a_query_can_be_stopped(project: Project) -> None:
    caught: list[UserError] = []

    def work() -> None:
        try:
            project.console.run(
                "SELECT count(*) FROM range(100000000) a, range(1000000) b WHERE a.range % 7 = b.range % 5"
            )
        except UserError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: project.console.is_running)
    wait_until(lambda: (project.console.interrupt(), not thread.is_alive())[1])
    thread.join()
    assert "stopped" in caught[0].message
    project.console.interrupt()
    assert rows(project, "SELECT 1") == [(1,)]


def test_history_is_kept_newest_first_and_can_be_forgotten(project: Project) -> None:
    project.console.run("SELECT 1")
    project.console.run("SELECT 2")
    project.console.run("SELECT 2")
    with pytest.raises(UserError):
        project.console.run("SELECT nope")
    found = project.console.history()
    assert [entry.sql for entry in found] == ["SELECT nope", "SELECT 2", "SELECT 1"]
    assert [bool(entry.error) for entry in found] == [True, False, False]
    assert [entry.rows for entry in found] == [None, 1, 1]
    folder = project.folder
    project.close()
    again = Project.open(folder)
    try:
        assert len(again.console.history()) == 3
        again.console.forget()
        assert again.console.history() == []
    finally:
        again.close()


def test_history_keeps_its_order_when_the_clock_is_set_back(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmstudio.project.console.MOST_HISTORY", 3)
    for number in range(5):
        monkeypatch.setattr("fmstudio.project.console.time.time", lambda number=number: 2e9 - 3600 * number)
        project.console.run(f"SELECT {number}")
    assert [entry.sql for entry in project.console.history()] == ["SELECT 4", "SELECT 3", "SELECT 2"]


@pytest.mark.parametrize(
    ("text", "first", "also"),
    [
        ("SELECT * FROM ch", "chats", '"chats@1"'),
        ("SELECT * FROM ", "chats", '"my data"'),
        ("SELECT te| FROM chats", "text", ""),
        ("SELECT c.| FROM chats c", "c.row_id", "c.text"),
        ('SELECT "se| FROM "my data"', '"select"', ""),
        ("SELECT regexp_re", "regexp_replace(", ""),
        ("sel", "SELECT", ""),
    ],
)
def test_completion_offers_what_fits_there(project: Project, text: str, first: str, also: str) -> None:
    position = text.index("|") if "|" in text else len(text)
    offers = project.console.complete(text.replace("|", ""), position)
    assert offers[0] == first
    assert not also or also in offers


def test_tables_tell_their_columns_with_edits(project: Project) -> None:
    project.edits.tag("d-chats", [1], add=["good"])
    transform(project, "my data", "delete_where", where="text = 'a'")
    tables = {table.name: table for table in project.console.tables()}
    assert ("tags", "VARCHAR[]") in tables["chats"].columns
    assert tables["my data"].rows == 1
    assert {"chats@1", "my data@1", "my data@2", "my data.dropped"} <= set(tables)
    assert tables["my data.dropped"].rows == 1


def test_a_result_as_csv_keeps_every_digit() -> None:
    days, zone = datetime.date(2024, 2, 29), datetime.UTC
    values = [
        Decimal("12345678901234567.89"), 2**70, 0.1, math.nan, -math.inf, True, None, "", 'a,"b"', b"\x00\xff", days,
        datetime.datetime(2024, 2, 29, 12, 30, tzinfo=zone), [Decimal("1.50"), None, math.nan], {days: {1: "é"}},
    ]  # fmt: skip
    text = csv_text([f"c{i}" for i in range(len(values))], [values])
    assert next(csv.reader(text.splitlines()[1:])) == [
        "12345678901234567.89", str(2**70), "0.1", "NaN", "-Infinity", "true", "", "", 'a,"b"', "AP8=", "2024-02-29",
        "2024-02-29T12:30:00+00:00", '["1.50", null, "NaN"]', '{"2024-02-29": {"1": "é"}}',
    ]  # fmt: skip


# ---- save as dataset ---------------------------------------------------------------------------------------------------


def test_a_query_is_saved_as_a_dataset_with_its_lineage(project: Project) -> None:
    project.edits.set_cells("d-chats", {0: {"text": "edited"}})
    sql = "SELECT c.row_id, c.text, sum(c.n) OVER () AS total, c.text, m.text AS other, interval 1 day AS i FROM chats c LEFT JOIN \"my data\" m USING (row_id) ORDER BY c.row_id DESC;"  # fmt: skip
    spec = project.specs.sql_dataset(sql, "saved")
    project.edits.set_cells("d-chats", {0: {"text": "edited after"}})
    job = run_spec(project, spec)
    saved = project.datasets.get("saved")
    found = shown(project, "saved")
    assert [row["row_id"] for row in found] == list(range(100))
    assert [row["source_row_id"] for row in found] == list(range(99, -1, -1))
    assert found[99]["text"] == "edited", "as it was when the job was made"
    assert list(found[0]) == ["row_id", "source_row_id", "text", "total", "text_1", "other", "i"]
    assert found[0]["total"] == sum(i % 7 for i in range(100))
    assert saved.source["sql"] == sql.rstrip(";")
    assert {one["id"] for one in saved.source["datasets"]} == {"d-chats", "d-my data"}
    assert saved.kind == "text"
    assert any("source_row_id" in note for note in job.result["notes"])
    project.undo()
    assert "saved" not in [d.name for d in project.datasets.all()]


def test_types_that_parquet_lacks_are_saved_inside_lists_and_records_too(project: Project) -> None:
    sql = (
        "SELECT [INTERVAL 1 DAY] AS days, {'at': TIME '12:30', 'of': [1::HUGEINT]} AS record,"
        " MAP {'a': TIME '10:00'} AS times, [1::UNION(n INT, t VARCHAR)] AS mixed, [2, 3]::HUGEINT[2] AS pair"
    )
    run_spec(project, project.specs.sql_dataset(sql, "nested"))
    (row,) = shown(project, "nested")
    assert (row["days"], row["record"]) == (["1 day"], {"at": "12:30:00", "of": [1]})
    assert (row["mixed"], list(row["pair"])) == (["1"], [2, 3])
    run_spec(
        project, project.specs.transform("nested", "compute", {"column": "more", "expression": "[INTERVAL 2 DAY]"})
    )
    assert shown(project, "nested")[0]["more"] == ["2 days"]


def test_a_saved_query_comes_from_the_tables_it_reads_and_no_others(project: Project) -> None:
    for name in ("o", "show"):  # names that are part of words, of columns and of texts
        make_dataset(project, name, simple_table(1))
    sql = "SELECT o.text AS o, 'my data' AS show FROM chats o JOIN \"chats@1\" USING (row_id)"
    spec = project.specs.sql_dataset(sql, "saved")
    assert [one["id"] for one in spec.meta["source"]["datasets"]] == ["d-chats"]


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        ("SELECT count(*) FROM CHATS", ["chats"]),
        ("WITH o AS (SELECT * FROM chats) SELECT * FROM o", ["chats"]),
        ("WITH chats AS (SELECT * FROM chats) SELECT * FROM chats", ["chats"]),
        ("WITH RECURSIVE o AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM o WHERE n < 3) SELECT * FROM o", []),
        ('SELECT (SELECT max(n) FROM "chats@1") FROM o SEMI JOIN chats USING (n)', ["chats", "chats@1", "o"]),
        ("DESCRIBE chats", ["chats"]),
        ("EXPLAIN ANALYZE SUMMARIZE chats", ["chats"]),
        ("PIVOT chats ON n USING count(*)", ["chats"]),
        ("FROM query_table('chats')", ["chats"]),
        ("SELECT FROM WHERE o", ["o"]),
    ],
)
def test_the_tables_of_a_query_are_told(sql: str, read: list[str]) -> None:
    assert tables_in(sql, ["chats", "chats@1", "o"]) == read


@pytest.mark.parametrize("sql", ["EXPLAIN SELECT 1", "COPY chats TO 'x'", "SELECT nope FROM chats", ""])
def test_what_cannot_be_saved_is_said_before_the_job(project: Project, sql: str) -> None:
    with pytest.raises(UserError):
        project.specs.sql_dataset(sql, "saved")


def test_saving_nothing_is_said(project: Project) -> None:
    with pytest.raises(UserError, match="no row"):
        run_spec(project, project.specs.sql_dataset("SELECT * FROM chats WHERE false", "saved"))
    with pytest.raises(UserError, match="name"):
        project.specs.sql_dataset("SELECT 1", " ")
