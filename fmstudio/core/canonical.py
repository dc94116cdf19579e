"""Raw columns → the canonical ones of `fmstudio.api.rows`, whole columns at a time where their type allows it.

A row that does not fit its mapping is rejected with a reason; nothing here raises for a bad row. Columns that the
mapping does not name stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as Dict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmstudio.core.schemas import CONTENT_KEYS, ROLE_KEYS, ROLES, Mapping, message_keys
from fmstudio.core.unify import as_text

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Mapped:
    """A batch with canonical columns first, and the rows that did not fit.

    Attributes:
        batch: The rows that fit, in order.
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
    made: dict[str, pa.Array] = {}
    used = set(mapping.columns.values())
    if mapping.kind == "conversation":
        source = mapping.columns["messages"]
        made["messages"], complete = _messages(batch, mapping, rejects)
        if not complete:
            made[f"{source}_original"] = batch.column(source)
    elif mapping.kind == "prompt_completion":
        made = _pair(batch, mapping, rejects)
    elif mapping.kind == "text":
        made["text"] = _required(batch, mapping.columns["text"], "text", rejects)
    for name in batch.schema.names:
        if name not in used and name not in made:
            made[name] = batch.column(name)
    whole = pa.RecordBatch.from_pydict(made) if made else batch
    if rejects:
        whole = whole.take(pa.array([i for i in range(batch.num_rows) if i not in rejects], pa.int64()))
    return Mapped(whole, rejects)


def _pair(batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]) -> dict[str, pa.Array]:
    import pyarrow.compute as pc

    prompt = _required(batch, mapping.columns["prompt"], "prompt", rejects)
    if "input" in mapping.columns:
        extra = pc.fill_null(_column(batch, mapping.columns["input"]), "")
        joined = pc.binary_join_element_wise(prompt, extra, "\n\n")
        prompt = pc.if_else(pc.equal(pc.utf8_trim_whitespace(extra), ""), prompt, joined)
    return {"prompt": prompt, "completion": _required(batch, mapping.columns["completion"], "completion", rejects)}


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Give a column as text; null in every row when it is not in this batch."""
    import pyarrow as pa

    return as_text(batch.column(name)) if name in batch.schema.names else pa.nulls(batch.num_rows, pa.string())


def _required(batch: pa.RecordBatch, source: str, target: str, rejects: dict[int, str]) -> pa.Array:
    array = _column(batch, source)
    if array.null_count:
        for row in _positions(array.is_null()):
            rejects.setdefault(row, f"There is no {target}: “{source}” is missing or null.")
    return array


def _positions(mask: pa.Array) -> list[int]:
    import pyarrow.compute as pc

    return [int(i) for i in pc.indices_nonzero(mask).to_pylist()]


def _messages(batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]) -> tuple[pa.Array, bool]:
    """Give the messages column, and whether nothing of the source column was left out."""
    import pyarrow as pa

    source = mapping.columns["messages"]
    column = batch.column(source) if source in batch.schema.names else pa.nulls(batch.num_rows)
    kind = column.type
    system = "system" in mapping.columns
    if pa.types.is_list(kind) and not system:
        if pa.types.is_string(kind.value_type):
            return _from_turns(column, rejects), True
        if pa.types.is_struct(kind.value_type) and (keys := _string_keys(kind.value_type)):
            return _from_structs(column, keys, mapping, rejects), kind.value_type.num_fields == 2
    values = column.to_pylist()
    systems = _column(batch, mapping.columns["system"]).to_pylist() if system else [None] * len(values)
    return _from_values(values, systems, mapping, rejects)


def _string_keys(kind: pa.StructType) -> tuple[str, str] | None:
    """Give the role and content fields when both hold plain strings."""
    import pyarrow as pa

    fields = {f.name: f.type for f in kind}
    role, content = message_keys(fields)
    if role and content and pa.types.is_string(fields[role]) and pa.types.is_string(fields[content]):
        others = [key for key in (*ROLE_KEYS, *CONTENT_KEYS) if key in fields and key not in (role, content)]
        return None if others else (role, content)
    return None


def _from_structs(column: pa.Array, keys: tuple[str, str], mapping: Mapping, rejects: dict[int, str]) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    flat = column.flatten()
    names = pc.struct_field(flat, keys[0])
    known = ROLES | mapping.roles
    index = pc.index_in(pc.utf8_lower(pc.utf8_trim_whitespace(names)), pa.array(list(known), pa.string()))
    roles = pa.array(list(known.values()), pa.string()).take(index)
    contents = pc.fill_null(pc.struct_field(flat, keys[1]), "")
    if roles.null_count:
        rows = pc.list_parent_indices(column)
        for position in _positions(roles.is_null()):
            rejects.setdefault(int(rows[position].as_py()), _unknown_role(names[position].as_py()))
    return _rebuilt(column, roles, contents, rejects)


def _from_turns(column: pa.Array, rejects: dict[int, str]) -> pa.Array:
    """Alternate user and assistant over a list of strings."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    turn = (np.arange(int(lengths.sum())) - starts) % 2
    roles = pa.array(["user", "assistant"], pa.string()).take(pa.array(turn))
    return _rebuilt(column, roles, pc.fill_null(column.flatten(), ""), rejects)


