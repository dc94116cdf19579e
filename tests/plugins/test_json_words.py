"""Parts of a line's template are compared many bytes at a time: each byte counts, none beyond the block is read."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fmstudio.plugin_manager import PluginManager

PluginManager().contribution("importer", "jsonl").load()

from fmstudio_formats.json_template import _Words  # noqa: E402 - importable once the plugin is loaded

PART = st.binary(min_size=1, max_size=45)
BETWEEN = st.lists(st.binary(min_size=0, max_size=30), min_size=1, max_size=4)


def at_places(part: bytes, between: list[bytes], after: bytes) -> tuple[bytes, list[int]]:
    data, places = b"", []
    for text in between:
        data += text
        places.append(len(data))
        data += part
    return data + after, places


@given(PART, BETWEEN, st.binary(max_size=20), st.booleans(), st.data())
def test_one_other_byte_is_seen(
    part: bytes, between: list[bytes], after: bytes, is_first: bool, draw: st.DataObject
) -> None:
    data, places = at_places(part, between, after)
    place = draw.draw(st.sampled_from(places)) + draw.draw(st.integers(0, len(part) - 1))
    bit = draw.draw(st.integers(0, 7))
    other = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
    assert not _Words(other).hold(part, np.array(places), is_first=is_first)


@given(PART, BETWEEN, st.booleans())
def test_what_is_there_is_found_where_there_is_room(part: bytes, between: list[bytes], is_first: bool) -> None:
    room = b" " * 16
    data, places = at_places(part, [room + text for text in between], room)
    assert _Words(data).hold(part, np.array(places), is_first=is_first)
    assert not _Words(data).hold(part, np.array([*places, len(data) - len(part) + 1]), is_first=is_first)
