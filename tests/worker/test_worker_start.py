"""A worker leaves out what takes time to load and is of no use to it, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

CODE = """
import json, sys
if sys.argv[1] == "worker":
    import fmstudio.worker.run
    from fmstudio.worker.main import main
    fmstudio.worker.run.run_step = lambda: 0
    main(["run"])
import inspect
import pyarrow as pa
import pyarrow.compute as pc
texts = pa.array(["one two", None, "Zwei"])
print(json.dumps({
    "positional": pc.match_substring(texts, "two").to_pylist(),
    "named": pc.match_substring(texts, pattern="ONE", ignore_case=True).to_pylist(),
    "options": pc.split_pattern(texts, options=pc.SplitPatternOptions(" ")).to_pylist(),
    "signatures": {name: str(inspect.signature(getattr(pc, name))) for name in ("min_max", "replace_substring", "and_")},
    "names": sorted(name for name in dir(pc) if not name.startswith("_")),
    "pydoc": "pydoc" in sys.modules,
}))
"""


def asked(mode: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", CODE, mode], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_arrows_functions_are_the_same_in_a_worker_less_their_docstrings() -> None:
    worker, plain = asked("worker"), asked("plain")
    assert (worker.pop("pydoc"), plain.pop("pydoc")) == (False, True)
    assert worker == plain and len(worker["names"]) > 250  # type: ignore[arg-type]


ALLOCATOR = """
import sys

import pytest
import fmstudio.worker.run
from fmstudio.worker.main import main
fmstudio.worker.run.run_step = lambda: 0
main(["run"])
import pyarrow
print(pyarrow.default_memory_pool().backend_name)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Arrow's own choice stays")
@pytest.mark.parametrize(("chosen", "used"), [({}, "jemalloc"), ({"ARROW_DEFAULT_MEMORY_POOL": "system"}, "system")])
def test_a_job_takes_arrows_memory_from_jemalloc_unless_the_user_has_chosen(chosen: dict[str, str], used: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"} | chosen
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATOR], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == [used] and not done.stderr
