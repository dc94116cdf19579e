"""Any sequence of edits, undo, redo and commits shows exactly what a plain Python model of it holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmstudio.project import Project
from fmstudio.project.cell_values import decode, encode, is_same
from fmstudio.project.overlay import Overlays
from tests.unit.edit_kit import commit, make_dataset, shown

Row = dict[str, Any]
COUNTER = itertools.count()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FLOATS = st.floats() | st.sampled_from([float("nan"), -0.0, 5e-324])
WHOLE = st.integers(-(2**63), 2**63 - 1)
NESTED = st.lists(
    st.none() | st.fixed_dictionaries({"a": st.none() | WHOLE, "b": st.none() | st.lists(TEXT)}), max_size=3
)
CELLS = {"text": st.none() | TEXT, "n": st.none() | WHOLE, "x": st.none() | FLOATS, "deep": st.none() | NESTED}
RECORDS = st.fixed_dictionaries(
    {}, optional={**CELLS, "note": st.none() | TEXT, "rating": st.sampled_from([None, -1, 1])}
)
FIELDS = [("row_id", pa.int64()), ("text", pa.string()), ("n", pa.int64()), ("x", pa.float64())]
DEEP = pa.list_(pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]))
SCHEMA = pa.schema([*FIELDS, ("deep", DEEP)])
SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One project for all examples; each makes its own dataset."""
    project = Project.create(tmp_path_factory.mktemp("properties") / "project", "Test")
    yield project
    project.close()


class Model:
    """What a dataset should hold: snapshots of its rows, and where in them we are."""

    def __init__(self, rows: list[Row]) -> None:
        self.states = [rows]
        self.at = 0

    @property
    def rows(self) -> list[Row]:
        return self.states[self.at]

    def do(self, rows: list[Row]) -> None:
        """A new operation, if it changes anything."""
        if not is_same([present(row) for row in rows], [present(row) for row in self.rows]):
            self.mark(rows)

    def mark(self, rows: list[Row]) -> None:
        """A new operation, whatever it changes."""
        self.states = [*self.states[: self.at + 1], rows]
        self.at += 1

    def step(self, by: int) -> None:
        self.at = min(max(self.at + by, 0), len(self.states) - 1)


def present(row: Row) -> Row:
    """A column that holds nothing anywhere need not be there."""
    return {name: value for name, value in row.items() if value is not None}


def filled(row: Row, columns: list[str]) -> Row:
    return {name: row.get(name) for name in columns}


def check(project: Project, dataset: str, model: Model) -> None:
    """Pages, counts, filters and sorts against the model."""
    page = project.page(dataset, offset=0, limit=1_000)
    columns = list(page.columns)
    wanted = [filled(row, columns) for row in model.rows]
    assert all(name in columns for row in model.rows for name, value in row.items() if value is not None)
    assert is_same(page.records(), wanted)
    assert page.total == project.count(dataset) == project.datasets.get(dataset).rows == len(wanted)
    for offset in range(0, len(wanted), 2):
        assert is_same(project.page(dataset, offset=offset, limit=3).records(), wanted[offset : offset + 3])
    big = [row for row in wanted if row["n"] is not None and row["n"] > 3]
    assert project.count(dataset, "n > 3") == len(big)
    found = project.page(dataset, offset=0, limit=1_000, where="n > 3", order_by="n DESC")
    assert is_same(found.records(), sorted(big, key=lambda row: (-row["n"], row["row_id"])))
    short = project.page(dataset, offset=0, limit=1_000, where="text IS NULL OR length(text) < 3").records()
    assert [row["row_id"] for row in short] == [r["row_id"] for r in wanted if r["text"] is None or len(strip(r)) < 3]


def strip(row: Row) -> str:
    """DuckDB's ``length`` counts code points, as Python does."""
    return str(row["text"])


def rows_of(model: Model, picks: list[int]) -> list[int]:
    ids = [row["row_id"] for row in model.rows]
    return list(dict.fromkeys(ids[pick % len(ids)] for pick in picks)) if ids else []


