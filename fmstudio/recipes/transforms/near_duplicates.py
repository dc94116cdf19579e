"""Groups of rows with nearly the same text: MinHash over word triples, banded, joined to connected groups.

Word triples and 128 permutations as in Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better"
(arXiv 2107.06499), with shorter triples because chats are short; signatures by rensa (R-MinHash), pairs that share a band
are kept when the signatures agree in at least the wanted share of places.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, UserError
from fmstudio.recipes.sandbox import arrow_reader, literal, name_sql
from fmstudio.recipes.transforms.scope import SOURCE, Scope, field_types, item_type

if TYPE_CHECKING:
    import numpy as np
    from duckdb.sqltypes import DuckDBPyType

PREVIEW_ROWS = 2_000
"""Rows that a preview compares: an answer at once, and an estimate."""

PERMUTATIONS = 128
_BATCH = 8_192


def find_clusters(scope: Scope, column: str, similarity: float) -> int:
    """Make the table ``clusters`` (``row_id``, ``cluster``: the smallest row id of the group); give its length.

    Args:
        column: The text to compare; empty = all text of the row.
        similarity: Jaccard similarity of the word triples from which two texts are near duplicates.

    Raises:
        UserError: There is no text.
    """
    import numpy as np
    import pyarrow as pa

    folder = Path(str(scope.count("SELECT current_setting('temp_directory')")))
    path, ids = folder / "signatures.u32", [np.empty(0, np.int64)]
    with path.open("wb") as file:
        for batch_ids, signatures in _signatures(scope, column):
            ids.append(batch_ids)
            signatures.tofile(file)
    every = np.concatenate(ids)
    # Mapped, not loaded: 512 bytes a row are too many for large datasets.
    flat = np.memmap(path, np.uint32, "r") if len(every) else np.empty(0, np.uint32)
    signature = flat.reshape(len(every), PERMUTATIONS)
    groups = _Groups(len(every))
    for pairs in _bands(signature, similarity):
        _join(groups, signature, pairs, similarity)
    roots = groups.roots()
    del signature, flat
    path.unlink()
    scope.connection.register("given", pa.table({ROW_ID: pa.array(every), "cluster": pa.array(every[roots])}))
    scope.connection.execute("CREATE OR REPLACE TEMP TABLE clusters AS SELECT * FROM given")
    scope.connection.unregister("given")
    return len(every)


def text_sql(value: str, kind: DuckDBPyType, depth: int = 0) -> str:
    """All text in a value as one text, as SQL; empty when there is none in it. Of messages only what was said."""
    if kind.id == "varchar":
        return value
    if kind.id in ("list", "array"):
        inner = text_sql(f"x{depth}", item_type(kind), depth + 1)
        return f"array_to_string(list_transform({value}, lambda x{depth}: {inner}), ' ')" if inner else ""
    if kind.id == "struct":
        fields = field_types(kind)
        chosen = ["content"] if "role" in fields and "content" in fields else list(fields)
        inner_texts = [text_sql(f"struct_extract({value}, {literal(n)})", fields[n], depth) for n in chosen]
        return f"concat_ws(' ', {', '.join(t for t in inner_texts if t)})" if any(inner_texts) else ""
    return ""


def _signatures(scope: Scope, column: str) -> Iterator[tuple[Any, Any]]:
    """Row ids and MinHash signatures, in batches."""
    import numpy as np
    from rensa import RMinHash

    for batch in arrow_reader(scope.connection, _triples_sql(scope, column), _BATCH):
        triples = batch.column("triples")
        hashes = np.ascontiguousarray(triples.flatten().to_numpy(zero_copy_only=False), np.uint64)
        offsets = np.concatenate([[0], np.cumsum(triples.value_lengths().to_numpy(zero_copy_only=False))])
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets.astype(np.uint64), PERMUTATIONS, 42)
        yield (
            batch.column(ROW_ID).to_numpy(),
            np.array(matrix.to_rows(), np.uint32).reshape(batch.num_rows, PERMUTATIONS),
        )


def _triples_sql(scope: Scope, column: str) -> str:
    """Hashes of each row's word triples. Case, punctuation and space do not count; a short text is one whole."""
    chosen = [column] if column else scope.names
    texts = [text for name in chosen if (text := text_sql(name_sql(name), scope.columns[name]))]
    if not texts:
        raise UserError(f"“{column or scope.name}” holds no text to compare.", remedy="Choose a column with text.")
    text = texts[0] if len(texts) == 1 else f"concat_ws(' ', {', '.join(texts)})"
    words = rf"list_filter(string_split_regex(lower(coalesce({text}, '')), '[^\pL\pM\pN]+'), lambda w: w <> '')"
    limit = f" LIMIT {PREVIEW_ROWS}" if scope.is_preview else ""
    # A text without a word is like no other: it is named by its row.
    return (
        f"SELECT {ROW_ID}, CASE WHEN len(words) = 0 THEN [hash({ROW_ID})] WHEN len(words) < 3 THEN"
        " [hash(array_to_string(words, ' '))] ELSE list_transform(range(1, len(words) - 1), lambda i:"
        " hash(words[i] || ' ' || words[i + 1] || ' ' || words[i + 2])) END AS triples"
        f" FROM (SELECT {ROW_ID}, {words} AS words FROM {SOURCE}{limit})"
    )


def _bands(signature: np.ndarray[Any, Any], similarity: float) -> Iterator[np.ndarray[Any, Any]]:
    """For each band, pairs of rows that share it: each with the one before it and with the first."""
    import numpy as np

    width = band_width(similarity)
    for start in range(0, PERMUTATIONS - width + 1, width):
        band = np.ascontiguousarray(signature[:, start : start + width])
        keys = band.view([("", np.uint32)] * width).ravel()
        order = np.argsort(keys, kind="stable")
        is_first = np.ones(len(order), bool)
        is_first[1:] = keys[order][1:] != keys[order][:-1]
        first = order[np.flatnonzero(is_first)][np.cumsum(is_first) - 1] if len(order) else order
        more = np.flatnonzero(~is_first)
        yield np.concatenate(
            [np.stack([order[more - 1], order[more]], axis=1), np.stack([first[more], order[more]], axis=1)]
        )


def band_width(similarity: float) -> int:
    """Places of a signature that make a band: the widest that finds two texts of this similarity in 98 of 100 cases.

    With ``b`` bands of ``r`` places two texts of similarity ``s`` share one with probability 1 - (1 - s^r)^b.
    """
    for width in (16, 8, 6, 5, 4, 3, 2):
        if 1 - (1 - similarity**width) ** (PERMUTATIONS // width) >= 0.98:
            return width
    return 1


def _join(groups: _Groups, signature: np.ndarray[Any, Any], pairs: np.ndarray[Any, Any], similarity: float) -> None:
    for start in range(0, len(pairs), 1 << 16):
        some = pairs[start : start + (1 << 16)]
        agree = (signature[some[:, 0]] == signature[some[:, 1]]).mean(axis=1)
        for one, other in some[agree >= similarity].tolist():
            groups.join(one, other)


class _Groups:
    """Connected groups of numbers from 0 on (union-find with path halving); a group is named by its smallest."""

    def __init__(self, count: int = 0) -> None:
        self._parent = list(range(count))

    def find(self, one: int) -> int:
        parent = self._parent
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    def join(self, one: int, other: int) -> None:
        """Put two into one group."""
        a, b = self.find(one), self.find(other)
        if a != b:
            self._parent[max(a, b)] = min(a, b)

    def roots(self) -> list[int]:
        """The group of each."""
        return [self.find(one) for one in range(len(self._parent))]
