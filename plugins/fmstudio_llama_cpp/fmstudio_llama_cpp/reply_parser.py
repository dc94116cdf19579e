"""Splits the text of an answer into reasoning, answer and tool calls, while it comes.

Formats: ``<think>…</think>`` first (Qwen3, DeepSeek-R1 and their kin); calls as ``<tool_call>{…}</tool_call>`` (Hermes,
Qwen), ``[TOOL_CALLS]…`` (Mistral, both its list and its ``name[ARGS]{…}`` form), ``<function=name>{…}</function>``
(functionary, Llama 3.1 with custom tools), the marked-up form of Qwen3-Coder (see `xml_calls`), or a bare JSON object with a ``name`` and ``parameters`` or ``arguments``
(Llama 3, with or without ``<|python_tag|>``). What looks like a call but is none is given as text: nothing is lost.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from fmstudio.api import ToolCall
from fmstudio_llama_cpp.xml_calls import (
    CALL,
    CALL_END,
    FUNCTION,
    FUNCTION_END,
    PARAMETER,
    XmlCall,
    scan_call,
    typed_arguments,
)

THINK, THINK_END = "<think>", "</think>"
MISTRAL, PYTHON_TAG = "[TOOL_CALLS]", "<|python_tag|>"
MARKERS = frozenset({THINK, THINK_END, CALL, CALL_END, MISTRAL, PYTHON_TAG, "[ARGS]", "[CALL_ID]"})
_MISTRAL_CALL = re.compile(r"\s*([\w.-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?\[ARGS\]\s*")

_FUNCTION_CALL = re.compile(r"\s*<function=([\w.-]+)>\s*")
_MARKED_UP = re.compile(rf"[^<>\n]+>\s*{PARAMETER}")  # after the mark of a function

_CALLS = {CALL: "call", MISTRAL: "mistral", FUNCTION: "function"}  # what begins a call, and the state that reads it

News = tuple[str, str, tuple[ToolCall, ...]]


class ReplyParser:
    """One answer's parser.

    Args:
        tools: Schemas of their parameters by the names that may be called; empty = no calls are looked for.
        splits_reasoning: Whether to split reasoning off.
        is_thinking: The prompt already opened the reasoning.

    Attributes:
        has_calls: A call was found.
    """

    def __init__(
        self, tools: Mapping[str, Mapping[str, Any]], *, splits_reasoning: bool, is_thinking: bool = False
    ) -> None:
        self._tools = dict(tools)
        self._held = ""
        self._state = "reasoning" if is_thinking else "start" if splits_reasoning else "head"
        self.has_calls = False
        self._skips_lines = is_thinking  # line ends right after a marker belong to it

    def push(self, text: str) -> News:
        """Take text; give (answer, reasoning, complete calls) that are now certain."""
        if not text:
            return "", "", ()
        self._held += text
        answer, reasoning, calls = "", "", list[ToolCall]()
        while True:
            if self._skips_lines:
                self._held = self._held.lstrip("\n")
                self._skips_lines = not self._held
            before = (self._state, len(self._held))
            more, thought, call = getattr(self, f"_in_{self._state}")()
            answer, reasoning = answer + more, reasoning + thought
            calls.extend(call)
            if (self._state, len(self._held)) == before or not self._held:
                return answer, reasoning, tuple(calls)

    def finish(self) -> News:
        """Give what is held back, at the end of the answer."""
        rest, self._held = self._held, ""
        if self._state == "reasoning":
            return "", rest, ()
        if self._state == "xml":
            scanned = scan_call(rest, is_whole=True)
            calls = self._marked_up(scanned) if isinstance(scanned, XmlCall) else ()
            return (rest[scanned.end :].lstrip("\n") if isinstance(scanned, XmlCall) and calls else rest), "", calls
        if self._state in ("json", "mistral", "call", "function") and rest.strip():
            whole = {"mistral": MISTRAL, "call": CALL, "function": FUNCTION}.get(self._state, "") + rest
            calls = self._read(whole)
            if calls:
                self.has_calls = True
                return "", "", calls
            return whole, "", ()
        return rest, "", ()

    def _in_start(self) -> News:
        """Before anything but white space: does reasoning begin?"""
        stripped = self._held.lstrip()
        if stripped.startswith(THINK):
            self._held, self._state, self._skips_lines = stripped[len(THINK) :], "reasoning", True
        elif not THINK.startswith(stripped):
            self._state = "head"
        return "", "", ()

    def _in_reasoning(self) -> News:
        thought, found, rest = self._held.partition(THINK_END)
        if found:
            self._held, self._state, self._skips_lines = rest, "head", True
            return "", thought.rstrip("\n"), ()
        body = self._held[: len(self._held) - _overlap(self._held, THINK_END)]
        return "", self._release(len(self._held) - len(body.rstrip("\n"))), ()

    def _in_head(self) -> News:
        """At the beginning of the answer proper: a bare JSON object may be a call."""
        stripped = self._held.lstrip()
        if not self._tools:
            self._state = "text"
        elif stripped.startswith(PYTHON_TAG):
            self._held, self._state = stripped[len(PYTHON_TAG) :], "json"
        elif stripped.startswith(("{", "[{")):
            self._state = "json"
        elif stripped and not PYTHON_TAG.startswith(stripped) and stripped != "[":
            self._state = "text"
        return "", "", ()

    def _in_text(self) -> News:
        if not self._tools:
            return self._release(0), "", ()
        found = [(self._held.find(marker), marker) for marker in _CALLS if marker in self._held]
        if not found:
            return self._release(max(_overlap(self._held, marker) for marker in _CALLS)), "", ()
        at, marker = min(found)
        text, self._held, self._state = self._held[:at], self._held[at + len(marker) :], _CALLS[marker]
        return text.rstrip("\n") if not text.strip() else text, "", ()

    def _in_call(self) -> News:
        stripped = self._held.lstrip()
        if stripped.startswith(FUNCTION):
            self._held, self._state = CALL + self._held, "xml"
        if self._state == "xml" or FUNCTION.startswith(stripped):
            return "", "", ()
        return self._in_tags(CALL, CALL_END)

    def _in_function(self) -> News:
        if _MARKED_UP.match(self._held):
            self._held, self._state = FUNCTION + self._held, "xml"
            return "", "", ()
        return self._in_tags(FUNCTION, FUNCTION_END, is_named=True)

    def _in_tags(self, start: str, end: str, *, is_named: bool = False) -> News:
        """Inside a call that ends with a mark of its own; the name of the function may stand in the first mark."""
        body, found, rest = self._held.partition(end)
        if not found:
            return "", "", ()
        self._held, self._state = rest, "text"
        calls = self._read(f"{start}{body}{end}" if is_named else body)
        self._skips_lines = bool(calls)
        self.has_calls = self.has_calls or bool(calls)
        return ("", "", calls) if calls else (f"{start}{body}{end}", "", ())

    def _in_xml(self) -> News:
        """Inside a call whose arguments are marked up, its first mark still held."""
        scanned = scan_call(self._held)
        if scanned == "more":
            return "", "", ()
        calls: tuple[ToolCall, ...] = ()
        end = self._held.index(FUNCTION) + len(FUNCTION)
        if isinstance(scanned, XmlCall):
            calls, end = self._marked_up(scanned), scanned.end
        text, self._held = self._held[:end], self._held[end:]
        self._state, self._skips_lines = "text", bool(calls)
        return "" if calls else text, "", calls

    def _marked_up(self, call: XmlCall) -> tuple[ToolCall, ...]:
        if call.name not in self._tools:
            return ()
        self.has_calls = True
        return (_tool_call(call.name, typed_arguments(call, self._tools[call.name])),)

    def _in_json(self) -> News:
        return "", "", ()

    def _in_mistral(self) -> News:
        return "", "", ()

    def _release(self, keep: int) -> str:
        cut = len(self._held) - keep
        text, self._held = self._held[:cut], self._held[cut:]
        return text

    def _read(self, text: str) -> tuple[ToolCall, ...]:
        """The calls a text is made of; none if any part of it is something else."""
        calls: list[ToolCall] = []
        decoder = json.JSONDecoder()
        at = 0
        while at < len(text):
            named = _MISTRAL_CALL.match(text, at) or _FUNCTION_CALL.match(text, at)
            if named:
                at = named.end()
                if at == len(text):
                    return ()
            if text[at].isspace() or text[at] in ";,":
                at += 1
                continue
            if text.startswith((MISTRAL, CALL, PYTHON_TAG, FUNCTION_END), at):
                at = text.index(">" if text[at] == "<" else "]", at) + 1
                continue
            try:
                value, at = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                return ()
            for item in (
                [{"name": named[1], "arguments": value}] if named else value if isinstance(value, list) else [value]
            ):
                call = self._call(item)
                if call is None:
                    return ()
                calls.append(call)
        return tuple(calls)

    def _call(self, item: Any) -> ToolCall | None:
        if not isinstance(item, dict):
            return None
        item = item.get("function") if isinstance(item.get("function"), dict) else item
        arguments = item.get("arguments", item.get("parameters", {}))
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError):
                return None
        if item.get("name") not in self._tools or not isinstance(arguments, dict):
            return None
        return _tool_call(item["name"], arguments)


def _tool_call(name: str, arguments: Mapping[str, Any]) -> ToolCall:
    return ToolCall(f"call_{uuid.uuid4().hex[:24]}", name, json.dumps(arguments, ensure_ascii=False))


def _overlap(text: str, marker: str) -> int:
    """Length of the longest end of `text` that `marker` starts with (shorter than the whole of it)."""
    return next((n for n in range(min(len(text), len(marker) - 1), 0, -1) if text.endswith(marker[:n])), 0)
