"""Calls with marked-up arguments, as Qwen3-Coder writes them: read however they are cut, typed, demanded by grammar."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmstudio.api import GenerateRequest, Message, ToolCall, UserError
from tests.plugins.llama_kit import ASK, LlamaCppBackend, ask, loaded, text_of
from tests.tiny_llama import build_tiny_llama

from fmstudio_llama_cpp.reply_parser import ReplyParser  # isort: skip - the kit makes the plugin importable
from fmstudio_llama_cpp.template import ChatTemplate  # isort: skip
from fmstudio_llama_cpp.tooling import Tooling  # isort: skip

WRITE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "lines": {"type": "integer"},
        "ratio": {"type": "number"},
        "is_new": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "more": {"$ref": "#/$defs/more"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "any": {},
        "mode": {"enum": ["7", "a"]},
    },
    "$defs": {"more": {"type": "object"}},
}
TOOLS: dict[str, Any] = {"write": WRITE, "look": {}, "tag": {"additionalProperties": {"type": "string"}}}
SOURCE = (
    "{% for tool in tools or [] %}{{ tool.function.name }}{% endfor %}{% for m in messages %}{{ m.content }}{% for call in m.tool_calls %}"
    "<tool_call>\n<function={{ call.function.name }}>\n{% for key, value in call.function.arguments | items %}"
    "<parameter={{ key }}>\n{{ value }}\n</parameter>\n{% endfor %}</function>\n</tool_call>{% endfor %}{% endfor %}"
)


def written(name: str, *, opens: bool = True, **values: str) -> str:
    """A call as the model writes it."""
    inner = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return f"{'<tool_call>' if opens else ''}\n<function={name}>\n{inner}</function>\n</tool_call>"


def read(pieces: Sequence[str]) -> tuple[str, list[tuple[str, Any]]]:
    parser = ReplyParser(TOOLS, splits_reasoning=True)
    news = [parser.push(piece) for piece in pieces] + [parser.finish()]
    calls: list[ToolCall] = [call for each in news for call in each[2]]
    assert parser.has_calls == bool(calls) and not any(each[1] for each in news)
    return "".join(each[0] for each in news), [(call.name, json.loads(call.arguments)) for call in calls]


class TestReading:
    @pytest.mark.parametrize(
        ("key", "text", "value"),
        [
            ("path", "a.py", "a.py"),
            ("path", "12", "12"),
            ("path", '"quoted"', '"quoted"'),
            ("path", "", ""),
            ("path", "\n  two\n\nlines \n", "\n  two\n\nlines \n"),
            ("path", "x</parameter>y <b> </function>", "x</parameter>y <b> </function>"),
            ("lines", "3", 3),
            ("ratio", "-0.5", -0.5),
            ("ratio", "NaN", "NaN"),
            ("is_new", "true", True),
            ("is_new", "False", False),
            ("tags", '["a", "b"]', ["a", "b"]),
            ("tags", "[" * 5000, "[" * 5000),
            ("more", '{"a": [1]}', {"a": [1]}),
            ("more", "{broken", "{broken"),
            ("note", "null", None),
            ("note", "12", "12"),
            ("any", "12", 12),
            ("any", "words", "words"),
            ("mode", "7", "7"),
            ("unheard", "[1]", [1]),
        ],
    )
    def test_values_have_the_types_of_the_schema(self, key: str, text: str, value: Any) -> None:
        assert read([written("write", **{key: text})]) == ("", [("write", {key: value})])

    def test_forms_that_models_are_known_to_write(self) -> None:
        inline = "<tool_call><function=write><parameter=lines>3</parameter></function></tool_call>"
        assert read([inline]) == ("", [("write", {"lines": 3})])
        assert read([written("write", opens=False, path="a")])[1] == [("write", {"path": "a"})]
        assert read([written("look")])[1] == [("look", {})]
        assert read([written("tag", a="12")])[1] == [("tag", {"a": "12"})], "what is not declared has a type too"
        unended = "<tool_call>\n<function=write>\n<parameter=path>\na\n</parameter>"
        assert read([unended])[1] == [("write", {"path": "a"})]
        text, calls = read(["Let me see.\n" + written("look") + "\n" + written("write", path="b") + "Done."])
        assert calls == [("look", {}), ("write", {"path": "b"})] and text == "Let me see.\nDone."

    @pytest.mark.parametrize("size", [1, 4, 1000])
    @pytest.mark.parametrize(
        "text",
        [
            written("unknown", path="a") + " so",
            "<tool_call>\n<function=write>\n<parameter=path>\nnever ended",
            "<tool_call>\n<function=write>\nwords\n</function>\n</tool_call>",
            "<tool_call>\n<function=write\n>",
            "<tool_call>\n<function=",
            "<function=write>\n<parameter=pa",
            "a <function=write> <parameter=\n> b",
            "<parameter=path>\na\n</parameter>",
        ],
    )
    def test_what_is_no_call_is_given_as_text(self, text: str, size: int) -> None:
        assert read([text[at : at + size] for at in range(0, len(text), size)]) == (text, [])


values = st.text(st.sampled_from("ab \n<>/=é") | st.characters(exclude_categories=["Cs"]), max_size=12)
pieces = st.one_of(
    st.builds(lambda a, b: written("write", path=a, note=b), values, values),
    st.builds(lambda a: written("write", opens=False, any=a), values),
    st.sampled_from([
        written("look"), "words ", "\n", "<tool_call>", "</tool_call>", "<function=look>", "</function>", "<function=write>",
        "<parameter=path>\n", "\n</parameter>\n", '<tool_call>{"name": "look", "arguments": {}}</tool_call>', "<",
    ]),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=6), st.data())
def test_however_a_text_is_cut_it_gives_the_same_calls_and_words(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=30)))
    whole = read([text])
    for cut in ([text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)], list(text)):
        answer, calls = read(cut)
        # White space beside a call belongs to it or to the words, as it comes: a chat does not show it.
        assert (answer.split(), calls) == (whole[0].split(), whole[1])


@given(values, values)
def test_a_text_comes_back_as_it_was_written(path: str, note: str) -> None:
    if "</parameter>" not in path + note and note != "null":
        assert read([written("write", path=path, note=note)]) == ("", [("write", {"path": path, "note": note})])


def tool(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    parameters = {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False, **more,
    }  # fmt: skip
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


class TestGrammar:
    def tooling(self, made: dict[str, Any], choice: str = "f") -> Tooling:
        request = GenerateRequest(messages=ASK, tools=[made], tool_choice=choice)
        return Tooling(ChatTemplate(SOURCE, bos="", eos=""), request)

    def test_the_family_is_seen_by_the_template(self) -> None:
        source, trigger = self.tooling(tool({"a": {"type": "string"}}), "auto").grammar("")
        assert "<parameter=a>" in source and "<function=" in trigger and '"arguments"' not in source.replace("\\", "")

    @pytest.mark.parametrize(
        "made",
        [
            tool({"a": {"type": "string", "pattern": "x"}}),
            tool({"a": {"enum": ["</parameter>"]}}),
            tool({"a>": {"type": "string"}}),
            tool({}, anyOf=[{"required": ["a"]}]),
            tool({}, type="array"),
        ],
    )
    def test_what_cannot_be_enforced_is_refused(self, made: dict[str, Any]) -> None:
        with pytest.raises(UserError):
            self.tooling(made).grammar("")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCppBackend]:
    with loaded(build_tiny_llama(tmp_path_factory.mktemp("tiny"))[1], chat_template=SOURCE) as made:
        yield made


SHORT: list[Message] = [{"role": "user", "content": "?"}]
HARD = tool(
    {
        "name": {"type": "string", "minLength": 2, "maxLength": 6},
        "kind": {"type": ["string", "null"], "enum": ["a", "b b", None]},
        "day": {"type": "string", "format": "date"},
        "count": {"type": "integer", "minimum": 3, "maximum": 5},
        "mixed": {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "integer", "minimum": 8, "maximum": 9}]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "maxItems": 2},
    },
    **{"$defs": {"part": {"type": "boolean"}}},
)


class TestOnAModel:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("choice", ["f", "auto"])
    def test_each_call_obeys_the_schema(self, backend: LlamaCppBackend, seed: int, choice: str) -> None:
        chunks = ask(
            backend, messages=SHORT, tools=[HARD], tool_choice=choice, seed=seed, temperature=1.5, top_k=0,
            max_tokens=300, parallel_tool_calls=False, forced_prefix=["", "<tool_call>\n"][choice == "auto"],
            logit_bias=(("]", 6.0),),
        )  # fmt: skip
        (call,) = [call for chunk in chunks for call in chunk.tool_calls]
        found = json.loads(call.arguments)
        assert chunks[-1].finish_reason == "tool_calls" and text_of(chunks).strip() == ""
        assert set(found) == {"name", "kind", "day", "count", "mixed", "parts"}
        assert isinstance(found["name"], str) and 2 <= len(found["name"]) <= 6
        assert found["kind"] in ("a", "b b", None) and found["day"][4] == found["day"][7] == "-"
        assert found["count"] in (3, 4, 5) and len(found["parts"]) <= 2
        assert found["mixed"] in (8, 9) or (isinstance(found["mixed"], str) and len(found["mixed"]) <= 2)
        assert all(isinstance(part, bool) for part in found["parts"])

    def test_a_free_text_ends_with_its_mark_and_no_sooner(self, backend: LlamaCppBackend) -> None:
        def calls(text: str) -> list[ToolCall]:
            chunks = ask(
                backend, messages=SHORT, tools=[tool({"text": {"type": "string"}})], tool_choice="f", max_tokens=60,
                forced_prefix=written("f", text=text).removesuffix("\n</tool_call>"), parallel_tool_calls=False,
            )  # fmt: skip
            assert text_of(chunks).strip() == ""
            return [call for chunk in chunks for call in chunk.tool_calls]

        for text in ("", "\na\n", "if a <b << </p <</par </paramete </parametre>", "</function>\n</tool_call>"):
            assert [json.loads(call.arguments) for call in calls(text)] == [{"text": text}]
        for text in ("a</parameter>b", "<</parameter", "</p</parameter>"):
            with pytest.raises(UserError, match="breaks the schema or grammar"):
                calls(text)

    def test_earlier_calls_are_rendered_and_the_answer_goes_on(self, backend: LlamaCppBackend) -> None:
        call = {"function": {"name": "f", "arguments": {"a": "x"}}}
        turns: list[Any] = [
            *SHORT,
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "y"},
        ]
        made = tool({"a": {"type": "string"}})
        assert "<parameter=a>\nx\n</parameter>" in ChatTemplate(SOURCE, bos="", eos="").render(turns, tools=[made])
        assert ask(backend, messages=turns, tools=[made], max_tokens=2)
