"""Tool calls through OpenAI's client in real processes, one for each family of templates."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from fmstudio.jobs.engine import Engine
from fmstudio.jobs.launcher import SubprocessLauncher
from tests.tiny_llama import CHATML, build_tiny_llama

_TOOLS = "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
_TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% if m.tool_calls %}{{ m.tool_calls | tojson }}"
    "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FAMILIES = {
    "ChatML without tools": CHATML,
    "Hermes": _TOOLS + "{# answers with <tool_call> #}" + _TURNS,
    "Mistral": _TOOLS + "{% set call = '[TOOL_CALLS]' %}" + _TURNS,
    "Llama 3": _TOOLS + "{% set head = 'Environment: ipython' %}" + _TURNS,
    "functionary": _TOOLS + "{% set call = '<function=' %}" + _TURNS,
    "Qwen3-Coder": _TOOLS + "{% set call = '<tool_call><function=f><parameter=n>' %}" + _TURNS,
    "Gemma": "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + CHATML,
}
BEGINNINGS = {
    "Hermes": "<tool_call>", "Mistral": "[TOOL_CALLS]", "functionary": "<function=", "Gemma": "<tool_call>",
    "Qwen3-Coder": "<tool_call>",
}  # fmt: skip
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {
            "type": "object",
            "properties": {"n": {"enum": [1, 2]}, "on": {"type": "boolean"}},
            "required": ["n", "on"],
            "additionalProperties": False,
        },
    },
}
OTHER: Any = {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], openai.OpenAI]]:
    folder = tmp_path_factory.mktemp("families")
    model = build_tiny_llama(folder)[1]
    engines: dict[str, Engine] = {}

    def begin(family: str) -> openai.OpenAI:
        if family not in engines:
            log = folder / family / "engine.log"
            engines[family] = Engine(SubprocessLauncher(), log_path=log, python=sys.executable)
            engines[family].start(model, params={"chat_template": FAMILIES[family]})
            engines[family].wait_ready(120)
        engine = engines[family]
        return openai.OpenAI(base_url=engine.base_url, api_key=engine.key, max_retries=0, timeout=60)

    yield begin
    for engine in engines.values():
        engine.stop()


def asked(**fields: Any) -> Any:
    bias: Any = [['"', 4], ["}", 6]]
    return {
        "model": "x", "messages": [{"role": "user", "content": "?"}], "max_tokens": 150, "temperature": 1, "seed": 5,
        "tools": [TOOL, OTHER], "parallel_tool_calls": False, "extra_body": {"logit_bias": bias}, **fields,
    }  # fmt: skip


def check(calls: Any) -> None:
    (call,) = calls
    arguments = json.loads(call.function.arguments)
    assert call.id and call.function.name == "f" and arguments["n"] in (1, 2) and isinstance(arguments["on"], bool)
    assert set(arguments) == {"n", "on"}


@pytest.mark.parametrize("family", FAMILIES)
class TestFamilies:
    def test_a_named_tool_is_called_whole_and_streamed(
        self, start: Callable[[str], openai.OpenAI], family: str
    ) -> None:
        client = start(family)
        choice: Any = {"type": "function", "function": {"name": "f"}}
        whole = client.chat.completions.create(**asked(tool_choice=choice)).choices[0]
        assert whole.finish_reason == "tool_calls" and not (whole.message.content or "").strip()
        check(whole.message.tool_calls)
        chunks = [c.choices[0] for c in client.chat.completions.create(**asked(tool_choice=choice), stream=True)]
        check([call for chunk in chunks for call in chunk.delta.tool_calls or []])
        assert chunks[-1].finish_reason == "tool_calls"

    def test_the_conversation_goes_on_with_the_tool_s_result(
        self, start: Callable[[str], openai.OpenAI], family: str
    ) -> None:
        call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"n": 1, "on": true}'}}
        messages: Any = [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "It is on."},
        ]
        fields = asked(messages=messages, tool_choice="none", max_tokens=4)
        assert start(family).chat.completions.create(**fields).choices[0].finish_reason in ("length", "stop")


@pytest.mark.parametrize("family", BEGINNINGS)
def test_a_call_begun_by_itself_is_held_to_its_schema(start: Callable[[str], openai.OpenAI], family: str) -> None:
    fields = asked(tools=[TOOL])
    fields["extra_body"]["forced_prefix"] = BEGINNINGS[family]
    done = start(family).chat.completions.create(**fields).choices[0]
    assert done.finish_reason == "tool_calls"
    check(done.message.tool_calls)
