"""Transforms do to every row what their preview says; ids stay unique and ascending, and nothing is lost silently."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmstudio.api import Cancelled, UserError
from fmstudio.project import Project
from fmstudio.recipes.transforms import TRANSFORMS
from tests.helpers import wait_until
from tests.unit.edit_kit import leave_out_packaged_models, make_dataset, shown, simple_table
from tests.unit.transform_kit import column, ids_of, texts_table, transform

ALICE = [{"role": "user", "content": "Where is the cat?"}, {"role": "assistant", "content": "The cat is out. Cat!"}]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One project; each test makes its own datasets."""
    with pytest.MonkeyPatch.context() as patch:
        leave_out_packaged_models(patch)
        project = Project.create(tmp_path_factory.mktemp("transforms") / "project")
    yield project
    project.close()


_names = iter(range(1_000_000))


def made(project: Project, *tables: pa.Table) -> str:
    name = f"data {next(_names)}"
    make_dataset(project, name, *tables)
    return name


def operation(project: Project, dataset: str) -> Any:
    return project.datasets.operations(project.datasets.get(dataset).id)[-1]


def test_every_transform_has_a_form_and_words() -> None:
    for kind in TRANSFORMS.values():
        schema = kind.Params.model_json_schema()
        assert schema["properties"], kind.id
        assert all(field.get("title") for field in schema["properties"].values()), kind.id
        assert kind.title
        assert kind.description.endswith(".")


# ---- compute -----------------------------------------------------------------------------------------------------------


def test_compute_adds_a_column_and_the_preview_shows_its_type(project: Project) -> None:
    dataset = made(project, simple_table(10))
    params = {"column": "size", "expression": "length(text) + n"}
    preview = project.transforms.preview(dataset, "compute", params, limit=3)
    assert [(c.name, c.type, c.is_new) for c in preview.columns][-1] == ("size", "BIGINT", True)
    assert (preview.rows_before, preview.rows_after, preview.changed, preview.is_estimate) == (10, 10, 10, False)
    assert [row["row_id"] for row in preview.before] == [row["row_id"] for row in preview.after] == [0, 1, 2]
    transform(project, dataset, "compute", **params)
    assert column(project, dataset, "size") == [len(f"text {i}") + i % 7 for i in range(10)]
    assert ids_of(project, dataset) == list(range(10))
    assert operation(project, dataset).title == "Compute size"
    project.undo(project.datasets.get(dataset).id)
    assert "size" not in shown(project, dataset)[0]


def test_a_column_that_is_replaced_is_warned_of(project: Project) -> None:
    dataset = made(project, texts_table(["one", "two"]))
    new = project.transforms.preview(dataset, "compute", {"column": "tex", "expression": "1"})
    assert new.warnings == []
    old = project.transforms.preview(dataset, "compute", {"column": "Text", "expression": "1"})
    assert old.warnings == ["The column “text” is there already and is replaced."]
    assert old.warnings[0] in old.notes
    job = transform(project, dataset, "compute", column="Text", expression="1")
    assert operation(project, dataset).title == "Compute Text, replaces column text"
    assert old.warnings[0] in job.result["notes"]


def test_a_template_takes_values_missing_ones_and_messages(project: Project) -> None:
    table = texts_table(["a'b", None], messages=[ALICE, None], n=[1, 2])
    dataset = made(project, table)
    transform(project, dataset, "compute", column="text", template="Q: {{text}} ({{ n }}) {{messages}}\n'{{row_id}}'")
    first, second = column(project, dataset, "text")
    assert first.startswith('Q: a\'b (1) [{"role":"user"')
    assert first.endswith("\n'0'")
    assert second == "Q:  (2) \n'1'"
    assert list(shown(project, dataset)[0]) == ["row_id", "text", "messages", "n"], "the place is kept"


