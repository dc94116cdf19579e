"""E-mail: a single message, or a mailbox with many. Attachments are listed, never opened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Field, Importer, ImportReport, Params, Reject, TaskContext, UserError
from fmstudio_documents.mail_text import read_mail
from fmstudio_documents.rows import batched, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

_LARGEST = 64 << 20
_ENVELOPE = re.compile(rb"From \S.*\d{1,2}:\d\d")
"""The line before each message (RFC 4155): "From", a sender, a time."""
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_HEADER = re.compile(rb"[!-9;-~]+:|From \S")


class MailParams(Params):
    """Settings of the mail importers."""

    empty: bool = Field(default=True, title="Keep empty mails", description="Mails with a subject but no text.")


def _schema() -> pa.Schema:
    texts = ("text", "subject", "from", "to", "cc", "date", "message_id", "in_reply_to")
    kinds = dict.fromkeys(texts, "string") | {"attachments": "strings", "is_damaged": "bool", "source_file": "string"}
    return schema_of(**kinds)


class EmlImporter(Importer):
    """Reads ``.eml``: one message."""

    Params = MailParams

    def read(self, path: Path, params: Any, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        size = path.stat().st_size
        if size > _LARGEST:
            raise UserError(f"{path.name} is larger than 64 MiB.", remedy="Save it without its attachments.")
        data = path.read_bytes()
        if not _HEADER.match(data.lstrip()):
            raise UserError(f"{path.name} is no e-mail: it does not begin with headers.", remedy="Choose “Plain text”.")
        mail = read_mail(data)
        ctx.progress(size, size, "bytes read")
        if mail is None or not (mail["text"] or params.empty):
            raise UserError(f"{path.name} holds no mail.", remedy="Choose another file.")
        yield from batched([{**mail, "source_file": path.name}], _schema())


class MboxImporter(Importer):
    """Reads ``.mbox``: a mailbox as Thunderbird, Apple Mail and Google Takeout write it."""

    Params = MailParams

    def read(self, path: Path, params: Any, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        yield from batched(_mails(path, params, report, ctx), _schema())


def _mails(path: Path, params: MailParams, report: ImportReport, ctx: TaskContext) -> Iterator[dict[str, Any]]:
    left_out = 0
    for line, at, data in _messages(path, report, ctx):
        mail = read_mail(_QUOTED.sub(rb"\1", data))
        if mail is None:
            report.reject(Reject("There is no mail here.", line, at, data[:2000].decode("utf-8", "replace")))
        elif mail["text"] or params.empty:
            yield {**mail, "source_file": path.name}
        else:
            left_out += 1
    if left_out:
        report.note(f"{path.name}: {left_out} mails without text were left out.")


def _messages(path: Path, report: ImportReport, ctx: TaskContext) -> Iterator[tuple[int, int, bytes]]:
    """Yield line, offset and bytes of each message; one that is absurdly large is rejected."""
    size = path.stat().st_size
    pending: list[bytes] = []
    gathered, start, start_line, offset = 0, 0, 1, 0
    is_after_blank, is_open = True, False
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(1 << 20), b""), 1):
            if is_after_blank and _ENVELOPE.match(line):
                if is_open or b"".join(pending).strip():
                    yield from _finished(pending, gathered, start_line, start, report)
                pending, gathered, start, start_line, is_open = [], 0, offset, number, True
                ctx.check_cancelled()
                ctx.progress(offset, size, "bytes read")
            else:
                gathered += len(line)
                if gathered <= _LARGEST:
                    pending.append(line)
            is_after_blank = not line.strip()
            offset += len(line)
    if not is_open and not _HEADER.match(b"".join(pending[:50]).lstrip()):
        raise UserError(f"{path.name} is no mailbox: no line begins with “From ”.", remedy="Choose another importer.")
    yield from _finished(pending, gathered, start_line, start, report)
    ctx.progress(size, size, "bytes read")


def _finished(
    pending: list[bytes], gathered: int, line: int, start: int, report: ImportReport
) -> Iterator[tuple[int, int, bytes]]:
    data = b"".join(pending)
    if gathered > _LARGEST:
        reason = "This mail is larger than 64 MiB."
        report.reject(Reject(reason, line, start, data[:2000].decode("utf-8", "replace")))
    else:
        yield line, start, data
