"""One question, one answer: Alpaca, and prompt and completion as TRL's SFT trainer takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import DatasetExporter, DatasetFacts, ExportReport, Field, Params, TaskContext
from fmstudio_export.json_text import write_array, write_lines
from fmstudio_export.originals import originals_column
from fmstudio_export.turns import check_dialogs, dialogs, one_exchange, tell_extras, tell_unwritten, tools_of

if TYPE_CHECKING:
    import pyarrow as pa

_READ = ("messages", "prompt", "completion")
Dialog = tuple[int, list[dict[str, Any]], dict[str, Any]]


class AlpacaParams(Params):
    """Settings of Alpaca."""

    history: bool = Field(
        default=False,
        title="Earlier turns as history",
        description="Writes longer conversations with their earlier turns in “history”, as LLaMA-Factory reads them; "
        "otherwise they are left out and counted.",
    )


class SftParams(Params):
    """Settings of prompt and completion."""

    style: Literal["auto", "text", "messages"] = Field(
        default="auto",
        title="Write as",
        description="“text”: two texts; “messages”: two lists of messages, with earlier turns and system message in the "
        "prompt. “auto” takes texts where the dataset has them.",
    )


class AlpacaExporter(DatasetExporter):
    """Writes ``[{"instruction": …, "input": "", "output": …}, …]``, with ``system`` where there is one."""

    Params = AlpacaParams

    def check(self, schema: pa.Schema, params: Any) -> None:
        """See `DatasetExporter.check`."""
        check_dialogs(schema, "Alpaca")

    def write(
        self,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        target: Path,
        params: Any,
        facts: DatasetFacts,
        report: ExportReport,
        ctx: TaskContext,
    ) -> list[Path]:
        """See `DatasetExporter.write`."""
        tell_unwritten(schema, _READ, report)
        write_array(target, _alpaca(dialogs(batches, schema, report, is_texts_only=True), params.history, report))
        return [target]


class SftExporter(DatasetExporter):
    """Writes ``{"prompt": …, "completion": …}`` (trl documentation, "Dataset formats and types")."""

    Params = SftParams

    def check(self, schema: pa.Schema, params: Any) -> None:
        """See `DatasetExporter.check`."""
        check_dialogs(schema, "Prompt and completion")

    def write(
        self,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        target: Path,
        params: Any,
        facts: DatasetFacts,
        report: ExportReport,
        ctx: TaskContext,
    ) -> list[Path]:
        """See `DatasetExporter.write`."""
        is_text = params.style == "text" or (params.style == "auto" and _has_texts(schema))
        if is_text:
            tell_unwritten(schema, _READ, report)
            found = dialogs(batches, schema, report, is_texts_only=True)
            write_lines(target, _text_pairs(found, report))
        else:
            tell_unwritten(schema, (*_READ, originals_column(schema), "tools"), report)
            write_lines(target, _message_pairs(dialogs(batches, schema, report), report))
        return [target]


def _has_texts(schema: pa.Schema) -> bool:
    import pyarrow as pa

    pair = [schema.field(name).type for name in ("prompt", "completion") if name in schema.names]
    return "messages" not in schema.names and all(pa.types.is_string(k) or pa.types.is_large_string(k) for k in pair)


def _alpaca(found: Iterator[Dialog], has_history: bool, report: ExportReport) -> Iterator[dict[str, Any]]:
    for position, messages, _ in found:
        tell_extras(messages, report)
        history, rest = _history(messages) if has_history else ([], messages)
        exchange = one_exchange(rest)
        if exchange is None:
            report.leave_out(
                position, "It is more or less than one question and one answer, which is all Alpaca holds."
            )
            continue
        system, question, answer = exchange
        row: dict[str, Any] = {"instruction": question, "input": "", "output": answer}
        if system:
            row["system"] = system
        yield {**row, "history": history} if has_history else row


def _history(messages: list[dict[str, Any]]) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """Split off all exchanges but the last, where the conversation is nothing but exchanges."""
    system = messages[:1] if messages[0]["role"] == "system" else []
    turns = messages[len(system) :]
    if len(turns) % 2 or [m["role"] for m in turns] != ["user", "assistant"] * (len(turns) // 2):
        return [], messages
    texts = [m["content"] for m in turns]
    return [texts[i : i + 2] for i in range(0, len(texts) - 2, 2)], [*system, *turns[-2:]]


def _text_pairs(found: Iterator[Dialog], report: ExportReport) -> Iterator[dict[str, Any]]:
    for position, messages, _ in found:
        exchange = one_exchange(messages)
        if exchange is None or exchange[0]:
            report.leave_out(position, "It is more than a prompt and a completion; write them as messages to keep it.")
            continue
        tell_extras(messages, report)
        yield {"prompt": exchange[1], "completion": exchange[2]}


def _message_pairs(found: Iterator[Dialog], report: ExportReport) -> Iterator[dict[str, Any]]:
    for position, messages, row in found:
        if messages[-1]["role"] != "assistant":
            report.leave_out(position, "Its last message is not the assistant's, so there is no completion.")
        elif len(messages) == 1:
            report.leave_out(position, "It has an answer but no prompt.")
        else:
            yield {"prompt": messages[:-1], "completion": messages[-1:], **tools_of(row, report)}
