"""Calls of tools as ShareGPT, Anthropic, Gemini and OpenAI's first interface write them → OpenAI's ``tool_calls``.

Chat templates and every export know only that form: an assistant's turn with ``tool_calls`` (``id``, ``type``, ``function``
with ``name`` and ``arguments`` as JSON text), and for each result a turn of the role ``tool`` with its ``tool_call_id``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from collections.abc import Mapping as Dict
from typing import Any

from fmstudio.api import message_keys

Turn = dict[str, Any]

CALL_ROLES = ("function_call", "tool_call", "tool_calls", "function-call")
"""Role names (lower case) of turns whose text is the call: an object with a name and arguments, or a list of them."""
_RESULT_ROLES = ("tool", "function", "observation", "function_response", "tool_response")


def in_openai_form(turns: list[Any], roles: Dict[str, str]) -> list[Any] | None:
    """Bring calls and results into OpenAI's form; None where there are none in another form.

    Args:
        turns: Turns as the file has them; those without calls come back as they are.
        roles: What the user took role names for: a call's turn that is not the assistant's stays as it is.
    """
    made: list[Any] = []
    is_changed = False
    for turn in turns:
        new = _converted(turn, roles) if isinstance(turn, dict) else None
        is_changed = is_changed or new is not None
        made += [turn] if new is None else new
    return _numbered(made) if is_changed else None


def without_nulls(value: Any) -> Any:
    """Leave out the fields of objects that are null, at any depth."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def calls_tools(turn: Any) -> bool:
    """Whether a turn calls a tool, in any of the known forms."""
    if not isinstance(turn, dict):
        return False
    role, content = message_keys(turn)
    if turn.get("tool_calls") or turn.get("function_call"):
        return True
    if str(turn.get(role)).strip().lower() in CALL_ROLES:
        return bool(_calls_in(turn.get(content)))
    return any(_part_call(part) for part in _parts(turn))


def definitions(value: Any) -> str | None:
    """Give definitions of tools as JSON text in OpenAI's form; what is in another form or no JSON stays as it is."""
    if value is None:
        return None
    try:
        given = json.loads(value) if isinstance(value, str) else without_nulls(value)
    except (ValueError, RecursionError):
        return str(value)
    listed = given if isinstance(given, list) else []
    # Gemini puts the functions into an object of their own.
    tools = [
        one
        for tool in listed
        for one in (tool.get("functionDeclarations") or [tool] if isinstance(tool, dict) else [tool])
    ]
    if not tools or not all(isinstance(tool, dict) and isinstance(tool.get("name"), str) for tool in tools):
        return value if isinstance(value, str) else json.dumps(given, ensure_ascii=False, default=str)
    return json.dumps([_definition(tool) for tool in tools], ensure_ascii=False, default=str)


def _definition(tool: Turn) -> Turn:
    if str(tool.get("type", "function")) not in ("function", "custom"):
        return tool  # a tool that the provider runs, e.g. Anthropic's computer use
    function = {key: tool[key] for key in ("name", "description") if tool.get(key) is not None}
    schema = next((tool[key] for key in ("parameters", "input_schema", "parametersJsonSchema") if tool.get(key)), None)
    function |= {"parameters": schema} if schema is not None else {}
    known = (*function, "type", "input_schema", "parametersJsonSchema")
    return {"type": "function", "function": function | {k: v for k, v in tool.items() if k not in known}}


def _converted(turn: Turn, roles: Dict[str, str]) -> list[Turn] | None:
    turn = without_nulls(turn)
    role_key, content_key = message_keys(turn)
    name = str(turn.get(role_key, "")).strip().lower()
    if name in CALL_ROLES and roles.get(name, "assistant") == "assistant":
        calls = _calls_in(turn.get(content_key))
        rest = {key: value for key, value in turn.items() if key not in (role_key, content_key)}
        return [{"role": "assistant", "tool_calls": calls, **rest}] if calls else None
    if call := _call(turn.get("function_call")):
        rest = {key: value for key, value in turn.items() if key != "function_call"}
        return [{**rest, "tool_calls": [*(turn.get("tool_calls") or ()), call]}]
    return _from_parts(turn, role_key, content_key)


