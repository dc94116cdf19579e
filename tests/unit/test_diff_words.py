"""Word differences: nothing is lost on either side, units stay whole, long texts stay quick."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from fmstudio.project.diff_words import word_diff

WORDS = st.lists(st.sampled_from(["the", "cat", "sat", ",", "\n", "日", "本", "x1", " "]), max_size=60).map(" ".join)


def sides(before: str, after: str) -> tuple[str, str]:
    pieces = word_diff(before, after)
    assert all(text for _, text in pieces)
    assert all(one[0] != other[0] for one, other in pairwise(pieces))
    old = "".join(text for kind, text in pieces if kind != "added")
    return old, "".join(text for kind, text in pieces if kind != "removed")


@settings(max_examples=300)
@given(st.text(max_size=80) | WORDS, st.text(max_size=80) | WORDS)
def test_both_texts_can_be_put_together_again(before: str, after: str) -> None:
    assert sides(before, after) == (before, after)


def test_a_changed_word_is_one_change() -> None:
    assert word_diff("the cat sat", "the dog sat") == [
        ("same", "the "), ("removed", "cat"), ("added", "dog"), ("same", " sat"),
    ]  # fmt: skip


def test_words_are_not_cut_where_they_begin_alike() -> None:
    assert word_diff("training", "trainer") == [("removed", "training"), ("added", "trainer")]


def test_nothing_and_everything() -> None:
    assert word_diff("", "") == []
    assert word_diff("same", "same") == [("same", "same")]
    assert word_diff("", "new") == [("added", "new")]
    assert word_diff("old", "") == [("removed", "old")]


def test_scattered_changes_in_a_long_text_are_found_one_by_one() -> None:
    words = [f"word{i}" for i in range(15_000)]
    changed = [("changed" if i % 500 == 0 else word) for i, word in enumerate(words)]
    pieces = word_diff(" ".join(words), " ".join(changed))
    assert sum(kind == "added" for kind, _ in pieces) == 30


def test_a_long_text_of_one_word_is_not_compared_for_minutes() -> None:
    before, after = "same " * 20_000, "other same " * 20_000
    assert sides(before, after) == (before, after)


def test_what_both_begin_or_end_with_is_no_change() -> None:
    assert word_diff("x = 1\n```", "x = 2\n```\nnew") == [
        *(("same", "x = "), ("removed", "1"), ("added", "2"), ("same", "\n```"), ("added", "\nnew"))
    ]
    assert word_diff("a & b", "a &amp; b") == [("same", "a &"), ("added", "amp;"), ("same", " b")]


def test_a_very_long_word_is_compared_inside_where_most_of_it_stayed() -> None:
    before, after = "x" * 300_000, "x" * 150_000 + "y" + "x" * 149_999
    assert word_diff(before, after) == [
        *(("same", "x" * 150_000), ("removed", "x"), ("added", "y"), ("same", "x" * 149_999))
    ]
    one, other = "abcdefghij" * 5, "klmnopqrst" * 5
    assert word_diff(one, other) == [("removed", one), ("added", other)]
    assert word_diff("word", "ward") == [("removed", "word"), ("added", "ward")], "short words are whole"
