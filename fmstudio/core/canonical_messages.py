"""Conversations of any known shape → lists of ``{role, content}``, whole columns at a time where their type allows it.

``messages`` says what a chat template needs: who spoke and the text. What it cannot say (tool calls, pictures, names,
weights) is kept beside it as JSON text in ``<column>_original``, without fields that are null: Arrow gives every object of a
column the fields of all, so that a null that was written cannot be told from a field that was not there. Tool calls are
there in OpenAI's form, whichever the file has (see `fmstudio.core.canonical_tools`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fmstudio.api.rows import CONTENT_KEYS, ROLE_KEYS, message_keys
from fmstudio.core.canonical_tools import CALL_ROLES, definitions, in_openai_form, without_nulls
from fmstudio.core.canonical_tree import tree_of, turns_of
from fmstudio.core.sampling import opened, shape_of
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
    import pyarrow as pa

    made: dict[str, pa.Array] = {}
    source = mapping.columns.get("messages", "messages")
    read = _messages if "messages" in mapping.columns else _from_parts
    made["messages"], originals = read(batch, mapping, rejects)
    if originals is not None:
        made[f"{source}_original"] = originals
    if "tools" in mapping.columns and mapping.columns["tools"] in batch.schema.names:
        tools = batch.column(mapping.columns["tools"]).to_pylist()
        made["tools"] = pa.array([definitions(value) for value in tools], pa.string())
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


def _messages(batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]) -> tuple[pa.Array, pa.Array | None]:
    """Give the messages column, and the turns as JSON text where it leaves something of them out."""
    import pyarrow as pa

    source = mapping.columns["messages"]
    column = batch.column(source) if source in batch.schema.names else pa.nulls(batch.num_rows)
    kind = column.type
    system = mapping.columns.get("system", "")
    if pa.types.is_list(kind) and not system:
        if pa.types.is_string(kind.value_type):
            return _from_turns(column, rejects), None
        keys = _string_keys(kind.value_type) if pa.types.is_struct(kind.value_type) else None
        if keys and not _may_call(column, keys[0]):
            is_complete = _is_complete(column, keys)
            return _from_structs(column, keys, mapping, rejects), None if is_complete else json_text(column)
    systems = [_system(value) for value in batch.column(system).to_pylist()] if system in batch.schema.names else []
    return _from_values(column, systems or [""] * batch.num_rows, mapping, rejects)


def _may_call(column: pa.Array, role: str) -> bool:
    """Whether messages call tools in a form that has to be converted: by who speaks, or in a field of their own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    flat = column.flatten()
    if any(field.name == "function_call" for field in flat.type) and flat.field("function_call").null_count < len(flat):
        return True
    names = pc.utf8_lower(pc.utf8_trim_whitespace(pc.unique(pc.struct_field(flat, role))))
    return bool(pc.any(pc.is_in(names, pa.array(list(CALL_ROLES), pa.string()))).as_py())


def _system(value: Any) -> str:
    """Read a system prompt: a text, or Anthropic's and Gemini's list of parts."""
    if isinstance(value, dict):
        value = value.get("parts") or value.get("content") or value.get("text") or json.dumps(value, ensure_ascii=False)
    return _content(value)[0] if value is not None else ""


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
    column: pa.Array, systems: Sequence[str], mapping: Mapping, rejects: dict[int, str]
) -> tuple[pa.Array, pa.Array | None]:
    import pyarrow as pa

    made: list[Messages | None] = []
    originals: list[str | None] = []
    is_complete = True
    for row, (value, system) in enumerate(zip(column.to_pylist(), systems, strict=True)):
        try:
            turns, is_converted = read_turns(value, mapping.roles)
            messages, is_whole = _spoken(turns, mapping.roles)
        except ValueError as error:
            rejects.setdefault(row, str(error))
            made.append(None)
            originals.append(None)
            continue
        is_complete = is_complete and is_whole
        made.append([{"role": "system", "content": system}, *messages] if system else messages)
        # What is written as JSON text stays as it was written, unless calls in it were converted.
        originals.append(value if isinstance(value, str) and not is_converted else _json(turns))
    return pa.array(made, messages_type()), None if is_complete else pa.array(originals, pa.string())


