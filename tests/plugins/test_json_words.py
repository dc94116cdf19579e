"""Parts of a line's template are compared many bytes at a time: each byte counts, none beyond the block is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fmstudio.plugin_manager import PluginManager

PluginManager().contribution("importer", "jsonl").load()

from fmstudio_formats.json_template import _Words  # noqa: E402 - importable once the plugin is loaded

PARTS = st.lists(st.binary(min_size=1, max_size=45), min_size=1, max_size=3)
BETWEEN = st.lists(st.binary(min_size=0, max_size=30), min_size=1, max_size=40)
"""What stands before each part, line after line."""


def at_places(parts: list[bytes], between: list[bytes], after: bytes) -> tuple[bytes, list[Any]]:
    """A block, and the places of each part in its lines, of which there is one for each text between."""
    data, places = b"", [[] for _ in parts]  # type: tuple[bytes, list[list[int]]]
    for text in between:
        for part, own in zip(parts, places, strict=True):
            data += text
            own.append(len(data))
            data += part
    return data + after, [np.array(own) for own in places]


@given(PARTS, BETWEEN, st.binary(max_size=20), st.data())
def test_one_other_byte_is_seen(parts: list[bytes], between: list[bytes], after: bytes, draw: st.DataObject) -> None:
    data, places = at_places(parts, between, after)
    number = draw.draw(st.integers(0, len(parts) - 1))
    place = int(draw.draw(st.sampled_from(list(places[number])))) + draw.draw(st.integers(0, len(parts[number]) - 1))
    bit = draw.draw(st.integers(0, 7))
    other = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
    assert not _Words(other).hold(parts, places)


@given(PARTS, BETWEEN, st.binary(max_size=20))
def test_what_is_there_is_found_and_nothing_beyond_the_block(
    parts: list[bytes], between: list[bytes], after: bytes
) -> None:
    data, places = at_places(parts, between, after)
    assert _Words(data).hold(parts, places)
    beyond = [*places[:-1], np.append(places[-1][:-1], len(data) - len(parts[-1]) + 1)]
    assert not _Words(data).hold(parts, beyond)
    before = [np.append([-1], places[0][1:]), *places[1:]]
    assert not _Words(data).hold(parts, before)