@pytest.mark.parametrize(
    ("params", "says", "helps"),
    [
        ({"column": "x", "expression": "lenght(text)"}, "lenght", "length"),
        ({"column": "x", "expression": "txt || 'a'"}, "txt", "text"),
        ({"column": "x", "expression": "1) FROM dataset; DROP TABLE x; SELECT (1"}, "", ""),
        ({"column": "x", "expression": "(SELECT content FROM read_text('/etc/hostname'))"}, "outside", "project"),
        ({"column": "x", "template": "{{nope}}"}, "nope", "text"),
        ({"column": "x", "template": "no holes"}, "names no column", "{{"),
        ({"column": "row_id", "expression": "1"}, "row_id", ""),
        ({"column": "x"}, "either", ""),
        ({"column": "x", "expression": "1", "colour": 1}, "colour", ""),
    ],
)
def test_a_wrong_expression_is_said_in_words(project: Project, params: dict[str, Any], says: str, helps: str) -> None:
    dataset = made(project, texts_table(["a"]))
    with pytest.raises(UserError) as caught:
        project.transforms.preview(dataset, "compute", params)
    assert says in caught.value.message
    assert helps in (caught.value.remedy or "")
    assert "Traceback" not in caught.value.message


def test_a_window_in_an_expression_keeps_the_order_of_rows(project: Project) -> None:
    dataset = made(project, simple_table(20_000), simple_table(20_000, first=20_000))
    transform(project, dataset, "compute", column="rank", expression="row_number() OVER (ORDER BY n DESC, row_id DESC)")
    assert ids_of(project, dataset) == list(range(40_000))
    assert sorted(column(project, dataset, "rank")) == list(range(1, 40_001))


# ---- replace -----------------------------------------------------------------------------------------------------------


def test_replace_reaches_into_messages_but_not_their_roles(project: Project) -> None:
    table = texts_table(["the user", "cat"], messages=[ALICE, None], tags=[["cat", "x"], None])
    dataset = made(project, table)
    params = {"find": "user|cat", "replacement": "<$0>", "regex": True, "ignore_case": True}
    preview = project.transforms.preview(dataset, "replace", params)
    assert (preview.changed, preview.unit) == (4, "cells")
    transform(project, dataset, "replace", **params)
    first, second = shown(project, dataset)
    assert first["text"] == "the <user>"
    assert [m["role"] for m in first["messages"]] == ["user", "assistant"]
    assert [m["content"] for m in first["messages"]] == ["Where is the <cat>?", "The <cat> is out. <Cat>!"]
    assert first["tags"] == ["<cat>", "x"]
    assert (second["text"], second["messages"], second["tags"]) == ("<cat>", None, None)
    step = project.datasets.version(project.datasets.get(dataset).id).statistics["steps"][0]
    assert (step["changed_cells"], step["changed"]) == (4, 2)


def test_groups_dollars_and_backslashes(project: Project) -> None:
    dataset = made(project, texts_table(["ab", "a.b"]))
    transform(project, dataset, "replace", find="(a)(b)", replacement=r"\2$1-$$-\\", regex=True, column="text")
    assert column(project, dataset, "text") == ["ba-$-\\", "a.b"]
    transform(project, dataset, "replace", find="a.b", replacement=r"\1$1", column="text")
    assert column(project, dataset, "text") == ["ba-$-\\", r"\1$1"]


def test_whole_words_know_letters_of_any_script(project: Project) -> None:
    texts: list[str | None] = ["été tété été", "concat cat cat", "Straße Stra", "кот котик кот.", "e\u0301te t"]
    dataset = made(project, texts_table(texts))
    for find in ("été", "cat", "Stra", "кот", "t"):
        transform(project, dataset, "replace", find=find, replacement="_X_", whole_word=True)
    assert column(project, dataset, "text") == [
        "_X_ tété _X_", "concat _X_ _X_", "Straße _X_", "_X_ котик _X_.", "e\u0301te _X_",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"find": "(", "regex": True}, "regular expression"),
        ({"find": "(a)", "replacement": "$2", "regex": True}, "regular expression"),
        ({"find": "a", "column": "txt"}, "txt"),
        ({"find": "a", "column": "n"}, "no text"),
        ({"find": ""}, "find"),
    ],
)
def test_a_wrong_replacement_is_said_in_words(project: Project, params: dict[str, Any], says: str) -> None:
    dataset = made(project, texts_table(["x"], n=[1]))
    with pytest.raises(UserError) as caught:
        project.transforms.preview(dataset, "replace", params)
    assert says in caught.value.message


