"""Lines are named by their numbers, also where some are too long to be read and others are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmstudio.api.testing import FakeReport
from tests.plugins.reading import file, read


@pytest.mark.parametrize("near", [0, 60])
@pytest.mark.parametrize("block", [40, 200, 100_000])
def test_too_long_and_damaged_lines_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, near: int
) -> None:
    read("jsonl", file(tmp_path / "first.jsonl", '{"a": 1}\n'))  # loads the plugin
    monkeypatch.setattr("fmstudio_formats.lines.BLOCK", block)
    monkeypatch.setattr("fmstudio_formats.lines.FIRST_BLOCK", block)
    monkeypatch.setattr("fmstudio_formats.lines.LONGEST_LINE", 300)
    monkeypatch.setattr("fmstudio_formats.compression._NEAR", near)
    lines = []
    for number in range(1, 41):
        bad, long = '{"a": oops}', f'{{"a": "{"x" * 1_000}"}}'
        lines.append(bad if number % 5 == 0 else long if number % 7 == 0 and block < 1_000 else f'{{"a": {number}}}')
    report = FakeReport()
    rows = read("jsonl", file(tmp_path / "x.jsonl", "\n".join(lines) + "\n"), report)
    faults = {n for n in range(1, 41) if n % 5 == 0 or (n % 7 == 0 and block < 1_000)}
    assert sorted(reject.line or 0 for reject in report.rejects) == sorted(faults)
    assert [row["a"] for row in rows] == [n for n in range(1, 41) if n not in faults]


@pytest.mark.parametrize("near", [0, 5, 64 << 10])
@pytest.mark.parametrize("name", ["jsonl", "csv"])
@pytest.mark.parametrize("block", [16, 64, 1 << 20])
def test_blocks_may_end_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, block: int, near: int
) -> None:
    rows = [{"a": "word " * (number % 9) + "\n" * (number % 4), "b": str(number)} for number in range(120)]
    if name == "csv":
        text = "a,b\n" + "".join(f'"{row["a"]}",{row["b"]}\n' for row in rows)
        wanted = [{"a": row["a"], "b": int(row["b"])} for row in rows]
    else:
        text, wanted = "".join(json.dumps(row) + "\n" for row in rows), rows  # type: ignore[assignment]
    read(name, file(tmp_path / f"first.{name}", text))  # loads the plugin
    for module in ("lines", "csv_records") if name == "csv" else ("lines",):
        monkeypatch.setattr(f"fmstudio_formats.{module}.BLOCK", block)
        monkeypatch.setattr(f"fmstudio_formats.{module}.FIRST_BLOCK", block)
    monkeypatch.setattr("fmstudio_formats.compression._NEAR", near)
    for end in ("\n", ""):
        whole = text.removesuffix("\n") + end
        assert read(name, file(tmp_path / f"x.{name}", whole)) == wanted
