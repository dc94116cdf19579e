"""Messages and tools of a request, in OpenAI's shapes, as templates want them."""

from __future__ import annotations

import base64
import json
from typing import Any, cast

from fmstudio.api import Message
from fmstudio.api.pictures import PICTURE_MARK
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
    text, images = _content(item.get("content"), where)
    message: dict[str, Any] = {"role": _ROLES[item["role"]], "content": text}
    if images:
        message["images"] = images
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


def _content(value: Any, where: str) -> tuple[str, list[bytes]]:
    """The text, with a mark where each picture belongs, and the pictures' files."""
    texts: list[str] = []
    images: list[bytes] = []
    for part in [] if value is None else value if isinstance(value, list) else [value]:
        if isinstance(part, str) and not isinstance(value, list):
            part = {"type": "text", "text": part}
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"].replace(PICTURE_MARK, ""))
        elif kind == "image_url":
            texts.append(PICTURE_MARK)
            images.append(_picture(part.get("image_url"), where))
        else:
            raise BadRequestError(
                f"{where} has content of the kind {kind!r}; this engine reads text and pictures (image_url).", where
            )
    return "".join(texts), images


def _picture(value: Any, where: str) -> bytes:
    address = value.get("url") if isinstance(value, dict) else value
    if not isinstance(address, str):
        raise BadRequestError(f'{where} has a picture without {{"url": "data:image/…"}}.', where)
    head, comma, data = address.partition(",")
    if not head.lower().startswith("data:"):
        raise BadRequestError(
            f"{where} has a picture that lies elsewhere; nothing is fetched: send it whole, as a data: URI.", where
        )
    if not comma or not head.lower().startswith("data:image/") or not head.lower().endswith(";base64"):
        raise BadRequestError(f"{where} has a picture that is no data:image/…;base64,… URI.", where)
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise BadRequestError(f"{where} has a picture whose base64 is damaged.", where) from error


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