def apply(project: Project, dataset: str, model: Model, kind: str, picks: list[int], record: Row) -> None:
    """The same to the dataset and to the model."""
    chosen = rows_of(model, picks)
    if kind == "add":
        _, (made,) = project.edits.add_rows(dataset, [record])
        model.mark([*model.rows, {"row_id": made, **record}])
    elif kind in ("undo", "redo"):
        by = -1 if kind == "undo" else 1
        if 0 <= model.at + by < len(model.states):
            assert getattr(project, kind)(dataset) is not None
        model.step(by)
    elif kind == "commit":
        if project.edits.pending(dataset):
            commit(project, dataset)
            model.mark(model.rows)
    elif chosen and kind == "set":
        project.edits.set_cells(dataset, dict.fromkeys(chosen, record))
        model.do([{**row, **record} if row["row_id"] in chosen else row for row in model.rows])
    elif chosen and kind == "delete":
        project.edits.delete_rows(dataset, chosen)
        model.mark([row for row in model.rows if row["row_id"] not in chosen])
    elif chosen and kind == "copy":
        _, made_ids = project.edits.duplicate_rows(dataset, chosen)
        by_id = {row["row_id"]: row for row in model.rows}
        model.mark([*model.rows, *({**by_id[c], "row_id": m} for c, m in zip(chosen, made_ids, strict=True))])
    elif chosen and kind == "tag":
        tag = str(picks[0] % 2)
        project.edits.tag(dataset, chosen, add=[tag])
        have = {row["row_id"]: row.get("tags") or [] for row in model.rows}
        fresh = {i: tags if tag in tags else [*tags, tag] for i, tags in have.items() if i in chosen}
        model.do([{**row, "tags": fresh[row["row_id"]]} if row["row_id"] in chosen else row for row in model.rows])


ACTIONS = st.sampled_from(["set", "set", "add", "delete", "copy", "tag", "undo", "undo", "redo", "commit"])
STEPS = st.lists(st.tuples(ACTIONS, st.lists(st.integers(0, 50), min_size=1, max_size=4), RECORDS), max_size=12)


def begin(project: Project, rows: list[Row], split: int = 0) -> tuple[str, Model]:
    whole = [{"row_id": number, **filled(row, list(CELLS))} for number, row in enumerate(rows)]
    parts = [part for part in (whole[:split], whole[split:]) if part] or [[]]
    tables = [pa.Table.from_pylist(part, schema=SCHEMA) for part in parts]
    return make_dataset(project, f"p{next(COUNTER)}", *tables), Model(whole)


@settings(max_examples=20, **SETTINGS)
@given(rows=st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=8), split=st.integers(0, 8), steps=STEPS)
def test_edits_equal_a_plain_model(
    project: Project, rows: list[Row], split: int, steps: list[tuple[str, list[int], Row]]
) -> None:
    dataset, model = begin(project, rows, split)
    for kind, picks, record in steps:
        apply(project, dataset, model, kind, picks, record)
        assert is_same(
            shown(project, dataset),
            [filled(row, list(project.page(dataset, offset=0, limit=0).columns)) for row in model.rows],
        )
    check(project, dataset, model)
    while project.datasets.get(dataset).version > 1 or project.edits.pending(dataset):
        project.undo(dataset)
    assert is_same(shown(project, dataset), model.states[0])


@settings(max_examples=20, **SETTINGS)
@given(record=st.fixed_dictionaries(CELLS), more=RECORDS)
def test_any_value_survives_edit_commit_undo_and_redo(project: Project, record: Row, more: Row) -> None:
    dataset, model = begin(project, [{}, {"text": "other"}])
    project.edits.set_cells(dataset, {0: record})
    _, (made,) = project.edits.add_rows(dataset, [more])
    wanted = [{"row_id": 0, **record}, model.rows[1], {"row_id": made, **more}]

    def is_right() -> bool:
        page = project.page(dataset, offset=0, limit=10)
        return is_same(page.records(), [filled(row, list(page.columns)) for row in wanted])

    assert is_right()
    commit(project, dataset)
    assert is_right()
    project.undo(dataset)
    assert is_right()
    project.redo(dataset)
    assert is_right()


