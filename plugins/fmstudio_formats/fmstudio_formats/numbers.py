"""Which columns of text are numbers: only those that lose nothing by it, told without looking at each cell in Python.

A column becomes numbers when each of its values is written as that number would be: ``007`` and ``+1`` keep their
signs and zeros as text, ``1e5`` may be a part number, and a number of more digits than a machine number holds stays
whole as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["empty", "whole", "decimal", "yes_no", "text"]

DECIMAL = r"^-?((0|[1-9]\d{0,14})(\.\d{1,15})?|\.\d{1,15})([eE][-+]\d{1,2})?$"
DECIMAL_EXPONENT = r"^-?(0|[1-9]\d{0,14})\.\d{1,15}[eE]\d{1,2}$"
"""How a decimal is written that loses nothing as a number."""
_ROUNDED = r"^-?\d(\.\d{1,5})?E\+(1[1-9]|[2-9]\d)$"
_DIGITS = r"^-?\d+$"
_MOST_DIGITS = 15
"""Digits that a decimal (IEEE 754 double) always keeps."""

_YES_NO = ({"true", "false"}, {"True", "False"}, {"TRUE", "FALSE"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of one block.

    Attributes:
        text: The cells as they are written.
        kind: The narrowest kind that all of them are.
        values: The cells in that kind, empty ones as null; `text` itself for text.
    """

    text: pa.Array
    kind: Kind
    values: pa.Array


def classify(text: pa.Array) -> Column:
    """Find the kind of a column's cells.

    Args:
        text: A string array without nulls.
    """
    import numpy as np
    import pyarrow as pa

    offsets, data = buffers(text)
    lengths = np.diff(offsets)
    longest = int(lengths.max(initial=0))
    if not longest:
        return Column(text, "empty", text)
    first = text[int(np.argmax(lengths > 0))].as_py()
    if longest <= 5 and (values := _yes_no(text, first)) is not None:
        return Column(text, "yes_no", values)
    if longest > 32 or not first[-1].isdigit() or first[0] not in "-.0123456789":
        return Column(text, "text", text)
    signs = census(data[offsets[0] : offsets[-1]])
    if signs - set(b"0123456789.-+eE"):
        return Column(text, "text", text)
    filled = text if int(lengths.min()) else _without_empty(text, lengths)
    try:
        if not signs & set(b".+eE") and longest <= 18 + int(ord("-") in signs):
            return _whole(text, filled, offsets, data, lengths)
        return _decimal(text, filled, offsets, data, lengths, signs)
    except pa.ArrowInvalid:
        return Column(text, "text", text)


def _whole(text: pa.Array, filled: pa.Array, offsets: Any, data: Any, lengths: Any) -> Column:
    import pyarrow as pa

    values = filled.cast(pa.int64())
    if has_padding(offsets, data, lengths, whole=True):
        return Column(text, "text", text)
    return Column(text, "whole", values)


def _decimal(text: pa.Array, filled: pa.Array, offsets: Any, data: Any, lengths: Any, signs: set[int]) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = filled.cast(pa.float64())
    has_exponent = bool(signs & set(b"+eE"))
    if has_exponent or int(lengths.max()) > _MOST_DIGITS + 1:
        good = pc.match_substring_regex(filled, DECIMAL)
        if has_exponent:
            good = pc.or_(good, pc.match_substring_regex(filled, DECIMAL_EXPONENT))
        if not pc.all(good).as_py() or (has_exponent and _is_rounded(filled)):
            return Column(text, "text", text)
    if has_padding(offsets, data, lengths, whole=False) or ends_in_point(offsets, data, lengths):
        return Column(text, "text", text)
    return Column(text, "decimal", values)


def _is_rounded(filled: pa.Array) -> bool:
    """Whether these are whole numbers of which a spreadsheet has written long ones as 5.5E+15."""
    import pyarrow.compute as pc

    rounded = pc.match_substring_regex(filled, _ROUNDED)
    whole = pc.match_substring_regex(filled, _DIGITS)
    return bool(pc.any(rounded).as_py() and pc.all(pc.or_(rounded, whole)).as_py())


def has_padding(offsets: Any, data: Any, lengths: Any, *, whole: bool) -> bool:
    """Whether a number is written with zeros before it, or as -0."""
    import numpy as np

    starts, sizes = _filled(offsets[:-1], lengths), _filled(lengths, lengths)
    first = data[starts]
    if (minus := first == ord("-")).any():
        starts, sizes = starts + minus, sizes - minus
        first = data[np.minimum(starts, len(data) - 1)]
    zero = first == ord("0")
    if whole:
        return bool((zero & ((sizes > 1) | minus)).any())
    long = zero & (sizes > 1)
    if not long.any():
        return False
    after = data[(starts if long.all() else starts[long]) + 1]
    return bool((after - np.uint8(ord("0")) < 10).any())


def ends_in_point(offsets: Any, data: Any, lengths: Any) -> bool:
    """Whether a number ends in its decimal point."""
    return bool((data[_filled(offsets[1:], lengths) - 1] == ord(".")).any())


def _filled(values: Any, lengths: Any) -> Any:
    """The values of the cells that are not empty; mostly all are."""
    return values if int(lengths.min(initial=0)) else values[lengths > 0]


def _yes_no(text: pa.Array, first: str) -> pa.Array | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    pair = next((pair for pair in _YES_NO if first in pair), None)
    if pair is None or not {value for value in pc.unique(text).to_pylist() if value} <= pair:
        return None
    yes = next(value for value in pair if value.lower() == "true")
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.bool_()), pc.equal(text, yes))


def _without_empty(text: pa.Array, lengths: Any) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if (lengths > 0).all():
        return text
    # Not `pa.array`: it imports pandas wherever that is installed, a quarter of a second.
    return pc.if_else(pc.greater(pc.binary_length(text), 0), text, pa.scalar(None, pa.string()))


def census(data: Any) -> set[int]:
    """Give the byte values that occur, all digits or none: a column that may be numbers holds little else."""
    import numpy as np

    is_digit = data - np.uint8(ord("0")) < 10
    digits = int(np.count_nonzero(is_digit))
    found, others = set(b"0123456789") if digits else set(), len(data) - digits
    for sign in b".-":  # mostly these are all: counting them takes a tenth of what gathering takes
        if others and (count := int(np.count_nonzero(data == sign))):
            found.add(sign)
            others -= count
    if others:
        seen = np.zeros(256, np.bool_)
        seen[data[~is_digit]] = True
        found |= set(np.flatnonzero(seen).tolist())
    return found


def buffers(text: pa.Array) -> tuple[Any, Any]:
    """Give offsets and bytes of a string array as numpy views."""
    import numpy as np

    _, offsets, data = text.buffers()
    first = text.offset
    ends = np.frombuffer(offsets, np.int32)[first : first + len(text) + 1]
    return ends, np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
