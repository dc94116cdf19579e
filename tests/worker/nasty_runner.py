"""Child process of `test_nasty_files`: imports files one after another with the real task and says what came of each.

Reads paths from stdin, writes one JSON line before (``{"start": …}``) and one after each file.
"""

from __future__ import annotations

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmstudio.api.testing import FakeContext
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.main import explain
from fmstudio.worker.tasks import import_dataset


def main() -> None:
    """Import each file named on stdin."""
    plugins = PluginManager()
    with ThreadPoolExecutor(1) as pool:
        for line in sys.stdin:
            path = json.loads(line)
            _say({"start": path})
            with tempfile.TemporaryDirectory() as folder:
                done = pool.submit(_import, path, Path(folder), plugins)
                error = done.exception()
                _say(done.result() if error is None else asdict(explain(error)))


def _import(path: str, folder: Path, plugins: PluginManager) -> dict[str, Any]:
    context: Any = FakeContext(folder)
    result = import_dataset.run({"files": [path]}, context, plugins)
    rejects = context.out_dir / "rejects.jsonl"
    listed = len(rejects.read_text("utf-8").splitlines()) if rejects.exists() else 0
    return {"rows": result["rows"], "rejected": result["rejected"], "listed": listed, "notes": result["notes"]}


def _say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
