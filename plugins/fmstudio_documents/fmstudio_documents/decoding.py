"""Bytes of a document → text, whatever its encoding; never fails, and says what it took the encoding to be."""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WEB = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252"}
"""What browsers read these declared encodings as (WHATWG Encoding Standard, "Names and labels")."""
_GUESSED_FROM = 65_536


def decode(data: bytes, declared: str = "") -> tuple[str, str]:
    """Decode bytes.

    Args:
        data: The document.
        declared: The encoding it claims; used where its bytes agree.

    Returns:
        The text, and the encoding it was taken for. Bytes that do not fit become U+FFFD.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace"), name
    for name in (_known(declared), "utf-8"):
        if name:
            try:
                return data.decode(name), name
            except UnicodeError:
                continue
    name = _guess(data)
    return data.decode(name, "replace"), name


def _known(declared: str) -> str:
    name = declared.strip().strip("\"'").lower()
    try:
        info = codecs.lookup(_WEB.get(name, name)) if name else None
    except (LookupError, ValueError):
        return ""
    # Codecs such as "zip" or "rot13" turn bytes into anything but text.
    return info.name if info is not None and getattr(info, "_is_text_encoding", True) else ""


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    if _looks_like_utf8(data):
        return "utf-8"
    matches = list(from_bytes(data[:_GUESSED_FROM]))
    if not matches:
        return "cp1252"
    best = matches[0]
    equal = [m for m in matches if (m.chaos, m.coherence) == (best.chaos, best.coherence)]
    if any("cp1252" in m.could_be_from_charset for m in equal):
        return "cp1252"
    return str(best.encoding)


def _looks_like_utf8(data: bytes) -> bool:
    """Whether most of the characters beyond ASCII are whole in UTF-8: a few broken bytes do not make it another."""
    text = data[: 1 << 20].decode("utf-8", "replace")
    whole = sum(c > "\x7f" and c != "�" for c in text)
    return whole > 4 * text.count("�")
