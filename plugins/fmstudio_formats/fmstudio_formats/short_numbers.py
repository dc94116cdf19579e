"""Numbers of up to eight signs, a whole column at a time: eight digits are read together by three multiplications.

Most numbers in tables are short, and cutting each out as a text of its own takes longer than reading it. Method: digits in
one 64-bit word, their sums in pairs, in fours, in eights (Lemire, "Quickly parsing eight digits", 2018); a decimal is its
digits divided by a power of ten, which is exact up to 2**53 and 10**22 (Clinger, "How to read floating point numbers
accurately", PLDI 1990).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST = 8
_BYTES = 0x0101010101010101
_ZEROS = 0x30 * _BYTES
_HIGH = 0xF0 * _BYTES


def short_numbers(words: Any, starts: Any, ends: Any, kind: pa.DataType) -> pa.Array | None:
    """Read JSON numbers; None when one is longer, has a sign or an exponent, or is no number of that type.

    Args:
        words: The eight bytes from any place of a block on, as little-endian numbers.
        starts: Where each number begins.
        ends: The place after each, at least eight.
        kind: ``int64`` or ``double``.
    """
    import numpy as np
    import pyarrow as pa

    lengths = ends - starts
    if int(ends[0]) < _LONGEST or int(lengths.min()) < 1 or int(lengths.max()) > _LONGEST:
        return None
    spare = (8 * (_LONGEST - lengths)).astype("u8")
    written = words[ends - _LONGEST]
    if _is_padded(written >> spare):
        return None
    before = (1 << spare) - 1
    text = written & ~before | before & _ZEROS
    if pa.types.is_integer(kind):
        return _array(_value(text).astype("i8"), kind) if _are_digits(text) else None
    digits, places = _without_point(text)
    if not _are_digits(digits):
        return None
    return _array(_value(digits) / np.power(10.0, np.arange(_LONGEST))[places], kind)


def _is_padded(written: Any) -> bool:
    """Whether a number begins with a zero before another digit, or with its point."""
    first, second = written & 0xFF, written >> 8 & 0xFF
    return bool((first < 0x30).any() or ((first == 0x30) & (second - 0x30 < 10)).any())


def _without_point(text: Any) -> tuple[Any, Any]:
    """Take the decimal point out; give the digits, and how many of them come after it (no digit: a stray sign is left)."""
    import numpy as np

    other = text ^ 0x2E * _BYTES
    found = (other - _BYTES) & ~other & 0x80 * _BYTES
    mark = (found & ~found + 1) >> 7  # one in the byte of the first point; zero where there is none
    has_point = mark != 0
    before = np.where(has_point, mark - 1, 0)
    after = ~(before | mark * 0xFF)
    count = ((after & _BYTES) * _BYTES) >> 56
    is_last = has_point & (count == 0)
    digits = text & after | (text & before) << 8 | has_point * np.uint64(0x30)
    return np.where(is_last, 0, digits), np.where(has_point, count, 0)


def _are_digits(text: Any) -> bool:
    return bool(((text & _HIGH == _ZEROS) & (text + 0x06 * _BYTES & _HIGH == _ZEROS)).all())


def _value(text: Any) -> Any:
    pairs = (text - _ZEROS) * 10 + (text - _ZEROS >> 8)
    fours = (pairs & 0xFF000000FF) * (100 + (1_000_000 << 32))
    return fours + (pairs >> 16 & 0xFF000000FF) * (1 + (10_000 << 32)) >> 32


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    # Not `pa.array`: it imports pandas wherever that is installed, a quarter of a second.
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
