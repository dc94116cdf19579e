"""Short JSON numbers are read eight digits at a time: they come out as `json` reads them, or not at all."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fmstudio.plugin_manager import PluginManager

PluginManager().contribution("importer", "jsonl").load()

from fmstudio_formats.short_numbers import short_numbers  # noqa: E402 - importable once the plugin is loaded

PLAIN = re.compile(rb"(0|[1-9]\d*)(\.\d+)?")
NUMBERS = st.from_regex(r"\A(0|[1-9][0-9]{0,7})\Z") | st.from_regex(r"\A(0|[1-9][0-9]{0,2})\.[0-9]{1,4}\Z")
SIGNS = st.text(st.sampled_from('0123456789.-+eE,:/ ;\0\x7fé"}'), min_size=1, max_size=9)


def read(texts: list[bytes], kind: pa.DataType, between: bytes = b"7:") -> list[float] | None:
    data, starts, ends = b"12345678", [], []
    for text in texts:
        data += between
        starts.append(len(data))
        data += text
        ends.append(len(data))
    words = np.ndarray((len(data) - 7,), "<u8", data, strides=(1,))
    values = short_numbers(words, np.array(starts), np.array(ends), kind)
    return None if values is None else list(values.to_pylist())


@given(st.lists(NUMBERS, min_size=1, max_size=6))
def test_numbers_are_read_as_json_reads_them(texts: list[str]) -> None:
    raw = [text.encode() for text in texts]
    assert read(raw, pa.float64()) == [float(text) for text in texts]
    if any("." in text for text in texts):
        assert read(raw, pa.int64()) is None
    else:
        assert read(raw, pa.int64()) == [int(text) for text in texts]


@settings(max_examples=500)
@given(st.lists(NUMBERS, max_size=3), SIGNS, st.booleans())
@example([], "00", True)
@example([], "0.", False)
@example([], ".5", False)
@example([], "1.2.3", False)
@example([], "", True)
def test_one_that_is_no_short_number_leaves_the_column_to_others(
    good: list[str], sign: str, has_whole_numbers: bool
) -> None:
    raw = [text.encode("latin-1") for text in (*good, sign)]
    found = read(raw, pa.int64() if has_whole_numbers else pa.float64())
    fits = [PLAIN.fullmatch(text) for text in raw]
    if all(match and len(match[0]) <= 8 and not (has_whole_numbers and match[2]) for match in fits):
        assert found == [json.loads(text) for text in raw]
    else:
        assert found is None


@pytest.mark.parametrize("between", [b"0", b"-", b".", b"\xff"])
def test_what_stands_before_a_number_does_not_count(between: bytes) -> None:
    assert read([b"5", b"0.25", b"12345678"], pa.float64(), between) == [5.0, 0.25, 12345678.0]
