"""Checkpoints of a run: adapter, optimiser, random state and counters, published by rename.

A checkpoint is a folder ``step-000123``; it counts only when it has its final name, so a kill while one is written
leaves the one before. The two newest are kept. What belongs to another run (other data, other settings) is refused.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

KEEP = 2


def save(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) as the checkpoint of `step`."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{step:08d}"
    part = folder / f"{final.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    with (part / "state.pt").open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(final, ignore_errors=True)
    os.replace(part, final)
    _sync_folder(folder)
    for old in _finished(folder)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)


def load_newest(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """Give the newest readable checkpoint of the run with this fingerprint, or None."""
    import torch

    for path in reversed(_finished(folder)):
        try:
            # weights_only: a checkpoint is data; nothing in it may run.
            state: dict[str, Any] = torch.load(path / "state.pt", map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, ImportError, AttributeError):
            continue
        except Exception as error:
            if type(error).__name__ not in {"UnpicklingError", "BadZipFile"}:
                raise
            continue
        if state.get("fingerprint") == fingerprint:
            return state
    return None


def _finished(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if not p.name.endswith(".part") and (p / "state.pt").is_file())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
