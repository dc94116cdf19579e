"""Tool calls and reasoning: split off while text comes, rendered through templates, demanded by grammar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fmstudio.api import GenerateRequest, Message, ToolCall, UserError
from tests.plugins.llama_kit import ASK, LlamaCppBackend, ask, loaded, text_of
from tests.tiny_llama import build_tiny_llama

from fmstudio_llama_cpp.reply_parser import ReplyParser  # isort: skip - the kit makes the plugin importable
from fmstudio_llama_cpp.template import ChatTemplate  # isort: skip
from fmstudio_llama_cpp.tooling import Tooling  # isort: skip

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 8},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
CALL = '{"name": "weather", "arguments": {"city": "Oslo"}}'


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCppBackend]:
    with loaded(build_tiny_llama(tmp_path_factory.mktemp("tiny"))[1]) as made:
        yield made


def parse(text: str, size: int, **options: Any) -> tuple[str, str, list[ToolCall]]:
    """Feed a text in pieces of `size` characters."""
    parser = ReplyParser(**{"tools": {"weather": {}}, "splits_reasoning": True, **options})
    news = [parser.push(text[i : i + size]) for i in range(0, len(text), size)] + [parser.finish()]
    return "".join(n[0] for n in news), "".join(n[1] for n in news), [call for n in news for call in n[2]]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
class TestParser:
    @pytest.mark.parametrize(
        "text",
        [
            f"<tool_call>\n{CALL}\n</tool_call>",
            f"<tool_call>{CALL}</tool_call>\n",
            f"[TOOL_CALLS][{CALL}]",
            f"[TOOL_CALLS] {CALL}",
            '[TOOL_CALLS]weather[ARGS]{"city": "Oslo"}',
            '[TOOL_CALLS]weather[CALL_ID]abc123[ARGS]{"city": "Oslo"}',
            '{"name": "weather", "parameters": {"city": "Oslo"}}',
            '<function=weather>{"city": "Oslo"}</function>',
            '<function=weather>\n{"city": "Oslo"}',
            '<|python_tag|>{"name": "weather", "parameters": {"city": "Oslo"}}',
            '{"type": "function", "function": {"name": "weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}}',
        ],
    )
    def test_each_family_gives_the_call(self, text: str, size: int) -> None:
        answer, reasoning, (call,) = parse(text, size)
        assert (answer.strip(), reasoning) == ("", "")
        assert call.name == "weather" and json.loads(call.arguments) == {"city": "Oslo"} and call.id

    def test_several_calls_after_text_and_reasoning(self, size: int) -> None:
        text = f"<think>\nHmm </thi\n</think>\n\nLet me look.\n<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call>"
        answer, reasoning, calls = parse(text, size)
        assert answer == "Let me look.\n" and reasoning == "Hmm </thi" and len(calls) == 2
        assert calls[0].id != calls[1].id

    @pytest.mark.parametrize(
        "text",
        [
            "<tool_call>not json</tool_call> and on",
            '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
            '{"name": "weather", "arguments": ',
            '{"a": 1} is JSON',
            "[TOOL_CALLS] nothing",
            "[TOOL_CALLS]weather[ARGS]",
            "<function=other>{}</function> so",
            "<function=weather>words</function>",
            "<function=weather></function>",
            "a <functional",
            "[see] <tool> a < b <tool_cal",
            "plain",
        ],
    )
    def test_what_is_no_call_is_given_as_text(self, text: str, size: int) -> None:
        assert parse(text, size) == (text, "", [])

    def test_reasoning_that_the_prompt_began_and_that_never_ends(self, size: int) -> None:
        assert parse("so</think>\nYes", size, is_thinking=True) == ("Yes", "so", [])
        assert parse("so on", size, is_thinking=True) == ("", "so on", [])
        assert parse("<think>x</think>y", size, splits_reasoning=False, tools={}) == ("<think>x</think>y", "", [])


class TestTooling:
    def test_a_template_without_tools_is_told_in_the_system_message(self) -> None:
        template = ChatTemplate("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}", bos="", eos="")
        turns: list[Any] = [
            {"role": "system", "content": "Be kind."},
            *ASK,
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "weather", "arguments": {}}}]},
            {"role": "tool", "content": "rain"},
        ]
        made = Tooling(template, GenerateRequest(messages=turns, tools=[WEATHER])).request
        text = template.render(made.messages or [])
        assert "Be kind." in text and '"weather"' in text and "<tool_response>\nrain" in text and "<tool_call>" in text

    def test_a_template_with_tools_gets_them(self) -> None:
        template = ChatTemplate(
            "{{ tools | tojson }}{% for m in messages %}{{ m.content }}{% endfor %}", bos="", eos=""
        )
        made = Tooling(template, GenerateRequest(messages=ASK, tools=[WEATHER]))
        assert made.request.messages == ASK and made.request.tools == [WEATHER]

    @pytest.mark.parametrize(
        "fields",
        [
            {"tool_choice": "required"},
            {"tools": [WEATHER], "tool_choice": "absent"},
            {"tools": [WEATHER], "tool_choice": "weather", "grammar": 'root ::= "x"'},
            {"tools": [{"type": "function"}]},
            {"tools": [{"function": {"name": "f", "parameters": "none"}}], "tool_choice": "f"},
        ],
    )
    def test_nonsense_is_refused(self, fields: dict[str, Any]) -> None:
        with pytest.raises(UserError):
            Tooling(ChatTemplate("", bos="", eos=""), GenerateRequest(messages=ASK, **fields)).grammar("")


class TestOnAModel:
    @pytest.mark.parametrize("choice", ["required", "weather"])
    def test_a_required_tool_is_called_with_valid_arguments(self, backend: LlamaCppBackend, choice: str) -> None:
        options: dict[str, Any] = {"tools": [WEATHER], "tool_choice": choice, "parallel_tool_calls": False}
        with_bias = {"logit_bias": (('"', 5.0), ("}", 5.0)), "temperature": 1.0, "top_k": 0, "max_tokens": 200}
        short: list[Message] = [{"role": "user", "content": "?"}]
        with pytest.raises(UserError, match="context holds"):
            ask(backend, messages=[{"role": "user", "content": "x" * 600}], **options)
        chunks = ask(backend, messages=short, seed=3, **options, **with_bias)
        (call,) = [call for chunk in chunks for call in chunk.tool_calls]
        arguments = json.loads(call.arguments)
        assert chunks[-1].finish_reason == "tool_calls" and text_of(chunks).strip() == ""
        assert set(arguments) == {"city", "days"} and 1 <= arguments["days"] <= 9

    def test_with_auto_the_model_may_answer_in_words(self, backend: LlamaCppBackend) -> None:
        chunks = ask(backend, messages=[{"role": "user", "content": "?"}], tools=[WEATHER])
        assert text_of(chunks) and not any(chunk.tool_calls for chunk in chunks)

    def test_with_auto_a_call_once_begun_must_be_whole(self, backend: LlamaCppBackend) -> None:
        options: dict[str, Any] = {"logit_bias": (('"', 5.0), ("}", 5.0)), "temperature": 1.0, "max_tokens": 200}
        chunks = ask(
            backend, messages=[{"role": "user", "content": "?"}], tools=[WEATHER], forced_prefix="<tool_call>", seed=2,
            parallel_tool_calls=False, **options,
        )  # fmt: skip
        (call,) = [call for chunk in chunks for call in chunk.tool_calls]
        assert json.loads(call.arguments)["days"] in range(1, 10)


THINKING = (
    "{% for tool in tools or [] %}{{ tool.function.name }}{% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<think>\n{% endif %}"
)
DAYS: dict[str, Any] = {"type": "object", "properties": {"days": {"enum": [1, 2]}}, "required": ["days"]}


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCppBackend]:
    with loaded(build_tiny_llama(tmp_path_factory.mktemp("thinks"))[1], chat_template=THINKING) as made:
        yield made


class TestWhereThePromptOpensTheReasoning:
    """As the templates of Qwen3-Thinking, QwQ and DeepSeek-R1 do."""

    def ask(self, backend: LlamaCppBackend, begun: str, **fields: Any) -> list[Any]:
        return ask(backend, messages=[{"role": "user", "content": "?"}], forced_prefix=begun, max_tokens=200, **fields)

    @pytest.mark.parametrize("choice", ["f", "required", "auto"])
    def test_a_tool_is_called_after_it(self, thinker: LlamaCppBackend, choice: str) -> None:
        tool = {"type": "function", "function": {"name": "f", "parameters": {**DAYS, "additionalProperties": False}}}
        begun = "a < b, </thin or so</think>\n\n" + ("<tool_call>" if choice == "auto" else "")
        options = {"tools": [tool], "tool_choice": choice, "parallel_tool_calls": False}
        chunks = self.ask(thinker, begun, **options)
        (call,) = [call for chunk in chunks for call in chunk.tool_calls]
        assert json.loads(call.arguments)["days"] in (1, 2) and chunks[-1].finish_reason == "tool_calls"
        assert not any(chunk.reasoning for chunk in chunks) and text_of(chunks).strip() == ""

    def test_a_schema_is_obeyed_after_it(self, thinker: LlamaCppBackend) -> None:
        found = json.loads(text_of(self.ask(thinker, "so</think>", json_schema=DAYS)))
        assert found["days"] in (1, 2)
        assert "".join(chunk.reasoning for chunk in self.ask(thinker, "so ", json_schema=DAYS)), "it thinks first"
        with pytest.raises(UserError, match="breaks the schema or grammar"):
            self.ask(thinker, "so</think>words", json_schema=DAYS)

    def test_what_is_not_split_off_does_not_come(self, thinker: LlamaCppBackend) -> None:
        chunks = self.ask(thinker, "", json_schema=DAYS, split_reasoning=False)
        assert json.loads(text_of(chunks))["days"] in (1, 2)
