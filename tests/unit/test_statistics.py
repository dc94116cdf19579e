"""Column statistics against plain Python over the same rows; the overlay counts; bad names are explained."""

from __future__ import annotations

import datetime
import itertools
import math
import statistics as plain
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmstudio.api.errors import UserError
from fmstudio.core.parquet import RowsWriter
from fmstudio.project import Project, counting
from fmstudio.project.catalog import insert
from fmstudio.project.datasets import log_operation
from fmstudio.project.filters import ColumnFilter, FilterColumn, filter_where
from fmstudio.ui.pages.data.column_facts import bars_of, facts_of, outlier_words


def publish(project: Project, columns: dict[str, Any], name: str = "data") -> str:
    """Put a table into the project as a dataset of its own; gives its id."""
    dataset_id = f"d-{name}"
    rows = len(next(iter(columns.values())))
    batch = pa.RecordBatch.from_pydict({"row_id": list(range(rows)), **columns})
    with RowsWriter(project.datasets.version_folder(dataset_id, 1)) as writer:
        writer.write(batch)
        written = writer.close()
    dataset = {"id": dataset_id, "name": name, "kind": "table", "current_version": 1, "is_deleted": False}
    version = {"dataset_id": dataset_id, "number": 1, "rows": rows, "dropped": 0, "rejected": 0, "bytes": written.bytes}
    with project._catalog.transaction() as connection:
        insert(connection, "datasets", {**dataset, "created": 1.0, "source": {}})
        made = {"columns": written.columns, "operation": "Import", "statistics": {}, "job_id": "", "created": 1.0}
        insert(connection, "versions", {**version, **made})
        log_operation(connection, "import", dataset_id, None, 1, f"Import {name}")
    return dataset_id


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project.create(tmp_path / "project")
    yield made
    made.close()


def test_a_number_column(project: Project) -> None:
    values = [1.0, 2.0, 2.0, 3.0, None, math.nan, 1000.0, 2.5, 1.5, 2.0]
    dataset = publish(project, {"x": values})
    found = project.statistics.column(dataset, "x")
    real = [v for v in values if v is not None and not math.isnan(v)]
    assert (found.rows, found.missing, found.kind) == (10, 1, "number")
    assert found.values is not None
    assert (found.values.lowest, found.values.highest) == (1.0, 1000.0)
    assert found.values.median == plain.median(real)
    assert found.values.mean == pytest.approx(plain.mean(real))
    assert found.top[0] == (2.0, 3)
    assert found.outliers[0] == (6, 1000.0)
    assert sum(b.count for b in found.histogram) == len(real)
    assert len(found.samples) == 5


def test_a_text_column(project: Project) -> None:
    texts = ["one", "two words", "", None, "two words", "日本語", "x" * 5000]
    dataset = publish(project, {"text": texts})
    found = project.statistics.column(dataset, "text")
    assert (found.missing, found.empty, found.distinct, found.duplicates) == (1, 1, 5, 1)
    assert found.characters is not None
    assert (found.characters.lowest, found.characters.highest) == (0, 5000)
    assert found.words is not None
    assert found.words.highest == 2
    assert found.tokens is not None
    assert found.tokens.highest == 1250
    assert found.top[0] == ("two words", 2)
    assert found.outliers[0][0] == 6


def test_conversations_lists_moments_and_booleans(project: Project) -> None:
    chats = [[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]] * 3 + [None]
    days = [datetime.datetime(2024, 1, day) for day in (1, 2, 3)] + [None]
    columns = {"messages": chats, "tags": [["a", "b"], ["a"], [], None], "day": days, "ok": [True, True, False, None]}
    dataset = publish(project, columns)
    messages = project.statistics.column(dataset, "messages")
    assert messages.turns is not None
    assert messages.turns.mean == 2
    assert messages.top == (("assistant", 3), ("user", 3))
    assert messages.characters is not None
    assert messages.characters.highest == 7
    tags = project.statistics.column(dataset, "tags")
    assert tags.top == (("a", 2), ("b", 1))
    assert tags.empty == 1
    day = project.statistics.column(dataset, "day")
    assert day.values is not None
    assert day.values.highest - day.values.lowest == 2 * 86_400
    ok = project.statistics.column(dataset, "ok")
    assert [(b.label, b.count) for b in ok.histogram] == [("no", 1), ("yes", 2)]
    names = [(s.name, s.kind, s.missing) for s in project.statistics.columns(dataset)]
    assert names == [("messages", "messages", 1), ("tags", "texts", 1), ("day", "time", 1), ("ok", "boolean", 1)]