TEXT = st.text(alphabet="abAB .\\$é\n_-", max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    texts=st.lists(st.none() | TEXT, min_size=1, max_size=12),
    find=st.text(alphabet="abAB.\\$é-", min_size=1, max_size=3),
    replacement=TEXT,
    ignore_case=st.booleans(),
    pattern=st.sampled_from(["", "a+", "[ab]{1,2}", "(a)(b)?", r"\.", "^a", "b$", "a|é", "(?:ab)+"]),
)
def test_what_is_replaced_is_what_python_replaces(
    project: Project, texts: list[str | None], find: str, replacement: str, ignore_case: bool, pattern: str
) -> None:
    dataset = made(project, texts_table(texts))
    flags = re.IGNORECASE if ignore_case else 0
    needle = re.compile(pattern.replace("b$", r"b\Z") if pattern else re.escape(find), flags)
    literal = replacement.replace("$", "$$").replace("\\", "\\\\") if pattern else replacement
    wanted = [None if text is None else needle.sub(lambda _: replacement, text) for text in texts]
    params = {"find": pattern or find, "replacement": literal, "regex": bool(pattern), "ignore_case": ignore_case}
    changed = sum(before != after for before, after in zip(texts, wanted, strict=True))
    preview = project.transforms.preview(dataset, "replace", params, limit=100)
    found = {row["row_id"]: row["text"] for row in preview.after}
    assert preview.changed == changed
    assert all(wanted[row_id] == text for row_id, text in found.items())
    if changed:
        assert len(found) == changed


# ---- rows --------------------------------------------------------------------------------------------------------------


def test_filter_and_delete_keep_what_they_drop(project: Project) -> None:
    dataset = made(project, texts_table(["a", "bb", None, "cccc"]))
    preview = project.transforms.preview(dataset, "filter", {"where": "length(text) > 1"})
    assert (preview.rows_after, preview.dropped) == (2, 2)
    assert [row["text"] for row in preview.before] == ["a", None], "those that go"
    assert [row["text"] for row in preview.after] == ["bb", "cccc"]
    transform(project, dataset, "filter", where="length(text) > 1 -- a comment")
    assert ids_of(project, dataset) == [1, 3]
    gone = project.dropped(dataset).records()
    assert [(row["row_id"], row["operator"]) for row in gone] == [(0, "filter"), (2, "filter")]
    assert "length(text) > 1" in gone[0]["reason"]
    transform(project, dataset, "delete_where", where="text = 'bb'")
    assert ids_of(project, dataset) == [3]
    with pytest.raises(UserError, match="No row would be left"):
        transform(project, dataset, "delete_where", where="true")
    with pytest.raises(UserError, match="true or false"):
        project.transforms.preview(dataset, "filter", {"where": "text"})


def test_split_rows_keeps_the_first_part_in_place(project: Project) -> None:
    dataset = made(project, texts_table(["one\n\ntwo\r\n \r\nthree", "single", None, "\n\n"], n=[7, 8, 9, 10]))
    preview = project.transforms.preview(dataset, "split_rows", {"column": "text"})
    assert (preview.rows_before, preview.rows_after) == (4, 6)
    transform(project, dataset, "split_rows", column="text")
    rows = [(r["row_id"], r["text"], r["n"], r["source_row_id"], r["part"]) for r in shown(project, dataset)]
    assert rows == [
        (0, "one", 7, 0, 1),
        (1, "single", 8, None, None),
        (2, None, 9, None, None),
        (3, "\n\n", 10, None, None),
        (4, "two", 7, 0, 2),
        (5, "three", 7, 0, 3),
    ]


