"""What may not be read or written is said in a sentence, and stops nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from fmstudio.api.errors import UserError
from fmstudio.cli import main as cli
from fmstudio.project import Project
from fmstudio.worker.hashing import Hashes
from fmstudio.worker.main import explain


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied", "/somewhere/locked")


def test_a_command_says_what_it_may_not_touch(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = argparse.Namespace(handler=refuse, verbose=False)
    assert cli.run_command(arguments) == cli.USER_MISTAKE
    said = capsys.readouterr().err
    assert "/somewhere/locked" in said and "permissions" in said and "Traceback" not in said


def test_a_job_says_it_too() -> None:
    said = explain(PermissionError(13, "Permission denied", "/somewhere/locked"))
    assert "/somewhere/locked" in said.message and "permissions" in said.remedy and said.is_user_error


def test_a_file_that_cannot_be_read_does_not_spoil_the_hash_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x\n1\n", "utf-8")
    plain = Path.open

    def opened(path: Path, *args: object, **more: object) -> object:
        return refuse() if path.name == "b.csv" else plain(path, *args, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", opened)
    with Hashes() as hashes:
        hashes.start([tmp_path])
        assert len(hashes.all()[0]) == 64
    with Hashes() as hashes, pytest.raises(PermissionError):
        hashes.start([tmp_path / "b.csv"])
        hashes.all()


def test_whether_an_unreadable_file_was_imported_cannot_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("x\n1\n", "utf-8")
    project = Project.create(tmp_path / "project")
    source = type("Known", (), {"bytes": file.stat().st_size, "sha256": "", "dataset_id": ""})
    monkeypatch.setattr(project.imports, "sources", lambda: [source])
    with monkeypatch.context() as locked, pytest.raises(UserError, match="cannot be read: Permission denied"):
        locked.setattr(Path, "open", refuse)
        project.imports.known_file(file)
    project.close()
