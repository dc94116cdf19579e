"""Raw columns → the canonical ones of `fmstudio.api.rows`.

A row that does not fit its mapping is rejected with a reason; nothing here raises for a bad row. Columns that the mapping
does not name stay as they are, under another name where a canonical column takes theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmstudio.core import canonical_preference
from fmstudio.core.canonical_messages import column_text, conversation, positions, read_messages
from fmstudio.core.canonical_nested import with_fields
from fmstudio.core.schemas import Mapping

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Mapped", "apply", "read_messages"]

_WHOLE = (
    "chosen",
    "rejected",
    "prompt",
    "completion",
    "messages",
    "system",
    "tools",
    "text",
    "input",
    "history",
    "caption",
    "image",
    "answer_a",
    "answer_b",
)
"""Targets whose source column is wholly in the canonical ones; others (scores, ranks, ratings) stay beside them."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A batch with canonical columns first, and the rows that did not fit.

    Attributes:
        batch: The rows that fit, in order; ranked answers may make several of one.
        rejects: Position in the batch that came in → reason.
    """

    batch: pa.RecordBatch
    rejects: dict[int, str]


def apply(batch: pa.RecordBatch, mapping: Mapping) -> Mapped:
    """Map a batch.

    Args:
        batch: Raw rows.
        mapping: A source column that this batch lacks counts as null in every row.
    """
    import pyarrow as pa

    rejects: dict[int, str] = {}
    made, rows = _made(_with_input(with_fields(batch, mapping.columns.values()), mapping), mapping, rejects)
    kept: pa.Array | None = None  # None: every row, once
    if rows is not None or rejects:
        places = rows if rows is not None else [i for i in range(batch.num_rows) if i not in rejects]
        kept = pa.array(places, pa.int64())
    if rows is None and kept is not None:
        made = {name: column.take(kept) for name, column in made.items()}
    used = {source for target, source in mapping.columns.items() if target in _WHOLE}
    if mapping.kind == "unpaired_preference" and mapping.columns["label"] in batch.schema.names:
        label = mapping.columns["label"]
        used |= {label} if pa.types.is_boolean(batch.schema.field(label).type) else set()
    for name in batch.schema.names:
        if name not in used:
            column = batch.column(name)
            made[_free(name, made, batch)] = column if kept is None else column.take(kept)
    return Mapped(pa.RecordBatch.from_pydict(made) if made else batch, rejects)


def _made(
    batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]
) -> tuple[dict[str, pa.Array], list[int] | None]:
    """Give the canonical columns; where rows multiply, also the position each row comes from."""
    if mapping.kind == "preference":
        return canonical_preference.preference(batch, mapping, rejects)
    if mapping.kind == "conversation":
        return conversation(batch, mapping, rejects), None
    if mapping.kind == "prompt_completion":
        return _pair(batch, mapping, rejects), None
    if mapping.kind == "unpaired_preference":
        return canonical_preference.unpaired(batch, mapping, rejects), None
    if mapping.kind == "text":
        return {"text": _required(batch, mapping.columns["text"], "text", rejects)}, None
    if mapping.kind == "image_caption":
        return _captioned(batch, mapping, rejects), None
    return {}, None


def _with_input(batch: pa.RecordBatch, mapping: Mapping) -> pa.RecordBatch:
    """Join what the prompt is about (Alpaca's ``input``) to the prompt, after an empty line; a prompt of messages stays."""
    import pyarrow as pa
    import pyarrow.compute as pc

    source, extra = mapping.columns.get("prompt", ""), mapping.columns.get("input", "")
    if not {source, extra} <= set(batch.schema.names) or pa.types.is_nested(batch.schema.field(source).type):
        return batch
    prompt, about = column_text(batch, source), pc.fill_null(column_text(batch, extra), "")
    joined = pc.binary_join_element_wise(prompt, about, "\n\n")
    joined = pc.if_else(pc.equal(pc.utf8_trim_whitespace(prompt), ""), about, joined)
    prompt = pc.if_else(pc.equal(pc.utf8_trim_whitespace(about), ""), prompt, joined)
    return batch.set_column(batch.schema.get_field_index(source), source, prompt)


def _pair(batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]) -> dict[str, pa.Array]:
    prompt = _required(batch, mapping.columns["prompt"], "prompt", rejects)
    return {"prompt": prompt, "completion": _required(batch, mapping.columns["completion"], "completion", rejects)}


def _captioned(batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]) -> dict[str, pa.Array]:
    import pyarrow as pa
    import pyarrow.compute as pc

    source = mapping.columns["image"]
    image = batch.column(source) if source in batch.schema.names else pa.nulls(batch.num_rows, pa.string())
    # Of large pictures the importer keeps only where they lie.
    paths = batch.column("image_path") if "image_path" in batch.schema.names else pa.nulls(batch.num_rows, pa.string())
    for row in positions(pc.and_(image.is_null(), paths.is_null())) if image.null_count else ():
        rejects.setdefault(row, f"There is no picture: “{source}” is missing or null.")
    return {"image": image, "caption": _required(batch, mapping.columns["caption"], "caption", rejects)}


def _required(batch: pa.RecordBatch, source: str, target: str, rejects: dict[int, str]) -> pa.Array:
    array = column_text(batch, source)
    if array.null_count:
        for row in positions(array.is_null()):
            rejects.setdefault(row, f"There is no {target}: “{source}” is missing or null.")
    return array


def _free(name: str, made: dict[str, pa.Array], batch: pa.RecordBatch) -> str:
    """Give a column that the mapping does not use a name that no canonical column has."""
    if name not in made:
        return name
    fresh = f"{name}_original"
    while fresh in made or fresh in batch.schema.names:
        fresh += "_2"
    return fresh
