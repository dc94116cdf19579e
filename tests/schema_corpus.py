"""JSON schemas of every kind that programs send, by name: plain ones, combined ones, and traps for an enforcer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = Any
_S: Schema = {"type": "string", "maxLength": 8}
_I: Schema = {"type": "integer", "minimum": 0, "maximum": 99}
_B: Schema = {"type": "boolean"}


def _object(required: list[str] | None = None, **properties: Schema) -> Schema:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


def _texts() -> Iterator[tuple[str, Schema]]:
    yield "string", {"type": "string"}
    for low, high in ((0, 0), (0, 1), (1, 1), (3, 3), (2, 9), (20, 25), (0, 1000)):
        yield f"string-{low}-{high}", {"type": "string", "minLength": low, "maxLength": high}
    yield "string-least", {"type": "string", "minLength": 5}
    yield "string-crossed", {"type": "string", "minLength": 5, "maxLength": 2}
    yield "string-huge", {"type": "string", "maxLength": 10**9}
    for pattern in ("^a+$", "^[A-Z]{2}-[0-9]{4}$", "x", "", "^(yes|no)$", r"^\d{3}$", r"^\p{L}+$", "(a+)+$", "["):
        yield f"pattern-{pattern}", {"type": "string", "pattern": pattern}
    for kind in ("date", "time", "date-time", "uuid", "email", "uri", "ipv4", "ipv6", "hostname", "regex", "binary",
                 "duration", "json-pointer", "made-up"):  # fmt: skip
        yield f"format-{kind}", {"type": "string", "format": kind}
    yield "format-date-in-object", _object(when={"type": "string", "format": "date"})
    yield "format-with-length", {"type": "string", "format": "date", "maxLength": 5}
    yield "content", {"type": "string", "contentEncoding": "base64"}


def _numbers() -> Iterator[tuple[str, Schema]]:
    for kind in ("integer", "number"):
        yield kind, {"type": kind}
        for low, high in ((0, 0), (1, 9), (-5, 5), (-1000, -999), (0, 255), (17, 4711), (-(10**14), 10**14), (99, 101)):
            yield f"{kind}-{low}-{high}", {"type": kind, "minimum": low, "maximum": high}
            yield f"{kind}-open-{low}-{high}", {"type": kind, "exclusiveMinimum": low, "exclusiveMaximum": high}
        for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            for value in (0, -7, 1.5, 10**20, True, "5"):
                yield f"{kind}-{word}-{value}", {"type": kind, word: value}
        yield f"{kind}-both", {"type": kind, "minimum": 3, "exclusiveMinimum": 3, "maximum": 9}
        yield f"{kind}-multiple", {"type": kind, "multipleOf": 5}
        yield f"{kind}-crossed", {"type": kind, "minimum": 5, "maximum": 4}
    yield "exclusive-of-draft-4", {"type": "integer", "minimum": 0, "exclusiveMinimum": True}


def _fixed() -> Iterator[tuple[str, Schema]]:
    for name, values in {
        "words": ["red", "green", "blue"], "one": ["only"], "mixed": ["a", 1, None, True, 2.5], "quotes": ['a"b', "c\\d", "e\nf"],
        "unicode": ["größe", "漢字", "😀", "\u2028", "\x7f", "\ud83d"], "nested": [{"a": [1, {"b": None}]}, [[]], {}], "empty-text": [""],
        "none": [], "alike": [1, 1.0, True], "long": ["x" * 40], "many": [f"value-{n}" for n in range(300)], "not-a-list": "abc",
    }.items():  # fmt: skip
        yield f"enum-{name}", {"enum": values}
        yield f"enum-{name}-typed", {"type": "string", "enum": values}
    for value in ("x", 3, -1.5, None, True, [], {}, {"a": [1, 2]}, 'quo"te', 10**30, 1e300):
        yield f"const-{str(value)[:9]}", {"const": value}
    yield "const-of-another-type", {"type": "integer", "const": "x"}
    yield "const-and-enum", {"const": "a", "enum": ["a", "b"]}
    yield "null", {"type": "null"}
    yield "boolean", _B
    yield "nullable", {"type": ["string", "null"], "maxLength": 4}
    yield "nullable-of-openapi", {"type": "string", "nullable": True}
    yield "all-types", {"type": ["string", "integer", "boolean", "null"]}
    yield "no-types", {"type": []}
    yield "unknown-type", {"type": "any"}
    yield "true", True
    yield "false", False
    yield "empty", {}
    yield "only-notes", {"title": "T", "description": "anything", "$comment": "c", "examples": [1]}


def _objects() -> Iterator[tuple[str, Schema]]:
    yield "object", {"type": "object"}
    yield "closed", {"type": "object", "additionalProperties": False}
    yield "object-plain", _object(name=_S, age=_I, on=_B)
    yield "object-optional", _object([], name=_S, age=_I, on=_B)
    yield "object-some", _object(["age"], name=_S, age=_I, on=_B)
    yield "object-open", {"type": "object", "properties": {"a": _I}, "required": ["a"]}
    yield "map", {"type": "object", "additionalProperties": _I}
    yield "map-and-known", {"type": "object", "properties": {"a": _S}, "additionalProperties": _I}
    yield "required-unknown", {"type": "object", "required": ["b"], "properties": {"a": _S}}
    yield "required-forbidden", {"type": "object", "required": ["b"], "additionalProperties": False}
    yield "property-false", {"type": "object", "properties": {"a": False, "b": _I}, "required": ["b"]}
    yield "property-true", {"type": "object", "properties": {"a": True}, "required": ["a"]}
    for name in (
        "größe",
        "a b",
        'quo"te',
        "back\\slash",
        "new\nline",
        "漢字",
        "😀",
        "",
        "$ref",
        "type",
        "\x00",
        "x" * 40,
    ):
        yield f"key-{name[:9]!r}", _object(**{name: _I})
    yield "many-properties", _object(**{f"p{n}": _B for n in range(15)})
    yield "many-optional", _object([], **{f"p{n}": _B for n in range(15)})
    deep: Schema = _I
    for _ in range(12):
        deep = _object(d=deep)
    yield "deep", deep
    for word, value in {
        "minProperties": 1, "maxProperties": 2, "patternProperties": {"^a": _I}, "propertyNames": {"maxLength": 3},
        "dependentRequired": {"a": ["b"]}, "dependentSchemas": {"a": {}}, "unevaluatedProperties": False,
    }.items():  # fmt: skip
        yield word, {"type": "object", "properties": {"a": _I, "b": _I}, word: value}
    yield "properties-list", {"type": "object", "properties": [1]}
    yield "required-text", {"type": "object", "properties": {"a": _I}, "required": "a"}
    yield "no-type-but-properties", {"properties": {"a": _I}, "required": ["a"]}


def _arrays() -> Iterator[tuple[str, Schema]]:
    yield "array", {"type": "array"}
    for low, high in ((0, 0), (0, 1), (1, 1), (2, 3), (5, 5), (0, 20)):
        yield f"array-{low}-{high}", {"type": "array", "items": _I, "minItems": low, "maxItems": high}
    yield "array-least", {"type": "array", "items": _B, "minItems": 2}
    yield "array-objects", {"type": "array", "items": _object(a=_I), "maxItems": 3}
    yield (
        "matrix",
        {"type": "array", "items": {"type": "array", "items": _I, "minItems": 2, "maxItems": 2}, "maxItems": 2},
    )
    yield "tuple", {"type": "array", "prefixItems": [_I, _S, _B], "items": False}
    yield "tuple-whole", {"type": "array", "prefixItems": [_I, _B], "items": False, "minItems": 2}
    yield "tuple-open", {"type": "array", "prefixItems": [_I], "items": _B, "maxItems": 4, "minItems": 2}
    yield "tuple-short", {"type": "array", "prefixItems": [_I, _I], "maxItems": 1}
    yield "tuple-too-long", {"type": "array", "prefixItems": [_I], "items": False, "minItems": 3}
    yield "items-false", {"type": "array", "items": False}
    yield "items-list", {"type": "array", "items": [_I, _S]}
    yield "items-huge", {"type": "array", "items": _I, "maxItems": 10**9}
    yield "items-crossed", {"type": "array", "items": _I, "minItems": 3, "maxItems": 2}
    for word, value in {"uniqueItems": True, "contains": _I, "minContains": 1, "unevaluatedItems": False}.items():
        yield word, {"type": "array", "items": _I, word: value}


def _combined() -> Iterator[tuple[str, Schema]]:
    yield "any-of", {"anyOf": [_I, _S, {"type": "null"}]}
    yield "any-of-objects", {"anyOf": [_object(a=_I), _object(b=_S)]}
    yield "any-of-none", {"anyOf": []}
    yield "any-of-with-type", {"type": "integer", "anyOf": [{"minimum": 3}, {"maximum": 1}]}
    yield "any-of-beside", {"anyOf": [_I], "minimum": 50}
    yield "one-of-types", {"oneOf": [_I, {"type": "null"}, {"type": "string", "maxLength": 3}]}
    kinds = [_object(kind={"const": "a"}, n=_I), _object(kind={"const": "b"}, s=_S)]
    yield "one-of-kinds", {"oneOf": kinds}
    yield "one-of-overlapping", {"oneOf": [{"type": "integer"}, {"type": "number"}]}
    yield "one-of-same", {"oneOf": [_I, _I]}
    yield "one-of-any", {"oneOf": [{}, {"type": "null"}]}
    yield "all-of-one", {"allOf": [_object(a=_I)]}
    yield "all-of-two", {"allOf": [_object(a=_I), _object(b=_I)]}
    yield "all-of-beside", {"allOf": [{"minimum": 3}], "type": "integer"}
    yield "not", {"not": {"type": "null"}}
    yield "if", {"if": {"type": "integer"}, "then": {"minimum": 3}, "else": {"type": "string"}}


def _references() -> Iterator[tuple[str, Schema]]:
    leaf = {"$defs": {"leaf": _I}}
    yield "ref", {"$ref": "#/$defs/leaf", **leaf}
    yield "ref-in-object", {**_object(a={"$ref": "#/$defs/leaf"}), **leaf}
    yield "ref-definitions", {**_object(a={"$ref": "#/definitions/x"}), "definitions": {"x": _B}}
    yield "ref-beside", {**_object(a={"$ref": "#/$defs/leaf", "maximum": 5}), **leaf}
    yield "ref-with-note", {**_object(a={"$ref": "#/$defs/leaf", "description": "d"}), **leaf}
    yield "ref-escaped", {"$ref": "#/$defs/a~1b~0c", "$defs": {"a/b~c": _B}}
    yield "ref-into-list", {"$ref": "#/anyOf/1", "x-ignored": 1} | {"$defs": {}}
    yield "ref-nowhere", {"$ref": "#/$defs/none"}
    yield "ref-elsewhere", {"$ref": "https://example.org/schema"}
    yield "ref-file", {"$ref": "file:///etc/passwd"}
    yield "ref-number", {"$ref": 5}
    yield "ref-itself", {"$ref": "#"}
    yield "ref-circle", {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    node = _object(["v"], v=_I, next={"$ref": "#/$defs/node"})
    yield "list-of-nodes", {"$ref": "#/$defs/node", "$defs": {"node": node}}
    tree = _object(v=_I, kids={"type": "array", "items": {"$ref": "#"}, "maxItems": 1})
    yield "tree", tree
    expression = {"anyOf": [_I, _object(left={"$ref": "#/$defs/e"}, right={"$ref": "#/$defs/e"})]}
    yield "expression", {"$ref": "#/$defs/e", "$defs": {"e": expression}}
    yield "dynamic", {"$dynamicRef": "#node"}
    yield "anchor", {"$ref": "#leaf", "$defs": {"x": {"$anchor": "leaf", **_I}}}


def _odd() -> Iterator[tuple[str, Schema]]:
    yield "list", [1, 2]
    yield "text", "string"
    yield "number", 5
    yield "unknown-keyword", {"type": "string", "x-hint": 1}
    yield "keyword-of-another-type", {"type": "string", "minimum": 5}
    yield "wide", {"anyOf": [{"const": n} for n in range(3000)]}
    yield "too-wide", _object(**{f"p{n}": {"type": "string", "minLength": 1, "maxLength": 900} for n in range(3000)})
    nested: Schema = _I
    for _ in range(3000):
        nested = {"type": "array", "items": nested}
    yield "too-deep", nested
    steps = {"type": "array", "items": _object(why=_S, so=_S), "minItems": 1, "maxItems": 3}
    yield "an-answer-in-steps", _object(steps=steps, answer=_I)
    yield (
        "an-extraction",
        _object(
            ["name", "tags"],
            name=_S,
            mail={"type": ["string", "null"], "maxLength": 5},
            tags={"type": "array", "items": {"enum": ["a", "b"]}},
        ),
    )


def corpus() -> dict[str, Schema]:
    """All of them, by name."""
    parts = (_texts, _numbers, _fixed, _objects, _arrays, _combined, _references, _odd)
    return {f"{part.__name__.strip('_')}/{name}": schema for part in parts for name, schema in part()}
