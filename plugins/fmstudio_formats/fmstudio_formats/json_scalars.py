"""Columns of JSON values as they are written → their values, whole columns at a time; no where one is not as it should be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fmstudio_formats.numbers import buffers, census, ends_in_point, has_padding

if TYPE_CHECKING:
    import pyarrow as pa

_EXACT = 2.0**53
_EXPONENT = r"^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$"
_ESCAPES = (('\\"', '"'), ("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r"), ("\\/", "/"), ("\\b", "\b"), ("\\f", "\f"))


def numbers(texts: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """Read numbers, and ``null``, as values of a type; None when one is no JSON number, or none of that type, or not exact in it.

    Args:
        texts: A string array without nulls.
        kind: ``int64``, ``double`` or ``null``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    there, signs = texts, _signs(texts)
    if signs & set(b"nul"):
        is_null = pc.equal(texts, "null")
        texts, there = pc.if_else(is_null, pa.scalar(None, pa.string()), texts), texts.filter(pc.invert(is_null))
        signs = _signs(there)
        if not len(there):
            return pa.nulls(len(texts), kind)
    try:
        values = texts.cast(kind) if not pa.types.is_null(kind) and _are_numbers(there, signs, kind) else None
    except pa.ArrowInvalid:
        return None
    return None if values is not None and pa.types.is_floating(kind) and has_inexact(values) else values


def has_inexact(decimals: pa.Array) -> bool:
    """Whether a number is too large to be exact as a decimal: an id of 20 digits would lose some of them."""
    import pyarrow.compute as pc

    ends = pc.min_max(decimals).as_py()
    return any(end is not None and abs(end) >= _EXACT for end in ends.values())


def _signs(texts: pa.Array) -> set[int]:
    offsets, data = buffers(texts)
    return census(data[offsets[0] : offsets[-1]])


def _are_numbers(texts: pa.Array, signs: set[int], kind: pa.DataType) -> bool:
    """Whether texts that Arrow can read as numbers are so in JSON, too: no zeros before, no bare point."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    offsets, data = buffers(texts)
    lengths = np.diff(offsets)
    if not int(lengths.min()) or signs - set(b"0123456789-.eE+"):
        return False
    if pa.types.is_integer(kind):
        return not signs & set(b".eE+") and not has_padding(offsets, data, lengths, whole=True)
    if signs & set(b"eE+"):
        return bool(pc.all(pc.match_substring_regex(texts, _EXPONENT)).as_py())
    first = data[offsets[:-1]]
    begins_in_point = bool((first == ord(".")).any())
    if (minus := np.flatnonzero(first == ord("-"))).size:
        begins_in_point |= bool((data[np.minimum(offsets[minus] + 1, len(data) - 1)] == ord(".")).any())
    padded = has_padding(offsets, data, lengths, whole=False)
    return not (begins_in_point or padded or ends_in_point(offsets, data, lengths))


def yes_no(texts: pa.Array) -> pa.Array | None:
    """Read ``true``, ``false`` and ``null``; None when there is anything else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not set(pc.unique(texts).to_pylist()) <= {"true", "false", "null"}:
        return None
    return pc.if_else(pc.equal(texts, "null"), pa.scalar(None, pa.bool_()), pc.equal(texts, "true"))


def unescaped(texts: pa.Array) -> pa.Array | None:
    """Read the inside of JSON texts; None when an escape is none.

    The usual escapes are replaced in whole columns. Texts with ``\\\\`` or ``\\u``, before which a backslash may be no
    escape, are read by the standard library.
    """
    import pyarrow.compute as pc

    has_escape = pc.match_substring(texts, "\\")
    if not pc.any(has_escape).as_py():
        return texts
    is_hard = pc.match_substring_regex(texts, r"\\[\\u]")
    easy = pc.and_not(has_escape, is_hard)
    for mask, read in ((easy, _easy), (is_hard, _hard)):
        some = texts.filter(mask)
        if len(some):
            made = read(some)
            if made is None:
                return None
            texts = made if len(some) == len(texts) else pc.replace_with_mask(texts, mask, made)
    return texts


def _easy(texts: pa.Array) -> pa.Array | None:
    import pyarrow.compute as pc

    for written, meant in _ESCAPES:
        texts = pc.replace_substring(texts, written, meant)
    return None if pc.any(pc.match_substring(texts, "\\")).as_py() else texts


def _hard(texts: pa.Array) -> pa.Array | None:
    import pyarrow as pa

    try:
        return pa.array(json.loads('["' + '","'.join(texts.to_pylist()) + '"]'), pa.string())
    except (ValueError, UnicodeError):  # no such escape, or half of a character
        return None