def test_pending_edits_count_and_old_versions_do_not_see_them(project: Project) -> None:
    dataset = publish(project, {"text": ["a", "b", "c"]})
    assert project.statistics.columns(dataset)[0].missing == 0
    project.edits.set_cells(dataset, {1: {"text": None}})
    project.edits.delete_rows(dataset, [2])
    summary = project.statistics.columns(dataset)[0]
    assert (summary.rows, summary.missing) == (2, 1)
    assert project.statistics.column(dataset, "text").missing == 1
    project.undo(dataset)
    project.undo(dataset)
    assert project.statistics.columns(dataset)[0].rows == 3


def test_many_rows_are_sampled_and_say_so(project: Project) -> None:
    rows = 300_000
    dataset = publish(project, {"n": list(range(rows)), "label": [i % 7 for i in range(rows)]})
    number, label = project.statistics.columns(dataset)
    assert number.is_sample
    assert number.rows == rows
    assert number.distinct == pytest.approx(rows, rel=0.1)
    assert label.distinct == 7
    assert sum(b.count for b in label.histogram) == pytest.approx(rows, rel=0.01)
    exact = project.statistics.column(dataset, "n")
    assert exact.distinct == rows
    assert sum(b.count for b in exact.histogram) == rows


def test_an_unknown_column_is_explained(project: Project) -> None:
    dataset = publish(project, {"text": ["a"]})
    with pytest.raises(UserError, match="no column"):
        project.statistics.column(dataset, "txt")


def test_every_value_falls_into_one_bin(project: Project) -> None:
    numbers = itertools.count()

    @settings(max_examples=40)
    @given(st.lists(st.none() | st.integers(-(2**40), 2**40) | st.integers(-5, 5), min_size=1, max_size=60))
    def check(values: list[int | None]) -> None:
        dataset = publish(project, {"n": pa.array(values, pa.int64())}, f"bins{next(numbers)}")
        found = project.statistics.column(dataset, "n")
        there = [v for v in values if v is not None]
        assert sum(part.count for part in found.histogram) == len(there)
        assert found.distinct == len(set(there))

    check()


def test_words_are_counted_whatever_white_space_is_between_them(project: Project) -> None:
    texts = ["", "  ", "a b", " a  b ", "a\nb\tc", "日本 語", "one two three four"]
    found = project.statistics.column(publish(project, {"text": texts}), "text")
    assert found.words is not None
    assert (found.words.total, found.words.lowest, found.words.highest) == (sum(len(t.split()) for t in texts), 0, 4)
    assert found.tokens is not None
    assert found.is_token_estimate


def test_a_tokenizers_counts_are_taken_instead_of_an_estimate(project: Project) -> None:
    dataset = publish(project, {"text": ["some words", "more"], "n_tokens": [17, 3]})
    found = project.statistics.column(dataset, "text")
    assert found.tokens is not None
    assert (found.tokens.highest, found.is_token_estimate) == (17, False)


def test_nested_values(project: Project) -> None:
    records = [{"a": 1, "b": "x"}, {"a": None, "b": "y"}, None]
    chats = [[{"role": "user", "content": "12345"}, {"role": "assistant", "content": "1"}], [], None]
    columns = {"record": records, "vector": [[1.0, 2.0], [], None], "messages": chats}
    dataset = publish(project, columns)
    record = project.statistics.column(dataset, "record")
    assert record.top == (("b", 2), ("a", 1))
    assert record.characters is not None
    vector = project.statistics.column(dataset, "vector")
    assert (vector.measure, vector.empty, vector.missing) == ("items", 1, 1)
    assert vector.items is not None
    assert vector.items.highest == 2
    messages = project.statistics.column(dataset, "messages")
    assert messages.contents is not None
    assert (messages.contents.lowest, messages.contents.highest) == (1, 5)
    assert messages.empty == 1


