"""Cell values: do they fit a column, which type does a new column get, and how are they kept as JSON.

Types are DuckDB's (``VARCHAR``, ``STRUCT("role" VARCHAR)[]``); values are what DuckDB gives for them in Python.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import struct
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from fmstudio.api.errors import UserError

Cast = Callable[[Any, str], Any]
"""Casts a value to a type as DuckDB does, for dates, decimals and the like."""

WELL_KNOWN = {"tags": "VARCHAR[]", "rating": "TINYINT", "note": "VARCHAR"}
"""Columns the app itself adds, with their types."""

_BITS = {"tinyint": 8, "smallint": 16, "integer": 32, "bigint": 64, "hugeint": 128}
_ARROW = {
    "varchar": "string",
    "boolean": "bool",
    "tinyint": "int8",
    "bigint": "int64",
    "double": "double",
    "blob": "binary",
    "timestamp": "timestamp[us]",
    "date": "date32[day]",
}
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


class Unfit(ValueError):
    """A value does not fit the type of its column."""


def fit_cell(value: Any, kind: DuckDBPyType, column: str, cast: Cast) -> Any:
    """Give the value as the column holds it.

    Text is read as the column's type (``"12"`` in a column of whole numbers); nothing is rounded or cut.

    Raises:
        UserError: It does not fit; the message names the column, the type and the value.
    """
    try:
        return fit(value, kind, cast)
    except (Unfit, ValueError, OverflowError) as error:
        shown = value if isinstance(value, str) else repr(value)
        shown = shown if len(shown) <= 60 else shown[:59] + "…"
        shown = shown.encode("utf-8", "replace").decode("utf-8")
        why = str(error) if isinstance(error, Unfit) and str(error) else f"it holds {words(kind)}"
        raise UserError(
            f"“{shown}” does not fit the column “{column}”: {why}.",
            remedy="Give a value of that kind, or leave it empty.",
        ) from error


def fit(value: Any, kind: DuckDBPyType, cast: Cast) -> Any:
    """See `fit_cell`.

    Raises:
        Unfit: It does not fit.
    """
    name = kind.id
    if value is None:
        return None
    if name == "varchar":
        return _text(value)
    if name == "boolean":
        return _boolean(value)
    if name.removeprefix("u") in _BITS and name != "uuid":
        return _whole(value, name)
    if name in ("float", "double"):
        return _number(value, name)
    if name in ("list", "array"):
        return _list(value, kind, cast)
    if name == "struct":
        return _struct(value, kind, cast)
    try:
        return cast(value, str(kind))
    except Exception as error:
        raise Unfit(f"it holds {words(kind)}") from error


def inner_types(kind: DuckDBPyType) -> dict[str, DuckDBPyType]:
    """The types of a record's fields by name, or of a list's items as ``child``."""
    return {name: child for name, child in kind.children if isinstance(child, DuckDBPyType)}


@lru_cache(maxsize=256)
def parse_type(kind: str) -> DuckDBPyType:
    """The type that a SQL type name means."""
    return duckdb.sqltype(kind)


def words(kind: DuckDBPyType) -> str:
    """A type in words a user knows."""
    name = kind.id
    if name.removeprefix("u") in _BITS and name != "uuid":
        low, high = _range(name)
        return f"whole numbers from {low:,} to {high:,}" if _BITS[name.removeprefix("u")] < 32 else "whole numbers"
    simple = {"varchar": "text", "boolean": "true or false", "float": "numbers", "double": "numbers", "date": "dates"}
    nested = {"list": "lists", "array": "lists", "struct": "records", "map": "mappings", "decimal": "decimal numbers"}
    return {**simple, **nested}.get(name, f"values of the type {kind}")


def _text(value: Any) -> str:
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise Unfit("it holds half of a character (a lone surrogate), which no file can store") from error
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | tuple) else str(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    if isinstance(value, bool | int) and value in (0, 1):
        return bool(value)
    raise Unfit


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str | decimal.Decimal):
        raise Unfit
    number = int(value.strip()) if isinstance(value, str) else int(value)
    low, high = _range(name)
    if not low <= number <= high or (not isinstance(value, str) and number != value):
        raise Unfit
    return number


def _range(name: str) -> tuple[int, int]:
    bits = _BITS[name.removeprefix("u")]
    return (0, 2**bits - 1) if name.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str | decimal.Decimal):
        raise Unfit
    number = float(value)
    if isinstance(value, int) and int(number) != value:
        raise Unfit("it holds decimal numbers, which would lose digits of this one")
    return struct.unpack("f", struct.pack("f", number))[0] if name == "float" else number


def _list(value: Any, kind: DuckDBPyType, cast: Cast) -> list[Any]:
    items = _parsed(value, list)
    child = inner_types(kind)["child"]
    made = [fit(item, child, cast) for item in items]
    if kind.id == "array" and len(made) != kind.children[1][1]:
        raise Unfit(f"it holds lists of {kind.children[1][1]} values")
    return made


def _struct(value: Any, kind: DuckDBPyType, cast: Cast) -> dict[str, Any]:
    items = _parsed(value, dict)
    fields = inner_types(kind)
    unknown = [str(name) for name in items if name not in fields]
    if unknown:
        raise Unfit(f"its records have the fields {', '.join(fields)}, not {', '.join(unknown)}")
    return {name: fit(items.get(name), child, cast) for name, child in fields.items()}


def _parsed(value: Any, wanted: type) -> Any:
    found = json.loads(value) if isinstance(value, str) else list(value) if isinstance(value, tuple) else value
    if not isinstance(found, wanted):
        raise Unfit
    return found


def arrow_name(kind: DuckDBPyType) -> str:
    """The name Arrow has for a DuckDB type, which is how the columns of versions are named."""
    if kind.id == "list":
        return f"list<item: {arrow_name(inner_types(kind)['child'])}>"
    if kind.id == "struct":
        return f"struct<{', '.join(f'{name}: {arrow_name(child)}' for name, child in inner_types(kind).items())}>"
    return _ARROW.get(kind.id, str(kind).lower())


def type_for(name: str, values: Iterable[Any]) -> str:
    """The type of a new column that holds these values; text where they have no other in common."""
    if name in WELL_KNOWN:
        return WELL_KNOWN[name]
    return _settled(_merged(_type_of(value) for value in values if value is not None))


def _type_of(value: Any) -> Any:
    """A type as a string, ``["list", TYPE]`` or ``{"field": TYPE}``; None when nothing is known of it yet."""
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "BIGINT" if -(2**63) <= value < 2**63 else "VARCHAR"
    if isinstance(value, list | tuple):
        return ["list", _merged(_type_of(item) for item in value if item is not None)]
    if isinstance(value, dict) and value and all(isinstance(key, str) and key for key in value):
        folded = {key.casefold() for key in value}
        return {key: _type_of(item) for key, item in value.items()} if len(folded) == len(value) else "VARCHAR"
    simple = {float: "DOUBLE", bytes: "BLOB", datetime.datetime: "TIMESTAMP", datetime.date: "DATE"}
    return None if value is None else simple.get(type(value), "VARCHAR")


def _merged(kinds: Iterable[Any]) -> Any:
    found: Any = None
    for kind in kinds:
        if found is None or found == kind:
            found = kind
        elif isinstance(found, list) and isinstance(kind, list):
            found = ["list", _merged(k for k in (found[1], kind[1]) if k is not None)]
        elif isinstance(found, dict) and isinstance(kind, dict):
            names = {**found, **kind}
            found = {n: _merged(k for k in (found.get(n), kind.get(n)) if k is not None) for n in names}
        elif {str(found), str(kind)} == {"BIGINT", "DOUBLE"}:
            found = "DOUBLE"
        elif kind is not None:
            found = "VARCHAR"
    return found


def _settled(kind: Any) -> str:
    if isinstance(kind, list):
        return f"{_settled(kind[1])}[]"
    if isinstance(kind, dict):
        fields = (f'"{name.replace(chr(34), chr(34) * 2)}" {_settled(child)}' for name, child in kind.items())
        return f"STRUCT({', '.join(fields)})"
    return kind or "VARCHAR"


def is_same(one: Any, other: Any) -> bool:
    """Whether two values of one column are the same; NaN is the same as NaN."""
    if isinstance(one, float) and isinstance(other, float):
        return encode(one) == encode(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(is_same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


# ---- as JSON -----------------------------------------------------------------------------------------------------------

_TAGS: dict[str, Callable[[Any], Any]] = {
    "$datetime": datetime.datetime.fromisoformat,
    "$date": datetime.date.fromisoformat,
    "$time": datetime.time.fromisoformat,
    "$interval": lambda parts: datetime.timedelta(days=parts[0], seconds=parts[1], microseconds=parts[2]),
    "$decimal": decimal.Decimal,
    "$uuid": uuid.UUID,
    "$bytes": base64.b64decode,
    "$map": dict,
    "$record": dict,
}


_PLAIN = (str, int, float, bool)
_read = json.JSONDecoder().raw_decode
"""What `json.loads` calls in the end, without the checks that cost it more than half of its time on a short text."""


def encode(value: Any) -> str:
    """A value as ASCII JSON from which `decode` makes the same value again. NaN is written as ``NaN``."""
    return json.dumps(value if type(value) in _PLAIN else _tagged(value))


def encode_record(record: Mapping[str, Any]) -> str:
    """A whole row as JSON, for `decode`; its columns' names are never taken for tags."""
    return json.dumps({"$record": {name: _tagged(value) for name, value in record.items()}})


