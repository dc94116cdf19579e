"""Near duplicates as SQL counts them, against every pair of rows compared in plain Python."""

from __future__ import annotations

import random
import re

import duckdb
import pytest

from fmstudio.project import diff_duplicates
from fmstudio.project.diff_duplicates import SIMILARITY, near_duplicates


def triples(text: str) -> frozenset[str]:
    words = re.findall(r"\w+", text.lower())
    return frozenset(
        [" ".join(words)] if len(words) < 3 else [" ".join(words[i : i + 3]) for i in range(len(words) - 2)]
    )


def is_near(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) >= SIMILARITY * len(one | other)


def corpus(seed: int, rows: int) -> list[str]:
    """Texts of 1 to 60 words, many of which are others with a few words changed, left out or moved."""
    chance = random.Random(seed)
    words = [f"w{n}" for n in range(400)]
    texts: list[str] = []
    for _ in range(rows):
        if texts and chance.random() < 0.6:
            made = chance.choice(texts).split()
            for _ in range(chance.randrange(4)):
                made[chance.randrange(len(made))] = chance.choice(words)
        else:
            made = chance.choices(words, k=chance.randrange(1, 60))
        texts.append(chance.choice((" ", ", ")).join(made))
    return texts


def counted(texts: list[str]) -> int:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE r (row_id BIGINT, text VARCHAR)")
        connection.executemany("INSERT INTO r VALUES (?, ?)", list(enumerate(texts)))
        return near_duplicates(connection, "r", "text")


@pytest.mark.parametrize("seed", range(4))
def test_nearly_all_that_a_comparison_of_all_pairs_finds_and_nothing_else(seed: int) -> None:
    texts = corpus(seed, 300)
    sets = [triples(text) for text in texts]
    near = sum(any(is_near(sets[n], earlier) for earlier in sets[:n]) for n in range(len(sets)))
    found = counted(texts)
    # One that is near only to a row that is not the first of its band may be missed; none is made up.
    assert 0.95 * near <= found <= near and 50 < near < 250


def test_of_many_rows_the_first_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff_duplicates, "MOST_ROWS", 3)
    assert counted(["one two three four"] * 5) == 2


def test_no_rows_have_no_duplicates() -> None:
    assert counted(["", "!", "?"]) == 0
