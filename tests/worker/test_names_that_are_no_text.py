"""Files whose names are not valid UTF-8, as old disks and archives have them, are imported like all others."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fmstudio.core.addresses import as_text
from fmstudio.core.jsonfile import read_json, write_json
from tests.helpers import fmstudio, fmstudio_json

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")


def odd(folder: Path, name: bytes, content: bytes) -> str:
    path = os.path.join(os.fsencode(folder), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    return os.fsdecode(path)


@pytest.fixture
def project(tmp_path: Path, own_home: Path) -> str:
    folder = str(tmp_path / "project")
    assert fmstudio("project", "new", folder).returncode == 0
    return folder


def test_a_name_becomes_text_and_json_keeps_it(tmp_path: Path) -> None:
    assert as_text("caf\udce9.csv") == "caf�.csv"
    write_json(tmp_path / "x.json", {"path": "caf\udce9 ü"})
    assert read_json(tmp_path / "x.json") == {"path": "caf\udce9 ü"}
    write_json(tmp_path / "y.json", {"path": "ü"})
    assert "ü" in (tmp_path / "y.json").read_text("utf-8")


def test_a_file_in_a_folder_by_its_own_name(tmp_path: Path, project: str) -> None:
    path = odd(tmp_path, b"caf\xe9/r\xe9.csv", b"a,b\n1,2\n3\n")
    done = fmstudio("import", path, "--project", project)
    assert done.returncode == 0, done.stderr
    assert "Imported 1 row as “r�”" in done.stdout
    again = fmstudio("import", path, "--project", project)
    assert "was imported before" in again.stderr
    for command in (["rows", "r�"], ["history", "r�"], ["lineage", "r�"], ["datasets"], ["jobs"], ["inspect", path]):
        asked = fmstudio(*command, *([] if command[0] == "inspect" else ["--project", project]))
        assert asked.returncode == 0 and "Traceback" not in asked.stderr, (command, asked.stderr)


def test_files_and_folders_inside_a_folder(tmp_path: Path, project: str) -> None:
    odd(tmp_path, b"heap/ok.csv", b"a,b\n1,2\n")
    odd(tmp_path, b"heap/d\xe9/r\xe9.csv", b"a,b\n3,4\n")
    odd(tmp_path, b"heap/n\xe9.exe", b"MZ\x00\x00")
    done = fmstudio("import", str(tmp_path / "heap"), "--project", project)
    assert done.returncode == 0, done.stderr
    rows = fmstudio_json("sql", 'SELECT source_file FROM "heap" ORDER BY 1', "--project", project)
    assert rows["rows"] == [["heap/d�/r�.csv"], ["heap/ok.csv"]]
    rejects = fmstudio_json("sql", 'SELECT reason FROM "heap.rejects"', "--project", project)
    assert len(rejects["rows"]) == 1 and "is a program" in rejects["rows"][0][0]
