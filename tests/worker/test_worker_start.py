"""A worker leaves out what takes time to load and is of no use to it, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow.csv import write_csv
from pyarrow.parquet import write_table

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


IMPORTED = """
import json, sys
from pathlib import Path
from fmstudio.jobs.spec import JobSpec, StepSpec
from fmstudio.worker.main import main
job = Path(sys.argv[1])
JobSpec.new("import", "import", [StepSpec("import", "import_dataset", {"files": [sys.argv[2]]})]).save(job)
assert main(["run", str(job), "0"]) == 0
print(json.dumps([name for name in ("pandas", "pydantic", "duckdb") if name in sys.modules]), file=sys.stderr)
"""


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_import_of_a_table_loads_nothing_that_it_does_not_need(tmp_path: Path, suffix: str) -> None:
    rows = pa.table({"prompt": ["What is it?", "And that?"], "completion": ["This.", "That."], "zip": ["01234", "5"]})
    source = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        write_csv(rows, source)
    elif suffix == "parquet":
        write_table(rows, source)
    else:
        source.write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()), "utf-8")
    command = [sys.executable, "-c", IMPORTED, str(tmp_path / "job"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1]) == []
