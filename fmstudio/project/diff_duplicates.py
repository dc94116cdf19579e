"""Counts rows whose text is nearly that of an earlier row, in SQL: one-permutation MinHash over word triples, then exact Jaccard.

The smallest hash of a set in each of 48 bins stands for its smallest ones under as many permutations (Li, Owen, Zhang,
"One permutation hashing", NIPS 2012); rows that agree in a band of three bins are compared triple by triple. Two texts of
similarity 0.7 agree in one of the sixteen bands in 99.9 of 100 cases: 1 - (1 - 0.7³)¹⁶.
"""

from __future__ import annotations

import duckdb

from fmstudio.api.rows import ROW_ID

MOST_ROWS = 10_000
"""Rows that are looked at, the first ones: a third of a second's work. Who wants to see a diff should not wait for more."""
SIMILARITY = 0.7
"""Jaccard similarity of the word triples from which two texts are near duplicates, as where a split keeps them together."""
_CHARACTERS = 4_000
_BINS, _BAND = 48, 3


def near_duplicates(cursor: duckdb.DuckDBPyConnection, relation: str, text: str) -> int:
    """Number of the first `MOST_ROWS` rows that are nearly the same as an earlier one of them.

    Case, punctuation and space do not count; a text without a word is like no other.

    Args:
        relation: The rows, as SQL.
        text: All that is compared, as SQL.

    Raises:
        duckdb.Error: Something cannot be read.
    """
    words = (
        f"list_filter(string_split_regex(lower(left({text}, {_CHARACTERS})), '[^\\pL\\pM\\pN]+'), lambda w: w <> '')"
    )
    found = cursor.execute(f"""
        WITH looked_at AS (SELECT {ROW_ID} AS id, {words} AS words FROM {relation} ORDER BY id LIMIT {MOST_ROWS}),
        sets AS MATERIALIZED (SELECT id, CASE WHEN len(words) < 3 THEN [hash(array_to_string(words, ' '))]
            ELSE list_distinct(list_transform(range(1, len(words) - 1),
                lambda i: hash(words[i] || ' ' || words[i + 1] || ' ' || words[i + 2]))) END AS triples
            FROM looked_at WHERE len(words) > 0),
        smallest AS (SELECT id, min(triple) AS triple FROM (SELECT id, unnest(triples) AS triple FROM sets)
            GROUP BY id, triple % {_BINS}),
        bands AS (SELECT id, triple % {_BINS} // {_BAND} AS band, bit_xor(triple) AS key FROM smallest GROUP BY id, band),
        pairs AS (SELECT DISTINCT id, first FROM
            (SELECT id, min(id) OVER (PARTITION BY band, key) AS first FROM bands) WHERE first < id),
        shared AS (SELECT p.id, len(list_intersect(a.triples, b.triples)) AS common, len(a.triples) + len(b.triples) AS total
            FROM pairs p JOIN sets a ON a.id = p.id JOIN sets b ON b.id = p.first)
        SELECT count(DISTINCT id) FROM shared WHERE common >= {SIMILARITY} * (total - common)
    """).fetchone()
    return int(found[0]) if found else 0
