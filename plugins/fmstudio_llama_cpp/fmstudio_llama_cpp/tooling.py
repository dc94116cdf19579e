"""Tools, schemas and reasoning of one request: what the template is told, what the answer must obey, how it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, cast

from fmstudio.api import GenerateRequest, Message, UserError
from fmstudio_llama_cpp.free_text import after_text
from fmstudio_llama_cpp.json_schema import SchemaRules, schema_grammar
from fmstudio_llama_cpp.reply_parser import MISTRAL, PYTHON_TAG, THINK, THINK_END, ReplyParser
from fmstudio_llama_cpp.template import ChatTemplate
from fmstudio_llama_cpp.xml_calls import CALL, CALL_END, FUNCTION, FUNCTION_END, PARAMETER, call_rule, quoted

Family = Literal["hermes", "mistral", "llama3", "functions", "xml"]
# For templates that know no tools. The format is Hermes', the commonest one among small open models.
_INTRODUCTION = """You can call functions. These are their signatures:
<tools>
{tools}
</tools>
To call one, answer with nothing but its name and arguments as JSON between tags:
<tool_call>
{{"name": <name>, "arguments": <arguments>}}
</tool_call>"""


class Tooling:
    """Reads a request's wishes.

    Attributes:
        request: The request, with tools written into the system message where the template cannot.

    Raises:
        UserError: The tools are malformed, or wishes exclude each other.
    """

    def __init__(self, template: ChatTemplate, request: GenerateRequest) -> None:
        self._asked = request
        self._names = [_name_of(tool) for tool in request.tools] if request.tool_choice != "none" else []
        if self._names and request.messages is None:
            raise UserError("Tools need messages, not a bare prompt.", remedy="Ask for a chat completion.")
        wishes = [request.json_schema is not None, bool(request.grammar), self._must_call]
        if sum(wishes) > 1:
            raise UserError(
                "An answer can obey one of a JSON schema, a grammar and a required tool.", remedy="Choose one."
            )
        if request.tool_choice not in ("none", "auto", "required", *self._names):
            raise UserError(f"There is no tool named “{request.tool_choice}”.", remedy="Name one that is given.")
        if request.tool_choice == "required" and not self._names:
            raise UserError("A tool is required, but none is given.", remedy="Give at least one tool.")
        self._family = _family(template)
        self.request = request
        if self._names and not _knows_tools(template, request):
            self._family = "hermes"
            self.request = replace(request, messages=_introduced(request, template), tools=())

    @property
    def _must_call(self) -> bool:
        return bool(self._names) and self._asked.tool_choice != "auto"

    def parser(self, prompt_text: str) -> ReplyParser | None:
        """What splits reasoning and calls off the answer; None where there is nothing to split."""
        if not self._splits and not self._names:
            return None
        is_thinking = self._is_thinking(prompt_text)
        return ReplyParser(self._schemas(), splits_reasoning=self._splits, is_thinking=is_thinking)

    @property
    def _splits(self) -> bool:
        return self._asked.split_reasoning and self._asked.messages is not None

    def _is_thinking(self, prompt_text: str) -> bool:
        """The prompt already opened the reasoning, which is split off."""
        return self._splits and prompt_text.rstrip().endswith(THINK)

    def grammar(self, prompt_text: str) -> tuple[str, str]:
        """The grammar the answer must obey and what triggers it; empty = none.

        What the app demands holds from the end of the reasoning on, where the prompt opened one; a grammar that was
        given is for the whole text.

        Raises:
            UserError: A schema cannot be enforced.
        """
        request = self._asked
        if request.grammar:
            return request.grammar, ""
        is_thinking = self._is_thinking(prompt_text)
        demanded = ""
        if request.json_schema is not None:
            demanded = schema_grammar({"type": "object"} if request.json_schema == {} else request.json_schema)
        elif self._must_call:
            demanded = self._call_grammar()
        elif self._names and self._family != "llama3":
            reasoning = rf"[\s\S]*?{THINK_END}" if is_thinking else ""
            return self._call_grammar(), rf"{reasoning}[\s\S]*?({_MARKERS[self._family]}[\s\S]*)"
        return (after_text(demanded, THINK_END) if demanded and is_thinking else demanded), ""

    def _schemas(self) -> dict[str, Mapping[str, Any]]:
        """What each tool that may be called takes."""
        tools = self._asked.tools if self._names else ()
        return {_name_of(tool): _parameters_of(tool) for tool in tools}

    def _call_grammar(self) -> str:
        wanted = [self._asked.tool_choice] if self._asked.tool_choice in self._names else self._names
        schemas = self._schemas()
        rules = SchemaRules({})
        key = "parameters" if self._family == "llama3" else "arguments"
        calls = list[str]()
        for name in wanted:
            parameters = schemas[name]
            nested = SchemaRules(parameters)
            nested.share(rules)
            if self._family == "xml":
                calls.append(call_rule(name, parameters, nested))
                continue
            body = nested.rule(parameters, f"tool {name}")
            if self._family == "functions":
                calls.append(f'{quoted(f"{FUNCTION}{name}>")} ws {body} ws "{FUNCTION_END}"')
                continue
            calls.append(rf'"{{" ws "\"name\":" ws {_text(name)} "," ws "\"{key}\":" ws {body} ws "}}"')
        call = rules.add(" | ".join(calls))
        several = self._asked.parallel_tool_calls
        if self._family == "xml":  # models are known to leave the first mark out where they call by themselves
            begin = f'"{CALL}" ws' if self._must_call else f'("{CALL}" ws)?'
            one = f'{begin} {call} ws "{CALL_END}"'
            return rules.text(f'{one} ("\\n" {one}){{0,15}}' if several else one)
        if self._family == "hermes":
            one = f'"{CALL}" ws {call} ws "{CALL_END}"'
            return rules.text(f'{one} ("\\n" {one}){{0,15}}' if several else one)
        if self._family == "mistral":
            more = f' (", " {call}){{0,15}}' if several else ""
            return rules.text(f'"{MISTRAL}" ws "[" {call}{more} "]"')
        if self._family == "functions" and several:
            return rules.text(f"{call} (ws {call}){{0,15}}")
        return rules.text(call)


_MARKERS: dict[Family, str] = {
    "hermes": CALL,
    "mistral": r"\[TOOL_CALLS\]",
    "functions": FUNCTION,
    "xml": f"(?:{CALL}|{FUNCTION})",
}


def _text(name: str) -> str:
    data = json.dumps(name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{data}"'


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    function = tool.get("function")
    return function if isinstance(function, Mapping) else {}


def _name_of(tool: Mapping[str, Any]) -> str:
    name = _function(tool).get("name")
    if not isinstance(name, str) or not name:
        raise UserError("A tool has no name.", remedy='Give {"type": "function", "function": {"name": …}}.')
    return name


def _parameters_of(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = _function(tool).get("parameters") or {"type": "object"}
    if not isinstance(parameters, Mapping):
        raise UserError(
            f"The parameters of the tool “{_name_of(tool)}” are no JSON schema.", remedy='Give {"type": "object", …}.'
        )
    return parameters


def _family(template: ChatTemplate) -> Family:
    if "[TOOL_CALLS]" in template.source:
        return "mistral"
    if FUNCTION in template.source:
        return "xml" if PARAMETER in template.source else "functions"
    if PYTHON_TAG in template.source or "Environment: ipython" in template.source:
        return "llama3"
    return "hermes"


def _knows_tools(template: ChatTemplate, request: GenerateRequest) -> bool:
    """Whether the template writes the tools: tried out, since many take the argument and pass it over."""
    if template.is_plain or "tools" not in template.source:
        return False
    text = template.render([Message(role="user", content="?")], tools=[dict(tool) for tool in request.tools])
    return all(_name_of(tool) in text for tool in request.tools)


def _introduced(request: GenerateRequest, template: ChatTemplate) -> list[Message]:
    """Messages a template without tools understands: calls and results as text, the tools in the system message.

    Where a template takes none (Gemma's do not), the tools stand before the first words of the user.
    """
    tools = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in request.tools)
    messages = [_as_text(message) for message in request.messages or ()]
    introduction = _INTRODUCTION.format(tools=tools)
    if messages and messages[0]["role"] == "system":
        first = Message(role="system", content=f"{messages[0]['content']}\n\n{introduction}")
        return [first, *messages[1:]]
    first_user = next((index for index, message in enumerate(messages) if message["role"] == "user"), None)
    if first_user is None or _takes_system(template):
        return [Message(role="system", content=introduction), *messages]
    asked = {**messages[first_user], "content": f"{introduction}\n\n{messages[first_user]['content']}"}
    return [*messages[:first_user], cast(Message, asked), *messages[first_user + 1 :]]


def _takes_system(template: ChatTemplate) -> bool:
    trial = [Message(role="system", content="@system@"), Message(role="user", content="?")]
    try:
        return "@system@" in template.render(trial)
    except UserError:
        return False


def _as_text(message: Mapping[str, Any]) -> Message:
    content = str(message.get("content") or "")
    images = {"images": message["images"]} if message.get("images") else {}
    if message["role"] == "tool":
        content = f"<tool_response>\n{content}\n</tool_response>"
        return cast(Message, {"role": "user", "content": content, **images})
    for call in message.get("tool_calls") or ():
        function = call.get("function", {})
        body = json.dumps({"name": function.get("name"), "arguments": function.get("arguments")}, ensure_ascii=False)
        content += ("\n" if content else "") + f"{CALL}\n{body}\n{CALL_END}"
    return cast(Message, {"role": message["role"], "content": content, **images})
