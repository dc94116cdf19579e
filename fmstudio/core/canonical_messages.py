"""Conversations of any known shape → lists of ``{role, content}``, whole columns at a time where their type allows it.

``messages`` says what a chat template needs: who spoke and the text. What it cannot say (tool calls, pictures, names,
weights) is kept beside it as JSON text in ``<column>_original``, without fields that are null: Arrow gives every object of a
column the fields of all, so that a null that was written cannot be told from a field that was not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as Dict
from typing import TYPE_CHECKING, Any

from fmstudio.api.rows import CONTENT_KEYS, ROLE_KEYS, message_keys
from fmstudio.core.sampling import opened
from fmstudio.core.schemas import ROLES, Mapping
from fmstudio.core.unify import as_text

if TYPE_CHECKING:
    import pyarrow as pa

Messages = list[dict[str, str]]


def messages_type() -> pa.DataType:
    """Arrow type of a list of messages."""
    import pyarrow as pa

    return pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def conversation(batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]) -> dict[str, pa.Array]:
    """Make ``messages``, ``tools`` where they are mapped, and what was left out of the messages."""
    made: dict[str, pa.Array] = {}
    if "messages" in mapping.columns:
        source = mapping.columns["messages"]
        made["messages"], is_complete = _messages(batch, mapping, rejects)
        if not is_complete:
            made[f"{source}_original"] = json_text(batch.column(source))
    else:
        made["messages"] = _from_parts(batch, mapping, rejects)
    if "tools" in mapping.columns and mapping.columns["tools"] in batch.schema.names:
        made["tools"] = json_text(batch.column(mapping.columns["tools"]))
    return made


def json_text(column: pa.Array) -> pa.Array:
    """Give nested values as JSON text without null fields; text stays as it is."""
    import pyarrow as pa

    if not pa.types.is_nested(column.type):
        return as_text(column)
    values = (
        None if v is None else json.dumps(without_nulls(v), ensure_ascii=False, default=str) for v in column.to_pylist()
    )
    return pa.array(list(values), pa.string())


def without_nulls(value: Any) -> Any:
    """Leave out the fields of objects that are null, at any depth."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _messages(batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]) -> tuple[pa.Array, bool]:
    """Give the messages column, and whether nothing of the source column was left out."""
    import pyarrow as pa

    source = mapping.columns["messages"]
    column = batch.column(source) if source in batch.schema.names else pa.nulls(batch.num_rows)
    kind = column.type
    system = mapping.columns.get("system", "")
    if pa.types.is_list(kind) and not system:
        if pa.types.is_string(kind.value_type):
            return _from_turns(column, rejects), True
        if pa.types.is_struct(kind.value_type) and (keys := _string_keys(kind.value_type)):
            return _from_structs(column, keys, mapping, rejects), _is_complete(column, keys)
    values = column.to_pylist()
    systems = column_text(batch, system).to_pylist() if system else [None] * len(values)
    return _from_values(values, systems, mapping, rejects)


def _is_complete(column: pa.Array, keys: tuple[str, str]) -> bool:
    """Whether messages hold nothing but role and content: other fields are there in no row."""
    flat = column.flatten()
    others = [field for field in flat.type if field.name not in keys]
    return all(flat.field(field.name).null_count == len(flat) for field in others)


