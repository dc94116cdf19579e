"""Rows that are all written alike are read without a parser: what comes out is what a parser gives, or nothing."""

from __future__ import annotations

import functools
import importlib
import json
import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmstudio.plugin_manager import PluginManager

SCHEMA = pa.schema(
    [("id", pa.int64()), ("text", pa.string()), ("score", pa.float64()), ("ok", pa.bool_()), ("none", pa.null())]
)
FIRST: dict[str, Any] = {"id": 1, "text": "one", "score": 0.5, "ok": True, "none": None}


@functools.cache
def template_class() -> Any:
    PluginManager().contribution("importer", "jsonl").load()
    return importlib.import_module("fmstudio_formats.json_template").Template


def lines(rows: list[dict[str, Any]], **style: Any) -> bytes:
    return "".join(json.dumps(row, **style) + "\n" for row in rows).encode()


def read(data: bytes, schema: pa.Schema = SCHEMA) -> list[dict[str, Any]] | None:
    template = template_class().of(lines([FIRST]) if schema is SCHEMA else data, schema)
    assert template is not None
    batch = template.read(data)
    return None if batch is None else list(batch.to_pylist())


texts = st.text(st.characters(exclude_categories=("Cs",))) | st.sampled_from(
    ['\\"', "\\\\", '"', '", "score": ', "\\n\\u00e9\n"]
)
rows = st.fixed_dictionaries(
    {
        "id": st.integers(-(2**63), 2**63 - 1),
        "text": texts,
        "score": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "ok": st.none() | st.booleans(),
        "none": st.none(),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, min_size=1, max_size=8), st.booleans())
def test_rows_come_out_as_they_went_in(made: list[dict[str, Any]], is_ascii: bool) -> None:
    made = [{name: row[name] for name in FIRST} for row in made]
    found = read(lines(made, ensure_ascii=is_ascii))
    is_exact = all(abs(row["score"] or 0) < 2**53 for row in made)
    assert found == (made if is_exact else None)  # larger ones may be ids, which the careful reading keeps


def test_many_rows_are_read_in_order() -> None:
    rng = random.Random(0)
    made = [{**FIRST, "id": number, "text": "word " * rng.randrange(40)} for number in range(30_000)]
    template = template_class().of(lines([FIRST]), SCHEMA)
    assert template is not None
    batch = template.read(lines(made)[:-1])  # the last line may lack its end
    assert batch is not None and batch.to_pylist() == made


@pytest.mark.parametrize("style", [{"separators": (",", ":")}, {"separators": (" ,  ", "\t:\t")}])
def test_any_spacing_will_do_as_long_as_it_is_the_same(style: dict[str, Any]) -> None:
    made = [{**FIRST, "id": number} for number in range(3)]
    data = lines(made, **style).replace(b"\n", b"\r\n")
    template = template_class().of(data, SCHEMA)
    assert template is not None
    batch = template.read(data)
    assert batch is not None and batch.to_pylist() == made


