"""One e-mail → sender, recipients, date, subject, body and the names of its attachments. Never fails on a real mail.

Mail in the wild breaks every rule; the standard library's parser raises many kinds of errors on it, so each header and
part is read on its own, and what cannot be decoded is taken as it stands.
"""

from __future__ import annotations

import email.errors
import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header
from email.message import Message
from email.policy import compat32
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

from fmstudio_documents.decoding import decode
from fmstudio_documents.html_text import read_html

_BROKEN = (
    ValueError, LookupError, TypeError, AttributeError, AssertionError, OverflowError, RecursionError,
    email.errors.MessageError,
)  # fmt: skip
_MOST_PARTS = 1_000
_SPACE = re.compile(r"\s+")


def read_mail(data: bytes) -> dict[str, Any] | None:
    """Read a message; None when it has neither headers nor text."""
    try:
        message = message_from_bytes(data, policy=compat32)
    except _BROKEN:
        return {"text": decode(data)[0].strip(), "is_damaged": True}
    bodies, attachments, is_damaged = _parts(message)
    text = _body(bodies)
    if not message.keys() and not text:
        return None
    return {
        "text": text,
        "subject": _header(message, "subject"),
        "from": _addresses(message, "from"),
        "to": _addresses(message, "to"),
        "cc": _addresses(message, "cc"),
        "date": _date(message),
        "message_id": _header(message, "message-id"),
        "in_reply_to": _header(message, "in-reply-to"),
        "attachments": attachments,
        "is_damaged": is_damaged or bool(message.defects),
    }


def _parts(message: Message) -> tuple[dict[str, list[str]], list[str], bool]:
    """Texts by type in order, names of attachments, and whether something could not be read."""
    bodies: dict[str, list[str]] = {"plain": [], "html": []}
    attachments: list[str] = []
    is_damaged = False
    stack: list[Any] = [message]
    for _ in range(_MOST_PARTS):
        if not stack:
            break
        part = stack.pop()
        try:
            payload: Any = part.get_payload()
            if isinstance(payload, list):
                if part.get_content_type() == "message/rfc822" and part is not message:
                    attachments.append("a forwarded message")
                stack.extend(reversed(payload))
            elif _is_body(part):
                bodies[part.get_content_subtype()].append(_decoded(part))
            else:
                attachments.append(_attachment(part))
        except _BROKEN:
            is_damaged = True
    return bodies, attachments, is_damaged or bool(stack)


def _is_body(part: Message) -> bool:
    is_text = part.get_content_maintype() == "text" and part.get_content_subtype() in ("plain", "html")
    return is_text and (part.get_content_disposition() != "attachment")


def _decoded(part: Message) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return str(part.get_payload())
    return decode(data, str(part.get_content_charset() or ""))[0].replace("\r\n", "\n")


def _attachment(part: Message) -> str:
    data = part.get_payload(decode=True)
    size = len(data) if isinstance(data, bytes) else 0
    name = _plain(part.get_filename() or "unnamed")
    return f"{name} ({part.get_content_type()}, {size:,} bytes)"


def _body(bodies: dict[str, list[str]]) -> str:
    plain = "\n\n".join(text.strip() for text in bodies["plain"] if text.strip())
    if plain:
        return plain
    pages = [read_html(html, is_whole=True).text for html in bodies["html"] if html.strip()]
    return "\n\n".join(page for page in pages if page)


def _headers(message: Message, name: str) -> list[str]:
    """All values of a header. They are taken raw: the parser's own view has lost the bytes beyond ASCII."""
    charset = message.get_param("charset")
    spoken = charset if isinstance(charset, str) else "cp1252"
    return [_plain(value, spoken) for key, value in message.raw_items() if key.lower() == name]


def _header(message: Message, name: str) -> str | None:
    return next((value for value in _headers(message, name) if value), None)


def _plain(value: Any, charset: str = "cp1252") -> str:
    """Decode a header: encoded words (RFC 2047), bytes beyond ASCII, folded lines."""
    text = str(value)
    try:
        pieces = [
            decode(piece, charset or "")[0] if isinstance(piece, bytes) else piece
            for piece, charset in decode_header(text)
        ]
        text = "".join(pieces)
    except _BROKEN:
        pass
    raw = text.encode("utf-8", "surrogateescape")
    return _SPACE.sub(" ", decode(raw, "utf-8" if _is_utf8(raw) else charset)[0]).strip()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _addresses(message: Message, name: str) -> str | None:
    values = _headers(message, name)
    try:
        pairs = getaddresses(values)
    except _BROKEN:
        pairs = []
    found = [f"{who} <{address}>" if who else address for who, address in pairs if address]
    return ", ".join(found or values) or None


def _date(message: Message) -> str | None:
    """The date in UTC as ISO 8601, or as it stands when it is none."""
    text = _header(message, "date")
    if text is None:
        return None
    try:
        when = parsedate_to_datetime(text)
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        return datetime.isoformat(when.replace(microsecond=0))
    except _BROKEN:
        return text
