"""Edits by hand: they show at once, count, filter and sort; a commit keeps them; nothing slips in or gets lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from fmstudio.api import UserError
from fmstudio.project import Project
from fmstudio.project import edit_batch as batch_module
from fmstudio.project.edits import Pending
from tests.unit.edit_kit import commit, leave_out_packaged_models, make_dataset, ran, recipe_job, shown, simple_table


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with a dataset ``data`` of 20 rows in two files."""
    leave_out_packaged_models(monkeypatch)
    project = Project.create(tmp_path / "project", "Test")
    make_dataset(project, "data", simple_table(10), simple_table(10, 10))
    yield project
    project.close()


D = "d-data"


def ids(project: Project, where: str = "", order_by: str = "") -> list[int]:
    return [row["row_id"] for row in project.page(D, offset=0, limit=100, where=where, order_by=order_by).records()]


def test_a_cell_shows_at_once_and_is_found_and_sorted(project: Project) -> None:
    changes = project.edits.set_cells(D, {3: {"text": "new", "n": 99}})
    assert changes.datasets == {D}
    row = project.rows_by_id(D, [3]).records()[0]
    assert (row["text"], row["n"]) == ("new", 99)
    assert project.page(D, offset=3, limit=1).records()[0]["text"] == "new"
    assert ids(project, "n = 99") == [3]
    assert project.count(D, "text = 'text 3'") == 0
    assert ids(project, order_by="n DESC")[0] == 3
    assert project.datasets.operations(D)[-1].title == "Edit 2 cells in 2 columns"
    assert project.page(D, offset=0, limit=1, version=1, where="row_id = 3").rows[0][1] == "new"
    assert project.edits.pending(D) == Pending(2, 0, 0, 1)


def test_an_older_version_shows_without_edits(project: Project) -> None:
    project.edits.set_cells(D, {3: {"text": "new"}})
    commit(project, D)
    project.edits.set_cells(D, {3: {"text": "newer"}})
    assert project.page(D, offset=3, limit=1, version=1).records()[0]["text"] == "text 3"
    assert project.page(D, offset=3, limit=1).records()[0]["text"] == "newer"


def test_added_rows_are_at_the_end_with_ids_never_used_before(project: Project) -> None:
    _, first = project.edits.add_rows(D, [{"text": "a"}, {"TEXT": "b", "n": 1}])
    assert first == [20, 21]
    project.undo(D)
    _, second = project.edits.add_rows(D, [{"text": "c", "row_id": 5}])
    assert second == [22]
    assert ids(project)[-1] == 22
    assert project.datasets.get(D).rows == project.count(D) == 21
    assert project.page(D, offset=20, limit=5).records()[0]["messages"] is None
    commit(project, D)
    _, third = project.edits.add_rows(D, [{}])
    assert third == [23]


def test_deleted_rows_leave_no_gap(project: Project) -> None:
    project.edits.delete_rows(D, [0, 5, 5, 9, 10])
    wanted = [i for i in range(20) if i not in (0, 5, 9, 10)]
    assert ids(project) == wanted
    for offset in range(17):
        page = project.page(D, offset=offset, limit=3)
        assert [row[0] for row in page.rows] == wanted[offset : offset + 3]
        assert page.total == 16
    assert project.rows_by_id(D, [5, 6]).total == 1
    assert project.datasets.operations(D)[-1].title == "Delete 4 rows"
    with pytest.raises(UserError, match="no row 5"):
        project.edits.delete_rows(D, [5])


def test_chosen_columns_hold_through_edits(project: Project) -> None:
    project.edits.set_cells(D, {1: {"text": "x"}})
    project.edits.tag(D, [1], add=["good"])
    project.edits.delete_rows(D, [0])
    page = project.page(D, offset=0, limit=1, columns=["tags", "text"])
    assert page.columns == ("tags", "text")
    assert page.rows == [(["good"], "x")]