def test_what_was_counted_is_there_after_a_restart(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {
        "text": ["a", "b", None],
        "day": [datetime.date(2024, 1, n) for n in (1, 2, 3)],
        "x": [math.nan, 1.5, None],
    }
    dataset = publish(project, columns)
    names = list(columns)
    before = (project.statistics.columns(dataset), [project.statistics.column(dataset, name) for name in names])
    project.close()
    again = Project.open(project.folder)
    try:
        monkeypatch.setattr("fmstudio.project.statistics.summaries", None)
        monkeypatch.setattr("fmstudio.project.statistics.statistics_of", None)
        after = (again.statistics.columns(dataset), [again.statistics.column(dataset, name) for name in names])
        assert repr(after) == repr(before)
        monkeypatch.undo()
        again.edits.set_cells(dataset, {0: {"text": None}})
        assert again.statistics.column(dataset, "text").missing == 2
        (again.datasets.version_folder(dataset, 1) / "statistics.json").write_text("{damaged", "utf-8")
        again.undo(dataset)
    finally:
        again.close()
    last = Project.open(project.folder)
    try:
        assert last.statistics.column(dataset, "text").missing == 1
    finally:
        last.close()


def test_heads_of_many_columns_are_counted_some_at_a_time(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {f"c{i}": [i, None, i * 2] if i % 2 else ["a", "b" * i, None] for i in range(60)}
    dataset = publish(project, columns)
    widest: list[int] = []
    counted = counting._some

    def noted(rows: counting.CountedRows, names: list[str]) -> Iterator[counting.ColumnSummary]:
        widest.append(len(names))
        return counted(rows, names)

    monkeypatch.setattr(counting, "_some", noted)
    found = project.statistics.columns(dataset)
    assert max(widest) <= 24 and sum(widest) == 60
    assert [(s.name, s.missing) for s in found] == [(f"c{i}", 1) for i in range(60)]
    assert [sum(bin.count for bin in s.histogram) for s in found] == [2] * 60


def _asked(project: Project, dataset: str, name: str, condition: ColumnFilter | None) -> int | None:
    """How many rows a bar or a line leads to; None when it leads nowhere."""
    types = {c.name: c.type for c in project.datasets.get(dataset).columns}
    column = FilterColumn(name, types[name])
    return None if condition is None else project.count(dataset, where=filter_where(condition, column))


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 0.25, 0.5, 0.5, 0.75, 1.0, 0.9],
        [1.0, 2.5, 4.0, None],
        [i / 16 for i in range(17)],
        [2**63 - 1, 2**63 - 900, 2**63 - 2],
        [Decimal("0.10"), Decimal("0.55"), Decimal("2.00"), None],
        [1, 5, 9, 200],
        [datetime.date(1, 1, 1), datetime.date(2024, 2, 29), datetime.date(2024, 3, 1)],
        [datetime.datetime(2024, 1, 1, hour, 0, 0, 5) for hour in range(17)],
        [datetime.datetime(2024, 1, 1, hour, tzinfo=datetime.UTC) for hour in range(17)],
        [datetime.time(hour, 30) for hour in range(5, 20)],
    ],
    ids=["shares", "halves", "edges", "huge", "decimals", "whole", "days", "moments", "zoned", "clock"],
)  # fmt: skip
def test_a_bar_and_a_value_lead_to_as_many_rows_as_they_say(project: Project, values: list[Any]) -> None:
    dataset = publish(project, {"x": pa.array(values)})
    found = project.statistics.column(dataset, "x")
    bars = bars_of(found)
    assert sum(bar.count for bar in bars) == sum(value is not None for value in values)
    assert [_asked(project, dataset, "x", bar.value) for bar in bars] == [bar.count for bar in bars]
    for value, count in found.top:
        assert _asked(project, dataset, "x", ColumnFilter("x", "equals", (value,))) == count
    assert found.values is not None
    there = [value for value in values if value is not None]
    if isinstance(there[0], int | Decimal):
        assert (found.values.lowest, found.values.highest) == (min(there), max(there))


def test_shares_have_a_distribution_though_they_begin_and_end_with_whole_numbers(project: Project) -> None:
    dataset = publish(project, {"score": [i / 100 for i in range(101)]})
    bins = project.statistics.column(dataset, "score").histogram
    assert len(bins) == 16 and max(part.count for part in bins) <= 8
    widest = publish(project, {"x": [-1.7e308, 0.0, 1.7e308]}, "widest")
    assert project.statistics.column(widest, "x").values is not None, "counted, though no bin can be so wide"


def test_missing_and_empty_lead_to_the_rows_they_count(project: Project) -> None:
    columns = {"text": ["a", None, "", "  ", ""], "tags": [["a"], None, [], [], None]}
    dataset = publish(project, columns)
    for name, wanted in (("text", {"missing": 1, "empty": 2}), ("tags", {"missing": 2})):
        facts = {fact.name: fact for fact in facts_of(project.statistics.column(dataset, name))}
        for title, count in wanted.items():
            assert _asked(project, dataset, name, facts[title].condition) == count, (name, title)


def test_moments_are_said_as_moments(project: Project) -> None:
    days = [datetime.date(2024, 1, day) for day in range(1, 29)] + [datetime.date(1, 1, 1)]
    hours = [datetime.datetime(2024, 1, 1, i % 24, 30) for i in range(29)]
    clock = [datetime.time(i % 24, 5) for i in range(29)]
    dataset = publish(project, {"day": days, "at": hours, "clock": clock})
    day, at, clocks = (project.statistics.column(dataset, name) for name in ("day", "at", "clock"))
    assert outlier_words(day, day.outliers[0][1]) == "0001-01-01"
    facts = {fact.name: fact.text for fact in facts_of(day)}
    assert (facts["smallest"], facts["largest"]) == ("0001-01-01", "2024-01-28")
    assert bars_of(at)[0].label == "2024-01-01 00:30 – 2024-01-01 01:56"
    assert {fact.name: fact.text for fact in facts_of(clocks)}["largest"] == "23:05"
    assert bars_of(clocks)[0].label == "00:05 – 01:31"
