"""Shared by the tests of exporters: rows of every kind, and one export as the app makes it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from fmstudio.api import DatasetFacts
from fmstudio.api.testing import FakeContext, FakeExportReport
from fmstudio.core.checking import make_params
from fmstudio.plugin_manager import Contribution, PluginManager

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


@cache
def plugins() -> PluginManager:
    """The plugins that ship with the app; tests of exporters add none."""
    return PluginManager(safe_mode=True)


def exporters() -> list[Contribution]:
    return [c for c in plugins().contributions("dataset_exporter") if c.plugin_id == "fmstudio_export"]


def turns(*contents: str, system: str = "") -> list[dict[str, str]]:
    """A conversation of alternating turns."""
    said = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(contents)]
    return [{"role": "system", "content": system}, *said] if system else said


def chats(*conversations: list[dict[str, str]] | None, **columns: list[Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"messages": pa.array(list(conversations), MESSAGES), **columns})


def pairs(*rows: tuple[str | None, str | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"prompt": [r[0] for r in rows], "completion": [r[1] for r in rows]})


def everything() -> pa.RecordBatch:
    """A table with a column of each type that imports make."""
    return pa.RecordBatch.from_pydict(
        {
            "text": ["plain", 'a,b "c"\n=1+1', "", None],
            "whole": pa.array([1, -(2**63), 2**63 - 1, None], pa.int64()),
            "share": pa.array([0.1, float("nan"), float("-inf"), None], pa.float64()),
            "yes": [True, False, None, None],
            "list": pa.array([["x", None], [], ["日本"], None], pa.list_(pa.string())),
            "struct": pa.array([{"a": 1, "b": [1.5]}, {"a": None, "b": None}, None, {"a": 2, "b": []}]),
            "when": pa.array([dt.datetime(2024, 2, 29, 12, 30, 0, 250000), None, dt.datetime(1815, 6, 18), None]),
            "day": pa.array([dt.date(2024, 2, 29), None, dt.date(1815, 6, 18), None]),
            "exact": pa.array([Decimal("1.10"), Decimal("-99999999.99"), None, None], pa.decimal128(20, 2)),
            "raw": pa.array([b"\x00\xff", b"", None, None], pa.binary()),
        }
    )


def export(
    tmp_path: Path,
    exporter: str,
    *batches: pa.RecordBatch,
    name: str = "",
    facts: DatasetFacts | None = None,
    **params: Any,
) -> tuple[Path, FakeExportReport]:
    """Write batches of one schema with an exporter; give the target and what was said."""
    contribution = plugins().contribution("dataset_exporter", exporter)
    kind = contribution.load()
    settings = make_params(kind, params, exporter)
    report = FakeExportReport()
    target = tmp_path / (name or f"out{contribution.facts['suffix']}")
    made = kind()
    made.check(batches[0].schema, settings)
    known = facts or DatasetFacts("Data", rows=sum(b.num_rows for b in batches))
    written = made.write(given(batches), batches[0].schema, target, settings, known, report, FakeContext())
    assert written and all(path.is_file() for path in written)
    return target, report


def given(batches: tuple[pa.RecordBatch, ...]) -> Iterator[pa.RecordBatch]:
    yield from (batch for batch in batches if batch.num_rows)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
