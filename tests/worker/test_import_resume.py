"""An import that is cut short goes on where it stood, and ends as if nothing had happened."""

from __future__ import annotations

import errno
import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from fmstudio.api.errors import Cancelled, UserError
from fmstudio.api.testing import FakeContext
from fmstudio.cli.session import make_queue
from fmstudio.core import parquet_files
from fmstudio.core.parquet import read_batches
from fmstudio.plugin_manager import PluginManager
from fmstudio.project import Project
from fmstudio.worker.tasks import import_dataset
from tests.helpers import ROOT, fmstudio, fmstudio_json, wait_until, write_dripping_importer
from tests.nasty import make_corpus

ROWS, MANY = 3_000, 500_000


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small file has many places to be cut short at."""
    PluginManager().contribution("importer", "csv").load()
    PluginManager().contribution("importer", "json").load()
    import fmstudio_formats.csv_records
    import fmstudio_formats.lines

    for module in (fmstudio_formats.lines, fmstudio_formats.csv_records):
        monkeypatch.setattr(module, "BLOCK", 8_000)
        monkeypatch.setattr(module, "FIRST_BLOCK", 3_000)


def run(folder: Path, files: list[Path], *, cancel_after: int | None = None, **params: Any) -> tuple[FakeContext, Any]:
    """Import, and give the result; of a run that was cut short, None."""
    ctx = FakeContext(folder, cancel_after=cancel_after)
    params = {"files": [str(file) for file in files], "checkpoint_s": 0.0, **params}
    try:
        return ctx, import_dataset.run(params, ctx, PluginManager())  # type: ignore[arg-type]
    except Cancelled:
        return ctx, None


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for batch in read_batches(sorted(folder.glob("rows-*.parquet"))) for row in batch.to_pylist()]


def rejects_of(folder: Path) -> list[str]:
    path = folder / "rejects.jsonl"
    return path.read_text("utf-8").splitlines() if path.exists() else []


def cut_short(folder: Path, files: list[Path], seed: int, most: int, **params: Any) -> tuple[FakeContext, Any, int]:
    """Import, cut short after at most so many signs of progress; give how often it went on in the middle, too."""
    chance, resumed = random.Random(seed), 0
    for attempt in range(60):
        limit = chance.randint(1, most) if attempt < 50 else None
        ctx, result = run(folder, files, cancel_after=limit, **params)
        resumed += any(text.startswith("Going on after row") for _, text in ctx.logs)
        assert not any("begun anew" in text for _, text in ctx.logs)
        if result is not None:
            return ctx, result, resumed
    raise AssertionError("the last runs are never cut short")


def same(files: list[Path], tmp_path: Path, seed: int = 1, most: int = 8, **params: Any) -> int:
    """Import at once, and cut short; see that both are the same; give how often it went on in the middle."""
    whole, expected = run(tmp_path / "whole", files, **{"checkpoint_s": 1e9, **params})
    ctx, result, resumed = cut_short(tmp_path / "parts", files, seed, most, **params)
    assert repr(rows_of(ctx.out_dir)) == repr(rows_of(whole.out_dir))  # as text, for NaN equals nothing
    assert rejects_of(ctx.out_dir) == rejects_of(whole.out_dir)
    left_out = ("bytes", "files")  # how the rows are split into files
    assert {k: v for k, v in result.items() if k not in left_out} == {
        k: v for k, v in expected.items() if k not in left_out
    }
    assert sorted(p.name for p in ctx.out_dir.glob("rows-*")) == result["files"]
    return resumed


def lines(rows: int = ROWS) -> Iterator[bytes]:
    for i in range(rows):
        row: dict[str, Any] = {"id": i, "text": f"Row {i} “ünï” " + "x" * (i % 40)}
        if i > 2_000:
            row["late"] = i / 2  # a column that comes late
        if i == 2_500:
            row["id"] = "not a number"  # turns all ids before it into text
        yield json.dumps(row, ensure_ascii=False).encode()
        if i % 700 == 350:
            yield b'{"id": broken'


def csv_bytes(rows: int = ROWS) -> bytes:
    made = ["id,name,price,note"]
    for i in range(rows):
        note = f'"two\nlines of {i}"' if i % 97 == 0 else f"note {i}"
        price = "1.5E+15" if i % 300 == 7 else f"{i}.25" if i > 1_500 else str(i)
        made.append(f"{i if i != 2_222 else 'n/a'},name {i},{price},{note}")
        if i % 800 == 400:
            made.append("too,few")
    return "\n".join(made).encode()


def test_json_lines_with_damage_a_late_column_and_a_changed_type(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines()))
    assert same([path], tmp_path) >= 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_csv_with_cells_over_lines_ruined_numbers_and_damage(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(csv_bytes().decode().encode(encoding))
    assert same([path], tmp_path) >= 2


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.csv.gz"])
def test_a_compressed_file_is_unpacked_again_up_to_the_place(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(csv_bytes() if "csv" in name else b"\n".join(lines())))
    assert same([path], tmp_path) >= 2


def test_a_line_without_end_is_rejected_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fmstudio_formats.lines

    monkeypatch.setattr(fmstudio_formats.lines, "LONGEST_LINE", 20_000)
    path = tmp_path / "rows.jsonl"
    good = [json.dumps({"id": i, "text": "x" * 60}).encode() for i in range(1_500)]
    good[700:700] = [b'{"text": "' + b"y" * 400_000 + b'"}']
    path.write_bytes(b"\n".join(good))
    assert same([path], tmp_path) >= 2
    assert len(rejects_of(tmp_path / "parts" / "out")) == 1


def test_parquet_goes_on_at_a_row_group_and_a_folder_at_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "rows.parquet"
    folder.mkdir()
    for part in range(3):
        table = pa.table({"id": range(part * 900, part * 900 + 900), "text": [f"t{i}" for i in range(900)]})
        pq.write_table(table, folder / f"part-{part}.parquet", row_group_size=300)
    assert same([folder], tmp_path) >= 2


def test_many_files_with_other_columns(tmp_path: Path) -> None:
    for number in range(12):
        rows = [{"id": i, "text": f"{number} {i}"} | ({"more": i} if number % 4 == 3 else {}) for i in range(300)]
        path = tmp_path / "heap" / f"part-{number:02}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    (tmp_path / "heap" / "part-05b.jsonl").write_text("not one row\n", "utf-8")
    assert same([tmp_path / "heap"], tmp_path, most=30) >= 2
    archive = tmp_path / "heap.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((tmp_path / "heap").iterdir()):
            file.write(path, path.name)
    (tmp_path / "again").mkdir()
    assert same([archive], tmp_path / "again", most=30) >= 2


def test_a_format_without_marks_passes_over_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fmstudio_formats.batches
    from fmstudio_formats import json_window

    monkeypatch.setattr(fmstudio_formats.batches, "ROWS", 100)
    monkeypatch.setattr(json_window, "BLOCK", 100_000)
    path = tmp_path / "rows.json"
    path.write_text("[" + ",\n".join(json.dumps({"id": i, "text": "x" * 2_000}) for i in range(ROWS)) + "]", "utf-8")
    assert same([path], tmp_path) >= 2


def test_conversations_that_do_not_fit_are_rejected_once(tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(1_200):
            turns = [{"role": "user", "content": f"Question {i}"}, {"role": "assistant", "content": f"Answer {i}"}]
            file.write(json.dumps({"messages": turns if i % 100 != 50 else []}) + "\n")
    assert same([path], tmp_path) >= 2


def test_an_update_goes_on_too(tmp_path: Path) -> None:
    old = tmp_path / "old.csv"
    old.write_bytes(csv_bytes(500))
    ctx, _ = run(tmp_path / "v1", [old])
    files = [str(file) for file in sorted(ctx.out_dir.glob("rows-*.parquet"))]
    new = tmp_path / "new.csv"
    new.write_bytes(csv_bytes())
    assert same([new], tmp_path, update={"files": files, "taken": files, "key": "id"}) >= 2


def test_every_nasty_file_ends_as_if_it_had_not_been_cut_short(tmp_path: Path) -> None:
    checked = 0
    for number, nasty in enumerate(make_corpus(tmp_path / "corpus")):
        folder, path = tmp_path / str(number), tmp_path / "corpus" / nasty.name
        try:
            run(folder / "look", [path])
        except UserError:
            continue
        same([path], folder, seed=number)
        checked += 1
    assert checked > 40


def test_a_file_that_has_changed_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines()))
    _, result = run(tmp_path / "parts", [path], cancel_after=9)
    assert result is None and (tmp_path / "parts" / "checkpoint.json").exists()
    path.write_bytes(b"\n".join(lines(100)))
    ctx, result = run(tmp_path / "parts", [path])
    assert not any("Going on" in text for _, text in ctx.logs)
    assert result["rows"] == len(rows_of(ctx.out_dir)) == 100


def test_a_damaged_checkpoint_and_lost_files_cost_only_time(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines()))
    for harm in ("damaged", "lost"):
        folder = tmp_path / harm
        assert run(folder, [path], cancel_after=9)[1] is None
        checkpoint = folder / "checkpoint.json"
        if harm == "damaged":
            checkpoint.write_text(checkpoint.read_text("utf-8")[:200], "utf-8")
        else:
            (folder / "out" / "rows-00000.parquet").unlink()
        ctx, result = run(folder, [path])
        assert not any("Going on" in text for _, text in ctx.logs)
        assert result["rows"] == ROWS


def test_fewer_rows_than_before_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines()))
    assert run(tmp_path / "parts", [path], cancel_after=9)[1] is None
    checkpoint = tmp_path / "parts" / "checkpoint.json"
    kept = json.loads(checkpoint.read_text("utf-8"))
    kept["state"]["reader"]["place"]["rows"] += ROWS
    checkpoint.write_text(json.dumps(kept), "utf-8")
    ctx, result = run(tmp_path / "parts", [path])
    assert any("begun anew" in text for _, text in ctx.logs)
    assert result["rows"] == len(rows_of(ctx.out_dir)) == ROWS
    assert len(rejects_of(ctx.out_dir)) == result["rejected"] == 4


def test_after_a_full_disk_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines()))
    real, opened = parquet_files.open_writer, 0

    def full(*args: Any, **more: Any) -> Any:
        nonlocal opened
        opened += 1
        if opened > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **more)

    with monkeypatch.context() as broken:
        broken.setattr(parquet_files, "open_writer", full)
        with pytest.raises(OSError, match="No space"):
            run(tmp_path / "parts", [path])
    ctx, result = run(tmp_path / "parts", [path])
    assert any("Going on after row" in text for _, text in ctx.logs)
    assert [row["row_id"] for row in rows_of(ctx.out_dir)] == list(range(ROWS))
    assert result["rejected"] == len(rejects_of(ctx.out_dir)) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_kills_and_retries_of_a_real_import_lose_and_double_nothing(tmp_path: Path, own_home: Path, kind: str) -> None:
    source = big_file(tmp_path, kind)
    project = Project.create(tmp_path / "project")
    try:
        queue = make_queue(project)
        spec = project.specs.import_files([source])
        spec.steps[0].params["checkpoint_s"] = 0.02
        job = queue.submit(spec)
        checkpoint, kills = Newer(job.step_folder(0) / "checkpoint.json"), 0
        while not job.is_finished:
            wait_until(lambda: job.is_finished or (job.pid and checkpoint.is_newer()))
            if job.is_finished or kills == 4:
                queue.wait(job.id)
                break
            kills += 1
            assert job.pid is not None
            os.kill(job.pid, signal.SIGKILL)
            assert queue.wait(job.id).state == "failed"
            assert project.datasets.all() == []
            checkpoint.is_newer()  # it may have been written between the look and the kill
            queue.retry(job.id)
        assert job.state == "succeeded" and kills >= 2
        assert (job.folder / "events.jsonl").read_text("utf-8").count("Going on after row") == kills
        dataset = project.datasets.all()[0]
        found = project.console.run(
            f'SELECT count(*), count(DISTINCT id), sum(id), min(row_id), max(row_id) FROM "{dataset.name}"'
        )
        assert [tuple(row) for row in found.rows] == [(MANY, MANY, MANY * (MANY - 1) // 2, 0, MANY - 1)]
    finally:
        project.close()


class Newer:
    """Looks whether a file has changed since the last look."""

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, ""

    def is_newer(self) -> bool:
        """Whether it has."""
        before, self._seen = self._seen, self._path.read_text("utf-8") if self._path.exists() else ""
        return self._seen != before


def big_file(folder: Path, kind: str) -> Path:
    table = pa.table({"id": range(MANY), "text": [f"some words about number {i}, " * 6 for i in range(MANY)]})
    path = folder / f"big.{kind}"
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=20_000)
    elif kind == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        path.write_text("\n".join(json.dumps(row) for row in table.to_pylist()), "utf-8")
    return path


def worker_of(pid: int) -> int:
    """Process id of the worker that a command has started."""
    children = psutil.Process(pid).children(recursive=True)
    return next((child.pid for child in children if "worker" in child.cmdline()), 0)


@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")
def test_the_command_line_says_how_to_go_on_and_does(tmp_path: Path, own_home: Path) -> None:
    write_dripping_importer(own_home)
    source, folder = tmp_path / "rows.drip", tmp_path / "project"
    source.write_text("300", "utf-8")
    assert fmstudio("project", "new", str(folder)).returncode == 0
    command = [sys.executable, "-m", "fmstudio", "import", str(source), "--project", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: list(folder.glob("jobs/*/step-0-*/checkpoint.json")))
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    job_id = re.search(r"Go on with it by: fmstudio jobs --retry (\S+)", said)
    assert job_id, said
    with subprocess.Popen(
        [sys.executable, "-m", "fmstudio", "jobs", "--retry", job_id[1], "--project", str(folder)],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        os.kill(wait_until(lambda: worker_of(process.pid)), signal.SIGKILL)
        said = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and "SIGKILL" in said, said
    again = fmstudio("import", str(source), "--project", str(folder))
    assert again.returncode == 0 and "goes on where it stood" in again.stderr, again.stderr
    assert "Imported 30,000 rows" in again.stdout
    assert len(list(folder.glob("jobs/*/spec.json"))) == 1
    assert "Going on after row" in next(folder.glob("jobs/*/events.jsonl")).read_text("utf-8")
    counted = fmstudio_json("sql", 'SELECT count(DISTINCT n) AS n FROM "rows"', "--project", str(folder))
    assert counted["rows"] == [[30_000]]
