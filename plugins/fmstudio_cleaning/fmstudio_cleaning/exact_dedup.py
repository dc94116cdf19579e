"""Deduplicator: rows that say exactly the same after light normalisation, by a 128-bit hash.

Two different texts get one hash with a chance of 10**-25 at ten million rows. Near-duplicates are another operator's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from fmstudio.api import ROW_ID, Clusters, Deduplicator, Field, Params
from fmstudio_cleaning.columns import change_matching, is_messages, text_columns

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_FIELD, _TURN = "\x1f", "\x1e"
_SPACE = r"[\t\n\v\f\r\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]"


class ExactDedupParams(Params):
    """Settings of *Remove exact duplicates*."""

    column: str = Field(
        default="",
        title="Column",
        description="Empty = messages with their roles, or prompt and completion, or text, or all columns of a table.",
    )
    nfc: bool = Field(default=True, title="Ignore Unicode forms")
    lower_case: bool = Field(default=True, title="Ignore case")
    whitespace: bool = Field(default=True, title="Ignore white space", description="Runs count as one space.")
    keep: Literal["first", "last", "longest"] = Field(default="first", title="Keep")


class ExactDedup(Deduplicator[ExactDedupParams]):
    """Groups rows with equal keys."""

    Params = ExactDedupParams

    def setup(self) -> None:
        """See `Operator.setup`."""
        import xxhash

        self._digest = xxhash.xxh3_128_digest

    def signature(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Give ``hash`` (16 bytes) and ``length`` (characters before normalisation; 0 when *Keep* needs none)."""
        import pyarrow as pa
        import pyarrow.compute as pc

        digest = self._digest
        keys = row_keys(batch, self.params.column, self._normalise).cast(pa.binary())
        joined = b"".join([digest(key) for key in keys.to_pylist()])
        hashes = pa.Array.from_buffers(pa.binary(16), batch.num_rows, [None, pa.py_buffer(joined)])
        if self.params.keep != "longest":
            return {"hash": hashes, "length": pa.repeat(pa.scalar(0, pa.int32()), batch.num_rows)}
        return {"hash": hashes, "length": pc.utf8_length(row_keys(batch, self.params.column, lambda text: text))}

    def _normalise(self, text: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        if self.params.nfc:
            text = pc.utf8_normalize(text, form="NFC")
        if self.params.lower_case:
            text = pc.utf8_lower(text)
        if self.params.whitespace:
            text = change_matching(
                text, f"{_SPACE}|  ", lambda t: pc.replace_substring_regex(t, f"(?:{_SPACE}| )+", " ")
            )
            text = pc.utf8_trim_whitespace(text)
        return text

    def cluster(self, signatures: pa.Table) -> Clusters:
        """See `Deduplicator.cluster`."""
        import numpy as np
        import pyarrow as pa

        ids = signatures.column(ROW_ID).to_numpy()
        halves = _halves(signatures)
        lengths = signatures.column("length").to_numpy().astype(np.int64)
        keys = [halves[:, 1], halves[:, 0]]
        order = np.lexsort([-lengths, *keys] if self.params.keep == "longest" else keys)
        ordered = halves[order]
        is_start = np.ones(len(order), bool)
        is_start[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        starts = np.flatnonzero(is_start)
        sizes = np.diff(np.append(starts, len(order)))
        kept = order[starts + sizes - 1] if self.params.keep == "last" else order[starts]
        is_member = np.repeat(sizes > 1, sizes)
        members, representatives = order[is_member], np.repeat(kept, sizes)[is_member]
        back = np.argsort(members)
        return Clusters(
            row_id=pa.array(ids[members[back]]),
            representative=pa.array(ids[representatives[back]]),
            similarity=pa.array(np.ones(len(members), np.float32)),
        )


def _halves(signatures: pa.Table) -> npt.NDArray[np.uint64]:
    """View the hashes as two 64-bit numbers each: shape (rows, 2)."""
    import numpy as np

    parts = []
    for chunk in signatures.column("hash").chunks:
        data = np.frombuffer(chunk.buffers()[1], np.uint64)
        parts.append(data.reshape(-1, 2)[chunk.offset : chunk.offset + len(chunk)])
    return np.concatenate(parts) if parts else np.empty((0, 2), np.uint64)


def row_keys(batch: pa.RecordBatch, column: str, normalise: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Give one string per row that holds all that is compared, with separators that no text has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = text_columns(batch, column)
    if not column and names not in (["messages"], ["prompt", "completion"], ["text"]):
        names = [name for name in batch.schema.names if name != ROW_ID]
    parts = [_key(batch.column(name), normalise) for name in names]
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return pa.array([""] * batch.num_rows, pa.string())
    return pc.binary_join_element_wise(*parts, _FIELD)


def _key(array: pa.Array, normalise: Callable[[pa.Array], pa.Array]) -> pa.Array:
    import json

    import pyarrow as pa
    import pyarrow.compute as pc

    if is_messages(array.type) and array.type.value_type.get_field_index("role") >= 0:
        flat = array.flatten()
        role = pc.fill_null(pc.struct_field(flat, "role").cast(pa.string()), "")
        content = normalise(pc.fill_null(pc.struct_field(flat, "content"), ""))
        turns = pc.binary_join_element_wise(role, content, _FIELD)
        lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int32())
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
        return pc.binary_join(pa.ListArray.from_arrays(offsets, turns), _TURN)
    if pa.types.is_nested(array.type) or pa.types.is_binary(array.type):
        values = [json.dumps(v, ensure_ascii=False, sort_keys=True, default=str) for v in array.to_pylist()]
        return normalise(pa.array(values, pa.string()))
    # A missing value is not an empty one.
    return pc.fill_null(normalise(array.cast(pa.string())), "\x00")
