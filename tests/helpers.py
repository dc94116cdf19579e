"""Shared by tests: real plugins written to the test's home, the command line as a child process, small files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def write_plugin(home: Path, plugin_id: str, manifest_tables: str, code: str) -> Path:
    """Put a third-party plugin into the user's plugin folder."""
    folder = home / "plugins" / plugin_id
    folder.mkdir(parents=True)
    head = f'id = "{plugin_id}"\nname = "{plugin_id}"\nversion = "1"\napi = 1\ndescription = "for a test"\n'
    (folder / "plugin.toml").write_text(head + manifest_tables, "utf-8")
    (folder / f"{plugin_id}_code.py").write_text(code, "utf-8")
    return folder


def write_slow_importer(home: Path) -> None:
    """An importer of ``.slow`` files: one row every 20 ms, as many as the file says."""
    write_plugin(
        home,
        "slow",
        '[[importer]]\nid = "slow"\ntitle = "Slow"\nclass = "slow_code:Slow"\nsuffixes = [".slow"]\n',
        """
import time
from fmstudio.api import Importer

class Slow(Importer):
    def read(self, path, params, report, ctx):
        import pyarrow as pa
        count = int(path.read_text())
        for i in range(count):
            ctx.check_cancelled()
            time.sleep(0.02)
            ctx.progress(i + 1, count, "rows read")
            yield pa.RecordBatch.from_pydict({"text": [f"row {i}"]})
""",
    )


def write_dripping_importer(home: Path) -> None:
    """An importer of ``.drip`` files: 100 rows (column n) every 20 ms, as often as the file says; it notes marks."""
    write_plugin(
        home,
        "drip",
        '[[importer]]\nid = "drip"\ntitle = "Drip"\nclass = "drip_code:Drip"\nsuffixes = [".drip"]\n',
        """
import time
from fmstudio.api import Importer

class Drip(Importer):
    def read(self, path, params, report, ctx):
        import pyarrow as pa
        count = int(path.read_text())
        for i in range(self.mark["batch"] if self.mark else 0, count):
            self.mark = {"batch": i}
            ctx.check_cancelled()
            time.sleep(0.02)
            ctx.progress(i + 1, count, "batches read")
            yield pa.RecordBatch.from_pydict({"n": list(range(i * 100, i * 100 + 100))})
""",
    )


def fmstudio(
    *arguments: str, timeout: float = 300, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a child process."""
    return subprocess.run(
        [sys.executable, "-m", "fmstudio", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
    )


def fmstudio_json(*arguments: str, timeout: float = 300) -> Any:
    """Run a command with ``--json``; it must succeed, and stdout must be one JSON document."""
    done = fmstudio(*arguments, "--json", timeout=timeout)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_until(condition: Callable[[], Any], timeout: float = 30.0, pause: float = 0.02) -> Any:
    """Poll until `condition` gives something true, and return it."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(pause)
    raise AssertionError("waited in vain")


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
