"""Train, validation and test: shares hold, groups never straddle, and the same rows get the same split again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmstudio.api import UserError
from fmstudio.jobs.spec import Job
from fmstudio.project import Project, publish
from fmstudio.recipes.transforms.near_duplicates import band_width
from fmstudio.recipes.transforms.split import place_groups
from tests.unit.edit_kit import leave_out_packaged_models, make_dataset, shown, simple_table
from tests.unit.transform_kit import column, ids_of, run_spec, texts_table, transform


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One project; each test makes its own datasets."""
    with pytest.MonkeyPatch.context() as patch:
        leave_out_packaged_models(patch)
        project = Project.create(tmp_path_factory.mktemp("splits") / "project")
    yield project
    project.close()


_names = iter(range(1_000_000))


def made(project: Project, *tables: pa.Table) -> str:
    name = f"data {next(_names)}"
    make_dataset(project, name, *tables)
    return name


def split_of(project: Project, dataset: str, **params: Any) -> dict[int, str]:
    transform(project, dataset, "split", **params)
    return {row["row_id"]: row["split"] for row in shown(project, dataset)}


def test_a_random_split_keeps_its_shares_and_stays_when_rows_are_added(project: Project) -> None:
    small, large = made(project, simple_table(2_000)), made(project, simple_table(4_000))
    first = split_of(project, small, seed=3)
    counts = Counter(first.values())
    # Five standard deviations of a binomial draw: sqrt(2000 * 0.8 * 0.2) = 18.
    assert abs(counts["train"] - 1600) < 90
    assert abs(counts["test"] - 200) < 70
    again = split_of(project, large, seed=3)
    assert all(again[row_id] == split for row_id, split in first.items())
    assert split_of(project, made(project, simple_table(2_000)), seed=4) != first
    assert ids_of(project, large) == list(range(4_000))


def test_splitting_again_replaces_the_column(project: Project) -> None:
    dataset = made(project, simple_table(100))
    first = split_of(project, dataset)
    preview = project.transforms.preview(dataset, "split", {"seed": 9})
    assert any("replaced" in note for note in preview.notes)
    assert sum(preview.outputs.values()) == 100
    second = split_of(project, dataset, seed=9)
    assert preview.changed == sum(first[row_id] != second[row_id] for row_id in first)
    assert list(shown(project, dataset)[0]).count("split") == 1


def test_shares_that_do_not_sum_to_one_are_taken_in_proportion_and_said(project: Project) -> None:
    dataset = made(project, simple_table(1_000))
    preview = project.transforms.preview(dataset, "split", {"train": 3, "validation": 0, "test": 1})
    assert any("75.0%" in note for note in preview.notes)
    assert set(preview.outputs) == {"train", "test"}
    for params in ({"train": 1, "validation": 0, "test": 0}, {"train": -1}, {"method": "grouped"}):
        with pytest.raises(UserError):
            project.transforms.preview(dataset, "split", params)


def test_a_stratified_split_has_the_shares_in_every_value(project: Project) -> None:
    labels = ["a"] * 200 + ["b"] * 50 + ["c"] * 10 + [None] * 20
    dataset = made(project, texts_table(["x"] * 280, label=labels))
    split_of(project, dataset, method="stratified", column="label")
    counts: dict[Any, Counter[str]] = defaultdict(Counter)
    for row in shown(project, dataset):
        counts[row["label"]][row["split"]] += 1
    assert counts["a"] == {"train": 160, "validation": 20, "test": 20}
    assert counts["b"] == {"train": 40, "validation": 5, "test": 5}
    assert counts["c"] == {"train": 8, "validation": 1, "test": 1}
    assert counts[None] == {"train": 16, "validation": 2, "test": 2}


@pytest.mark.parametrize("rows_a_value", [1, 3, 4, 5, 7])
def test_a_stratified_split_of_many_small_values_has_the_shares_over_all(project: Project, rows_a_value: int) -> None:
    rows = 300 * rows_a_value
    labels = [f"l{i // rows_a_value}" for i in range(rows)]
    dataset = made(project, texts_table(["x"] * rows, label=labels))
    splits = split_of(project, dataset, method="stratified", column="label")
    for name, share in {"train": 0.8, "validation": 0.1, "test": 0.1}.items():
        of_value = Counter(labels[row_id] for row_id, split in splits.items() if split == name)
        assert abs(sum(of_value.values()) - rows * share) <= 4, name
        assert all(abs(of_value[label] - rows_a_value * share) < 1 for label in set(labels))
    again = made(project, texts_table(["x"] * rows, label=labels))
    assert split_of(project, again, method="stratified", column="label") == splits


