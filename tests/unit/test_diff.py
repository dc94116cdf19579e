"""Differences between versions against plain Python; what did it, on any branch; the HTML is safe and whole."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fmstudio.api.errors import UserError
from fmstudio.jobs.spec import JobSpec, StepSpec
from fmstudio.project import Project
from fmstudio.project.diff_html import as_text
from tests.unit.edit_kit import commit, finish, make_dataset, recipe_job, shown, simple_table

SCRIPT = "<script>alert('x')</script> & \"quotes\" '"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project.create(tmp_path / "project")
    yield made
    made.close()


def version_rows(project: Project, dataset: str, number: int) -> dict[int, dict[str, Any]]:
    return {r["row_id"]: r for r in project.page(dataset, limit=100_000, version=number).records()}


def recipe(project: Project, dataset: str, rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> None:
    project.publish(recipe_job(project, dataset, pa.Table.from_pylist(rows, schema)))


def test_edits_are_seen_before_and_after_their_commit(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(20), simple_table(10, 20))
    project.edits.set_cells(dataset, {3: {"text": "other"}, 4: {"n": 99, "text": "more"}})
    project.edits.delete_rows(dataset, [5, 25])
    project.edits.add_rows(dataset, [{"text": "new"}])
    project.edits.tag(dataset, [7], ["good"])
    for after in (None, 2):
        found = project.diffs.summary(dataset, 1, after)
        assert (found.added, found.removed, found.changed, found.unchanged) == (1, 2, 3, 25)
        assert (found.rows_before, found.rows_after, found.columns_added) == (30, 29, ("tags",))
        assert dict(found.columns_changed) == {"text": 2, "n": 1, "tags": 1}
        assert [(s.added, s.removed, s.changed) for s in found.by_operation] == [(1, 2, 3)]
        gone = project.diffs.page(dataset, 1, after, kind="removed").rows
        assert [(row.row_id, row.reason, row.after) for row in gone] == [
            (5, "deleted by hand", None),
            (25, "deleted by hand", None),
        ]
        changed = project.diffs.page(dataset, 1, after, kind="changed").rows
        assert [(row.row_id, row.columns) for row in changed] == [(3, ("text",)), (4, ("text", "n")), (7, ("tags",))]
        if after is None:
            commit(project, dataset)


def test_each_operation_has_its_share(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(30))
    rows = shown(project, dataset)
    recipe(
        project, dataset, [{**r, "text": r["text"].upper()} if r["row_id"] < 4 else r for r in rows if r["row_id"] != 9]
    )
    project.edits.delete_rows(dataset, [1, 20])
    project.edits.add_rows(dataset, [{"text": "new"}])
    commit(project, dataset)
    project.edits.set_cells(dataset, {2: {"text": "by hand"}})
    found = project.diffs.summary(dataset, 1, None)
    shares = [(s.operation, s.version, s.added, s.removed, s.changed, s.is_known) for s in found.by_operation]
    # Row 1 was changed, then deleted: what counts is that it is gone.
    assert shares == [("recipe", 2, 0, 1, 3, True), ("commit", 3, 1, 2, 0, True), ("edit", 0, 0, 0, 1, True)]
    assert (found.added, found.removed, found.changed) == (1, 3, 3)
    page = project.diffs.page(dataset, 1, None, operation=1)
    assert [row.row_id for row in page.rows] == [1, 20, 30]
    row = next(row for row in project.diffs.page(dataset, 1, None).rows if row.row_id == 2)
    assert row.operations == ("Recipe “r”", "Edits that wait for a commit")
    assert found.by_operation[1].steps[0].reasons == {"deleted by hand": 2}


def test_the_way_back_and_other_branches_are_said(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(10))
    rows = shown(project, dataset)
    recipe(project, dataset, rows[:8])
    project.undo(dataset)
    recipe(project, dataset, rows[2:])
    across = project.diffs.summary(dataset, 2, 3)
    assert (across.added, across.removed) == (2, 2)
    assert "different branches" in across.notes[0]
    assert [(s.added, s.removed, s.is_taken_back) for s in across.by_operation] == [(2, 0, True), (0, 2, False)]
    back = project.diffs.summary(dataset, 3, 1)
    assert (back.added, back.removed) == (2, 0)
    assert "way back" in back.notes[0]
    assert [(s.added, s.removed, s.is_taken_back) for s in back.by_operation] == [(2, 0, True)]


def test_a_branch_is_compared_with_where_it_came_from(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(10))
    _, branch = project.datasets.branch(dataset, 1, "branch")
    project.edits.set_cells(branch, {0: {"text": "changed"}})
    commit(project, branch)
    project.edits.delete_rows(dataset, [9])
    commit(project, dataset)
    found = project.diffs.summary(branch, 2, 2, origin=dataset)
    assert (found.added, found.removed, found.changed, found.unchanged) == (1, 0, 1, 8)
    assert found.before.startswith("data") and found.after.startswith("branch")
    assert "different branches" in found.notes[0]
    alone = make_dataset(project, "alone", simple_table(3))
    assert "do not come from one another" in project.diffs.summary(alone, 1, 1, origin=dataset).notes[0]


def test_columns_that_come_and_go_do_not_change_every_row(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(10))
    rows = [{k: v for k, v in r.items() if k != "messages"} for r in shown(project, dataset)]
    recipe(project, dataset, [{**r, "language": "en" if r["row_id"] < 5 else "de"} for r in rows])
    found = project.diffs.summary(dataset, 1, 2)
    assert (found.columns_added, found.columns_removed, found.changed) == (("language",), ("messages",), 0)


def test_a_column_of_another_type_is_compared_by_its_value(project: Project) -> None:
    dataset = make_dataset(
        project, "data", pa.table({"row_id": pa.array([0, 1, 2], pa.int64()), "n": [1, 2, None], "m": [1, 2, 3]})
    )
    table = pa.table({"row_id": pa.array([0, 1, 2], pa.int64()), "n": ["1", "two", None], "m": [1.0, 2.5, 3.0]})
    project.publish(recipe_job(project, dataset, table))
    found = project.diffs.summary(dataset, 1, 2)
    assert found.columns_retyped == (("n", "BIGINT", "VARCHAR"), ("m", "BIGINT", "DOUBLE"))
    rows = project.diffs.page(dataset, 1, 2).rows
    assert [(row.row_id, dict(found.columns_changed)) for row in rows] == [(1, {"n": 1, "m": 1})]


def test_how_the_whole_moved(project: Project) -> None:
    columns = {"text": ["aa", "aa", "aaaa", "b"], "language": ["en", "en", "de", "de"]}
    dataset = make_dataset(project, "data", pa.table({"row_id": pa.array(range(4), pa.int64()), **columns}))
    recipe(project, dataset, [shown(project, dataset)[0]])
    found = {s.measure: (s.before, s.after, s.unit) for s in project.diffs.summary(dataset, 1, 2).shifts}
    assert found["rows"] == (4, 1, "rows")
    assert found["exact duplicates"] == (1, 0, "rows")
    assert found["mean length of text"] == (2.25, 2, "characters")
    assert found["language: de"] == (0.5, 0, "share")
    assert not [measure for measure in found if measure.startswith("script")]


def test_near_duplicates_are_counted_on_both_sides(project: Project) -> None:
    long = "the quick brown fox jumps over the lazy dog while seven wise owls look on"
    texts = [long, f"{long.upper()}!!", f"{long} tonight", "something else altogether", "Yes.", "yes", "?!", "?!", None]
    dataset = make_dataset(project, "data", pa.table({"row_id": pa.array(range(9), pa.int64()), "text": texts}))
    recipe(project, dataset, [row for row in shown(project, dataset) if row["row_id"] not in (1, 5)])
    found = {s.measure: (s.before, s.after) for s in project.diffs.summary(dataset, 1, 2).shifts}
    assert found["near duplicates"] == (3, 1), "shouted, one word longer, another case; texts without words are none"
    assert found["exact duplicates"] == (1, 1)


def test_scripts_stand_in_for_languages_that_no_column_tells(project: Project) -> None:
    texts = ["a cat", "кот и cat", "東京の猫 猫猫猫", "42 …", None]
    dataset = make_dataset(project, "data", pa.table({"row_id": pa.array(range(5), pa.int64()), "text": texts}))
    rows = shown(project, dataset)
    recipe(project, dataset, [{**row, "language": "en"} for row in rows[:2]])
    found = {s.measure: (s.before, s.after) for s in project.diffs.summary(dataset, 1, 2).shifts}
    assert found["language: en"] == (None, 1.0), "a column that one side lacks is told, and only for the other"
    recipe(project, dataset, [{**row, "kind": "x"} for row in rows[:2]])
    found = {s.measure: (s.before, s.after) for s in project.diffs.summary(dataset, 1, 3).shifts}
    named = {name.removeprefix("script (of a sample): "): both for name, both in found.items() if "script" in name}
    assert named == {"Latin": (0.25, 0.5), "Han": (0.25, 0), "Cyrillic": (0.25, 0.5), "no letters": (0.25, 0)}


def test_any_two_versions_against_plain_python(project: Project) -> None:
    chance = random.Random(3)
    dataset = make_dataset(project, "data", simple_table(40), simple_table(40, 40), simple_table(40, 80))
    for _ in range(5):
        ids = [r["row_id"] for r in shown(project, dataset)]
        values = ["same", None, "a", "b"]
        project.edits.set_cells(
            dataset, {i: {"text": chance.choice(values), "n": chance.randrange(3)} for i in chance.sample(ids, 5)}
        )
        project.edits.delete_rows(dataset, chance.sample(ids, 3))
        project.edits.add_rows(
            dataset, [{"text": str(chance.random())} for _ in range(chance.randrange(3))] or [{"n": 1}]
        )
        if chance.random() < 0.4:
            rows = shown(project, dataset)
            project.edits.discard(dataset)
            recipe(project, dataset, [r for r in rows if chance.random() < 0.9], simple_table(1).schema)
        else:
            commit(project, dataset)
    last = project.datasets.get(dataset).version
    for before, after in [(a, b) for a in range(1, last + 1) for b in range(1, last + 1)]:
        old, new = version_rows(project, dataset, before), version_rows(project, dataset, after)
        expected = {
            **dict.fromkeys(new.keys() - old.keys(), "added"),
            **dict.fromkeys(old.keys() - new.keys(), "removed"),
            **{i: "changed" for i in old.keys() & new.keys() if old[i] != new[i]},
        }
        rows = list(project.diffs.rows(dataset, before, after))
        assert [(row.row_id, row.kind) for row in rows] == sorted(expected.items())
        for row in rows:
            assert (row.before, row.after) == (old.get(row.row_id), new.get(row.row_id))
            if row.before and row.after:
                assert set(row.columns) == {c for c in row.after if row.before[c] != row.after[c]}
        summary = project.diffs.summary(dataset, before, after)
        kinds = list(expected.values())
        counts = [kinds.count(kind) for kind in ("added", "removed", "changed")]
        assert [summary.added, summary.removed, summary.changed, summary.unchanged] == [
            *counts,
            len(new) - counts[0] - counts[2],
        ]


def test_pages_follow_one_another(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(500))
    recipe(project, dataset, [{**r, "n": -1} for r in shown(project, dataset)])
    pages = [project.diffs.page(dataset, 1, 2, offset=offset, limit=70) for offset in range(0, 500, 70)]
    assert [row.row_id for page in pages for row in page.rows] == list(range(500))
    assert {page.total for page in pages} == {500}
    assert project.diffs.page(dataset, 1, 2, column="text").total == 0
    assert project.diffs.page(dataset, 1, 2, column="n").total == 500


def test_mistakes_are_explained(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(3))
    with pytest.raises(UserError, match="no version 7"):
        project.diffs.summary(dataset, 7, 1)
    with pytest.raises(UserError, match="no column"):
        project.diffs.page(dataset, 1, 1, column="nothing")
    with pytest.raises(UserError, match="no operation"):
        project.diffs.page(dataset, 1, 1, operation=3)
    assert project.diffs.page(dataset, 1, None).total == 0


def test_reasons_come_from_the_rows_that_were_dropped(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(6))
    meta = {"dataset_id": dataset, "version": 1, "recipe": {"name": "r", "steps": []}}
    spec = JobSpec.new("Run r", "recipe", [StepSpec("recipe", "run_recipe")], meta=meta)
    job = finish(project, spec, [simple_table(4)], dropped=2)
    out = job.out_folder("recipe") / "dropped"
    story = {"step": pa.array([2, 3], pa.int32()), "operator": ["f", "d"], "reason": ["too short", "near duplicate"]}
    out.mkdir()
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"row_id": pa.array([4, 5], pa.int64()), **story}), out / "rows-00000.parquet")
    project.publish(job)
    rows = project.diffs.page(dataset, 1, 2).rows
    assert [(row.row_id, row.reason) for row in rows] == [(4, "too short (step 2)"), (5, "near duplicate (step 3)")]


def test_dropped_rows_come_in_pages_however_the_steps_wrote_them(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(9))
    meta = {"dataset_id": dataset, "version": 1, "recipe": {"name": "r", "steps": []}}
    spec = JobSpec.new("Run r", "recipe", [StepSpec("recipe", "run_recipe")], meta=meta)
    job = finish(project, spec, [simple_table(1)], dropped=8)
    out = job.out_folder("recipe") / "dropped"
    out.mkdir()
    import pyarrow.parquet as pq

    ids = [3, 5, 8, 2, 4, 1, 6, 7]  # three steps, one after the other, in groups of two rows and two files
    for number, part in enumerate((ids[:4], ids[4:])):
        story = {"step": pa.array([1] * 4, pa.int32()), "reason": [f"why {i}" for i in part]}
        path = out / f"rows-{number:05}.parquet"
        pq.write_table(pa.table({"row_id": pa.array(part, pa.int64()), **story}), path, row_group_size=2)
    project.publish(job)
    found = [project.dropped(dataset, offset=offset, limit=3) for offset in (0, 3, 6)]
    assert [row["row_id"] for page in found for row in page.records()] == list(range(1, 9))
    assert {page.total for page in found} == {8}
    assert found[1].records()[0]["reason"] == "why 4"


# ---- HTML ------------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Collects tags and text, and sees that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(
            name in ("src", "onclick", "onload") or (value or "").startswith("http") for name, value in attrs
        )
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_whole_and_escapes_what_comes_from_the_data(project: Project, tmp_path: Path) -> None:
    dataset = make_dataset(project, SCRIPT[:8].replace("<", "x"), simple_table(5))
    project.edits.set_cells(dataset, {0: {"text": SCRIPT}, 1: {"text": "text 1 😀 ünïcode"}})
    project.edits.add_rows(dataset, [{SCRIPT: "a column", "text": SCRIPT}])
    project.edits.delete_rows(dataset, [3])
    target = project.diffs.html(dataset, 1, None, tmp_path / "diff.html")
    text = target.read_text("utf-8")
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert "script" not in reader.tags
    assert "<script" not in text
    assert SCRIPT in reader.text
    assert {"del", "ins", "article", "table", "h1"} <= set(reader.tags)
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"https?://|@import|url\(", text)
    assert list(tmp_path.glob("*.part")) == []


def test_html_says_what_it_left_out(project: Project, tmp_path: Path) -> None:
    dataset = make_dataset(project, "data", simple_table(50))
    recipe(project, dataset, [{**r, "n": -1} for r in shown(project, dataset)])
    text = project.diffs.html(dataset, 1, 2, tmp_path / "d.html", limit=10).read_text("utf-8")
    assert text.count("<article") == 10
    assert "The first 10 of 50 rows" in text
    same = project.diffs.html(dataset, 1, 1, tmp_path / "same.html").read_text("utf-8")
    assert "No row differs." in same
    with pytest.raises(UserError, match="cannot be written"):
        project.diffs.html(dataset, 1, 2, tmp_path / "nowhere" / "d.html")


def test_values_are_shown_as_text() -> None:
    assert as_text([{"role": "user", "content": "hi"}]) == "user: hi"
    assert as_text({"a": [1, None]}) == '{\n "a": [\n  1,\n  null\n ]\n}'
    assert as_text(None) == ""
    assert as_text(b"\x00\x01").startswith("2 bytes")