def test_setting_the_same_again_is_no_operation(project: Project) -> None:
    before = len(project.datasets.operations())
    assert not project.edits.set_cells(D, {3: {"text": "text 3", "n": "3", "nowhere": None}})
    assert not project.edits.tag(D, [3], remove=["x"])
    assert not project.edits.rate(D, [3], None)
    assert not project.edits.discard(D)
    assert len(project.datasets.operations()) == before
    assert [c.name for c in project.datasets.get(D).columns] == ["row_id", "text", "n", "messages"]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"n": "many"}, "whole numbers"),
        ({"n": 1.5}, "whole numbers"),
        ({"n": 2**63}, "whole numbers"),
        ({"n": True}, "whole numbers"),
        ({"messages": "hello"}, "lists"),
        ({"messages": [{"role": "user", "colour": "red"}]}, "fields role, content, not colour"),
        ({"text": "\ud800"}, "surrogate"),
        ({"row_id": 7}, "for life"),
        ({" ": "x"}, "name of a column"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(project: Project, cells: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        project.edits.set_cells(D, {3: cells})
    assert not project.edits.pending(D)


def test_text_typed_by_a_user_is_read_as_the_columns_type(project: Project) -> None:
    project.edits.set_cells(D, {3: {"n": " 12 ", "messages": '[{"role": "user", "content": "typed"}]'}})
    row = project.rows_by_id(D, [3]).records()[0]
    assert row["n"] == 12
    assert row["messages"] == [{"role": "user", "content": "typed"}]


def test_a_row_that_is_not_there_is_named(project: Project) -> None:
    with pytest.raises(UserError, match="no row 77"):
        project.edits.set_cells(D, {77: {"text": "x"}})
    with pytest.raises(UserError, match="no row 77"):
        project.edits.duplicate_rows(D, [1, 77])


@pytest.mark.parametrize("name", ["tags", "Tags"])
def test_a_text_column_is_never_filled_with_a_list_of_tags(project: Project, name: str) -> None:
    texts = make_dataset(project, f"texts-{name}", pa.table({"row_id": [0, 1], name: ["vip|net", None]}))
    for row_id in (0, 1):  # an empty cell of a text column would take the list as its JSON
        with pytest.raises(UserError, match=f"“{name}” .* holds no lists"):
            project.edits.tag(texts, [row_id], add=["good"])
    assert [row[name] for row in project.rows_by_id(texts, [0, 1]).records()] == ["vip|net", None]
    lists = make_dataset(project, f"lists-{name}", pa.table({"row_id": [0], name: [["old"]]}))
    project.edits.tag(lists, [0], add=["good"])
    assert project.rows_by_id(lists, [0]).records()[0][name] == ["old", "good"]


def test_tags_ratings_and_notes_are_columns(project: Project) -> None:
    project.edits.tag(D, [1, 2, 3, 4], add=["good", " good ", "rare"])
    assert project.datasets.operations(D)[-1].title == "Tag 4 rows with good, rare"
    project.edits.tag(D, [1], add=["odd"], remove=["rare"])
    project.edits.tag(D, [2], remove=["good", "rare"])
    project.edits.rate(D, [1, 2], -1)
    project.edits.set_cells(D, {1: {"note": "why?"}})
    rows = project.rows_by_id(D, [1, 2, 3, 5]).records()
    assert [row["tags"] for row in rows] == [["good", "odd"], None, ["good", "rare"], None]
    assert ids(project, "list_contains(tags, 'good') AND rating = -1") == [1]
    types = {c.name: c.type for c in project.datasets.get(D).columns}
    assert (types["tags"], types["rating"], types["note"]) == ("list<item: string>", "int8", "string")
    commit(project, D)
    assert {c.name: c.type for c in project.datasets.get(D).columns} == types
    assert ids(project, "list_contains(tags, 'rare')") == [3, 4]


def test_a_column_that_is_only_spelled_differently_is_the_same(project: Project) -> None:
    project.edits.set_cells(D, {1: {"TEXT": "x", "Topic": "a"}})
    project.edits.set_cells(D, {2: {"topic": "b"}})
    assert [c.name for c in project.datasets.get(D).columns] == ["row_id", "text", "n", "messages", "Topic"]
    assert ids(project, "topic = 'b'") == [2]


def test_a_row_is_split_and_duplicated(project: Project) -> None:
    _, made = project.edits.split_row(D, 4, "text", ["one", "two", "three"])
    rows = project.rows_by_id(D, [4, *made]).records()
    assert [row["text"] for row in rows] == ["one", "two", "three"]
    assert len({row["n"] for row in rows}) == 1
    assert project.datasets.operations(D)[-1].title == "Split row 4 into 3"
    _, copies = project.edits.duplicate_rows(D, [4, made[0]])
    assert [row["text"] for row in project.rows_by_id(D, copies).records()] == ["one", "two"]
    project.undo(D)
    project.undo(D)
    assert project.count(D) == 20
    assert project.rows_by_id(D, [4]).records()[0]["text"] == "text 4"


def test_a_commit_links_untouched_files_and_keeps_what_was_deleted(project: Project) -> None:
    project.edits.set_cells(D, {3: {"text": "new"}})
    project.edits.delete_rows(D, [4])
    before = shown(project, D)
    commit(project, D)
    assert shown(project, D) == before
    old, new = project.datasets.files(D, 1), project.datasets.files(D, 2)
    assert not os.path.samefile(old[0], new[0])
    assert os.path.samefile(old[1], new[1])
    gone = project.dropped(D).records()
    assert [(row["row_id"], row["reason"], row["operator"]) for row in gone] == [(4, "deleted by hand", "commit")]
    version = project.datasets.version(D)
    assert (version.rows, version.dropped, version.parent) == (19, 1, 1)
    assert version.statistics["steps"][0]["reasons"] == {"deleted by hand": 1}
    assert not project.edits.pending(D)


def test_committing_every_row_away_keeps_the_columns(project: Project) -> None:
    project.edits.delete_rows(D, range(20))
    commit(project, D)
    page = project.page(D, offset=0, limit=5)
    assert page.columns == ("row_id", "text", "n", "messages")
    assert page.total == project.count(D, "n > 0") == 0
    project.edits.add_rows(D, [{"text": "again"}])
    commit(project, D)
    assert [row["text"] for row in shown(project, D)] == ["again"]


def test_many_small_commits_do_not_leave_many_files(project: Project) -> None:
    for number in range(4):
        project.edits.add_rows(D, [{"text": f"more {number}"}])
        commit(project, D)
    assert len(project.datasets.files(D)) == 2
    assert [row["text"] for row in shown(project, D)][-4:] == [f"more {i}" for i in range(4)]


def test_edits_made_while_a_commit_runs_come_along(project: Project) -> None:
    project.edits.set_cells(D, {3: {"text": "committed"}})
    spec = project.specs.commit(D)
    project.edits.set_cells(D, {3: {"text": "later"}, 8: {"text": "later"}})
    _, made = project.edits.add_rows(D, [{"text": "added"}])
    before = shown(project, D)
    project.publish(ran(project, spec))
    assert shown(project, D) == before
    assert project.datasets.get(D).version == 2
    assert project.page(D, offset=3, limit=1, version=2).total == 21
    assert project.edits.pending(D) == Pending(2, 1, 0, 2)
    project.undo(D)
    assert project.rows_by_id(D, made).total == 0
    project.undo(D)
    assert [row["text"] for row in project.rows_by_id(D, [3, 8]).records()] == ["committed", "text 8"]
    project.undo(D)
    assert project.datasets.get(D).version == 1
    assert shown(project, D) == before
    for _ in range(3):
        project.redo(D)
    assert shown(project, D) == before
    commit(project, D)
    assert shown(project, D) == before


def test_edits_on_rows_that_a_recipe_dropped_go_with_them(project: Project) -> None:
    project.edits.set_cells(D, {3: {"text": "kept"}, 15: {"text": "gone"}})
    project.edits.delete_rows(D, [4, 16])
    _, made = project.edits.add_rows(D, [{"text": "added"}])
    project.publish(recipe_job(project, D, simple_table(10)))
    assert project.datasets.get(D).rows == project.count(D) == len(shown(project, D)) == 10
    assert [row["row_id"] for row in shown(project, D)] == [0, 1, 2, 3, *range(5, 10), *made]
    assert project.edits.pending(D) == Pending(1, 1, 1, 3)


def test_an_added_row_never_takes_the_id_of_a_row_a_recipe_made(project: Project) -> None:
    _, made = project.edits.add_rows(D, [{"text": "added"}])
    assert made == [20]
    project.publish(recipe_job(project, D, simple_table(25)))
    rows = shown(project, D)
    assert [row["row_id"] for row in rows] == list(range(26))
    assert (rows[20]["text"], rows[25]["text"]) == ("text 20", "added")


def test_a_commit_of_edits_that_were_undone_meanwhile_changes_nothing(project: Project) -> None:
    project.edits.set_cells(D, {3: {"text": "one"}})
    project.edits.set_cells(D, {4: {"text": "two"}})
    job = ran(project, project.specs.commit(D))
    project.undo(D)
    with pytest.raises(UserError, match="taken back while it ran"):
        project.publish(job)
    assert project.datasets.get(D).version == 1
    assert not (project.folder / "datasets" / D / "v0002").exists()
    project.redo(D)
    assert project.publish(job)
    assert project.datasets.get(D).version == 2


def test_a_recipe_begins_with_a_commit_of_what_is_pending(project: Project) -> None:
    assert [s.task for s in project.specs.recipe(D, {"name": "r", "steps": []}).steps] == ["run_recipe"]
    project.edits.set_cells(D, {3: {"text": "one"}})
    spec = project.specs.recipe(D, {"name": "r", "steps": []})
    assert [step.task for step in spec.steps] == ["transform", "run_recipe"]
    assert spec.steps[1].params["files"] == {"from_step": "commit", "key": "paths"}
    assert spec.meta["folded"] == [project.datasets.operations(D)[-1].id]


def test_nothing_to_commit_is_said(project: Project) -> None:
    with pytest.raises(UserError, match="no edits that wait"):
        project.specs.commit(D)


def test_too_many_rows_by_hand_are_refused_with_a_way_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MOST_OVERLAY_ROWS", 5)
    project.edits.delete_rows(D, [0, 1, 2])
    project.edits.set_cells(D, {5: {"n": 0}})
    with pytest.raises(UserError, match=r"5 rows at most; these would touch 7, 4 of them in edits") as caught:
        project.edits.set_cells(D, {5: {"n": 50}, 6: {"n": 1}, 7: {"n": 50}, 8: {"n": 50}})
    assert "Commit the pending edits" in caught.value.remedy and "transform" in caught.value.remedy
    assert project.edits.pending(D).operations == 2


def test_without_pending_edits_none_are_to_be_committed_first(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "MOST_OVERLAY_ROWS", 5)
    with pytest.raises(UserError, match=r"these would touch 7\.") as caught:
        project.edits.delete_rows(D, range(7))
    assert "ommit" not in caught.value.remedy and "transform" in caught.value.remedy


def test_a_row_tells_its_story(project: Project) -> None:
    project.edits.set_cells(D, {3: {"text": "new"}})
    commit(project, D)
    project.edits.rate(D, [3], 1)
    changed = simple_table(20).set_column(1, "text", pa.array(["SHOUTED"] * 20))
    project.publish(recipe_job(project, D, changed))
    project.edits.delete_rows(D, [3])
    told = [(c.kind, c.column, c.before, c.after, c.version) for c in project.edits.row_history(D, 3)]
    assert told == [
        ("import", "", None, None, 1),
        ("set", "text", "text 3", "new", 1),
        ("set", "rating", None, 1, 2),
        ("recipe", "text", "new", "SHOUTED", 3),
        ("recipe", "rating", 1, None, 3),
        ("delete", "", None, None, 3),
    ]


def test_an_overlay_is_exported_as_whole_rows(project: Project, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    project.edits.set_cells(D, {3: {"n": 5}})
    project.edits.add_rows(D, [{"text": "added"}])
    project.edits.delete_rows(D, [4])
    made = project.edits.export_overlay(D, project.folder / "tmp" / "out")
    rows = pq.read_table(made["rows"]).to_pylist()
    assert [(row["row_id"], row["text"], row["n"]) for row in rows] == [(3, "text 3", 5), (20, "added", None)]
    assert pq.read_table(made["deleted"]).to_pydict() == {"row_id": [4]}
    assert (made["version"], made["added"], made["deleted_rows"]) == (1, 1, 1)


def test_a_table_with_dates_decimals_bytes_and_more_is_edited(project: Project) -> None:
    import datetime
    import decimal

    table = pa.table(
        {
            "row_id": pa.array([0, 1], pa.int64()),
            "day": pa.array([datetime.date(2024, 2, 29)] * 2),
            "at": pa.array([datetime.datetime(2024, 1, 1, 12, 0, 0, 123456)] * 2, pa.timestamp("us")),
            "price": pa.array([decimal.Decimal("1.25")] * 2, pa.decimal128(9, 2)),
            "raw": pa.array([b"\x00\xff"] * 2),
            "small": pa.array([1, 2], pa.float32()),
            "clock": pa.array([datetime.time(1, 2, 3)] * 2),
        }
    )
    make_dataset(project, "odd", table)
    cells = {
        "day": "2025-12-31",
        "at": datetime.datetime(1999, 12, 31, 23, 59, 59, 999999),
        "price": "99.50",
        "raw": b"\x01\x02",
        "small": 0.5,
        "clock": "04:05:06",
    }
    project.edits.set_cells("d-odd", {1: cells})
    row = shown(project, "odd")[1]
    assert row["day"] == datetime.date(2025, 12, 31)
    assert row["price"] == decimal.Decimal("99.50")
    assert row["clock"] == datetime.time(4, 5, 6)
    assert project.count("odd", "day > DATE '2025-01-01' AND price > 50 AND octet_length(raw) = 2") == 1
    before = shown(project, "odd")
    commit(project, "odd")
    assert shown(project, "odd") == before
    for wrong in ({"day": "yesterday"}, {"price": "cheap"}, {"clock": "noon"}):
        with pytest.raises(UserError, match="does not fit"):
            project.edits.set_cells("d-odd", {1: wrong})


def test_times_with_a_zone_and_mappings_are_shown_and_edited(project: Project) -> None:
    import datetime

    at = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "row_id": pa.array([0, 1], pa.int64()),
            "at": pa.array([at, at], pa.timestamp("us", "UTC")),
            "facts": pa.array([[("a", 1)], [("b", 2)]], pa.map_(pa.string(), pa.int64())),
        }
    )
    make_dataset(project, "odd", table)
    project.edits.set_cells("d-odd", {1: {"at": "2025-05-05 10:00:00+00", "facts": {"c": 3}}})
    row = shown(project, "odd")[1]
    assert (row["at"], row["facts"]) == (datetime.datetime(2025, 5, 5, 10, tzinfo=datetime.UTC), {"c": 3})
    assert project.count("odd", "facts['c'] = 3 AND \"at\" > TIMESTAMPTZ '2025-01-01 00:00:00+00'") == 1
    before = shown(project, "odd")
    commit(project, "odd")
    assert shown(project, "odd") == before