def test_a_split_that_gets_no_row_is_told_and_counted(project: Project) -> None:
    one = made(project, simple_table(1))
    preview = project.transforms.preview(one, "split", {})
    assert sum(preview.outputs.values()) == 1 and list(preview.outputs) == ["train", "validation", "test"]
    assert any("No row goes to" in warning and "too few rows" in warning for warning in preview.warnings)
    years = made(project, texts_table(["x"] * 30, year=[2020 + i % 3 for i in range(30)]))
    by_year = {"method": "time", "column": "year"}
    preview = project.transforms.preview(years, "split", by_year)
    assert preview.outputs == {"train": 20, "validation": 10, "test": 0}
    said = "No row goes to “test”: there are too few different moments for these shares."
    assert said in preview.warnings
    assert said in transform(project, years, "split", **by_year).results["transform"]["notes"]
    assert not any(
        "No row" in note for note in project.transforms.preview(made(project, simple_table(2_000)), "split", {}).notes
    )


def test_dates_written_as_text_are_put_in_order_as_dates(project: Project) -> None:
    days = [f"2024-{month}-{day}" for month in range(1, 13) for day in (1, 15)]
    dataset = made(project, texts_table(["x"] * 25, day=[*days[::-1], " "]))
    splits = split_of(project, dataset, method="time", column="day", train=0.5, validation=0, test=0.5)
    assert [splits[row_id] for row_id in range(25)] == ["test"] * 12 + ["train"] * 13
    numbers = made(project, texts_table(["x"] * 20, n=[str(i) for i in range(20)]))
    splits = split_of(project, numbers, method="time", column="n", train=0.5, validation=0, test=0.5)
    assert [splits[row_id] for row_id in range(20)] == ["train"] * 10 + ["test"] * 10
    other = made(project, texts_table(["x"] * 4, day=["1.2.2024", "15.1.2024", "3.3.2023", None]))
    preview = project.transforms.preview(other, "split", {"method": "time", "column": "day"})
    assert any("letter by letter" in warning and "“1.2.2024”" in warning for warning in preview.warnings)


