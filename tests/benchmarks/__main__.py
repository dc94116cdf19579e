"""Runs benchmarks and prints per figure: name, ours, peer, ratio, goal, met."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks import Figure


def main() -> int:
    """Run the benchmarks named (default: all); exit code 1 when a goal is missed."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("FMSTUDIO_HOME", tempfile.mkdtemp(prefix="fmstudio-bench-"))
    names = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if not m.name.startswith("_"))
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names)}")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures: list[Figure] = []
    for name in args.names or names:
        print(f"… {name}", file=sys.stderr, flush=True)
        figures += importlib.import_module(f"tests.benchmarks.{name}").run()
    if args.json:
        print(json.dumps([{**asdict(f), "ratio": f.ratio} for f in figures], indent=1))
    else:
        _print(figures)
    return 0 if all(f.met for f in figures) else 1


def _print(figures: list[Figure]) -> None:
    rows = [("figure", "ours", "peer", "ratio", "goal", "met")]
    for f in figures:
        peer = f"{f.peer:,.2f} {f.unit} ({f.peer_name})" if f.peer is not None else "–"
        ratio = f"{f.ratio:.2f}" if f.ratio is not None else "–"
        rows.append((f.name, f"{f.ours:,.2f} {f.unit}", peer, ratio, f.goal, "yes" if f.met else "NO"))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
