"""Whether two JSON schemas exclude each other, and whether a value is of a type; for ``oneOf`` and ``enum``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")


def _types_of(schema: Any) -> set[str] | None:
    if not isinstance(schema, Mapping):
        return None
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return {t for v in values for t in TYPES if is_of(v, t)}
    given = schema.get("type")
    if given is None:
        return None
    types = {given} if isinstance(given, str) else set(given)
    return types | ({"integer"} if "number" in types else set())


def are_apart(one: Any, other: Any) -> bool:
    """Whether no value fits both, as far as types, constants and a telling property show."""
    types, others = _types_of(one), _types_of(other)
    if types is not None and others is not None and not types & others:
        return True
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return False
    values, rest = _values_of(one), _values_of(other)
    if values is not None and rest is not None:
        return not values & rest
    if types != {"object"} or others != {"object"}:
        return False
    both = set(one.get("required", [])) & set(other.get("required", []))
    for name in both:
        a, b = (_values_of(s.get("properties", {}).get(name, {})) for s in (one, other))
        if a is not None and b is not None and not a & b:
            return True
    return False


def _values_of(schema: Any) -> set[str] | None:
    if not isinstance(schema, Mapping) or not ("const" in schema or "enum" in schema):
        return None
    return {json.dumps(v, sort_keys=True) for v in schema.get("enum", [schema.get("const")])}


def is_of(value: Any, name: str) -> bool:
    """Whether a value is of the JSON type of that name."""
    if isinstance(value, bool) or value is None:
        return name == ("null" if value is None else "boolean")
    kinds: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
    return name in kinds and isinstance(value, kinds[name])