def test_split_rows_into_a_new_dataset_stand_in_order(project: Project) -> None:
    dataset = made(project, texts_table(["a|b", None, "c"]))
    job = transform(project, dataset, "split_rows", column="text", at="separator", separator="|", output="dataset")
    new = project.datasets.get(job.spec.meta["datasets"][0]["dataset_id"])
    assert new.name == f"{dataset} split"
    assert [(r["row_id"], r["text"], r["source_row_id"], r["part"]) for r in shown(project, new.id)] == [
        (0, "a", 0, 1), (1, "b", 0, 2), (2, None, 1, 1), (3, "c", 2, 1),
    ]  # fmt: skip
    assert project.count(dataset) == 3
    assert new.source["datasets"] == [{"id": project.datasets.get(dataset).id, "version": 1}]


def test_sort_makes_a_dataset_that_remembers_where_rows_were(project: Project) -> None:
    dataset = made(project, simple_table(50))
    job = transform(project, dataset, "sort", order_by="n DESC, length(text)", name="by n")
    rows = shown(project, "by n")
    assert [row["row_id"] for row in rows] == list(range(50))
    assert [row["n"] for row in rows] == sorted((i % 7 for i in range(50)), reverse=True)
    assert sorted(row["source_row_id"] for row in rows) == list(range(50))
    assert job.spec.meta["source"]["transform"] == "sort"


# ---- columns -----------------------------------------------------------------------------------------------------------


def test_rename_and_drop_columns_change_the_kind_of_dataset_too(project: Project) -> None:
    dataset = made(project, texts_table(["a"], other=["b"]))
    transform(project, dataset, "rename_columns", names={"text": "prompt", "other": "completion"})
    assert project.datasets.get(dataset).kind == "prompt_completion"
    transform(project, dataset, "rename_columns", names={"prompt": "completion", "completion": "prompt"})
    assert shown(project, dataset) == [{"row_id": 0, "completion": "a", "prompt": "b"}]
    transform(project, dataset, "drop_columns", columns=["Prompt"])
    assert shown(project, dataset) == [{"row_id": 0, "completion": "a"}]
    assert project.datasets.get(dataset).kind == "table"
    project.undo(project.datasets.get(dataset).id)
    assert project.datasets.get(dataset).kind == "prompt_completion"
    for params in ({"columns": ["prompt", "completion"]}, {"columns": ["row_id"]}, {"columns": ["nope"]}):
        with pytest.raises(UserError):
            project.transforms.preview(dataset, "drop_columns", params)
    with pytest.raises(UserError, match="two columns"):
        project.transforms.preview(dataset, "rename_columns", {"names": {"prompt": "COMPLETION"}})


@pytest.mark.parametrize(
    ("values", "kind", "target", "wanted"),
    [
        (["1", " 2 ", "1.7", "x", "", None], pa.string(), "whole number", [1, 2, None, None, None, None]),
        (["1.5", "1e3", "abc"], pa.string(), "number", [1.5, 1000.0, None]),
        ([1.0, 2.5, None], pa.float64(), "whole number", [1, None, None]),
        ([2**53 + 1, 3], pa.int64(), "number", [None, 3.0]),
        ([0, 1, 2], pa.int64(), "true or false", [False, True, None]),
        (["true", "no", "maybe"], pa.string(), "true or false", [True, False, None]),
        ([True, None], pa.bool_(), "text", ["true", None]),
    ],
)
def test_cast_counts_what_does_not_fit(
    project: Project, values: list[Any], kind: pa.DataType, target: str, wanted: list[Any]
) -> None:
    table = pa.table({"row_id": pa.array(range(len(values)), pa.int64()), "v": pa.array(values, kind)})
    dataset = made(project, table)
    failed = [i for i, (v, w) in enumerate(zip(values, wanted, strict=True)) if v is not None and w is None]
    preview = project.transforms.preview(dataset, "cast", {"columns": ["v"], "type": target})
    assert bool(preview.failure) == bool(failed)
    if failed:
        with pytest.raises(UserError, match="does not fit"):
            transform(project, dataset, "cast", columns=["v"], type=target)
        params = {"columns": ["v"], "type": target, "on_failure": "empty cell"}
        assert any(f"{len(failed):,} row" in note for note in project.transforms.preview(dataset, "cast", params).notes)
    transform(project, dataset, "cast", columns=["v"], type=target, on_failure="empty cell")
    assert column(project, dataset, "v") == wanted
    project.undo(project.datasets.get(dataset).id)
    if len(failed) < len(values):
        transform(project, dataset, "cast", columns=["v"], type=target, on_failure="drop row")
        assert ids_of(project, dataset) == [i for i in range(len(values)) if i not in failed]
        assert [row["row_id"] for row in project.dropped(dataset).records()] == failed


