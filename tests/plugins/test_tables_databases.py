"""SQLite and DuckDB files: parts, types, conflicts, files in use, damaged or of another kind."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeReport
from tests.plugins.reading import file, parts, read


def sqlite(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
    return path


def duck(path: Path, script: str) -> Path:
    with closing(duckdb.connect(str(path))) as database:
        database.execute(script)
    return path


def test_sqlite_tables_and_views_are_parts(tmp_path: Path) -> None:
    path = sqlite(
        tmp_path / "x.db",
        'CREATE TABLE "my table" (a INTEGER, b TEXT); CREATE TABLE other (x REAL); CREATE INDEX i ON other (x);'
        'CREATE VIEW v AS SELECT a * 2 AS d FROM "my table";'
        "INSERT INTO \"my table\" VALUES (1, 'x'), (2, NULL); INSERT INTO other VALUES (1.5);",
    )
    assert [(p.id, p.rows, p.detail) for p in parts("sqlite", path)] == [
        ("my table", 2, "table, 2 columns"),
        ("other", 1, "table, 1 column"),
        ("v", None, "view, 1 column"),
    ]
    report = FakeReport()
    assert read("sqlite", path, report) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert "not from “other”, “v”" in report.notes[0]
    assert read("sqlite", path, part="v") == [{"d": 2}, {"d": 4}]
    with pytest.raises(UserError, match="no table “othr”"):
        read("sqlite", path, part="othr")


def test_sqlite_values_of_another_type_are_told_and_kept(tmp_path: Path) -> None:
    path = sqlite(tmp_path / "x.db", "CREATE TABLE t (n INTEGER, b); INSERT INTO t VALUES (1, x'00ff'), ('abc', NULL);")
    report = FakeReport()
    assert read("sqlite", path, report) == [{"n": "1", "b": b"\0\xff"}, {"n": "abc", "b": None}]
    assert any("declared as number, but row 2 holds text (abc)" in note for note in report.notes)
    assert any("different kinds" in note for note in report.notes)


def test_sqlite_is_not_changed_and_its_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t (a)")
        writer.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(100)])
        writer.commit()
        before = path.read_bytes()
        assert len(read("sqlite", path)) == 100
        assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.glob("x.db*")) == ["x.db"]


def test_sqlite_cut_gives_rows_up_to_the_damage(tmp_path: Path) -> None:
    rows = ", ".join(f"({i}, '{'x' * 200}')" for i in range(5_000))
    content = sqlite(
        tmp_path / "x.db", f"CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES {rows};"
    ).read_bytes()
    report = FakeReport()
    read_rows = read("sqlite", file(tmp_path / "y.db", content[: len(content) // 2]), report)
    assert [row["a"] for row in read_rows] == list(range(len(read_rows))) and len(read_rows) > 1_000
    assert f"After row {len(read_rows)}" in report.rejects[0].reason


@pytest.mark.parametrize("content", [b"", b"no database" * 50, b"SQLite format 3\0" + b"\xff" * 900])
def test_what_is_no_sqlite_file_is_a_plain_error(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        read("sqlite", file(tmp_path / "x.db", content))
    with pytest.raises(UserError):
        parts("sqlite", tmp_path / "x.db")


def test_duckdb_tables_and_views_are_parts(tmp_path: Path) -> None:
    path = duck(
        tmp_path / "x.duckdb",
        "CREATE TABLE t AS SELECT i AS a, 'x' || i AS b FROM range(3) r(i); CREATE SCHEMA s; CREATE TABLE s.u (z INT);"
        "CREATE VIEW v AS SELECT a * 2 AS d FROM t;",
    )
    found = {part.id: part.rows for part in parts("duckdb", path)}
    assert found == {"t": 3, "s.u": 0, "v": None}
    assert read("duckdb", path) == [{"a": 0, "b": "x0"}, {"a": 1, "b": "x1"}, {"a": 2, "b": "x2"}]
    assert read("duckdb", path, part="v") == [{"d": 0}, {"d": 2}, {"d": 4}]
    assert read("duckdb", path, part="s.u") == []


def test_duckdb_types_are_plain(tmp_path: Path) -> None:
    path = duck(
        tmp_path / "x.duckdb",
        "CREATE TABLE t AS SELECT 170141183460469231731687303715884105727::HUGEINT AS h, MAP {'k': 1} AS m, "
        "INTERVAL 90 SECOND AS i, uuid '00000000-0000-0000-0000-000000000001' AS u, 'a'::ENUM ('a', 'b') AS e, "
        "[1, 2]::INT[2] AS f, {'x': DATE '2024-01-02'} AS s",
    )
    row = read("duckdb", path)[0]
    assert str(row["u"]).endswith("0001") and row["e"] == "a" and row["f"] == [1, 2]
    assert row["m"] == [{"key": "k", "value": 1}] and row["i"] == "00:01:30"


def test_a_view_cannot_read_files_around_it(tmp_path: Path) -> None:
    secret = file(tmp_path / "secret.csv", "a\n1\n")
    path = duck(tmp_path / "x.duckdb", f"CREATE VIEW v AS SELECT * FROM read_csv('{secret}')")
    with pytest.raises(UserError, match="“v”"):
        read("duckdb", path)


def test_a_duckdb_file_in_use_is_a_plain_error(tmp_path: Path) -> None:
    path = duck(tmp_path / "x.duckdb", "CREATE TABLE t (a INT)")
    code = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "open\n"
        with pytest.raises(UserError, match="open in another program"):
            read("duckdb", path)
        holder.communicate("")


def test_damaged_duckdb_files_are_plain_errors(tmp_path: Path) -> None:
    content = duck(tmp_path / "x.duckdb", "CREATE TABLE t AS SELECT range AS a FROM range(100000)").read_bytes()
    newer = bytearray(content)
    newer[12:20] = (9_999).to_bytes(8, "little")
    for damaged in (
        b"",
        b"nothing" * 99,
        content[:6_000],
        content[:9_000] + bytes(5_000) + content[14_000:],
        bytes(newer),
    ):
        with pytest.raises(UserError) as caught:
            read("duckdb", file(tmp_path / "y.duckdb", damaged))
        assert caught.value.message and "Traceback" not in str(caught.value)