def published(project: Project, dataset: str) -> dict[int, Row]:
    """The rows of the current version, without the edits."""
    files = project.datasets.files(dataset)
    return {row["row_id"]: row for file in files for row in pq.read_table(file).to_pylist()}


def check_pending(project: Project, dataset: str) -> None:
    """What waits for a commit is exactly what differs from the version."""
    before = published(project, dataset)
    now = {row["row_id"]: row for row in shown(project, dataset)}
    pending = project.edits.pending(dataset)
    cells = [
        (row_id, name)
        for row_id in before.keys() & now.keys()
        for name, value in now[row_id].items()
        if not is_same(value, before[row_id].get(name))
    ]
    assert pending.cells == len(cells)
    assert (pending.added, pending.deleted) == (len(now.keys() - before.keys()), len(before.keys() - now.keys()))
    assert bool(pending) == (pending.cells + pending.added + pending.deleted > 0)
    columns = set(pq.read_schema(project.datasets.files(dataset)[0]).names)  # a version without rows has some, too
    new = set(project.page(dataset, offset=0, limit=0).columns) - columns
    assert new == {n for row in now.values() for n, value in row.items() if value is not None} - columns


@settings(max_examples=20, **SETTINGS)
@given(rows=st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=4), steps=STEPS)
def test_what_waits_is_what_differs(project: Project, rows: list[Row], steps: list[tuple[str, list[int], Row]]) -> None:
    dataset, model = begin(project, rows)
    for kind, picks, record in steps:
        apply(project, dataset, model, kind, picks, record)
        check_pending(project, dataset)
    before = published(project, dataset)
    now = {row["row_id"]: row for row in shown(project, dataset)}
    if made := sorted(now.keys() - before.keys()):
        project.edits.delete_rows(dataset, made)
    names = [name for name in project.page(dataset, offset=0, limit=0).columns if name != "row_id"]
    kept = before.keys() & now.keys()
    if kept:
        project.edits.set_cells(dataset, {i: {name: before[i].get(name) for name in names} for i in kept})
    check_pending(project, dataset)
    pending = project.edits.pending(dataset)
    assert (pending.cells, pending.added) == (0, 0)
    cold = Overlays(project._catalog).current(dataset)
    assert is_same(dict(cold.cells), {}) and not cold.new_columns


JSONABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXT | st.binary(max_size=4) | st.datetimes() | st.dates()
    | st.times() | st.timedeltas() | st.uuids() | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.just("$date"), inner, max_size=3)
    | st.dictionaries(st.integers(), inner, min_size=1, max_size=2),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=200, **SETTINGS)
@given(JSONABLE)
def test_a_value_kept_as_json_comes_back_the_same(value: Any) -> None:
    assert encode(value).isascii()
    assert is_same(decode(encode(value)), value)


@settings(max_examples=12, **SETTINGS)
@given(values=st.lists(st.none() | st.integers() | FLOATS | TEXT | NESTED | st.booleans(), min_size=1, max_size=4))
def test_a_new_column_takes_any_values(project: Project, values: list[Any]) -> None:
    dataset, _ = begin(project, [{} for _ in values])
    project.edits.set_cells(dataset, {i: {"fresh": value} for i, value in enumerate(values)})
    before = shown(project, dataset)
    kept = [row.get("fresh") for row in before]
    assert [value is None for value in kept] == [value is None for value in values]
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) == 1 and not kinds & {int, list}:
        assert is_same(kept, values)
    if project.edits.pending(dataset):
        commit(project, dataset)
        assert is_same(shown(project, dataset), before)
