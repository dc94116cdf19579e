"""One view of a dataset's rows as conversations, whatever they are stored as: messages, or prompt and completion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fmstudio.api import ExportReport, UserError
from fmstudio_export.originals import originals_column, rebuilt, says_more_than_text
from fmstudio_export.plain_values import PlainValues, numbered_rows

if TYPE_CHECKING:
    import pyarrow as pa

EMPTY = "It has no messages."
_NEEDED = {
    "text": "the texts in a column “prompt” and their answers in “completion” (Rename columns, Compute a column)",
    "preference": "the chosen answers as “completion” (Rename columns: chosen → completion)",
}


def is_messages(kind: pa.DataType) -> bool:
    """Whether a column holds lists of messages with role and content."""
    import pyarrow as pa

    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    value = kind.value_type
    return bool(pa.types.is_struct(value) and {"role", "content"} <= {f.name for f in value})


def check_dialogs(schema: pa.Schema, title: str) -> None:
    """Make sure that rows can be read as conversations.

    Raises:
        UserError: There is neither a column of messages nor prompt and completion.
    """
    if _source(schema):
        return
    hint = "preference" if {"chosen", "rejected"} <= set(schema.names) else "text"
    raise UserError(
        f"{title} needs a conversation (a column “messages”) or “prompt” and “completion”; "
        f"the columns here are {', '.join(schema.names) or 'none'}.",
        remedy=f"Make them with a transform first: {_NEEDED[hint]}.",
    )


def _source(schema: pa.Schema) -> str:
    names = schema.names
    if "messages" in names and is_messages(schema.field("messages").type):
        return "messages"
    pair = {"prompt", "completion"} <= set(names)
    if pair and all(is_text_or_messages(schema.field(n).type) for n in ("prompt", "completion")):
        return "pair"
    return ""


def is_text_or_messages(kind: pa.DataType) -> bool:
    """Whether a column holds texts or lists of messages."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or is_messages(kind))


def dialogs(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, report: ExportReport, *, is_texts_only: bool = False
) -> Iterator[tuple[int, list[dict[str, Any]], dict[str, Any]]]:
    """Yield position, messages and whole row of every row that has messages; the others are left out with a reason.

    Args:
        is_texts_only: The format has a text for each turn: rows that call tools or show pictures are left out.
            Otherwise messages come with all that their turns had in the imported file.
    """
    source, original = _source(schema), originals_column(schema)
    for position, row in numbered_rows(batches, PlainValues(report)):
        if source == "messages":
            found = [clean(message) for message in row["messages"] or ()]
            reason = "" if found else EMPTY
            whole = rebuilt(found, row[original]) if original else found
            if not is_texts_only:
                found = whole
            elif any(map(says_more_than_text, whole)):
                reason = "It calls tools or shows pictures, which this format has no place for."
        else:
            missing = [name for name in ("prompt", "completion") if row[name] is None]
            found = (
                [] if missing else [*as_messages(row["prompt"], "user"), *as_messages(row["completion"], "assistant")]
            )
            reason = f"It has no {missing[0]}." if missing else "" if found else EMPTY
        if reason:
            report.leave_out(position, reason)
        else:
            yield position, found, row


def as_messages(value: Any, role: str) -> list[dict[str, Any]]:
    """Give a text as one message of that role, and messages as they are."""
    return [{"role": role, "content": value}] if isinstance(value, str) else [clean(m) for m in value or ()]


def clean(message: dict[str, Any]) -> dict[str, Any]:
    """A message without the fields that are null in it; its content is a text."""
    kept = {key: value for key, value in message.items() if value is not None}
    return {**kept, "content": kept.get("content", "")}


def tools_of(row: dict[str, Any], report: ExportReport) -> dict[str, Any]:
    """Give the tools of a row as OpenAI and TRL want them: stored as JSON text, written as a list."""
    tools = row.get("tools")
    if isinstance(tools, str):
        try:
            tools = json.loads(tools)
        except ValueError:
            report.note("Some rows have “tools” that are not valid JSON; they are written without.")
            return {}
    return {"tools": tools} if tools else {}


def one_exchange(messages: list[dict[str, Any]]) -> tuple[str, str, str] | None:
    """Give system text, question and answer of a conversation that is nothing else; None when it is more or less."""
    system = ""
    if messages and messages[0]["role"] == "system":
        system, messages = messages[0]["content"], messages[1:]
    if [m["role"] for m in messages] != ["user", "assistant"]:
        return None
    return system, messages[0]["content"], messages[1]["content"]


def tell_unwritten(schema: pa.Schema, written: tuple[str, ...], report: ExportReport) -> None:
    """Say which columns the format has no place for."""
    others = [name for name in schema.names if name not in written]
    if others:
        report.note(f"The format has no place for these columns, so they are not written: {', '.join(others)}.")


def tell_extras(messages: list[dict[str, Any]], report: ExportReport) -> None:
    """Say which fields of messages the format has no place for."""
    extras = sorted({key for message in messages for key in message} - {"role", "content"})
    if extras:
        report.note(f"The format has no place for these fields of messages: {', '.join(extras)}.")