def column_text(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Give a column as text; null in every row when it is not in this batch."""
    import pyarrow as pa

    return as_text(batch.column(name)) if name in batch.schema.names else pa.nulls(batch.num_rows, pa.string())


def positions(mask: pa.Array) -> list[int]:
    """Give the places where a boolean array is true."""
    import pyarrow.compute as pc

    return [int(i) for i in pc.indices_nonzero(mask).to_pylist()]


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
        for position in positions(roles.is_null()):
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
    for row in positions(pc.equal(lengths, 0)):
        rejects.setdefault(row, "There are no messages.")
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    structs = pa.StructArray.from_arrays([roles, contents], names=["role", "content"])
    return pa.ListArray.from_arrays(offsets, structs)


def _from_values(
    values: list[Any], systems: list[str | None], mapping: Mapping, rejects: dict[int, str]
) -> tuple[pa.Array, bool]:
    import pyarrow as pa

    made: list[Messages | None] = []
    is_complete = True
    for row, (value, system) in enumerate(zip(values, systems, strict=True)):
        try:
            messages, is_whole = read_messages(value, mapping.roles)
            is_complete = is_complete and is_whole
            made.append([{"role": "system", "content": system}, *messages] if system else messages)
        except ValueError as error:
            rejects.setdefault(row, str(error))
            made.append(None)
    return pa.array(made, messages_type()), is_complete


def _from_parts(batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]) -> pa.Array:
    """Build conversations from a system prompt, earlier exchanges, and a prompt and a completion, each a text or messages."""
    import pyarrow as pa

    names = [mapping.columns.get(target, "") for target in ("system", "history", "prompt", "completion")]
    cells = [
        batch.column(name).to_pylist() if name in batch.schema.names else [None] * batch.num_rows for name in names
    ]
    made: list[Messages | None] = []
    for row, (system, history, prompt, completion) in enumerate(zip(*cells, strict=True)):
        try:
            earlier = _exchanges(history, mapping.roles)
            spoken = [
                *earlier,
                *side(prompt, "user", mapping.roles),
                *side(completion, "assistant", mapping.roles),
            ]
            made.append([{"role": "system", "content": str(system)}, *spoken] if system else spoken)
        except ValueError as error:
            rejects.setdefault(row, str(error))
            made.append(None)
    return pa.array(made, messages_type())


def _exchanges(history: Any, roles: Dict[str, str]) -> Messages:
    """Read what was said before: messages, or Alpaca's pairs of a question and its answer."""
    history = opened(history)
    if not history:
        return []
    if isinstance(history, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        return [message for question, answer in history
                for message in (*side(question, "user", roles), *side(answer, "assistant", roles))]  # fmt: skip
    return read_messages(history, roles)[0]


def side(value: Any, role: str, roles: Dict[str, str]) -> Messages:
    """Read one side of an exchange: messages as they are, a text as one message of this role.

    Raises:
        ValueError: There is nothing, or it is no conversation.
    """
    if value is None or value == "" or value == []:
        raise ValueError(f"There is no {'question' if role == 'user' else 'answer'}.")
    if isinstance(value, (list, dict)):
        return read_messages([value] if isinstance(value, dict) else value, roles)[0]
    return [{"role": role, "content": storable(value if isinstance(value, str) else str(value))}]


def read_messages(value: Any, roles: Dict[str, str]) -> tuple[Messages, bool]:
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
        return [{"role": ("user", "assistant")[i % 2], "content": storable(t)} for i, t in enumerate(value)], True
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
    content, is_whole = _content(turn.get(content_key))
    return {"role": role, "content": content}, is_whole and not set(turn) - {role_key, content_key}


def _content(value: Any) -> tuple[str, bool]:
    """Read a content: text, nothing (a tool call) or OpenAI's list of parts."""
    if value is None or isinstance(value, str):
        return storable(value or ""), True
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        texts = [str(part["text"]) for part in value if isinstance(part.get("text"), str)]
        return storable("\n".join(texts)), len(texts) == len(value)
    return storable(json.dumps(value, ensure_ascii=False, default=str)), True


def storable(text: str) -> str:
    """Replace half characters (JSON can write a lone surrogate), which no UTF-8 file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _unknown_role(name: Any) -> str:
    return f"Role “{name}” is not known; map it, e.g. role.{name}=assistant." if name else "A message has no role."


def _kind_name(value: Any) -> str:
    names = {dict: "an object", str: "a text", int: "a number", float: "a number", bool: "a yes or no", list: "a list"}
    return names.get(type(value), type(value).__name__)
