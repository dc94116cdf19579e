"""Compressed files: whole, of several streams, cut, damaged, and far too large when unpacked."""

from __future__ import annotations

import bz2
import gzip
import importlib
import json
import lzma
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeReport
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.importing import candidates
from tests.plugins.reading import file, read

zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": zstd.compress,
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
}
RNG = random.Random(1)
ROWS = [{"n": i, "t": "".join(RNG.choices("abcdefgh ", k=100))} for i in range(20_000)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_lines_are_the_same_rows(suffix: str, tmp_path: Path) -> None:
    path = file(tmp_path / f"x.jsonl.{suffix}", PACKERS[suffix](LINES))
    assert candidates(path, PluginManager())[0].id == "jsonl"
    report = FakeReport()
    assert read("jsonl", path, report) == ROWS and not report.rejects


@pytest.mark.parametrize("suffix", PACKERS)
def test_several_streams_in_a_row_count_as_one(suffix: str, tmp_path: Path) -> None:
    half = LINES.index(b"\n", len(LINES) // 2) + 1
    packed = PACKERS[suffix](LINES[:half]) + PACKERS[suffix](LINES[half:])
    assert read("jsonl", file(tmp_path / f"x.jsonl.{suffix}", packed)) == ROWS


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_cut_file_gives_its_whole_rows_and_a_reject_with_the_place(suffix: str, tmp_path: Path) -> None:
    packed = PACKERS[suffix](LINES)
    cut = packed[: len(packed) * 3 // 4]
    report = FakeReport()
    rows = read("jsonl", file(tmp_path / f"x.jsonl.{suffix}", cut), report)
    assert 5_000 < len(rows) < 20_000 and rows == ROWS[: len(rows)]
    assert report.rejects[-1].byte == len(cut) and "is cut" in report.rejects[-1].reason


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_damaged_file_gives_rows_up_to_the_damage(suffix: str, tmp_path: Path) -> None:
    packed = bytearray(PACKERS[suffix](LINES))
    middle = len(packed) // 2
    packed[middle : middle + 64] = bytes(64)
    report = FakeReport()
    rows = read("jsonl", file(tmp_path / f"x.jsonl.{suffix}", bytes(packed)), report)
    assert rows[:2_000] == ROWS[:2_000] and len(rows) < 20_000
    assert any("damaged" in r.reason and "garbled" in r.reason for r in report.rejects)


@pytest.mark.parametrize(
    ("importer", "name", "content", "rows"),
    [
        ("csv", "x.csv", "a,b\n1,x\n", [{"a": 1, "b": "x"}]),
        ("json", "x.json", '[{"a": 1}]', [{"a": 1}]),
        ("text", "x.txt", "one\n\ntwo", [{"text": "one", "line": 1}, {"text": "two", "line": 3}]),
        ("yaml", "x.yml", "- a: 1\n", [{"a": 1}]),
    ],
)
def test_every_text_format_may_be_packed(
    importer: str, name: str, content: str, rows: list[dict[str, object]], tmp_path: Path
) -> None:
    path = file(tmp_path / f"{name}.gz", gzip.compress(content.encode()))
    assert candidates(path, PluginManager())[0].id == importer
    assert read(importer, path) == rows


@pytest.mark.parametrize("importer", ["csv", "json", "text", "yaml"])
def test_every_text_format_tells_that_it_was_cut(importer: str, tmp_path: Path) -> None:
    body = "".join(f"- {RNG.random()}\n" for _ in range(2_000))
    if importer == "json":
        body = "[" + ",\n".join(str({"a": i}).replace("'", '"') for i in range(2_000))
    packed = gzip.compress(body.encode())[:-2000]
    report = FakeReport()
    assert len(read(importer, file(tmp_path / "x.gz", packed), report)) > 0
    assert any("is cut" in r.reason for r in report.rejects)


def test_bytes_after_the_end_are_told(tmp_path: Path) -> None:
    report = FakeReport()
    assert read("jsonl", file(tmp_path / "x.jsonl.gz", gzip.compress(b'{"a": 1}\n') + b"junk" * 4), report) == [
        {"a": 1}
    ]
    assert "bytes that are none" in report.rejects[0].reason
    padded = file(tmp_path / "y.jsonl.gz", gzip.compress(b'{"a": 1}\n') + bytes(512))
    assert read("jsonl", padded, report := FakeReport()) == [{"a": 1}] and not report.rejects


def test_a_bomb_is_stopped_and_its_first_rows_are_kept(tmp_path: Path) -> None:
    compressor = zstd.ZstdCompressor(level=1)
    path = tmp_path / "x.txt.zst"
    line = b"x" * 1023 + b"\n"
    with path.open("wb") as out:
        for _ in range(300):
            out.write(compressor.compress(line * 1024))
        out.write(compressor.flush())
    report = FakeReport()
    rows = sum(1 for _ in _first_batches("text", path, report))
    assert rows > 0 and any("archive bombs" in r.reason for r in report.rejects)


def _first_batches(importer: str, path: Path, report: FakeReport) -> list[int]:
    from fmstudio.api.testing import FakeContext

    kind = PluginManager().contribution("importer", importer).load()
    return [b.num_rows for b in kind().read(path, kind.Params(rows="line"), report, FakeContext())]


def test_a_line_beyond_64_mib_is_rejected_and_its_neighbours_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write(b'{"a": 1}\n{"a": "')
        for _ in range(70):
            out.write(b"y" * (1 << 20))
        out.write(b'"}\n{"a": 3}\n')
    report = FakeReport()
    assert read("jsonl", path, report) == [{"a": 1}, {"a": 3}]
    assert [r.line for r in report.rejects] == [2] and "64 MiB" in report.rejects[0].reason


@pytest.mark.parametrize("head", [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\x00"])
def test_a_file_of_which_only_the_first_bytes_are_there_is_a_plain_error(head: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read("jsonl", file(tmp_path / "x.jsonl.gz", head + b"\0\1\2"))
