"""No model file, however damaged or hostile, makes looking at it crash, hang or fill the memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fmstudio.models.inspect import inspect_model
from fmstudio.models.safetensors_header import read_safetensors_header
from tests.damaged_models import sound_gguf, sound_safetensors, write_corpus
from tests.helpers import ROOT

MOST_SECONDS = 5.0
MOST_BYTES = 500_000_000

_CHILD = """
import json, resource, sys, time
from pathlib import Path
from fmstudio.api.errors import UserError
from fmstudio.models.adapter_bases import fitting
from fmstudio.models.fit import estimate
from fmstudio.models.inspect import inspect_model

def peak_bytes():
    # This program's own: ru_maxrss would start at the peak of the process which started it.
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))) * 1024

def look(path):
    facts = inspect_model(path)
    if facts.kind == "adapter":
        fitting(facts.path, facts.format, [("x", facts.path, "hf"), ("y", facts.path, "gguf")])
    elif facts.format == "gguf":
        estimate(facts.path)
    json.dumps(facts.facts)

for name in json.load(open(sys.argv[1])):
    start, said, remedy = time.perf_counter(), "", True
    try:
        look(Path(name))
    except UserError as error:
        said, remedy = error.message, bool(error.remedy)
    except BaseException as error:
        said = "FAULT " + repr(error)[:300]
    seconds = time.perf_counter() - start
    peak = peak_bytes()
    print(json.dumps([name, said, remedy, seconds, peak]), flush=True)
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    folder = tmp_path_factory.mktemp("damaged")
    paths = write_corpus(folder)
    listed = folder / "list.json"
    listed.write_text(json.dumps([str(path) for path in paths]))
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(listed)], capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(paths) >= 100
    return found


def test_only_user_errors_with_a_way_on_are_raised(verdicts: list[list[Any]]) -> None:
    assert [(name, said) for name, said, _, _, _ in verdicts if said.startswith("FAULT")] == []
    assert [name for name, said, remedy, _, _ in verdicts if said and not remedy] == []


def test_nothing_hangs(verdicts: list[list[Any]]) -> None:
    assert [(name, seconds) for name, _, _, seconds, _ in verdicts if seconds > MOST_SECONDS] == []


def test_the_memory_stays_small(verdicts: list[list[Any]]) -> None:
    """The peak of one child that looked at all of them."""
    assert max(peak for *_, peak in verdicts) < MOST_BYTES


@pytest.mark.parametrize(
    "name",
    ["overlap.gguf", "twice.gguf", "zero.gguf", "unaligned.gguf", "nested.gguf", "cut-700.gguf", "long-texts.gguf",
     "empty-texts.gguf", "model/overlap", "model/gap", "model/pickle", "model/zip", "adapter/pickle", "strange/pickled",
     "strange/parts", "strange/zipped.pt", "strange/fifo-weights", "config-model/deep", "config-adapter_model/huge"],
)  # fmt: skip
def test_what_cannot_be_trusted_is_refused(verdicts: list[list[Any]], name: str) -> None:
    said = next(said for path, said, *_ in verdicts if path.endswith(f"/{name}"))
    assert said


def test_pickles_are_named_as_such(verdicts: list[list[Any]]) -> None:
    for name in ("model/pickle", "model/zip", "strange/pickled", "strange/zipped.pt", "strange/adapter_model.bin"):
        assert "pickle" in next(said for path, said, *_ in verdicts if path.endswith(f"/{name}")), name


def test_sound_files_pass(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(sound_gguf())
    assert inspect_model(tmp_path / "m.gguf").facts["n_params"] == 256
    (tmp_path / "w.safetensors").write_bytes(sound_safetensors())
    assert read_safetensors_header(tmp_path / "w.safetensors")["w"].shape == (2, 2)
