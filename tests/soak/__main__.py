"""Runs a soak and prints its report as JSON; exit code 1 when anything failed."""

from __future__ import annotations

import argparse
import json
import os
import struct
import tempfile
from pathlib import Path
from typing import Any


def main() -> int:
    """Run it for as long as asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--bound", type=float, default=60, help="seconds that no request may take; more on a busy machine"
    )
    parser.add_argument("--model", type=Path, help="a GGUF file; none = a tiny one with adapters")
    parser.add_argument("--adapter", type=Path, action="append", default=[])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fmstudio-soak-") as folder:
        os.environ.setdefault("FMSTUDIO_HOME", f"{folder}/home")
        report = soak(
            Path(folder),
            args.minutes * 60,
            model=args.model,
            adapters=args.adapter,
            people=args.people,
            seed=args.seed,
            bound=args.bound,
        )
    print(json.dumps(report, indent=1, ensure_ascii=False))
    return 1 if report["faults"] else 0


def soak(
    folder: Path,
    seconds: float,
    *,
    model: Path | None = None,
    adapters: list[Path] | None = None,
    people: int = 5,
    seed: int = 0,
    bound: float = 60,
) -> dict[str, Any]:
    """Soak an engine; give the report.

    Args:
        model: A GGUF file; None = the tiny llama, with two adapters.
    """
    from tests.soak.world import World

    params: dict[str, Any] = {"n_ctx": 2048, "state_mb": 32}
    if model is None:
        model, adapters = _tiny(folder)
        params["state_mb"] = 4
    return World(folder, seconds, model, adapters or [], params, n_people=people, seed=seed, bound_s=bound).run()


def _tiny(folder: Path) -> tuple[Path, list[Path]]:
    from tests.tiny_adapter import build_tiny_adapter
    from tests.tiny_llama import CONTEXT, build_tiny_llama

    _, model = build_tiny_llama(folder)
    key = b"llama.context_length" + struct.pack("<I", 4)
    data = model.read_bytes()
    assert data.count(key) == 1
    model.write_bytes(data.replace(key + struct.pack("<I", CONTEXT), key + struct.pack("<I", 2048)))
    return model, [build_tiny_adapter(folder / f"{n}.gguf", seed=n, strength=0.3) for n in (1, 2)]


if __name__ == "__main__":
    raise SystemExit(main())