def decode(text: str) -> Any:
    """The value that `encode` wrote."""
    value = _read(text)[0]
    return _untagged(value) if isinstance(value, dict | list) else value


def _tagged(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_tagged(item) for item in value]
    if isinstance(value, dict):
        if any(not isinstance(key, str) for key in value):
            return {"$map": [[_tagged(key), _tagged(item)] for key, item in value.items()]}
        plain = {key: _tagged(item) for key, item in value.items()}
        return {"$record": plain} if len(plain) == 1 and next(iter(plain)) in _TAGS else plain
    if isinstance(value, datetime.datetime):
        return {"$datetime": value.isoformat()}
    if isinstance(value, datetime.date):
        return {"$date": value.isoformat()}
    if isinstance(value, datetime.time):
        return {"$time": value.isoformat()}
    if isinstance(value, datetime.timedelta):
        return {"$interval": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, decimal.Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, uuid.UUID):
        return {"$uuid": str(value)}
    if isinstance(value, bytes | bytearray):
        return {"$bytes": base64.b64encode(value).decode()}
    return value


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (tag, inside), *_ = value.items()
        if tag == "$record":
            return {key: _untagged(item) for key, item in inside.items()}
        if tag in _TAGS:
            return _TAGS[tag](_untagged(inside))
    return {key: _untagged(item) for key, item in value.items()}