def _json(turns: list[Any]) -> str:
    return json.dumps(without_nulls(turns), ensure_ascii=False, default=str)


def _from_parts(batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]) -> tuple[pa.Array, pa.Array | None]:
    """Build conversations from a system prompt, earlier exchanges, and a prompt and a completion, each a text or messages."""
    import pyarrow as pa

    names = [mapping.columns.get(target, "") for target in ("system", "history", "prompt", "completion")]
    cells = [
        batch.column(name).to_pylist() if name in batch.schema.names else [None] * batch.num_rows for name in names
    ]
    made: list[Messages | None] = []
    originals: list[str | None] = []
    is_complete = True
    for row, (system, history, prompt, completion) in enumerate(zip(*cells, strict=True)):
        try:
            turns = [*_exchanges(history), *side_turns(prompt, "user"), *side_turns(completion, "assistant")]
            turns = in_openai_form(turns, mapping.roles) or turns
            messages, is_whole = _spoken(turns, mapping.roles)
        except ValueError as error:
            rejects.setdefault(row, str(error))
            made.append(None)
            originals.append(None)
            continue
        is_complete = is_complete and is_whole
        text = _system(system)
        made.append([{"role": "system", "content": text}, *messages] if text else messages)
        originals.append(_json(turns))
    return pa.array(made, messages_type()), None if is_complete else pa.array(originals, pa.string())


def _exchanges(history: Any) -> list[Any]:
    """Read what was said before: messages, or Alpaca's pairs of a question and its answer."""
    history = opened(history)
    if not history:
        return []
    if isinstance(history, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        pairs = ((side_turns(question, "user"), side_turns(answer, "assistant")) for question, answer in history)
        return [turn for question, answer in pairs for turn in (*question, *answer)]
    return read_turns(history, {})[0]


def side(value: Any, role: str, roles: Dict[str, str]) -> tuple[Messages, bool]:
    """Read one side of an exchange: messages as they are, a text as one message of this role.

    Returns:
        The messages, and whether all that the value said is in them.

    Raises:
        ValueError: There is nothing, or it is no conversation.
    """
    turns = side_turns(value, role)
    return _spoken(in_openai_form(turns, roles) or turns, roles)


def side_turns(value: Any, role: str) -> list[Any]:
    """Give the turns of one side of an exchange as they are written; see `side`."""
    if value is None or value == "" or value == []:
        raise ValueError(f"There is no {'question' if role == 'user' else 'answer'}.")
    value = opened(value) if shape_of(value) == "messages" else value
    if isinstance(value, (list, dict)):
        return _turns([value] if isinstance(value, dict) else value)
    return [{"role": role, "content": value if isinstance(value, str) else str(value)}]


def read_messages(value: Any, roles: Dict[str, str]) -> tuple[Messages, bool]:
    """Read one conversation of any known shape (JSON text, messages, alternating strings).

    Returns:
        The messages, and whether all that the value said is in them.

    Raises:
        ValueError: It is no conversation; the text says why.
    """
    return _spoken(read_turns(value, roles)[0], roles)


def read_turns(value: Any, roles: Dict[str, str]) -> tuple[list[Any], bool]:
    """Give the turns of a conversation with its tool calls in OpenAI's form, and whether they are others than were written.

    Raises:
        ValueError: It is no list of turns; the text says why.
    """
    tree = tree_of(value)
    turns = _turns(value) if tree is None else _turns(turns_of(tree))
    converted = in_openai_form(turns, roles)
    return (turns, tree is not None) if converted is None else (converted, True)


def _turns(value: Any) -> list[Any]:
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
        return [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(value)]
    return value


def _spoken(turns: list[Any], roles: Dict[str, str]) -> tuple[Messages, bool]:
    read = [_message(turn, number, roles) for number, turn in enumerate(turns, 1)]
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
