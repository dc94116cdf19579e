"""Model and adapter files with every kind of fault are really loaded, as the engine does it: a reason, or an answer."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.damaged_models import write_corpus
from tests.helpers import ROOT
from tests.hostile_models import write_hostile_adapters, write_hostile_models
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_llama import build_tiny_llama

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MOST_SECONDS = 10.0
MOST_GROWTH = 600_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of loading a file."""

    name: str
    said: str
    has_remedy: bool
    seconds: float
    peak: int


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    folder = tmp_path_factory.mktemp("hostile")
    _, model = build_tiny_llama(folder)
    adapter = build_tiny_adapter(folder / "adapter.gguf")
    items = [(path, "") for path in write_hostile_models(model, folder / "models")]
    items += [(model, str(path)) for path in write_hostile_adapters(adapter, folder / "adapters")]
    damaged = [path for path in write_corpus(folder / "damaged") if path.suffix == ".gguf"]
    items += [(path, "") for path in damaged] + [(model, str(path)) for path in damaged[::5]]
    items += [(model, str(model)), (adapter, ""), (model, "")]
    found = load_all(folder, items)
    assert len(found) == len(items) >= 400
    return found


def load_all(folder: Path, items: list[tuple[Path, str]]) -> list[Verdict]:
    """Load them in as few processes as possible: a process that dies is noted, and the next goes on after it."""
    listed = folder / "list.json"
    listed.write_text(json.dumps([(str(model), adapter) for model, adapter in items]))
    results = folder / "results.jsonl"
    found: list[Verdict] = []
    while len(found) < len(items):
        command = [sys.executable, "-m", "tests.worker.load_driver", str(listed), str(len(found)), str(results)]
        results.write_text("")
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
        lines = [json.loads(line) for line in results.read_text().splitlines()]
        for line in lines:
            if len(line) > 1:
                found.append(Verdict(_name(items[line[0]]), *line[1:]))
        if lines and len(lines[-1]) == 1:
            found.append(
                Verdict(_name(items[lines[-1][0]]), f"DIED {done.returncode} {done.stderr[-300:]}", True, 0, 0)
            )
        assert lines, done.stderr[-2000:]
    return found


def _name(item: tuple[Path, str]) -> str:
    return f"{Path(item[1]).parent.name}/{Path(item[1]).name}" if item[1] else f"{item[0].parent.name}/{item[0].name}"


def test_the_engine_never_dies_of_a_file(verdicts: list[Verdict]) -> None:
    assert [(v.name, v.said) for v in verdicts if v.said.startswith(("DIED", "FAULT"))] == []


def test_a_refusal_has_a_way_on(verdicts: list[Verdict]) -> None:
    assert [v.name for v in verdicts if v.said and not v.has_remedy] == []


def test_nothing_hangs(verdicts: list[Verdict]) -> None:
    assert [(v.name, v.seconds) for v in verdicts if v.seconds > MOST_SECONDS] == []


def test_the_memory_stays_small(verdicts: list[Verdict]) -> None:
    assert max(v.peak for v in verdicts) < MOST_GROWTH


def test_sound_files_answer(verdicts: list[Verdict]) -> None:
    assert verdicts[-1].said == ""