@pytest.mark.parametrize(
    ("transform_id", "params"),
    [
        ("replace", {"find": "zzzz", "replacement": "y"}),
        ("filter", {"where": "true"}),
        ("delete_where", {"where": "n > 99"}),
        ("sample", {"rows": 9, "output": "version"}),
        ("compute", {"column": "n", "expression": "n"}),
        ("rename_columns", {"names": {"n": "n"}}),
    ],
)
def test_what_changes_nothing_makes_no_version(project: Project, transform_id: str, params: dict[str, Any]) -> None:
    dataset = made(project, texts_table(["a", "b"], n=[1, 2]))
    assert project.transforms.preview(dataset, transform_id, params).is_idle
    project.edits.set_cells(project.datasets.get(dataset).id, {0: {"text": "edited"}})
    with pytest.raises(UserError, match="leave everything as it is"):
        transform(project, dataset, transform_id, **params)
    assert project.datasets.get(dataset).version == 1
    assert project.edits.pending(project.datasets.get(dataset).id), "they still wait"


# ---- merge and join ----------------------------------------------------------------------------------------------------


def test_merge_unites_by_name_and_says_what_differs(project: Project) -> None:
    one = made(project, texts_table(["a", "b"], n=[1, 2], extra=["e", "f"]))
    two = made(project, texts_table(["c"], n=[2.5], other=[[1]]))
    preview = project.transforms.preview(one, "merge", {"datasets": [two]})
    assert (preview.rows_before, preview.rows_after) == (2, 3)
    assert any("“n”" in note and "DOUBLE" in note for note in preview.notes)
    assert any("“extra”" in note and "empty" in note for note in preview.notes)
    transform(project, one, "merge", datasets=[two], name="both")
    rows = [
        (r["row_id"], r["text"], r["n"], r["extra"], r["other"], r["source_dataset"]) for r in shown(project, "both")
    ]
    assert rows == [(0, "a", 1.0, "e", None, one), (1, "b", 2.0, "f", None, one), (2, "c", 2.5, None, [1], two)]
    transform(project, one, "merge", datasets=[two, two], output="version", source_column=False)
    assert ids_of(project, one) == [0, 1, 2, 3]
    assert column(project, one, "text") == ["a", "b", "c", "c"]


def test_merge_says_in_one_sentence_which_columns_are_lacking(project: Project) -> None:
    wide = made(project, texts_table(["a"], **{f"c{i}": [i] for i in range(200)}))
    plain = made(project, texts_table(["b"]))
    notes = project.transforms.preview(plain, "merge", {"datasets": [wide]}).notes
    assert len(notes) == 1
    assert notes[0].startswith(f"200 columns are empty in the rows of {plain}") and notes[0].endswith(
        "“c7” and 192 more."
    )


def test_a_key_may_have_a_comma_in_its_name(project: Project) -> None:
    mine = made(project, texts_table(["a", "b"], **{"x, y": [1, 2], "k": [1, 2]}))
    theirs = made(project, texts_table(["p", "q"], **{"x, y": [2, 1], "k": [2, 9]}))
    for params, expected in (
        ({"key": "x, y"}, ["q", "p"]),
        ({"key": "k", "other_key": "X, Y"}, ["q", "p"]),
        ({"key": "k, text", "other_key": "k,text"}, [None, None]),
    ):
        after = project.transforms.preview(mine, "join", {"dataset": theirs, "columns": ["text"], **params}).after
        assert [row["text_2"] for row in after] == expected, params
    with pytest.raises(UserError, match="1 column here and 2 in"):
        project.transforms.preview(mine, "join", {"dataset": theirs, "key": "k", "other_key": "k,text"})


