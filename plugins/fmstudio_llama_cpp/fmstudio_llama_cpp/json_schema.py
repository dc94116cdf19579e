"""JSON Schema → GBNF, strictly: every text the grammar lets through is valid, or the schema is refused by name.

The grammar may be narrower than the schema (properties come in the order declared, undeclared ones do not come, a
fraction has six digits at most), never wider. Keywords that are not understood are refused, never passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fmstudio.api import UserError
from fmstudio_llama_cpp.json_apart import TYPES, are_apart, is_of
from fmstudio_llama_cpp.json_numbers import integer_rule, number_rule

MAX_REPEAT = 1000
MAX_RULES = 4000
MAX_DEPTH = 100
_NOTES = frozenset(
    {"title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated", "readOnly",
     "writeOnly", "$defs", "definitions"}
)  # fmt: skip
_KEYWORDS: dict[str, tuple[str, ...]] = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("minLength", "maxLength", "format"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_HEX = "[0-9a-fA-F]"
_DAY = '("0" [1-9] | [12] [0-9])'
_BASE = {
    "ws": r'| " " | "\n" [ \t]{0,20}',
    # No lone surrogates, so that one escape is one character and the text can be encoded.
    "char": rf'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" ([0-9a-cA-CeEfF] {_HEX}{{3}} | [dD] [0-7] {_HEX}{{2}}))',
    "string": r'"\"" char* "\""',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "value": "object | array | string | number | boolean | null",
    "object": '"{" ws (string ":" ws value ("," ws string ":" ws value)*)? ws "}"',
    "array": '"[" ws (value ("," ws value)*)? ws "]"',
    "number": number_rule({}, lambda word: UserError(word)),
    # February has 28 days here: a date that always exists.
    "date": f'[0-9]{{4}} "-" (("0" [13578] | "10" | "12") "-" ({_DAY} | "30" | "31") | ("0" [469] | "11") "-" '
    f'({_DAY} | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))',
    "clock": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,3})? '
    '("Z" | [+-] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])',
    "uuid": f'{_HEX}{{8}} "-" {_HEX}{{4}} "-" {_HEX}{{4}} "-" {_HEX}{{4}} "-" {_HEX}{{12}}',
}
FORMATS = {"date": "date", "time": "clock", "date-time": 'date "T" clock', "uuid": "uuid"}
Schema = Mapping[str, Any] | bool


def schema_grammar(schema: Schema) -> str:
    """Give the grammar of texts that a schema accepts.

    Raises:
        UserError: It uses a keyword that cannot be enforced, or accepts nothing.
    """
    builder = SchemaRules(schema)
    return builder.text(builder.rule(schema, "the schema"))


class SchemaRules:
    """Rules made of schemas.

    Args:
        document: What ``$ref`` points into.
    """

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._rules: dict[str, str] = dict(_BASE)
        self._references: dict[str, str] = {}
        self._makers: dict[str, Callable[[Mapping[str, Any], str], str]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": lambda s, where: self.add(integer_rule(s, lambda word: _refuse(word, where))),
            "number": lambda s, where: self.add(number_rule(s, lambda word: _refuse(word, where))),
            "boolean": lambda s, where: "boolean",
            "null": lambda s, where: "null",
        }

    def share(self, other: SchemaRules) -> None:
        """Put the rules into another's grammar from now on, so that one grammar serves several documents."""
        self._rules = other._rules

    def text(self, root: str) -> str:
        """Give the whole grammar; `root` is an expression."""
        rules = {"root": root, **self._rules}
        return "\n".join(f"{name} ::= {body}" for name, body in rules.items()) + "\n"

    def add(self, body: str, name: str = "") -> str:
        """Add a rule and give its name."""
        if len(self._rules) > MAX_RULES:
            raise UserError("The JSON schema is too large to be enforced.", remedy="Make it smaller.")
        name = name or f"r{len(self._rules)}"
        self._rules[name] = body
        return name

    def rule(self, schema: Any, where: str) -> str:
        """Give the expression for a schema.

        Raises:
            UserError: See `schema_grammar`.
        """
        if where.count("/") > MAX_DEPTH:
            raise _refuse(f"it is nested more than {MAX_DEPTH} deep", f"{where[:80]}…")
        if schema is True or schema == {}:
            return "value"
        if not isinstance(schema, Mapping):
            raise _refuse("nothing is accepted" if schema is False else f"{schema!r} is no schema", where)
        for word, maker in (
            ("$ref", self._reference),
            ("const", self._const),
            ("enum", self._enum),
            ("anyOf", self._any_of),
            ("oneOf", self._one_of),
            ("allOf", self._all_of),
        ):
            if word in schema:
                may_have = ("type",) if word in ("const", "enum") else ()
                _require_only(schema, (word, *may_have), where)
                return maker(schema, where)
        return self._typed(schema, where)

    def _typed(self, schema: Mapping[str, Any], where: str) -> str:
        given = schema.get("type")
        types = [given] if isinstance(given, str) else given
        if types is None:
            types = [t for t in TYPES if t != "number" and any(word in schema for word in _KEYWORDS.get(t, ()))][:1]
            if not types:
                _require_only(schema, (), where)
                return "value"
        if not isinstance(types, list) or not types or any(t not in TYPES for t in types):
            raise _refuse(f"the type {given!r} is not known", where)
        _require_only(schema, ("type", *(word for t in types for word in _KEYWORDS.get(t, ()))), where)
        return _either([self._makers[t](schema, where) for t in types])

    def _reference(self, schema: Mapping[str, Any], where: str) -> str:
        pointer = schema["$ref"]
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            raise _refuse(f"$ref {pointer!r} is no path within the schema", where)
        if pointer not in self._references:
            name = self._references[pointer] = self.add("", f"ref{len(self._rules)}")
            self._rules[name] = self.rule(self._resolve(pointer, where), pointer)
        return self._references[pointer]

    def _resolve(self, pointer: str, where: str) -> Any:
        target: Any = self._document
        for part in pointer[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            try:
                target = target[int(key)] if isinstance(target, list) else target[key]
            except (KeyError, IndexError, TypeError, ValueError):
                raise _refuse(f"$ref {pointer!r} points to nothing", where) from None
        return target

    def _const(self, schema: Mapping[str, Any], where: str) -> str:
        return self._enum({"enum": [schema["const"]], **({"type": schema["type"]} if "type" in schema else {})}, where)

    def _enum(self, schema: Mapping[str, Any], where: str) -> str:
        values = schema["enum"]
        if not isinstance(values, list):
            raise _refuse("enum must be a list", where)
        given = schema.get("type")
        types = [given] if isinstance(given, str) else given
        kept = [v for v in values if types is None or any(is_of(v, t) for t in types)]
        if not kept:
            raise _refuse("enum holds no value that is allowed", where)
        return self.add(" | ".join(_literal(value) for value in kept))

    def _any_of(self, schema: Mapping[str, Any], where: str) -> str:
        branches = schema["anyOf"]
        if not isinstance(branches, list) or not branches:
            raise _refuse("anyOf must be a list", where)
        return self.add(_either([self.rule(b, f"{where}/anyOf/{i}") for i, b in enumerate(branches)]))

    def _one_of(self, schema: Mapping[str, Any], where: str) -> str:
        branches = schema["oneOf"]
        if not isinstance(branches, list) or not branches:
            raise _refuse("oneOf must be a list", where)
        looked = [self._resolve(b["$ref"], where) if isinstance(b, Mapping) and "$ref" in b else b for b in branches]
        for i, one in enumerate(looked):
            for other in looked[i + 1 :]:
                if not are_apart(one, other):
                    raise _refuse("oneOf has branches that one value could fit both of; use anyOf", where)
        return self.add(_either([self.rule(b, f"{where}/oneOf/{i}") for i, b in enumerate(branches)]))

    def _all_of(self, schema: Mapping[str, Any], where: str) -> str:
        branches = schema["allOf"]
        if not isinstance(branches, list) or len(branches) != 1:
            raise _refuse("allOf with several branches is not supported", where)
        return self.rule(branches[0], f"{where}/allOf/0")

    def _object(self, schema: Mapping[str, Any], where: str) -> str:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        extra = schema.get("additionalProperties", True)
        if not isinstance(properties, Mapping) or not isinstance(required, list):
            raise _refuse("properties must be an object and required a list", where)
        members = {
            name: self._member(name, sub, f"{where}/{name}") for name, sub in properties.items() if sub is not False
        }
        for name in required:
            if name not in members:
                if extra is False or name in properties:
                    raise _refuse(f"the required property {name!r} is not allowed", where)
                members[name] = self._member(name, extra, f"{where}/{name}")
        if members:
            return self.add('"{" ws ' + self._members(members, set(required)) + ' ws "}"')
        if extra is False:
            return '("{" ws "}")'
        pair = f'string ":" ws {self.rule(extra, f"{where}/additionalProperties")}'
        return self.add(f'"{{" ws ({pair} ("," ws {pair})*)? ws "}}"')

    def _member(self, name: str, schema: Any, where: str) -> str:
        return f'{_literal(name)} ":" ws {self.rule(schema, where)}'

    def _members(self, members: Mapping[str, str], required: set[str]) -> str:
        """Properties in their order; two rules for each place tell whether a comma is due."""
        first, later = '""', '""'
        for name in reversed(list(members)):
            pair = self.add(members[name])
            if name in required:
                first, later = f"{pair} {later}", f'"," ws {pair} {later}'
            else:
                first, later = f"({pair} {later} | {first})", f'("," ws {pair})? {later}'
            first, later = self.add(first), self.add(later)
        return first

    def _array(self, schema: Mapping[str, Any], where: str) -> str:
        items = schema.get("items", True)
        if isinstance(items, list):
            raise _refuse("items as a list is not supported; use prefixItems", where)
        low = _count(schema, "minItems", 0, where) or 0
        high = _count(schema, "maxItems", None, where)
        if schema.get("uniqueItems") and (high is None or high > 1):
            raise _refuse("uniqueItems cannot be enforced", where)
        prefix = schema.get("prefixItems", [])[:high]
        parts = [self.rule(sub, f"{where}/prefixItems/{i}") for i, sub in enumerate(prefix)]
        if items is False or (parts and "items" not in schema and low <= len(parts)):
            if low > len(parts):
                raise _refuse("minItems is more than the items that are allowed", where)
            return self.add(f'"[" ws {_listed(parts)} ws "]"')
        item = self.add(self.rule(items, f"{where}/items"))
        more = f'("," ws {item})'
        low, high = max(0, low - len(parts)), None if high is None else high - len(parts)
        if parts:
            return self.add(f'"[" ws {_listed(parts)} {_repeat(more, low, high)} ws "]"')
        if high == 0:
            return '("[" ws "]")'
        rest = _repeat(more, max(0, low - 1), None if high is None else high - 1)
        some = f"{item} {rest}"
        return self.add(f'"[" ws {some if low else f"({some})?"} ws "]"')

    def _string(self, schema: Mapping[str, Any], where: str) -> str:
        low = _count(schema, "minLength", 0, where) or 0
        high = _count(schema, "maxLength", None, where)
        kind = schema.get("format")
        if kind is None:
            return "string" if not low and high is None else self.add(rf'"\"" {_repeat("char", low, high)} "\""')
        if kind not in FORMATS or low or high is not None:
            extra = " with a length" if kind in FORMATS else ""
            raise _refuse(f"the format {kind!r} cannot be enforced{extra}", where)
        return self.add(rf'"\"" {FORMATS[kind]} "\""')


def _require_only(schema: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for word in schema:
        if word not in allowed and word not in _NOTES:
            raise _refuse(f"{word} is not supported here", where)


def _refuse(what: str, where: str) -> UserError:
    return UserError(
        f"The JSON schema cannot be enforced: {what} (at {where}).", remedy="Change the schema, or leave it out."
    )


def _count(schema: Mapping[str, Any], word: str, default: int | None, where: str) -> int | None:
    value = schema.get(word, default)
    if value is not None and (type(value) is not int or not 0 <= value <= MAX_REPEAT):
        raise _refuse(f"{word} must be a whole number up to {MAX_REPEAT}", where)
    other = schema.get(word.replace("max", "min")) if word.startswith("max") else None
    if value is not None and type(other) is int and other > value:
        raise _refuse(f"{word} is less than its opposite", where)
    return value


def _repeat(part: str, low: int, high: int | None) -> str:
    if high == 0:
        return '""'
    return f"{part}{{{low},}}" if high is None and low else f"{part}*" if high is None else f"{part}{{{low},{high}}}"


def _listed(parts: Sequence[str]) -> str:
    return ' "," ws '.join(parts) or '""'


def _either(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"


def _literal(value: Any) -> str:
    """A JSON value as a GBNF text."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
