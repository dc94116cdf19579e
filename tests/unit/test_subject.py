"""A subject of the facade is made once, when it is first asked for, whoever asks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fmstudio.project import Project
from fmstudio.project.subject import subject


class Owner:
    made = 0

    @subject
    def part(self) -> object:
        """A part."""
        time.sleep(0.05)
        Owner.made += 1
        return object()


def test_threads_that_ask_at_once_get_the_same_object() -> None:
    owner, start = Owner(), threading.Barrier(8)

    def ask(_: int) -> object:
        start.wait()
        return owner.part

    with ThreadPoolExecutor(8) as pool:
        parts = set(pool.map(ask, range(8)))
    assert len(parts) == 1
    assert Owner.made == 1
    assert Owner.part.__doc__ == "A part."


def test_closing_a_project_makes_nothing(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p")
    project.close()
    assert not {"console", "transforms"} & set(vars(project))


LATER = (
    "pydantic",
    "fmstudio.recipes",
    "fmstudio.project.diff",
    "fmstudio.project.console",
    "fmstudio.project.lineage",
)


def test_opening_a_project_imports_only_what_every_page_needs(tmp_path: Path) -> None:
    Project.create(tmp_path / "p").close()
    code = (
        "import json, sys; from pathlib import Path; from fmstudio.project import Project;"
        " Project.open(Path(sys.argv[1])).close(); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "p")], check=True, capture_output=True, text=True)
    loaded = json.loads(done.stdout)
    assert "fmstudio.project.facade" in loaded
    assert [name for name in LATER if name in loaded] == []
