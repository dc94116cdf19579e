"""Lists of JSON objects that are parsed by the block give what reading them value by value gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmstudio.api.testing import FakeContext, FakeReport, check_importer
from fmstudio.core.unify import Unifier
from fmstudio.plugin_manager import PluginManager

PluginManager().contribution("importer", "json").load()

from fmstudio_formats import json_window  # noqa: E402 - importable once the plugin is loaded
from fmstudio_formats.json_stretch import Stretch, whole_objects  # noqa: E402
from fmstudio_formats.json_window import Window  # noqa: E402


def stretch(text: str) -> tuple[list[Any], int] | None:
    found = whole_objects(text.encode())
    if found is None:
        return None
    rows = [json.loads(line) for line in found.lines.splitlines()]
    assert len(rows) == found.rows and found.lines.endswith(b"\n")
    return rows, found.size


def test_objects_end_where_their_brackets_close() -> None:
    assert stretch('{"a":1},{"a":2}]') == ([{"a": 1}, {"a": 2}], 15)
    assert stretch('{"a":1},\n  {"b":[{"c":2}]}\r\n]') == ([{"a": 1}, {"b": [{"c": 2}]}], 26)
    assert stretch('{"a":1},{"a":') == ([{"a": 1}], 7)
    assert stretch('{"a":"}, {"},{"a":"\\"},{"},{"a":"\\\\"}')[0] == [{"a": "}, {"}, {"a": '"},{'}, {"a": "\\"}]  # type: ignore[index]
    assert stretch('{"ü":"é"},{"ü":"ß"}, ')[1] == len('{"ü":"é"},{"ü":"ß"}'.encode())  # type: ignore[index]
    assert stretch('{\n "a": {\n  "b": 1\n }\n},\n{\n "a": {\n  "b": 2\n }\n}\n]')[0] == [
        {"a": {"b": 1}},
        {"a": {"b": 2}},
    ]  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1',  # cut
        '{"a":1} {"a":2}]',  # no comma
        '{"a":1},,{"a":2}]',
        '{"a":1},5,{"a":2}]',
        '{"a":1},[2],{"a":3}]',
        '{"a":1};{"a":2}]',
        '{"a":"x\ny"},{"a":2}]',  # a line ends within a text
        '{"a":1],{"a":2}]',
    ],
)  # fmt: skip
def test_what_is_no_list_of_objects_is_left_to_others(text: str) -> None:
    assert whole_objects(text.encode()) is None


def read(path: Path, monkeypatch: pytest.MonkeyPatch, *, by_block: bool, size: int) -> tuple[list[Any], FakeReport]:
    cls = PluginManager().contribution("importer", "json").load()
    report = FakeReport()
    with monkeypatch.context() as patched:
        patched.setattr(json_window, "FIRST_BLOCK", size)
        patched.setattr(json_window, "BLOCK", size)
        if not by_block:
            patched.setattr(Window, "objects", lambda self: None)
        batches = list(cls().read(path, cls.Params(), report, FakeContext()))
    unifier = Unifier()
    batches = [unifier.conform(batch) for batch in batches]
    return [row for batch in batches for row in unifier.bring(batch).to_pylist()], report


SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=9)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "ü", 'q"']), VALUES, min_size=1), min_size=1, max_size=30)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, indent=st.sampled_from([None, 0, 2]), is_ascii=st.booleans(), size=st.sampled_from([60, 300, 5_000]))
def test_rows_are_those_of_reading_value_by_value(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], indent: int | None, is_ascii: bool, size: int
) -> None:
    path = tmp_path_factory.mktemp("json") / "rows.json"
    path.write_text(json.dumps(rows, indent=indent, ensure_ascii=is_ascii), "utf-8", errors="replace")
    with pytest.MonkeyPatch.context() as patch:
        one, _ = read(path, patch, by_block=False, size=size)
        other, _ = read(path, patch, by_block=True, size=size)
    assert [loosely(row) for row in other] == [loosely(row) for row in one]


def loosely(value: Any) -> Any:
    """A value by what it says: a column that became text in one reading may be numbers in the other."""
    if isinstance(value, dict):
        return {k: loosely(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [loosely(v) for v in value]
    if isinstance(value, str):
        try:
            return loosely(json.loads(value))
        except ValueError:
            return value
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("wrap", ["{}", '{{"info": {{"n": 1}}, "data": {}, "end": [1]}}', "  {}\n"])
def test_damage_is_told_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, wrap: str
) -> None:
    rows = [json.dumps({"id": i, "text": f"Row {i} “ü”"}, indent=indent, ensure_ascii=False) for i in range(300)]
    rows[120] = rows[120].replace(":", "", 1)
    rows[200] = rows[200][:-3]
    path = tmp_path / "rows.json"
    path.write_text(wrap.format("[" + ",\n".join(rows) + "]"), "utf-8")
    one, told = read(path, monkeypatch, by_block=False, size=2_000)
    other, told_too = read(path, monkeypatch, by_block=True, size=2_000)
    assert other == one and len(one) > 290
    assert told_too.rejects == told.rejects and told_too.notes == told.notes and len(told.rejects) >= 2


def test_a_cut_file_and_a_row_beyond_the_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": i, "text": "x" * (9_000 if i == 50 else 20)} for i in range(100)]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows)[:-30], "utf-8")
    one, told = read(path, monkeypatch, by_block=False, size=2_000)
    other, told_too = read(path, monkeypatch, by_block=True, size=2_000)
    assert other == one == rows[:99] and told_too.rejects == told.rejects != []


def test_blocks_are_really_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = Window.objects

    def objects(self: Window) -> Stretch | None:
        found = real(self)
        sizes.append(found.rows if found else 0)
        return found

    monkeypatch.setattr(Window, "objects", objects)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"id": i, "messages": [{"role": "user", "content": "ü" * 50}]} for i in range(9_000)]))
    cls = PluginManager().contribution("importer", "json").load()
    assert len(check_importer(cls(), path, cls.Params())) == 9_000
    assert sum(sizes) == 18_000 and len(sizes) <= 8, "read twice, each time in a few blocks"
