"""ILIKE is matched by a pattern where that means the same, and left alone everywhere else."""

from __future__ import annotations

import random

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmstudio.project.ilike import with_patterns

TEXTS = {"text", "Größe", 'a "b"'}


@pytest.mark.parametrize(
    ("where", "pattern"),
    [
        ("text ILIKE '%ab%'", "regexp_matches(text, '[Aa][Bb]') "),
        (
            "(TEXT ilike '%it''s%') AND n > 1",
            "((contains(TEXT, '''') AND regexp_matches(TEXT, '[Iiİ][Tt]\\x{27}[Ss]')) ) AND n > 1",
        ),
        ("NOT \"Größe\" ILIKE '%ä%' -- text ILIKE '%ab%'", None),  # a comment follows
        ("n > 1 OR \"Größe\" ILIKE '%ä%'", "n > 1 OR regexp_matches(\"Größe\", '[Ää]') "),
        ('"a ""b""" ILIKE \'%x%\'', 'regexp_matches("a ""b""", \'[Xx]\') '),
        ("text ILIKE '%a%' AND text ILIKE '%b%'", "regexp_matches(text, '[Aa]') AND regexp_matches(text, '[Bb]') "),
        ("text ILIKE '%a_b%'", None),
        ("text ILIKE '%a%b%'", None),
        ("text ILIKE 'a%'", None),
        ("text ILIKE '%%'", None),
        ("text ILIKE '%12%'", None),
        ("text NOT ILIKE '%a%'", None),
        ("text ILIKE '%a%' ESCAPE 'b'", None),
        ("n BETWEEN 1 AND text ILIKE '%a%'", None),
        ("n || text ILIKE '%a%'", None),
        ("t.text ILIKE '%a%'", None),
        ("text ILIKE '%a%' || 'b'", None),
        ("text = 'x ILIKE ''%a%''' AND 'text' ILIKE '%a%'", None),
        ("n ILIKE '%a%'", None),
        ("text ILIKE E'%a%'", None),
        ("text ILIKE '%a", None),
        ("", None),
    ],
)
def test_only_what_means_the_same_is_changed(where: str, pattern: str | None) -> None:
    assert with_patterns(where, TEXTS) == (where if pattern is None else pattern)


PIECES = [
    "text ILIKE '%ab%'",
    "NOT text ILIKE '%É%'",
    "(\"Größe\" ILIKE '%it''s%')",
    "n > 3",
    "text IS NULL",
    "n = 1 -- x\n",
]
SAID = st.text(st.sampled_from("aAbBéÉiİıkK\u212a's% _\\.[x\n"), max_size=12)


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4), st.randoms(use_true_random=False), SAID, st.lists(SAID)
)
def test_the_same_rows_match(pieces: list[str], rng: random.Random, wanted: str, texts: list[str]) -> None:
    quoted = "'%" + wanted.replace("'", "''") + "%'"
    pieces = [*pieces, f"text ILIKE {quoted}"]
    where = "".join(piece + rng.choice([" AND ", " OR ", " AND NOT "]) for piece in pieces) + "true"
    rows = [(n, text, text[::-1]) for n, text in enumerate([*texts, "ab", "It's É", None, wanted]) if text is not None]
    with duckdb.connect() as connection:
        connection.execute('CREATE TABLE t (n INTEGER, text VARCHAR, "Größe" VARCHAR)')
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [*rows, (99, None, None)])
        asked = [
            connection.execute(f"SELECT n FROM t WHERE {sql}").fetchall()
            for sql in (where, with_patterns(where, TEXTS))
        ]
    assert asked[0] == asked[1]
