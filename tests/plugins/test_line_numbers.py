"""Lines are named by their numbers, also where some are too long to be read and others are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmstudio.api.testing import FakeReport
from tests.plugins.reading import file, read


@pytest.mark.parametrize("block", [40, 200, 100_000])
def test_too_long_and_damaged_lines_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    read("jsonl", file(tmp_path / "first.jsonl", '{"a": 1}\n'))  # loads the plugin
    monkeypatch.setattr("fmstudio_formats.lines.BLOCK", block)
    monkeypatch.setattr("fmstudio_formats.lines.FIRST_BLOCK", block)
    monkeypatch.setattr("fmstudio_formats.lines.LONGEST_LINE", 300)
    lines = []
    for number in range(1, 41):
        bad, long = '{"a": oops}', f'{{"a": "{"x" * 1_000}"}}'
        lines.append(bad if number % 5 == 0 else long if number % 7 == 0 and block < 1_000 else f'{{"a": {number}}}')
    report = FakeReport()
    rows = read("jsonl", file(tmp_path / "x.jsonl", "\n".join(lines) + "\n"), report)
    faults = {n for n in range(1, 41) if n % 5 == 0 or (n % 7 == 0 and block < 1_000)}
    assert sorted(reject.line or 0 for reject in report.rejects) == sorted(faults)
    assert [row["a"] for row in rows] == [n for n in range(1, 41) if n not in faults]
