"""Messages and tools of a request, in OpenAI's shapes, as templates want them."""

from __future__ import annotations

import json
from typing import Any, cast

from fmstudio.api import Message
from fmstudio.worker.serve.fields import BadRequestError

MAX_TOOLS = 128
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


def read_messages(value: Any) -> list[Message]:
    """Check and simplify messages: plain content, arguments of calls as objects (templates write them as JSON).

    Raises:
        BadRequestError: Names the message.
    """
    if not isinstance(value, list) or not value:
        raise BadRequestError("messages must be a list with at least one message.", "messages")
    return [_message(item, f"messages[{index}]") for index, item in enumerate(value)]


def _message(item: Any, where: str) -> Message:
    if not isinstance(item, dict) or item.get("role") not in _ROLES:
        raise BadRequestError(f"{where} must have a role of {', '.join(_ROLES)}.", where)
    if item.get("function_call"):
        raise BadRequestError(f"{where} holds a function_call; use tool_calls.", where)
    message: dict[str, Any] = {"role": _ROLES[item["role"]], "content": _content(item.get("content"), where)}
    if item.get("tool_calls"):
        message["tool_calls"] = _calls(item["tool_calls"], where)
    for name in ("tool_call_id", "name", "reasoning_content"):
        if isinstance(item.get(name), str):
            message[name] = item[name]
    return cast(Message, message)


def _calls(value: Any, where: str) -> list[dict[str, Any]]:
    calls = []
    for call in value if isinstance(value, list) else [value]:
        if not isinstance(call, dict):
            raise BadRequestError(f"{where} holds a tool call that is no object.", where)
        function = call.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise BadRequestError(f"{where} holds a tool call without a function's name.", where)
        arguments = function.get("arguments") or "{}"
        try:
            arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
        except ValueError as error:
            raise BadRequestError(f"{where} holds a tool call whose arguments are not JSON.", where) from error
        function = {"name": function["name"], "arguments": arguments}
        calls.append({"id": str(call.get("id") or ""), "type": "function", "function": function})
    return calls


def _content(value: Any, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else [value]
    for part in parts:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise BadRequestError(f"{where} has content of the kind {kind!r}; this engine reads text only.", where)
    return "".join(part["text"] for part in parts)


def read_tools(tools: Any, choice: Any) -> tuple[tuple[dict[str, Any], ...], str]:
    """Check tools; give them, and ``none``, ``auto``, ``required`` or the name of the one that must be called.

    Raises:
        BadRequestError: Names the field.
    """
    if tools is None:
        tools = []
    if not isinstance(tools, list) or len(tools) > MAX_TOOLS:
        raise BadRequestError(f"tools must be a list of at most {MAX_TOOLS}.", "tools")
    for tool in tools:
        function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
            raise BadRequestError('Each tool must be {"type": "function", "function": {"name": …}}.', "tools")
    if isinstance(choice, dict):
        choice = (choice.get("function") or {}).get("name") if choice.get("type") == "function" else None
        if not isinstance(choice, str) or choice not in [tool["function"]["name"] for tool in tools]:
            raise BadRequestError("tool_choice names no tool that is given.", "tool_choice")
    elif choice not in (None, "none", "auto", "required"):
        raise BadRequestError("tool_choice must be none, auto, required or one function.", "tool_choice")
    if choice == "required" and not tools:
        raise BadRequestError("tool_choice requires a tool, but none is given.", "tool_choice")
    return tuple(tools), choice or "auto"