def _parts(turn: Turn) -> list[Any]:
    """The parts of a content that is a list of objects, of any maker; none for a plain text."""
    content = turn.get(message_keys(turn)[1] or "parts")
    return content if isinstance(content, list) and all(isinstance(part, dict) for part in content) else []


def _from_parts(turn: Turn, role_key: str, content_key: str) -> list[Turn] | None:
    """Take calls and results out of the parts of a turn: results become turns of their own, before what else it says."""
    parts = _parts(turn)
    is_gemini = bool(parts) and not content_key
    calls = [call for part in parts if (call := _part_call(part))]
    results = [result for part in parts if (result := _part_result(part))]
    if not calls and not results and not is_gemini:
        return None
    thoughts = [str(part.get("text", "")) for part in parts if part.get("thought") is True]  # Gemini
    others = [p for p in parts if not (_part_call(p) or _part_result(p) or p.get("thought") is True)]
    more: Turn = {key: value for key, value in turn.items() if key not in (role_key, content_key, "parts")}
    more |= {"reasoning_content": "\n".join(thoughts)} if thoughts else {}
    said: Turn = {"role": turn.get(role_key, ""), "content": _text_or_parts(others), **more}
    if calls:
        said |= {"tool_calls": [*(turn.get("tool_calls") or ()), *calls]}
    return [*results, *([said] if others or calls or more or not results else [])]


def _text_or_parts(parts: list[Turn]) -> Any:
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return "\n".join(texts) if len(texts) == len(parts) else parts


def _part_call(part: Turn) -> Turn | None:
    if part.get("type") == "tool_use":  # Anthropic
        return _call({"name": part.get("name"), "arguments": part.get("input")}, part.get("id"))
    asked = part.get("functionCall") or part.get("function_call")  # Gemini
    return _call(asked, asked.get("id")) if isinstance(asked, dict) else None


def _part_result(part: Turn) -> Turn | None:
    if part.get("type") == "tool_result":  # Anthropic
        known = {"tool_call_id": part.get("tool_use_id"), "is_error": part.get("is_error")}
        return {"role": "tool", "content": part.get("content") or "", **{k: v for k, v in known.items() if v}}
    answer = part.get("functionResponse") or part.get("function_response")  # Gemini
    if not isinstance(answer, dict):
        return None
    known = {"name": answer.get("name"), "tool_call_id": answer.get("id")}
    return {"role": "tool", "content": _as_json(answer.get("response")), **{k: v for k, v in known.items() if v}}


def _calls_in(text: Any) -> list[Turn]:
    """Read the calls of a turn that is nothing but calls; none when its text is no such thing."""
    try:
        asked = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return []
    asked = asked if isinstance(asked, list) else [asked]
    calls = [_call(one.get("function", one), one.get("id")) if isinstance(one, dict) else None for one in asked]
    return [call for call in calls if call] if all(calls) else []


def _call(asked: Any, call_id: Any = None) -> Turn | None:
    if not isinstance(asked, dict) or not isinstance(asked.get("name"), str):
        return None
    given: Any = next((asked[key] for key in ("arguments", "parameters", "args") if asked.get(key) is not None), {})
    function = {"name": asked["name"], "arguments": _as_json(given)}
    return {**({"id": str(call_id)} if call_id else {}), "type": "function", "function": function}


def _as_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _numbered(turns: Iterable[Any]) -> list[Any]:
    """Give calls without an id one, and results the id of the call they answer: the first that is still open."""
    made: list[Any] = []
    waiting: list[str] = []
    count = 0
    for turn in turns:
        if not isinstance(turn, dict):
            made.append(turn)
            continue
        if calls := turn.get("tool_calls"):
            numbered = []
            for call in calls if isinstance(calls, list) else ():
                count += 1
                numbered.append({"id": f"call_{count}", **call})
            waiting = [str(call["id"]) for call in numbered]
            turn = {**turn, "tool_calls": numbered}
        elif str(turn.get(message_keys(turn)[0])).strip().lower() in _RESULT_ROLES:
            known = str(turn.get("tool_call_id") or (waiting[0] if waiting else ""))
            waiting = [one for one in waiting if one != known]
            turn = {**turn, "tool_call_id": known} if known else turn
        made.append(turn)
    return made