def _rebuilt(column: pa.Array, roles: pa.Array, contents: pa.Array, rejects: dict[int, str]) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int32())
    for row in _positions(pc.equal(lengths, 0)):
        rejects.setdefault(row, "There are no messages.")
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    structs = pa.StructArray.from_arrays([roles, contents], names=["role", "content"])
    return pa.ListArray.from_arrays(offsets, structs)


def _from_values(
    values: list[Any], systems: list[str | None], mapping: Mapping, rejects: dict[int, str]
) -> tuple[pa.Array, bool]:
    import pyarrow as pa

    made: list[list[dict[str, str]] | None] = []
    complete = True
    for row, (value, system) in enumerate(zip(values, systems, strict=True)):
        try:
            messages, whole = read_messages(value, mapping.roles)
            complete = complete and whole
            made.append([{"role": "system", "content": system}, *messages] if system else messages)
        except ValueError as error:
            rejects.setdefault(row, str(error))
            made.append(None)
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    return pa.array(made, kind), complete


def read_messages(value: Any, roles: Dict[str, str]) -> tuple[list[dict[str, str]], bool]:
    """Read one conversation of any known shape (JSON text, messages, alternating strings).

    Returns:
        The messages, and whether all that the value said is in them.

    Raises:
        ValueError: It is no conversation; the text says why.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The messages are not valid JSON: {error}.") from error
    if not value:
        raise ValueError("There are no messages.")
    if not isinstance(value, list):
        raise ValueError(f"The messages are no list but {_kind_name(value)}.")
    if all(isinstance(turn, str) for turn in value):
        return [{"role": ("user", "assistant")[i % 2], "content": _storable(t)} for i, t in enumerate(value)], True
    read = [_message(turn, number, roles) for number, turn in enumerate(value, 1)]
    return [message for message, _ in read], all(whole for _, whole in read)


def _message(turn: Any, number: int, roles: Dict[str, str]) -> tuple[dict[str, str], bool]:
    if not isinstance(turn, dict):
        raise ValueError(f"Message {number} is no object but {_kind_name(turn)}.")
    turn = {key: value for key, value in turn.items() if value is not None}
    role_key, content_key = message_keys(turn)
    if not role_key:
        raise ValueError(f"Message {number} has no role.")
    name = str(turn[role_key])
    role = (ROLES | dict(roles)).get(name.strip().lower())
    if role is None:
        raise ValueError(_unknown_role(name))
    content, whole = _content(turn.get(content_key))
    return {"role": role, "content": content}, whole and not set(turn) - {role_key, content_key}


def _content(value: Any) -> tuple[str, bool]:
    """Read a content: text, nothing (a tool call) or OpenAI's list of parts."""
    if value is None or isinstance(value, str):
        return _storable(value or ""), True
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        texts = [str(part["text"]) for part in value if isinstance(part.get("text"), str)]
        return _storable("\n".join(texts)), len(texts) == len(value)
    return _storable(json.dumps(value, ensure_ascii=False, default=str)), True


def _storable(text: str) -> str:
    """Replace half characters (JSON can write a lone surrogate), which no UTF-8 file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _unknown_role(name: Any) -> str:
    return f"Role “{name}” is not known; map it, e.g. role.{name}=assistant." if name else "A message has no role."


def _kind_name(value: Any) -> str:
    names = {dict: "an object", str: "a text", int: "a number", float: "a number", bool: "a yes or no", list: "a list"}
    return names.get(type(value), type(value).__name__)