def test_days_and_moments_are_the_same_key(project: Project) -> None:
    days = [dt.date(2024, 1, 1), dt.date(2024, 1, 2), None]
    moments = [dt.datetime(2024, 1, 2), dt.datetime(2024, 1, 1, 12), None]
    mine = made(project, texts_table(["a", "b", "c"], day=pa.array(days, pa.date32())))
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ms")):
        theirs = made(project, texts_table(["p", "q", "r"], day=pa.array(moments, kind)))
        after = project.transforms.preview(mine, "join", {"dataset": theirs, "key": "day"}).after
        assert [row["text_2"] for row in after] == [None, "p", None], kind


def test_join_warns_of_rows_that_multiply_with_the_exact_count(project: Project) -> None:
    mine = made(project, texts_table(["a", "b", "c", None], k=[1, 2, 3, None]))
    theirs = made(project, texts_table(["x", "y", "z"], k=[1, 1, 2], more=["p", "q", "r"]))
    preview = project.transforms.preview(mine, "join", {"dataset": theirs, "key": "k"})
    assert (preview.rows_before, preview.rows_after) == (4, 5)
    assert any("1 row is added" in note and "4 become 5" in note for note in preview.notes)
    transform(project, mine, "join", dataset=theirs, key="k")
    rows = [(r["row_id"], r["text"], r["text_2"], r["more"]) for r in shown(project, mine)]
    assert rows == [
        (0, "a", "x", "p"),
        (1, "b", "z", "r"),
        (2, "c", None, None),
        (3, None, None, None),
        (4, "a", "y", "q"),
    ]
    project.undo(project.datasets.get(mine).id)
    transform(project, mine, "join", dataset=theirs, key="k", how="inner", columns=["more"])
    assert [(r["row_id"], r["more"]) for r in shown(project, mine)] == [(0, "p"), (1, "r"), (5, "q")], "4 was used once"
    assert [row["reason"] for row in project.dropped(mine).records()] == [f"no match in {theirs}"] * 2


# ---- sample ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stratify", ["", "n"])
def test_a_sample_has_the_size_asked_for_and_is_the_same_again(project: Project, stratify: str) -> None:
    dataset = made(project, simple_table(100))
    params = {"rows": 33, "stratify_by": stratify, "seed": 5}
    assert project.transforms.preview(dataset, "sample", params).rows_after == 33
    first = transform(project, dataset, "sample", **params).spec.meta["datasets"][0]["dataset_id"]
    again = transform(project, dataset, "sample", **params).spec.meta["datasets"][0]["dataset_id"]
    other = transform(project, dataset, "sample", **{**params, "seed": 6}).spec.meta["datasets"][0]["dataset_id"]
    assert ids_of(project, first) == ids_of(project, again) != ids_of(project, other)
    assert len(ids_of(project, first)) == 33
    if stratify:
        counts = Counter(column(project, first, "n"))
        assert all(4 <= count <= 5 for count in counts.values())


def test_a_sample_as_a_version_drops_the_others(project: Project) -> None:
    dataset = made(project, simple_table(40))
    transform(project, dataset, "sample", share=0.25, output="version")
    assert project.count(dataset) == 10
    assert project.dropped(dataset).total == 30


# ---- pending edits, sizes ----------------------------------------------------------------------------------------------


