"""Tool calls as Qwen3-Coder writes them: the arguments as marked-up texts instead of JSON, read and demanded.

The form, of the chat templates of Qwen3-Coder and its kin::

    <tool_call>
    <function=name>
    <parameter=key>
    value
    </parameter>
    </function>
    </tool_call>

A text stands as it is, between one line end before and one after; anything else stands as JSON. Which it is, the tool's
schema says: only where a parameter is a text, or a text or null, its value is read as it stands. Where it may be a text
or something else, it is JSON if it can be read so. A value ends where ``</parameter>`` is followed by another
parameter or the end of the call: code that speaks of ``</parameter>`` is none the worse for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fmstudio.api import UserError
from fmstudio_llama_cpp.free_text import PLAIN, text_without
from fmstudio_llama_cpp.json_apart import TYPES, is_of
from fmstudio_llama_cpp.json_schema import FORMATS, SchemaRules

CALL, CALL_END = "<tool_call>", "</tool_call>"
FUNCTION, FUNCTION_END = "<function=", "</function>"
PARAMETER, PARAMETER_END = "<parameter=", "</parameter>"
_HEAD = re.compile(r"(?:<tool_call>\s*)?<function=([^<>\n]+)>\s*")
_HEAD_BEGUN = re.compile(r"(?:<tool_call>\s*)?<function=[^<>\n]*")
_KEY = re.compile(r"<parameter=([^<>\n]+)>")
_VALUE_END = re.compile(r"</parameter>\s*(?=<parameter=|</function>)")
_TEXT: frozenset[str] = frozenset({"string"})
_DEEPEST = 16
_WORDS = {"True": True, "False": False, "None": None}  # how templates write earlier calls, so how models write theirs


@dataclass(frozen=True, slots=True)
class XmlCall:
    """A call as it was written.

    Attributes:
        values: The text of each parameter.
        end: Where the text goes on after it.
    """

    name: str
    values: Mapping[str, str]
    end: int


def scan_call(text: str, *, is_whole: bool = False) -> XmlCall | Literal["more", "none"]:
    """Read the call that a text begins with, from ``<tool_call>`` or ``<function=`` on.

    Args:
        is_whole: No more text will come: what is left out at the end is taken as said, but for a value's own end.

    Returns:
        The call; ``"more"`` if only more text can tell; ``"none"`` if it is none.
    """
    head = _HEAD.match(text)
    if head is None:
        return "more" if _HEAD_BEGUN.fullmatch(text) and not is_whole else "none"
    values: dict[str, str] = {}
    at = head.end()
    while key := _KEY.match(text, at):
        end = _VALUE_END.search(text, key.end())
        stop, after = (end.start(), end.end()) if end else (len(text.rstrip()) - len(PARAMETER_END), len(text))
        if end is None and not (is_whole and text.rstrip().endswith(PARAMETER_END) and stop >= key.end()):
            return "none" if is_whole else "more"
        values[key[1]] = text[key.end() : stop].removeprefix("\n").removesuffix("\n")
        at = after
    rest = text[at:]
    if rest.startswith(FUNCTION_END):
        return _ended(XmlCall(head[1], values, at + len(FUNCTION_END)), text, is_whole=is_whole)
    if is_whole:
        return XmlCall(head[1], values, len(text)) if not rest and values else "none"
    is_begun = any(mark.startswith(rest) or rest.startswith(mark) for mark in (PARAMETER, FUNCTION_END))
    return "more" if is_begun and "\n" not in rest else "none"


def _ended(call: XmlCall, text: str, *, is_whole: bool) -> XmlCall | Literal["more"]:
    """The call with the mark that closes it, also where the model forgot to open it."""
    rest = text[call.end :].lstrip()
    if rest.startswith(CALL_END):
        return XmlCall(call.name, call.values, len(text) - len(rest) + len(CALL_END))
    return "more" if not is_whole and CALL_END.startswith(rest) else call


def typed_arguments(call: XmlCall, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values the types that the tool's schema names; what cannot be read so stays a text."""
    schema = _resolved(parameters, parameters)
    properties, extra = schema.get("properties"), schema.get("additionalProperties", True)
    known = properties if isinstance(properties, Mapping) else {}
    return {key: _typed(value, _types(known.get(key, extra), parameters)) for key, value in call.values.items()}


def _typed(value: str, types: frozenset[str]) -> Any:
    if types == _TEXT:
        return value
    if types == _TEXT | {"null"}:
        return None if value == "null" else value
    text = value.strip()
    if text in _WORDS and types & {"boolean", "null"} and "string" not in types:
        return _WORDS[text]
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return value


def _no_number(name: str) -> Any:
    raise ValueError(name)  # NaN and the infinities are not JSON


