"""Transforms and saved queries as jobs: real worker processes, cancelled, killed and tried again; and from the command line."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.cli.main import main
from fmstudio.cli.session import make_queue
from fmstudio.jobs.spec import Job, JobSpec
from fmstudio.project import Project
from tests.helpers import wait_until, write_jsonl
from tests.unit.edit_kit import leave_out_packaged_models, make_dataset, shown, simple_table

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")

SLOW = "(SELECT count(*) FROM range(100000000) a, range(1000000) b WHERE (a.range + b.range) % 7 = dataset.n)"
"""An expression that no machine finishes."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with ``chats`` of 1 000 rows."""
    leave_out_packaged_models(monkeypatch)
    project = Project.create(tmp_path / "project")
    make_dataset(project, "chats", simple_table(1_000))
    yield project
    project.close()


def run(project: Project, spec: JobSpec) -> Job:
    queue = make_queue(project)
    return queue.wait(queue.submit(spec).id)


def test_a_transform_job_folds_edits_in_and_makes_one_version(project: Project) -> None:
    project.edits.set_cells("d-chats", {5: {"text": "edited by hand"}})
    job = run(project, project.specs.transform("chats", "replace", {"find": "text", "replacement": "row"}))
    assert job.state == "succeeded", job.error
    assert [step.name for step in job.spec.steps] == ["commit", "transform"]
    assert project.datasets.get("chats").version == 2
    texts = [row["text"] for row in shown(project, "chats")]
    assert (texts[4], texts[5]) == ("row 4", "edited by hand")
    assert job.progress.done == 1_000


def test_groups_and_saved_queries_run_in_workers(project: Project) -> None:
    params = {"method": "near duplicates", "output": "datasets", "name": "parts"}
    job = run(project, project.specs.transform("chats", "split", params))
    assert job.state == "succeeded", job.error
    parts = [d for d in project.datasets.all() if d.name.startswith("parts ")]
    assert sum(d.rows for d in parts) == 1_000
    job = run(
        project, project.specs.sql_dataset('SELECT n, count(*) AS rows FROM "chats" GROUP BY n ORDER BY n', "counts")
    )
    assert job.state == "succeeded", job.error
    assert [row["rows"] for row in shown(project, "counts")] == [143] * 6 + [142]


def test_a_value_that_does_not_fit_ends_the_job_with_a_sentence(project: Project) -> None:
    job = run(project, project.specs.transform("chats", "cast", {"columns": ["text"], "type": "number"}))
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.is_user_error
    assert "“text 0” does not fit number" in job.error.message
    assert project.datasets.get("chats").version == 1


@pytest.mark.parametrize("kind", ["transform", "sql"])
def test_cancel_reaches_into_a_running_query(project: Project, kind: str) -> None:
    spec = (
        project.specs.transform("chats", "compute", {"column": "x", "expression": SLOW})
        if kind == "transform"
        else project.specs.sql_dataset(SLOW[1:-1].replace("= dataset.n", "= 1"), "endless")
    )
    queue = make_queue(project)
    job = queue.submit(spec)
    wait_until(lambda: job.state == "running" and job.pid and list(job.folder.glob("step-*/tmp")))
    queue.cancel(job.id)
    assert queue.wait(job.id).state == "cancelled"
    # By itself, in time: a worker that has to be ended from outside writes no such line.
    assert not (job.error and "SIG" in job.error.message)
    assert project.datasets.get("chats").version == 1
    assert [d.name for d in project.datasets.all()] == ["chats"]


def test_a_killed_transform_is_tried_again_and_nothing_is_lost(project: Project) -> None:
    queue = make_queue(project)
    job = queue.submit(project.specs.transform("chats", "compute", {"column": "x", "expression": SLOW}))
    wait_until(lambda: job.state == "running" and job.pid and list(job.folder.glob("step-*/tmp")))
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    assert queue.wait(job.id).state == "failed"
    assert project.count("chats") == 1_000
    again = run(project, project.specs.transform("chats", "compute", {"column": "x", "expression": "n * 2"}))
    assert again.state == "succeeded"
    assert ("x", "int64") in [(c.name, c.type) for c in project.datasets.get("chats").columns]


# ---- the command line --------------------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command in a project with two datasets; it must succeed. Gives what it printed."""
    people = write_jsonl(
        tmp_path / "people.jsonl", [{"name": f"p{i}", "age": 20 + i, "city": "ab"[i % 2]} for i in range(10)]
    )
    cities = write_jsonl(tmp_path / "cities.jsonl", [{"city": "a", "long": "Aachen"}, {"city": "b", "long": "Bern"}])
    folder = tmp_path / "project"

    def run_command(*words: str, code: int = 0) -> str:
        done = main([*words, "--project", str(folder)])
        said = capsys.readouterr()
        assert done == code, said.err
        return said.out if code == 0 else said.err

    assert main(["project", "new", str(folder)]) == 0
    run_command("import", str(people))
    run_command("import", str(cities))
    return run_command


def test_transforms_from_the_command_line(command: Callable[..., str]) -> None:
    def ask(*words: str) -> Any:
        return json.loads(command(*words, "--json"))

    assert "compute" in command("transform")
    assert {one["id"] for one in ask("transform")["transforms"]} >= {"compute", "split", "join"}
    preview = command("transform", "people", "filter", "--set", "where=age > 25", "--preview")
    assert "10 rows become 4" in preview
    assert ask("transform", "people", "join", "--set", "dataset=cities", "key=city", "--preview")["rows_after"] == 10
    done = command("transform", "people", "join", "--set", "dataset=cities", "key=city", "columns=long")
    assert "Version 2 of “people”: 10 rows. Join with cities over city." in done
    shares = ask(
        "transform",
        "people",
        "split",
        "--set",
        "output=datasets",
        "method=grouped",
        "column=name",
        "train=0.5",
        "validation=0",
    )
    assert sorted(dataset["name"] for dataset in shares["datasets"]) == ["people test", "people train"]
    names = ["transform", "people", "rename_columns", "--set", 'names={"long": "city name"}']
    assert ask(*names)["steps"][0]["operator"] == "rename_columns"
    assert "Did you mean “filter”?" in command("transform", "people", "fliter", code=2)
    assert "where" in command("transform", "people", "filter", "--set", "were=1", code=2)
    assert "KEY=VALUE" in command("transform", "people", "filter", "--set", "where", code=2)
    assert "JSON" in command("transform", "people", "sample", "--set", "rows=many", code=2)


def test_sql_from_the_command_line(command: Callable[..., str]) -> None:
    sql = "SELECT city, count(*) AS n, [1, 2] AS l FROM people GROUP BY city ORDER BY city"
    assert command("sql", sql, "--csv") == 'city,n,l\na,5,"[1, 2]"\nb,5,"[1, 2]"\n'
    assert "city" in command("sql", sql)
    found = json.loads(command("sql", "SELECT * FROM people", "--limit", "3", "--json"))
    assert (found["total_shown"], found["is_cut"]) == (3, True)
    assert "Made “by city”: 2 rows." in command("sql", sql, "--save", "by city")
    assert json.loads(command("rows", "by city", "--json"))["rows"][1]["n"] == 5
    assert "only reads" in command("sql", "DROP TABLE people", code=2)
    assert "“people”" in command("sql", "SELECT * FROM peopel", code=2)