def test_pending_edits_go_into_the_one_new_version(project: Project) -> None:
    dataset = made(project, simple_table(10))
    dataset_id = project.datasets.get(dataset).id
    project.edits.set_cells(dataset_id, {3: {"text": "edited"}})
    project.edits.delete_rows(dataset_id, [0])
    project.edits.add_rows(dataset_id, [{"text": "added"}])
    preview = project.transforms.preview(dataset, "compute", {"column": "size", "expression": "length(text)"})
    assert (preview.rows_before, preview.rows_after) == (10, 10)
    transform(project, dataset, "compute", column="size", expression="length(text)")
    assert project.datasets.get(dataset).version == 2
    assert not project.edits.pending(dataset_id)
    sizes = {row["row_id"]: row["size"] for row in shown(project, dataset)}
    assert (sizes[3], sizes[10], 0 in sizes) == (6, 5, False)
    project.undo(dataset_id)
    assert project.edits.pending(dataset_id).operations == 3


def test_a_new_dataset_sees_pending_edits_and_leaves_them_pending(project: Project) -> None:
    dataset = made(project, simple_table(10))
    dataset_id = project.datasets.get(dataset).id
    project.edits.set_cells(dataset_id, {3: {"n": 100}})
    project.edits.add_rows(dataset_id, [{"n": 50}])
    transform(project, dataset, "sort", order_by="n DESC", name="edited and sorted")
    assert column(project, "edited and sorted", "n")[:2] == [100, 50]
    assert project.edits.pending(dataset_id).operations == 2
    other = made(project, simple_table(2))
    transform(project, other, "merge", datasets=[dataset], name="merged with edits")
    assert column(project, "merged with edits", "n")[2:].count(100) == 1


def test_fresh_ids_are_above_all_that_ever_were(project: Project) -> None:
    dataset = made(project, texts_table(["a b", "c d"]))
    dataset_id = project.datasets.get(dataset).id
    project.edits.add_rows(dataset_id, [{"text": "e f"}])
    project.undo(dataset_id)
    transform(project, dataset, "split_rows", column="text", at="separator", separator=" ")
    assert ids_of(project, dataset) == [0, 1, 3, 4], "2 was used once"


def test_a_big_dataset_is_estimated_by_parts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmstudio.recipes.transform_preview.EXACT_ROWS", 50_000)
    monkeypatch.setattr("fmstudio.recipes.transform_preview._BLOCK_ROWS", 512)
    dataset = made(project, simple_table(120_000))
    preview = project.transforms.preview(dataset, "filter", {"where": "row_id % 4 = 0"})
    assert preview.is_estimate
    assert (preview.rows_before, preview.rows_after, preview.dropped) == (120_000, 30_000, 90_000)


def test_a_transform_reads_nothing_but_its_datasets(project: Project, tmp_path: Path) -> None:
    mine, other = made(project, simple_table(3)), made(project, simple_table(3))
    foreign = project.datasets.files(project.datasets.get(other).id)[0]
    where = f"row_id IN (SELECT row_id FROM read_parquet('{foreign}'))"
    with pytest.raises(UserError, match="outside"):
        project.transforms.preview(mine, "filter", {"where": where})
    for where in ("(COPY dataset TO 'x')", "true; SELECT 1", f"(SELECT count(*) FROM glob('{tmp_path}/*')) > 0"):
        with pytest.raises(UserError):
            project.transforms.preview(mine, "filter", {"where": where})


# ---- what holds for all of them ----------------------------------------------------------------------------------------

EVERY: list[tuple[str, dict[str, Any]]] = [
    ("compute", {"column": "x", "expression": "n * 2"}),
    ("compute", {"column": "n", "template": "{{text}}!"}),
    ("compute", {"column": "big", "expression": "sum(n) OVER ()"}),
    ("replace", {"find": "1"}),
    ("filter", {"where": "n > 2"}),
    ("delete_where", {"where": "n > 2"}),
    ("split_rows", {"column": "text", "at": "separator", "separator": " "}),
    ("split_rows", {"column": "text", "at": "regex", "separator": r"\s", "output": "dataset"}),
    ("split", {}),
    ("split", {"method": "stratified", "column": "n"}),
    ("split", {"method": "grouped", "column": "n", "output": "datasets"}),
    ("split", {"method": "near duplicates", "output": "datasets"}),
    ("split", {"method": "time", "column": "row_id"}),
    ("sample", {"rows": 17}),
    ("sample", {"share": 0.5, "output": "version", "stratify_by": "n"}),
    ("merge", {"datasets": ["OTHER"]}),
    ("merge", {"datasets": ["OTHER", "OTHER"], "output": "version"}),
    ("join", {"dataset": "OTHER", "key": "n"}),
    ("join", {"dataset": "OTHER", "key": "n", "how": "inner", "output": "dataset"}),
    ("sort", {"order_by": "text DESC"}),
    ("rename_columns", {"names": {"text": "prompt"}}),
    ("drop_columns", {"columns": ["n"]}),
    ("cast", {"columns": ["n"], "type": "text"}),
]