def _types(schema: Any, document: Mapping[str, Any], depth: int = 0) -> frozenset[str]:
    """Names of the JSON types a schema may accept; ``"any"`` among them where it does not say."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return frozenset({"any"})
    schema = _resolved(schema, document)
    for word in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(word), list):
            return frozenset().union(*(_types(part, document, depth + 1) for part in schema[word]))
    given = schema.get("type", "any")
    types = frozenset(given if isinstance(given, list) else [str(given)])
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list):
        kinds = frozenset(kind for value in values for kind in TYPES if is_of(value, kind))
        return kinds if "any" in types else kinds & types
    return types


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema that is named by a path within the document; itself where it is not, or the path leads nowhere."""
    for _ in range(_DEEPEST):
        pointer = schema.get("$ref")
        if not isinstance(pointer, str):
            break
        target: Any = document
        for part in pointer.removeprefix("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            break
        schema = target
    return schema


def call_rule(name: str, parameters: Mapping[str, Any], rules: SchemaRules) -> str:
    """Give the rule for ``<function=…>`` to ``</function>`` with arguments that the schema accepts.

    Args:
        rules: Made for `parameters`, sharing its rules with the rest of the grammar.

    Raises:
        UserError: The schema cannot be enforced.
    """
    where = f"tool {name}"
    schema = _resolved(parameters, parameters)
    unknown = [word for word in ("anyOf", "oneOf", "allOf", "enum", "const") if word in schema]
    if unknown or schema.get("type", "object") != "object":
        raise _refuse(f"{(unknown or ['this type'])[0]} is not supported for all parameters together", where)
    properties, required = schema.get("properties") or {}, schema.get("required") or []
    rules.rule({**schema, "type": "object"}, where)  # refuses whatever cannot be enforced
    extra = schema.get("additionalProperties", True)
    members = {key: sub for key, sub in properties.items() if sub is not False}
    members |= {key: extra for key in required if key not in properties}
    parts = []
    for key, sub in members.items():
        if re.fullmatch(r"[^<>\n]+", key) is None:
            raise _refuse(f"the parameter {key!r} cannot be written between the marks", where)
        value = _value_rule(sub, parameters, rules, f"{where}/{key}")
        one = rules.add(f'{quoted(f"{PARAMETER}{key}>")} "\\n" {value} "\\n{PARAMETER_END}\\n"')
        parts.append(one if key in required else f"{one}?")
    if not members and extra is not False:
        value = _value_rule(extra, parameters, rules, where)
        parts.append(f'({quoted(PARAMETER)} [a-zA-Z_] [a-zA-Z0-9_]* ">\\n" {value} "\\n{PARAMETER_END}\\n")*')
    return rules.add(f'{quoted(f"{FUNCTION}{name}>")} "\\n" {" ".join(parts)} "{FUNCTION_END}"')


def _value_rule(schema: Any, document: Mapping[str, Any], rules: SchemaRules, where: str) -> str:
    """JSON, but for what is read as a text."""
    types = _types(schema, document)
    if types not in (_TEXT, _TEXT | {"null"}):
        return rules.rule(schema, where)
    text = _text_rule(_resolved(schema, document), document, rules, where)
    return f'({text} | "null")' if "null" in types else text


def _text_rule(schema: Mapping[str, Any], document: Mapping[str, Any], rules: SchemaRules, where: str) -> str:
    """Texts of a schema that accepts only texts and null, as they stand."""
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            parts = [_resolved(part, document) for part in schema[word]]
            texts = [part for part in parts if _types(part, document) != {"null"}]
            return rules.add(" | ".join(_text_rule(part, document, rules, where) for part in texts))
    if "const" in schema or "enum" in schema:
        values = [value for value in schema.get("enum", [schema.get("const")]) if isinstance(value, str)]
        if any(PARAMETER_END in value for value in values):
            raise _refuse(f"a value holds {PARAMETER_END}", where)
        return rules.add(" | ".join(quoted(value) for value in values))
    if "format" in schema:
        return rules.add(FORMATS[schema["format"]])
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if low or high is not None:
        # Counted characters cannot be watched for the mark as well: they are those that do not begin one.
        return rules.add(f"{PLAIN}{{{low},{'' if high is None else high}}}")
    for name, body in text_without(PARAMETER_END[:-1], "text").items():
        rules.add(body, name)
    return "text0"


def quoted(text: str) -> str:
    """A text as GBNF writes it."""
    return json.dumps(text, ensure_ascii=False)


def _refuse(what: str, where: str) -> UserError:
    return UserError(f"The tool cannot be enforced: {what} (at {where}).", remedy="Change its schema.")
