"""The same groups of near duplicates for a preview, in SQL alone: the window's process does without numpy and Arrow.

Signatures and bands are those of `fmstudio.recipes.transforms.near_duplicates`, with hashes of hashes as permutations. Of
a long text only the `TRIPLES` smallest hashes are taken: the same choice in every text, so that what two have in common
stays in proportion.
"""

from __future__ import annotations

from fmstudio.api import ROW_ID
from fmstudio.recipes.transforms.near_duplicates import PERMUTATIONS, Groups, band_width, triples_sql
from fmstudio.recipes.transforms.scope import Scope

TRIPLES = 256


def find_clusters_in_sql(scope: Scope, column: str, similarity: float) -> int:
    """Make the table ``clusters`` over the rows that a preview compares; as `near_duplicates.find_clusters`.

    Raises:
        UserError: There is no text.
    """
    width = band_width(similarity)
    smallest = f"list_sort(list_distinct(triples))[:{TRIPLES}]"
    minima = f"list_transform(range({PERMUTATIONS}), lambda k: list_min(list_transform(triples, lambda h: hash(xor(h, hash(k))))))"
    connection = scope.connection
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE signatures AS SELECT {ROW_ID}, {minima} AS signature"
        f" FROM (SELECT {ROW_ID}, {smallest} AS triples FROM ({triples_sql(scope, column)}))"
    )
    bands = f"unnest(range({PERMUTATIONS // width})) AS band"
    key = f"hash(signature[band * {width} + 1 : (band + 1) * {width}])"
    same = "PARTITION BY band, key ORDER BY row_id"
    # Each row with the one before it that shares a band, and with the first that has it.
    pairs = (
        f"SELECT {ROW_ID} AS one, unnest([lag({ROW_ID}) OVER ({same}), first({ROW_ID}) OVER ({same})]) AS other"
        f" FROM (SELECT {ROW_ID}, band, {key} AS key FROM (SELECT {ROW_ID}, signature, {bands} FROM signatures))"
    )
    agree = f"len(list_filter(list_zip(a.signature, b.signature), lambda x: x[1] = x[2])) / {PERMUTATIONS}"
    alike = connection.execute(
        f"SELECT one, other FROM (SELECT DISTINCT one, other FROM ({pairs}) WHERE other < one)"
        f" JOIN signatures a ON a.{ROW_ID} = one JOIN signatures b ON b.{ROW_ID} = other WHERE {agree} >= {similarity!r}"
    ).fetchall()
    ids = [row_id for (row_id,) in connection.execute(f"SELECT {ROW_ID} FROM signatures ORDER BY {ROW_ID}").fetchall()]
    place = {row_id: number for number, row_id in enumerate(ids)}
    groups = Groups(len(ids))
    for one, other in alike:
        groups.join(place[one], place[other])
    clusters = [ids[root] for root in groups.roots()]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE clusters AS SELECT unnest(?::BIGINT[]) AS {ROW_ID}, unnest(?::BIGINT[]) AS cluster",
        [ids, clusters],
    )
    return len(ids)
