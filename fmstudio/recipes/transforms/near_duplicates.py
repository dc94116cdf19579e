"""Groups of rows with nearly the same text: MinHash over word triples, banded, joined to connected groups.

MinHash and banding as in Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", chapter 3; 128 permutations of the form
``a·h + b`` modulo 2^64. Rows that share a band are joined when their signatures agree in at least the wanted share of places.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, UserError
from fmstudio.core.sql import literal, name_sql
from fmstudio.recipes.sandbox import arrow_reader
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

    width = band_width(similarity)
    folder = Path(str(scope.count("SELECT current_setting('temp_directory')")))
    ids = [np.empty(0, np.int64)]
    with ExitStack() as stack:
        whole = stack.enter_context((folder / "signatures.u32").open("wb"))
        bands = [stack.enter_context(_band_path(folder, n).open("wb")) for n in range(PERMUTATIONS // width)]
        for batch_ids, signatures in _signatures(scope, column):
            scope.check()
            ids.append(batch_ids)
            signatures.tofile(whole)
            for file, keys in zip(bands, band_keys(signatures, width), strict=True):
                keys.tofile(file)
    every = np.concatenate(ids)
    groups = Groups(len(every))
    if len(every):
        # Mapped, not loaded: 512 bytes a row are too many for large datasets.
        signature = np.memmap(folder / "signatures.u32", np.uint32, "r").reshape(len(every), PERMUTATIONS)
        for number in range(len(bands)):
            scope.check()
            _join(groups, signature, _pairs(np.fromfile(_band_path(folder, number), np.uint64)), similarity)
        del signature
    for path in (folder / "signatures.u32", *(_band_path(folder, number) for number in range(len(bands)))):
        path.unlink()
    roots = groups.roots()
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

    for batch in arrow_reader(scope.connection, triples_sql(scope, column), _BATCH):
        triples = batch.column("triples")
        lengths = triples.value_lengths().to_numpy(zero_copy_only=False)
        hashes = triples.flatten().to_numpy(zero_copy_only=False).astype(np.uint64, copy=False)
        if len(lengths):
            yield batch.column(ROW_ID).to_numpy(), signatures_of(hashes, np.cumsum(lengths) - lengths)


def signatures_of(hashes: np.ndarray[Any, Any], starts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """MinHash signatures (rows x `PERMUTATIONS`, uint32) of sets of hashes that lie one after another.

    Args:
        hashes: uint64, those of all rows.
        starts: Where each row's begin; each has one at least.
    """
    import numpy as np

    chance = np.random.default_rng(42)
    factors = chance.integers(0, 2**64, PERMUTATIONS, dtype=np.uint64) | np.uint64(1)
    shifts = chance.integers(0, 2**64, PERMUTATIONS, dtype=np.uint64)
    made, moved = np.empty((len(starts), PERMUTATIONS), np.uint32), np.empty_like(hashes)
    for number in range(PERMUTATIONS):
        np.multiply(hashes, factors[number], out=moved)
        np.add(moved, shifts[number], out=moved)
        made[:, number] = np.minimum.reduceat(moved, starts) >> np.uint64(32)
    return made


def band_keys(signatures: np.ndarray[Any, Any], width: int) -> Iterator[np.ndarray[Any, Any]]:
    """For each band one number (uint64) a row, the same where the band is the same."""
    import numpy as np

    factors = np.random.default_rng(7).integers(0, 2**64, width, dtype=np.uint64) | np.uint64(1)
    for start in range(0, PERMUTATIONS - width + 1, width):
        yield (signatures[:, start : start + width].astype(np.uint64) * factors).sum(axis=1, dtype=np.uint64)


def _band_path(folder: Path, number: int) -> Path:
    return folder / f"band-{number}.u64"


def triples_sql(scope: Scope, column: str) -> str:
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


def _pairs(keys: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Pairs of rows that share a band: each row with the one before it, and with the first that has it."""
    import numpy as np

    order = np.argsort(keys, kind="stable")
    is_first = np.ones(len(order), bool)
    is_first[1:] = keys[order][1:] != keys[order][:-1]
    first = order[np.flatnonzero(is_first)][np.cumsum(is_first) - 1]
    more = np.flatnonzero(~is_first)
    before = np.stack([order[more - 1], order[more]], axis=1)
    return np.concatenate([before, np.stack([first[more], order[more]], axis=1)])


def band_width(similarity: float) -> int:
    """Places of a signature that make a band: the widest that finds two texts of this similarity in 98 of 100 cases.

    With ``b`` bands of ``r`` places two texts of similarity ``s`` share one with probability 1 - (1 - s^r)^b.
    """
    for width in (16, 8, 6, 5, 4, 3, 2):
        if 1 - (1 - similarity**width) ** (PERMUTATIONS // width) >= 0.98:
            return width
    return 1


def _join(groups: Groups, signature: np.ndarray[Any, Any], pairs: np.ndarray[Any, Any], similarity: float) -> None:
    for start in range(0, len(pairs), 1 << 16):
        some = pairs[start : start + (1 << 16)]
        agree = (signature[some[:, 0]] == signature[some[:, 1]]).mean(axis=1)
        for one, other in some[agree >= similarity].tolist():
            groups.join(one, other)


class Groups:
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
