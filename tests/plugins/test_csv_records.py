"""Blocks of a CSV file end where a record ends, wherever the pieces that are read from the disk end."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fmstudio.plugin_manager import PluginManager

PluginManager().contribution("importer", "csv").load()

from fmstudio_formats import csv_records  # noqa: E402 - importable once the plugin is loaded
from fmstudio_formats.csv_head import Dialect  # noqa: E402
from fmstudio_formats.csv_records import record_blocks  # noqa: E402
from fmstudio_formats.lines import At, LineNumbers  # noqa: E402


class _Pieces:
    """A source that gives so many bytes at a time, whatever is asked for."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size, self.start = io.BytesIO(data), size, 0

    def read(self, size: int) -> bytes:
        return self._data.read(self._size)

    def again(self) -> _Pieces:
        return _Pieces(self._data.getvalue(), self._size)

    def close(self) -> None:
        """Nothing is open."""

    def after(self, byte: int, taken: bytes) -> int:
        return byte + len(taken)


def blocks_of(data: bytes, size: int) -> list[Any]:
    return list(record_blocks(_Pieces(data, size), Dialect(",", '"', 0), At(0, 0)))  # type: ignore[arg-type]


@given(
    st.binary(max_size=40).map(lambda raw: raw.translate(bytes(b"a\n\rb"[i % 4] for i in range(256)))),
    st.integers(1, 9),
)
@example(b"a\r\nb\r\n\r\r\n", 1)
def test_lines_are_counted_to_any_place(data: bytes, size: int) -> None:
    with LineNumbers(_Pieces(data, size), csv_records.count_lines) as lines:  # type: ignore[arg-type]
        for place in (*range(len(data) + 1), 0, len(data)):
            if data[place - 1 : place + 1] != b"\r\n":  # nothing begins within a line end
                assert lines.at(place) == 1 + csv_records.count_lines(data[:place])


CELLS = st.text(st.sampled_from('ab",\n\r é'), max_size=8)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=12), st.integers(1, 40))
@example([["a", 'one "quoted"\nand more'], ['"', "\n"]], 7)
def test_no_record_is_cut(rows: list[list[str]], size: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    data = text.getvalue().encode()
    blocks = blocks_of(data, size)
    assert b"".join(block.data for block in blocks) == data
    read: list[list[str]] = []
    byte, line = 0, 1
    lines = LineNumbers(_Pieces(data, size), csv_records.count_lines)  # type: ignore[arg-type]
    for block in blocks:
        assert (block.byte, block.start, block.end) == (byte, byte, byte + len(block.data))
        assert lines.at(block.start) == line
        assert block.data.count(b'"') % 2 == 0 and block.data.endswith(b"\n")
        read += csv.reader(io.StringIO(block.data.decode(), newline=""))
        byte += len(block.data)
        line += csv_records.count_lines(block.data)
    assert read == rows


@pytest.mark.parametrize("size", [1, 3, 5, 100])
def test_a_quote_that_is_never_closed_ends_somewhere(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(csv_records, "LONGEST_LINE", 20)
    data = b'a,b\n1,"open\n2,c\n' + b"3,d\n" * 30
    blocks = blocks_of(data, size)
    assert b"".join(block.data for block in blocks) == data
    assert max(len(block.data) for block in blocks) <= 20 + 2 * max(size, 16)


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_line_ends_of_old_kinds(size: int) -> None:
    for end in (b"\r", b"\r\n"):
        data = end.join([b"a,b", b"1,2", b"3,4", b""])
        blocks = blocks_of(data, size)
        assert b"".join(block.data for block in blocks) == data
        assert all(block.data.strip() for block in blocks[:-1])
