"""What a row of a dataset looks like: the canonical columns, and how to get text out of any row.

The vocabulary is that of TRL's dataset formats (trl documentation, "Dataset formats and types"): ``messages`` for
conversations, ``prompt`` and ``completion``, ``text``, ``chosen`` and ``rejected`` for preferences, ``completion`` with
a ``label`` for unpaired ones, ``images`` with a caption; everything else is a table with columns of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    import pyarrow as pa

SchemaKind = Literal[
    "conversation", "prompt_completion", "text", "table", "preference", "unpaired_preference", "image_caption"
]

ROW_ID = "row_id"
"""int64 column every stored row has: unique in its dataset, kept for life, ascending in every version."""

CANONICAL_COLUMNS: dict[SchemaKind, tuple[str, ...]] = {
    "conversation": ("messages",),
    "prompt_completion": ("prompt", "completion"),
    "text": ("text",),
    "table": (),
    "preference": ("prompt", "chosen", "rejected"),
    "unpaired_preference": ("prompt", "completion", "label"),
    "image_caption": ("image", "caption"),
}
"""The columns that make a row of each kind. Preferences: ``prompt``, ``chosen`` and ``rejected`` (and ``completion``)
are texts or lists of messages; ``label`` is a boolean, true for a good answer. ``image`` is a path or address, the picture's
bytes, or both as ``{bytes, path}``."""


ROLE_KEYS = ("role", "from", "speaker", "author", "sender")
"""Names of a message's role field in files, in order of preference; `CONTENT_KEYS` of its text."""
CONTENT_KEYS = ("content", "value", "text", "message", "utterance")


class Message(TypedDict):
    """One turn of a conversation. Roles: system, user, assistant, tool."""

    role: str
    content: str


def message_keys(message: Mapping[str, Any]) -> tuple[str, str]:
    """Give the names of a message's role and content fields as a file has them, empty where there is none."""
    role = next((key for key in ROLE_KEYS if key in message), "")
    return role, next((key for key in CONTENT_KEYS if key in message), "")


def text_array(batch: pa.RecordBatch, column: str = "") -> pa.Array:
    """Give one string per row: the named column as text, or all the text of the row.

    Args:
        batch: Rows of a dataset.
        column: The column to read; empty means ``messages`` (contents joined by newlines), else ``prompt`` and
            ``completion``, else ``prompt``, ``chosen`` and ``rejected``, else ``text``, else ``caption`` beside an
            ``image``, else all string columns, in that order of preference.

    Returns:
        A string array of ``batch.num_rows`` values; null cells read as empty text.

    Raises:
        UserError: The named column is not there, or no column holds text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from fmstudio.api.errors import UserError

    names = batch.schema.names
    if column and column not in names:
        raise UserError(f"There is no column “{column}” here; the columns are {', '.join(names)}.")
    if column:
        chosen = [column]
    elif "messages" in names:
        chosen = ["messages"]
    elif "prompt" in names and "completion" in names:
        chosen = ["prompt", "completion"]
    elif "chosen" in names and "rejected" in names:
        chosen = [name for name in CANONICAL_COLUMNS["preference"] if name in names]
    elif "text" in names:
        chosen = ["text"]
    elif "image" in names and "caption" in names:
        chosen = ["caption"]
    else:
        chosen = [f.name for f in batch.schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    if not chosen:
        raise UserError("No column of this dataset holds text.", remedy="Name the column to use.")
    parts = [_as_text(batch.column(name)) for name in chosen]
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, "\n", null_handling="replace", null_replacement="")


def _as_text(array: pa.Array) -> pa.Array:
    """Cast any column to strings: messages become their contents, other nested values JSON."""
    import json

    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return pc.fill_null(array.cast(pa.string()), "")
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        value = array.type.value_type
        if pa.types.is_struct(value) and value.get_field_index("content") >= 0:
            return _join_contents(array)
    if pa.types.is_nested(array.type):
        return pa.array([_nested_text(v, json.dumps) for v in array.to_pylist()], pa.string())
    return pc.fill_null(array.cast(pa.string()), "")


def _join_contents(array: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    contents = pc.fill_null(pc.struct_field(array.flatten(), "content").cast(pa.string()), "")
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
    return pc.binary_join(pa.ListArray.from_arrays(offsets, contents), "\n")


def _nested_text(value: Any, dumps: Any) -> str:
    return "" if value is None else str(dumps(value, ensure_ascii=False, default=str))