@pytest.mark.parametrize(
    "line",
    [
        '{"id": 2, "text": "a", "score": 1.5, "ok": true, "none": null, "more": 1}',
        '{"id": 2, "text": "a", "score": 1.5, "ok": true}',
        '{"id": 2, "score": 1.5, "text": "a", "ok": true, "none": null}',
        '{"id": 2, "text": null, "score": 1.5, "ok": true, "none": null}',
        '{"id": 2, "text": "a"b", "score": 1.5, "ok": true, "none": null}',
        '{"id": 2, "text": "a\tb", "score": 1.5, "ok": true, "none": null}',
        '{"id": 2, "text": "a\\x", "score": 1.5, "ok": true, "none": null}',
        '{"id": 2, "text": "a\\ud800", "score": 1.5, "ok": true, "none": null}',
        '{"id": 2, "text": "a\\\\", "score": 1.5, "ok": true, "none": null} ',
        '{"id": "2", "text": "a", "score": 1.5, "ok": true, "none": null}',
        '{"id": 2.0, "text": "a", "score": 1.5, "ok": true, "none": null}',
        '{"id": 02, "text": "a", "score": 1.5, "ok": true, "none": null}',
        '{"id": +2, "text": "a", "score": 1.5, "ok": true, "none": null}',
        '{"id": , "text": "a", "score": 1.5, "ok": true, "none": null}',
        '{"id": 9223372036854775808, "text": "a", "score": 1.5, "ok": true, "none": null}',
        '{"id": 2, "text": "a", "score": .5, "ok": true, "none": null}',
        '{"id": 2, "text": "a", "score": 1., "ok": true, "none": null}',
        '{"id": 2, "text": "a", "score": -01.5, "ok": true, "none": null}',
        '{"id": 2, "text": "a", "score": NaN, "ok": true, "none": null}',
        '{"id": 2, "text": "a", "score": nul, "ok": true, "none": null}',
        '{"id": 2, "text": "a", "score": 1.5, "ok": True, "none": null}',
        '{"id": 2, "text": "a", "score": 1.5, "ok": true, "none": 0}',
        '{"id": 2, "text": "a", "score": 1.5, "ok": true, "none": null',
        '"id": 2, "text": "a", "score": 1.5, "ok": true, "none": null}',
        "",
        "[]",
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_line_of_another_kind_is_left_to_the_parser(line: str, place: int) -> None:
    made = [json.dumps(FIRST)] * 2
    made.insert(place, line)
    assert read(("\n".join(made) + "\n").encode()) is None


@pytest.mark.parametrize("damage", [b"\xff", b"\xc3", b"\x1f"])
def test_a_text_that_is_not_utf8_or_holds_a_control_character_is_left_to_the_parser(damage: bytes) -> None:
    whole = lines([{**FIRST, "text": "two"}, {**FIRST, "text": "thr\u00e9e"}], ensure_ascii=False)
    assert read(whole) is not None
    assert read(whole.replace(b"w", damage)) is None


def test_a_quote_too_many_in_one_line_and_too_few_in_the_next_is_seen() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    good = '{"a": "x", "b": "y"}\n'
    for bad in (good + '{"a": "x"", "b": "y\\"}\n', '{"a": "x", "b": "y"z\\"}\n' + good):
        template = template_class().of((good + bad).encode(), schema)
        assert template is not None and template.read((good + bad).encode()) is None


def test_nested_rows_and_rows_with_a_name_twice_have_no_template() -> None:
    assert template_class().of(b'{"a": [1]}\n', pa.schema([("a", pa.list_(pa.int64()))])) is None
    assert template_class().of(b'{"a": 1, "a": 2}\n', pa.schema([("a", pa.int64())])) is None
    assert template_class().of(b'{"\\u0061": 1}\n', pa.schema([("a", pa.int64())])) is None
    assert template_class().of(b'{"a": null}\n', pa.schema([("a", pa.string())])) is None


def test_the_template_may_be_a_later_line() -> None:
    data = b'{"a": null, "b": 1}\n{"a": "x", "b": 2}\n'
    template = template_class().of(data, pa.schema([("a", pa.string()), ("b", pa.int64())]))
    assert template is not None
    assert template.read(data) is None
    batch = template.read(data[data.index(b"\n") + 1 :])
    assert batch is not None and batch.to_pylist() == [{"a": "x", "b": 2}]


@pytest.mark.parametrize("row", [{"a": 1}, {"a": 1, "b_longer_than_sixteen_bytes": "x", "c": 2}])
@pytest.mark.parametrize("line", [0, 1, 2, 3, 2_100, 4_999])
def test_every_byte_between_the_values_is_compared_in_every_line(row: dict[str, Any], line: int) -> None:
    made = [json.dumps({**row, "a": 1 + n % 9}) for n in range(5_000)]
    whole = "\n".join([*made, ""]).encode()
    schema = pa.schema([(name, pa.string() if isinstance(value, str) else pa.int64()) for name, value in row.items()])
    template = template_class().of(lines([row]), schema)
    assert template is not None and template.read(whole) is not None
    start = sum(len(text) + 1 for text in made[:line])
    values = {made[line].index(f": {json.dumps(value)}") + 2 for name, value in row.items() if name != "a"}
    values |= {made[line].index('"x"') + 1} if "x" in row.values() else set()
    for at, byte in enumerate(made[line].encode()):
        if at not in values and not chr(byte).isdigit():
            damaged = bytearray(whole)
            damaged[start + at] = byte ^ 1 if byte ^ 1 not in b'"\\\n' else byte ^ 4
            assert template.read(bytes(damaged)) is None, f"byte {at} of line {line}"