def test_by_time_the_oldest_train_and_one_moment_stays_together(project: Project) -> None:
    days = [i // 10 for i in range(100)][::-1]
    dataset = made(project, texts_table(["x"] * 100, day=[*days[:99], None]))
    split_of(project, dataset, method="time", column="day", train=0.7, validation=0.15, test=0.15)
    found: dict[Any, set[str]] = defaultdict(set)
    for row in shown(project, dataset):
        found[row["day"]].add(row["split"])
    assert all(len(splits) == 1 for splits in found.values())
    order = ["train", "validation", "test"]
    ranks = [order.index(next(iter(found[day]))) for day in range(10)]
    assert ranks == sorted(ranks)
    assert ranks[0] == 0
    assert ranks[-1] == 2
    assert found[None] == {"train"}


def test_three_datasets_keep_the_rows_their_ids_and_come_from_one_job(project: Project) -> None:
    dataset = made(project, simple_table(500))
    preview = project.transforms.preview(dataset, "split", {"output": "datasets"})
    job = transform(project, dataset, "split", output="datasets", name="mine")
    made_ids = [project.datasets.get(f"mine {name}") for name in ("train", "validation", "test")]
    ids = [ids_of(project, one.id) for one in made_ids]
    assert sorted(i for some in ids for i in some) == list(range(500))
    assert all(some == sorted(some) for some in ids)
    assert {
        name: one.rows for name, one in zip(("train", "validation", "test"), made_ids, strict=True)
    } == preview.outputs
    assert project.datasets.get(dataset).version == 1
    assert not job.folder.joinpath("out", "transform", "train").exists(), "moved into the project"
    project.undo()
    assert len([d for d in project.datasets.all() if d.name.startswith("mine ")]) == 2


def test_parts_are_all_made_or_none(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made(project, simple_table(50))
    spec = project.specs.transform(dataset, "split", {"output": "datasets", "name": "whole"})
    log = publish.log_operation

    def fail_at_the_last(*args: Any) -> int:
        if args[2] == spec.meta["datasets"][-1]["dataset_id"]:
            raise OSError("the disk is full")
        return log(*args)

    with monkeypatch.context() as patch:
        patch.setattr(publish, "log_operation", fail_at_the_last)
        with pytest.raises(UserError, match="disk is full"):
            run_spec(project, spec)
    assert not [d for d in project.datasets.all() if d.name.startswith("whole")]
    job = Job.load(project.jobs_dir / spec.id)
    project.publish(job)
    assert sum(d.rows for d in project.datasets.all() if d.name.startswith("whole")) == 50


def test_a_split_without_rows_makes_no_dataset(project: Project) -> None:
    dataset = made(project, texts_table(["x", "y"], day=[1, 2]))
    transform(
        project, dataset, "split", method="time", column="day", train=0.5, validation=0.01, test=0.49,
        output="datasets", name="tiny",
    )  # fmt: skip
    assert {d.name for d in project.datasets.all() if d.name.startswith("tiny")} == {"tiny train", "tiny test"}


# ---- groups ------------------------------------------------------------------------------------------------------------

GROUPS = st.lists(st.none() | st.integers(0, 12), min_size=1, max_size=150)
SHARES = st.tuples(st.integers(1, 10), st.integers(0, 5), st.integers(1, 5))


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(groups=GROUPS, shares=SHARES, seed=st.integers(0, 5))
def test_groups_never_straddle_and_shares_hold(
    project: Project, groups: list[int | None], shares: tuple[int, int, int], seed: int
) -> None:
    dataset = made(project, texts_table(["x"] * len(groups), g=pa.array(groups, pa.int64())))
    train, validation, test = shares
    splits = split_of(
        project, dataset, method="grouped", column="g", train=train, validation=validation, test=test, seed=seed
    )
    of_group: dict[int, set[str]] = defaultdict(set)
    for row_id, split in splits.items():
        if groups[row_id] is not None:
            of_group[groups[row_id]].add(split)  # type: ignore[index]
    assert all(len(found) == 1 for found in of_group.values())
    assert ids_of(project, dataset) == list(range(len(groups)))
    largest = max([1, *Counter(g for g in groups if g is not None).values()])
    counts = Counter(splits.values())
    for name, share in zip(("train", "validation", "test"), shares, strict=True):
        assert abs(counts[name] - len(groups) * share / sum(shares)) <= 2 * largest


@given(sizes=st.lists(st.integers(1, 50), max_size=60), shares=st.lists(st.floats(0.05, 1), min_size=2, max_size=3))
def test_placing_large_groups_first_misses_a_share_by_two_groups_at_most(sizes: list[int], shares: list[float]) -> None:
    whole = sum(shares)
    ordered = np.array(sorted(sizes, reverse=True))
    chosen = place_groups(ordered.tolist(), [share / whole for share in shares])
    for number, share in enumerate(shares):
        rows = sum(size for size, split in zip(ordered.tolist(), chosen, strict=True) if split == number)
        assert rows - sum(sizes) * share / whole <= max(sizes, default=0)


# ---- near duplicates ---------------------------------------------------------------------------------------------------

WORDS = [f"word{i}" for i in range(200)]


def story(seed: int, length: int = 40) -> list[str]:
    return [WORDS[i] for i in np.random.default_rng(seed).integers(0, len(WORDS), length)]


def test_near_duplicates_stay_on_one_side_also_through_a_third(project: Project) -> None:
    texts: list[str | None] = []
    family = []
    for number in range(60):
        words = story(number)
        for version in range(3):
            words = [*words[:-1], f"end{number}{version}"] if version else words
            texts.append((" ".join(words).upper() + "!") if version == 2 else " ".join(words))
            family.append(number)
    texts += ["", None, "hi", "Hi!", "..."]
    dataset = made(project, texts_table(texts))
    splits = split_of(project, dataset, method="near duplicates", seed=1, train=0.6, validation=0.2, test=0.2)
    for number in range(60):
        assert len({splits[i] for i in range(180) if family[i] == number}) == 1
    assert splits[182] == splits[183], "a short text in another spelling is the same"
    counts = Counter(splits.values())
    assert abs(counts["train"] - 111) <= 3
    step = project.datasets.version(project.datasets.get(dataset).id)
    assert step.rows == 185


def test_messages_are_compared_by_what_was_said(project: Project) -> None:
    said = " ".join(story(7))
    one = [{"role": "user", "content": said}]
    other = [{"role": "assistant", "content": said + " indeed"}]
    rest = [[{"role": "user", "content": " ".join(story(100 + i))}] for i in range(20)]
    table = pa.table({"row_id": pa.array(range(22), pa.int64()), "messages": [one, other, *rest]})
    dataset = made(project, table)
    preview = project.transforms.preview(dataset, "split", {"method": "near duplicates"})
    assert any(note.endswith("1 of 22 rows.") for note in preview.notes)
    found = [split_of(project, dataset, method="near duplicates", seed=seed) for seed in range(4)]
    assert all(splits[0] == splits[1] for splits in found)
    assert len({splits[0] for splits in found} | {splits[5] for splits in found}) > 1, "by chance otherwise"
    with pytest.raises(UserError, match="no text"):
        numbers = made(project, pa.table({"row_id": pa.array([0], pa.int64()), "n": [1]}))
        project.transforms.preview(numbers, "split", {"method": "near duplicates"})


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_find_pairs_at_the_threshold(similarity: float) -> None:
    width = band_width(similarity)
    assert 1 - (1 - similarity**width) ** (128 // width) >= 0.98


def test_a_preview_finds_the_near_duplicates_that_the_job_finds(project: Project) -> None:
    texts: list[str | None] = [None, "", "…", "Hi", "hi!"]
    for number in range(80):
        words = story(number, 400 if number % 5 == 0 else 30)
        texts += [" ".join(words), " ".join([*words, "more"]).upper(), " ".join(story(1_000 + number))]
    for similarity in (0.5, 0.7, 0.9):
        dataset = made(project, texts_table(texts))
        params = {"method": "near duplicates", "column": "text", "similarity": similarity}
        preview = project.transforms.preview(dataset, "split", params)
        told = next(note for note in preview.notes if note.startswith("Nearly the same"))
        assert told.endswith(f"81 of {len(texts)} rows.")
        assert told in transform(project, dataset, "split", **params).results["transform"]["notes"]


def test_column_and_split_are_typed_as_text(project: Project) -> None:
    dataset = made(project, simple_table(10))
    transform(project, dataset, "split")
    assert set(column(project, dataset, "split")) <= {"train", "validation", "test"}
    assert [c.type for c in project.datasets.get(dataset).columns if c.name == "split"] == ["string"]


def test_a_preview_of_near_duplicates_estimates_from_the_rows_it_compares(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("near_duplicates", "split"):
        monkeypatch.setattr(f"fmstudio.recipes.transforms.{module}.PREVIEW_ROWS", 200)
    dataset = made(project, texts_table([" ".join(story(number)) for number in range(1_000)]))
    whole = {"train": 800, "validation": 100, "test": 100}
    apart = project.transforms.preview(dataset, "split", {"method": "near duplicates", "output": "datasets"})
    assert apart.is_estimate and apart.outputs == whole
    new = project.transforms.preview(dataset, "split", {"method": "near duplicates"})
    assert new.is_estimate and (new.rows_after, new.changed, new.outputs) == (1_000, 1_000, whole)
    assert all(row["split"] in whole for row in new.after)
    assert any("compares 200 rows only" in note for note in new.notes)
    split_of(project, dataset)
    again = project.transforms.preview(dataset, "split", {"method": "near duplicates"})
    assert again.outputs == whole and 0 < again.changed < 600
    assert any("replaced" in warning for warning in again.warnings)


def test_values_of_a_split_column_are_told_by_a_split_alone(project: Project) -> None:
    dataset = made(project, simple_table(20))
    split_of(project, dataset)
    assert project.transforms.preview(dataset, "compute", {"column": "x", "expression": "1"}).outputs == {}
