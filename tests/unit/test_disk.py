"""Disk use counts every file once; garbage is what nothing refers to, and nothing else ever goes."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api.errors import UserError
from fmstudio.core.jsonfile import write_json
from fmstudio.core.parquet import ROW_GROUP
from fmstudio.jobs.spec import JobSpec, StepSpec
from fmstudio.project import Project
from fmstudio.project.needed import UNDO_DEPTH
from fmstudio.project.trash import MANIFEST
from tests.unit.edit_kit import commit, make_dataset, recipe_job, shown, simple_table
from tests.unit.test_lineage import exported, trained


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project.create(tmp_path / "project")
    yield made
    made.close()


def grow(project: Project, dataset: str, versions: int) -> None:
    """Versions, each made of the one before, with a row less."""
    for _ in range(versions):
        project.publish(recipe_job(project, dataset, project_table(project, dataset)))


def project_table(project: Project, dataset: str) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(shown(project, dataset)[:-1])


def garbage_versions(project: Project, depth: int = UNDO_DEPTH) -> set[int]:
    return {g.version for g in project.disk.collectable(depth) if g.kind == "version"}


def collect(project: Project, depth: int = UNDO_DEPTH) -> int:
    return project.disk.collect(project.disk.collectable(depth), depth)[1]


def has_rows(project: Project, dataset: str, number: int) -> bool:
    return bool(list(project.datasets.version_folder(dataset, number).glob("rows-*.parquet")))


# ---- what is kept ----------------------------------------------------------------------------------------------------


def test_what_undo_can_reach_is_kept(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(40))
    grow(project, dataset, 6)
    assert garbage_versions(project) == set()
    assert garbage_versions(project, 2) == {1, 2, 3, 4}
    assert garbage_versions(project, 0) == {1, 2, 3, 4, 5, 6}
    collect(project, 2)
    assert [has_rows(project, dataset, n) for n in range(1, 8)] == [False] * 4 + [True] * 3
    for _ in range(2):
        assert project.undo(dataset) is not None
    assert project.datasets.get(dataset).version == 5
    assert len(shown(project, dataset)) == 36
    with pytest.raises(UserError, match="version 4 were collected"):
        project.undo(dataset)
    assert project.datasets.get(dataset).version == 5, "nothing happened"
    assert garbage_versions(project, 2) == set(), "redo leads to 6 and 7"
    project.redo(dataset)
    project.redo(dataset)
    assert project.datasets.get(dataset).version == 7


def test_named_versions_runs_exports_and_branches_hold_theirs(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(40))
    grow(project, dataset, 6)
    project.datasets.name_version(dataset, 1, "raw")
    trained(project, dataset, 2)
    exported(project, dataset, 3, "x.jsonl")
    project.datasets.branch(dataset, 4, "twig")
    assert garbage_versions(project, 0) == {5, 6}
    collect(project, 0)
    assert [has_rows(project, dataset, n) for n in range(1, 8)] == [True, True, True, True, False, False, True]
    assert len(shown(project, "twig")) == 37


def test_a_job_that_may_still_run_holds_what_it_reads(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(40))
    grow(project, dataset, 3)
    files = [str(f) for f in project.datasets.files(dataset, 2)]
    spec = JobSpec.new("Count", "recipe", [StepSpec("recipe", "run_recipe", {"files": files})])
    spec.save(project.jobs_dir / spec.id)
    for state, finished, kept in (
        ("queued", None, True),
        ("running", None, True),
        ("failed", time.time(), True),
        ("cancelled", time.time() - 31 * 24 * 3600, False),
        ("succeeded", time.time(), False),
    ):
        write_json(project.jobs_dir / spec.id / "state.json", {"state": state, "finished": finished})
        assert (2 not in garbage_versions(project, 0)) == kept, state


def test_what_is_referred_to_by_now_is_left_alone(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(40))
    grow(project, dataset, 3)
    found = project.disk.collectable(0)
    project.datasets.name_version(dataset, 2, "wanted")
    project.disk.collect(found, 0)
    assert [has_rows(project, dataset, n) for n in (1, 2, 3, 4)] == [False, True, False, True]


def test_a_deleted_dataset_goes_when_undo_no_longer_reaches_it(project: Project) -> None:
    dataset = make_dataset(project, "old", simple_table(10))
    project.datasets.name_version(dataset, 1, "named")
    project.datasets.delete(dataset)
    assert garbage_versions(project) == set()
    other = make_dataset(project, "other", simple_table(10))
    for n in range(UNDO_DEPTH):
        project.edits.set_cells(other, {0: {"text": str(n)}})
    assert [(g.dataset_id, g.version) for g in project.disk.collectable()] == [(dataset, 1)]
    assert {s.id for s in project.disk.usage().subjects if s.kind == "dataset"} == {dataset, other}
    collect(project)
    assert not project.datasets.version_folder(dataset, 1).exists()
    assert {s.id for s in project.disk.usage().subjects if s.kind == "dataset"} == {other}, "nothing is left of it"
    assert len(shown(project, other)) == 10


# ---- what goes -------------------------------------------------------------------------------------------------------


def test_collected_versions_stay_in_the_history(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(40))
    project.edits.delete_rows(dataset, [3])
    commit(project, dataset)
    grow(project, dataset, 2)
    freed = sum(f.stat().st_size for n in (1, 2, 3) for f in project.datasets.version_folder(dataset, n).glob("rows-*"))
    assert collect(project, 0) == freed
    versions = project.datasets.versions(dataset)
    assert [v.is_collected for v in versions] == [True, True, True, False]
    assert [entry.can_go for entry in project.datasets.history(dataset)] == [False, False, False, False, True]
    for refused in (
        lambda: project.page(dataset, version=1),
        lambda: project.datasets.restore(dataset, 2),
        lambda: project.datasets.branch(dataset, 2, "new"),
        lambda: project.diffs.summary(dataset, 1, 4),
        lambda: project.datasets.go_to(dataset, 0),
    ):
        with pytest.raises(UserError, match="were collected"):
            refused()
    assert project.datasets.get(dataset).version == 4
    # Why a row is not there is still known.
    graph = project.lineage_graph.of_row(dataset, 3)
    assert graph.node(graph.focus).facts["dropped_at"] == {f"{dataset}@2": "deleted by hand"}
    assert project.edits.row_history(dataset, 5) != []
    assert garbage_versions(project, 0) == set()
    share = project.diffs.summary(dataset, 4, None)
    assert share.unchanged == share.rows_after


def test_row_ids_of_collected_versions_are_never_given_again(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(10))
    _, (first,) = project.edits.add_rows(dataset, [{"text": "one"}])
    commit(project, dataset)
    project.publish(recipe_job(project, dataset, simple_table(5)))
    collect(project, 0)
    project.close()
    again = Project.open(project.folder)
    try:
        with again._catalog.transaction() as connection:
            connection.execute("DELETE FROM edits")
        _, (second,) = again.edits.add_rows(dataset, [{"text": "two"}])
        assert second == first + 1
        update = again.specs.import_files([Path(__file__)], update_of=dataset)
        assert update.steps[0].params["update"]["taken_up_to"] == first
    finally:
        again.close()


def test_a_version_nobody_came_from_goes_whole(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(10))
    grow(project, dataset, 1)
    project.undo(dataset)
    project.publish(recipe_job(project, dataset, simple_table(4)))
    collect(project, 0)
    assert not project.datasets.version_folder(dataset, 2).exists()
    assert project.datasets.version_folder(dataset, 1).exists()


def test_orphans_jobs_and_temporary_files(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(10))
    orphan = project.folder / "datasets" / "d-lost" / "v0003"
    orphan.mkdir(parents=True)
    (orphan / "rows-00000.parquet").write_bytes(b"x" * 1000)
    theirs = project.folder / "models" / "my own"
    theirs.mkdir()
    (theirs / "model.gguf").write_bytes(b"x")
    spec = JobSpec.new("Train", "train", [StepSpec("train", "train")])
    folder = project.jobs_dir / spec.id
    spec.save(folder)
    step = folder / "step-0-train"
    (step / "checkpoints").mkdir(parents=True)
    (step / "checkpoints" / "weights").write_bytes(b"x" * 2000)
    for name in ("DONE", "engine.log"):
        (step / name).write_text("{}", "utf-8")
    for name in ("events.jsonl", "worker.log"):
        (folder / name).write_text("", "utf-8")
    write_json(folder / "state.json", {"state": "succeeded", "finished": time.time()})
    (project.folder / "tmp" / "in-use").write_bytes(b"x")
    found = {g.kind: g for g in project.disk.collectable()}
    assert {kind: g.bytes for kind, g in found.items()} == {"orphan": 1000, "job": 2000}
    assert collect(project) == 3000
    assert not orphan.exists() and theirs.exists() and not (step / "checkpoints").exists()
    assert sorted(path.name for path in step.iterdir()) == ["DONE", "engine.log"]
    assert (folder / "spec.json").exists() and (folder / "events.jsonl").exists()
    assert (project.folder / "tmp" / "in-use").exists(), "it came after the project was opened"
    assert len(shown(project, dataset)) == 10


def test_a_folder_on_its_way_is_no_orphan(project: Project) -> None:
    spec = JobSpec.new("Import", "import", [StepSpec("import", "import_dataset")])
    spec.save(project.jobs_dir / spec.id)
    for name, owner in (("d-a", {"job_id": spec.id, "step": "import"}), ("d-b", {"job_id": "", "branch_of": "v0001"})):
        folder = project.folder / "datasets" / name / "v0001"
        folder.mkdir(parents=True)
        (folder / "rows-00000.parquet").write_bytes(b"x")
        write_json(folder / "made-by.json", owner)
    assert project.disk.collectable() == []


def test_shared_files_count_once_and_free_nothing_until_the_last_goes(project: Project) -> None:
    tables = [simple_table(ROW_GROUP * 17, first) for first in (0, ROW_GROUP * 17)]
    dataset = make_dataset(project, "data", *tables)
    project.edits.set_cells(dataset, {0: {"text": "x"}})
    commit(project, dataset)
    one, two = (sorted(project.datasets.files(dataset, n)) for n in (1, 2))
    assert one[1].stat().st_ino == two[1].stat().st_ino
    usage = project.disk.usage()
    everything = {(s.st_dev, s.st_ino): s.st_size for p in project.folder.rglob("*") if p.is_file() and (s := p.stat())}
    catalogue = sum(p.stat().st_size for p in project.folder.glob("catalog.duckdb*"))
    assert usage.total == pytest.approx(sum(everything.values()), abs=catalogue)
    assert usage.shared == one[1].stat().st_size
    assert sum(s.bytes for s in usage.subjects) == usage.total
    (subject,) = (s for s in usage.subjects if s.kind == "dataset")
    assert sum(part.bytes for part in subject.parts) == subject.bytes
    (version,) = (g for g in project.disk.collectable(0) if g.kind == "version")
    assert version.bytes == one[0].stat().st_size
    size = one[0].stat().st_size
    items = [g for g in project.disk.collectable(0) if g.kind == "version"]
    assert project.disk.collect(items, 0)[1] == size
    assert len(project.page(dataset, limit=10).rows) == 10


def test_temporary_files_of_an_earlier_session_go(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p")
    project.close()
    (tmp_path / "p" / "tmp").mkdir()
    (tmp_path / "p" / "tmp" / "left").write_bytes(b"x" * 500)
    project = Project.open(tmp_path / "p")
    try:
        assert [(g.kind, g.bytes) for g in project.disk.collectable()] == [("tmp", 500)]
        assert collect(project) == 500
        assert not (tmp_path / "p" / "tmp" / "left").exists()
    finally:
        project.close()


# ---- faults ----------------------------------------------------------------------------------------------------------


def test_a_move_that_fails_changes_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_dataset(project, "data", simple_table(40))
    grow(project, dataset, 4)
    rename, left = Path.rename, [2]

    def fails(self: Path, target: Any) -> Path:
        left[0] -= 1
        if left[0] == 0 and "trash" in str(target):
            raise PermissionError("in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(UserError, match="in use"):
        project.disk.collect(project.disk.collectable(0), 0)
    monkeypatch.undo()
    assert all(has_rows(project, dataset, n) for n in range(1, 6))
    assert not any(v.is_collected for v in project.datasets.versions(dataset))
    assert list((project.folder / "trash").iterdir()) == []


def test_a_catalogue_that_cannot_be_written_changes_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_dataset(project, "data", simple_table(40))
    grow(project, dataset, 2)

    def fails(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(project.disk, "_note", fails)
    with pytest.raises(RuntimeError):
        project.disk.collect(project.disk.collectable(0), 0)
    assert all(has_rows(project, dataset, n) for n in (1, 2, 3))
    assert not any(v.is_collected for v in project.datasets.versions(dataset))


def test_what_was_moved_but_not_told_is_put_back_at_open(project: Project) -> None:
    dataset = make_dataset(project, "data", simple_table(40))
    grow(project, dataset, 2)
    path = project.datasets.version_folder(dataset, 1)
    batch = project.folder / "trash" / "20240101-000000-abc"
    batch.mkdir(parents=True)
    write_json(batch / MANIFEST, {"000000": path.relative_to(project.folder).as_posix()})
    path.rename(batch / "000000")
    known = project.folder / "trash" / "known"
    known.mkdir()
    (known / "000000").write_bytes(b"x")
    project.close()
    again = Project.open(project.folder)
    try:
        assert again.recovered == ["trash/20240101-000000-abc"]
        assert has_rows(again, dataset, 1)
        assert list((again.folder / "trash").iterdir()) == []
    finally:
        again.close()


# ---- any history -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_is_referred_to_ever_goes(project: Project, seed: int) -> None:
    """Random histories: what runs, exports, names, branches and undo need reads as before, after any collection."""
    chance = random.Random(seed)
    datasets = [make_dataset(project, f"d{n}", simple_table(30)) for n in range(2)]
    wanted: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for step in range(30):
        dataset = chance.choice(datasets)
        versions = [v for v in project.datasets.versions(dataset) if not v.is_collected]
        some = chance.choice(versions).number
        act = chance.choice(
            ["grow", "grow", "edit", "commit", "undo", "redo", "name", "run", "export", "branch", "restore", "collect"]
        )
        if act == "grow" and project.datasets.get(dataset).rows > 3:
            project.edits.discard(dataset)
            grow(project, dataset, 1)
        elif act == "edit":
            project.edits.set_cells(dataset, {shown(project, dataset)[0]["row_id"]: {"text": f"edit {step}"}})
        elif act == "commit" and project.edits.pending(dataset):
            commit(project, dataset)
        elif act == "undo" and len([o for o in project.datasets.operations(dataset) if o.state == "done"]) > 1:
            undone = step_or_refused(project.undo, dataset)
            assert undone or not within(project, dataset)
        elif act == "redo":
            step_or_refused(project.redo, dataset)
        elif act in ("name", "run", "export"):
            wanted[dataset, some] = (
                project.page(dataset, limit=1000, version=some).records()
                if some != project.datasets.get(dataset).version
                else []
            )
            if act == "name":
                project.datasets.name_version(dataset, some, f"name {step}")
                wanted.pop((dataset, some))
            elif act == "run":
                trained(project, dataset, some, f"run{step}")
            else:
                exported(project, dataset, some, f"x{step}")
        elif act == "branch" and len(datasets) < 5:
            datasets.append(project.datasets.branch(dataset, some, f"branch {step}")[1])
        elif act == "restore":
            project.datasets.restore(dataset, some)
        elif act == "collect":
            collect(project, chance.choice([0, 1, 3]))
        check(project, datasets, wanted)


def step_or_refused(move: Any, dataset: str) -> bool:
    """Undo or redo; False when the files of where it leads were collected."""
    try:
        move(dataset)
    except UserError as error:
        assert "were collected" in str(error)
        return False
    return True


def within(project: Project, dataset: str) -> bool:
    """Whether undoing the newest operation leads to a version that should be there."""
    newest = [o for o in project.datasets.operations(dataset) if o.state == "done"][-1]
    before = newest.version_before
    return before is not None and not project.datasets.version(dataset, before).is_collected


def check(project: Project, datasets: list[str], wanted: dict[tuple[str, int], list[dict[str, Any]]]) -> None:
    for dataset in datasets:
        current = project.datasets.get(dataset)
        assert len(shown(project, dataset)) == current.rows
        for version in project.datasets.versions(dataset):
            if not version.is_collected:
                assert has_rows(project, dataset, version.number)
            elif version.name:
                raise AssertionError(f"{dataset}@{version.number} has a name")
    for (dataset, number), rows in wanted.items():
        assert has_rows(project, dataset, number)
        if rows:
            files = project.datasets.files(dataset, number)
            assert project._rows.page(files, offset=0, limit=1000).records() == rows
    assert not any(os.scandir(project.folder / "trash")) if (project.folder / "trash").is_dir() else True


def test_undo_of_the_project_passes_over_what_was_collected(project: Project) -> None:
    kept, gone = make_dataset(project, "kept", simple_table(4)), make_dataset(project, "gone", simple_table(4))
    project.edits.set_cells(kept, {1: {"text": "one"}})
    project.datasets.delete(gone)
    collect(project, 0)
    assert not has_rows(project, gone, 1)
    found = [(s.id, s.can_come_back) for s in project.disk.usage().subjects if s.kind == "dataset"]
    assert found == [(kept, False)], "of what was deleted and collected nothing is left to be shown"
    undone = project.undo()
    assert undone is not None and undone.dataset_id == kept, "the deletion leads nowhere: the work before it is next"
    assert project.redo() is not None and project.undo() is not None
    assert project.undo() is not None and project.datasets.all() == []
    with pytest.raises(UserError, match="no further"):
        project.undo()
    with pytest.raises(UserError, match="version 1 were collected"):
        project.undo(gone)
    with pytest.raises(UserError, match="version 1 were collected"):
        project.datasets.bring_back(gone)