@pytest.mark.parametrize(("transform_id", "params"), EVERY)
def test_the_preview_foretells_the_result_and_ids_ascend(
    project: Project, transform_id: str, params: dict[str, Any]
) -> None:
    gaps = simple_table(300).filter(pa.array([i % 3 != 1 for i in range(300)]))
    dataset, other = made(project, gaps, simple_table(50, first=1_000)), made(project, simple_table(20))
    dataset_id = project.datasets.get(dataset).id
    project.edits.set_cells(dataset_id, {0: {"text": "edited by hand"}})
    project.edits.delete_rows(dataset_id, [2, 1_049])
    project.edits.add_rows(dataset_id, [{"text": "added 1", "n": 1}])
    for key in ("dataset", "datasets"):
        if key in params:
            params = {**params, key: other if key == "dataset" else [other] * len(params[key])}
    before = {row["row_id"]: row for row in shown(project, dataset)}
    preview = project.transforms.preview(dataset, transform_id, params, limit=20)
    assert preview.rows_before == len(before) == 249
    assert not preview.is_estimate
    assert all(before[row["row_id"]] == {**dict.fromkeys(row), **row} for row in preview.before)
    job = transform(project, dataset, transform_id, **params)
    ids = [one["dataset_id"] for one in job.spec.meta.get("datasets", [])] or [dataset_id]
    assert preview.makes == ("datasets" if len(ids) > 1 else "version" if ids == [dataset_id] else "dataset")
    assert sum(project.count(one) for one in ids) == preview.rows_after
    if preview.makes == "version":
        gone = [row["reason"] for row in project.dropped(dataset_id, limit=1_000).records()]
        assert gone.count("deleted by hand") == 2
        assert len(gone) == preview.dropped + 2 == project.datasets.version(dataset_id).dropped
    names = [column.name for column in preview.columns]
    for one in ids:
        row_ids = ids_of(project, one)
        assert all(a < b for a, b in pairwise(row_ids))
        stored = [column.name for column in project.datasets.get(one).columns]
        assert stored == (names if "row_id" in names else ["row_id", *names])
    if preview.makes == "version":
        kept = {row["row_id"]: row for row in shown(project, dataset)}
        fresh = kept.keys() - before.keys()
        assert not fresh or min(fresh) > 1_050, "1050 was the added row's"
        after = {row["row_id"]: row for row in preview.after if "row_id" in row}
        assert all(kept[row_id] == row for row_id, row in after.items() if row_id is not None)


def test_a_newer_preview_ends_the_one_before(project: Project) -> None:
    dataset = made(project, simple_table(100))
    slow = "(SELECT count(*) FROM range(100000000) a, range(1000000) b WHERE (a.range + b.range) % 7 = dataset.n)"
    caught: list[BaseException] = []

    def work() -> None:
        try:
            project.transforms.preview(dataset, "compute", {"column": "x", "expression": slow})
        except Cancelled as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    quick = {"column": "x", "expression": "1"}

    def is_over() -> bool:
        with suppress(Cancelled):  # when the slow one began after this one
            project.transforms.preview(dataset, "compute", quick)
        return not thread.is_alive()

    wait_until(is_over)
    thread.join()
    assert len(caught) == 1
