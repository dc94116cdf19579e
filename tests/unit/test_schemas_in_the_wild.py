"""Files as training tools, providers and annotation tools write them: detected, and made canonical without losing anything."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from fmstudio.api import UserError
from fmstudio.cli.output import print_table
from fmstudio.core.canonical import apply
from fmstudio.core.detection import detections
from fmstudio.core.schemas import Mapping

ASKED = {"role": "user", "content": "q"}
SAID = {"role": "assistant", "content": "a"}
HUMAN = {"from": "human", "value": "q"}
GPT = {"from": "gpt", "value": "a"}


def made(*rows: dict[str, Any]) -> tuple[Mapping, list[dict[str, Any]]]:
    """Read rows by the best reading; give it and the rows."""
    batch = pa.RecordBatch.from_pylist(list(rows))
    best = detections(batch.schema.names, batch.to_pylist())[0].mapping
    mapped = apply(batch, best)
    assert not mapped.rejects
    return best, mapped.batch.to_pylist()


def test_what_an_alpaca_instruction_is_about_is_in_the_question_beside_a_system_prompt_too() -> None:
    row = {"instruction": "sum up", "input": "a text", "output": "short", "system": "be brief"}
    mapping, rows = made(row)
    assert mapping.kind == "conversation"
    assert rows[0]["messages"][1] == {"role": "user", "content": "sum up\n\na text"}
    assert list(rows[0]) == ["messages"]


def test_earlier_exchanges_of_alpaca_come_before_the_question() -> None:
    first = {"instruction": "and now?", "input": "", "output": "done", "history": [["a", "b"], ["c", "d"]]}
    mapping, rows = made(first, {**first, "history": []})
    assert mapping.kind == "conversation"
    assert [m["content"] for m in rows[0]["messages"]] == ["a", "b", "c", "d", "and now?", "done"]
    assert [m["role"] for m in rows[0]["messages"]] == ["user", "assistant"] * 3
    assert [m["content"] for m in rows[1]["messages"]] == ["and now?", "done"]


def test_what_a_dolly_instruction_is_about_is_joined_to_it() -> None:
    mapping, rows = made({"instruction": "When?", "context": "In 2000.", "response": "2000", "category": "qa"})
    assert rows == [{"prompt": "When?\n\nIn 2000.", "completion": "2000", "category": "qa"}]
    assert mapping.notes == ("The context is joined to the instruction, after an empty line.",)


@pytest.mark.parametrize("about", ["a text", ""])
def test_what_an_instruction_is_about_is_joined_in_preferences_and_verdicts(about: str) -> None:
    asked = "sum up\n\na text" if about else "sum up"
    _, pairs = made({"instruction": "sum up", "input": about, "chosen": "good", "rejected": "bad"})
    assert pairs == [{"prompt": asked, "chosen": "good", "rejected": "bad"}]
    _, judged = made({"instruction": "sum up", "input": about, "output": "good", "label": True})
    assert judged == [{"prompt": asked, "completion": "good", "label": True}]


def test_a_verdict_on_messages_is_no_conversation_to_learn_from() -> None:
    mapping, rows = made({"prompt": [ASKED], "completion": [SAID], "label": False})
    assert mapping.kind == "unpaired_preference"
    assert rows == [{"prompt": [ASKED], "completion": [SAID], "label": False}]


def test_a_verdict_beside_a_whole_conversation_is_on_its_last_answer() -> None:
    mapping, rows = made(
        {"conversations": [HUMAN, GPT, HUMAN, GPT], "label": True}, {"conversations": [HUMAN, GPT], "label": False}
    )
    assert mapping.kind == "unpaired_preference"
    assert rows[0] == {"prompt": [ASKED, SAID, ASKED], "completion": [SAID], "label": True}
    assert rows[1]["label"] is False


def test_conversations_that_are_all_good_ones_stay_conversations() -> None:
    assert made({"messages": [ASKED, SAID], "accepted": True})[0].kind == "conversation"


def test_two_single_answers_beside_the_conversation_they_go_on() -> None:
    row = {"conversations": [HUMAN], "chosen": GPT, "rejected": {"from": "gpt", "value": "worse"}}
    mapping, rows = made(row)
    assert mapping.kind == "preference"
    assert rows == [{"prompt": [ASKED], "chosen": [SAID], "rejected": [{"role": "assistant", "content": "worse"}]}]


def test_texts_that_answer_messages_become_messages() -> None:
    _, pairs = made({"messages": [ASKED], "chosen": "good", "rejected": "bad"})
    answers = ([{"role": "assistant", "content": text}] for text in ("good", "bad"))
    assert pairs == [dict(zip(("prompt", "chosen", "rejected"), ([ASKED], *answers), strict=True))]
    _, judged = made({"prompt": [ASKED], "completion": "good", "label": True})
    assert judged == [{"prompt": [ASKED], "completion": [{"role": "assistant", "content": "good"}], "label": True}]


def test_an_answer_beside_the_messages_it_answers_is_part_of_the_conversation() -> None:
    mapping, rows = made({"messages": [ASKED], "tools": "[]", "response": "a", "id": 1})
    assert rows == [{"messages": [ASKED, SAID], "tools": "[]", "id": 1}]
    assert made({"messages": json.dumps([ASKED]), "response": "a"})[1] == [{"messages": [ASKED, SAID]}]
    assert made({"messages": [ASKED], "response": None})[1][0]["messages"] == [ASKED]
    mapping, rows = made({"messages": [ASKED, SAID], "response": "another", "id": 1})
    assert mapping.columns == {"messages": "messages"} and rows[0]["response"] == "another"


def test_preference_files_of_openai() -> None:
    given = {"messages": [ASKED], "tools": [], "parallel_tool_calls": True}
    worse = {"role": "assistant", "content": "worse"}
    mapping, rows = made({"input": given, "preferred_output": [SAID], "non_preferred_output": [worse]})
    assert mapping.columns["prompt"] == "input.messages"
    assert rows == [{"prompt": [ASKED], "chosen": [SAID], "rejected": [worse], "input": given}]


def test_a_conversation_of_which_an_answer_is_left_out_is_no_prompt_for_both() -> None:
    other = {"role": "assistant", "content": "other"}
    mapping, _ = made({"messages": [ASKED, SAID], "chosen": [ASKED, SAID], "rejected": [ASKED, other]})
    assert "prompt" not in mapping.columns


@pytest.mark.parametrize(
    ("row", "kind", "columns"),
    [
        ({"custom_id": "1", "body": {"model": "m", "messages": [ASKED, SAID]}}, "conversation", {"messages": "body.messages"}),
        ({"id": 1, "data": {"text": "a film"}, "annotations": [{"id": 2}]}, "text", {"text": "data.text"}),
        ({"id": 1, "fields": {"prompt": "q", "response": "a"}}, "prompt_completion",
         {"prompt": "fields.prompt", "completion": "fields.response"}),
    ],
)  # fmt: skip
def test_fields_of_objects_are_read_where_the_columns_say_nothing(
    row: dict[str, Any], kind: str, columns: dict[str, str]
) -> None:
    mapping, rows = made(row)
    assert (mapping.kind, mapping.columns) == (kind, columns)
    assert {name: rows[0][name] for name in row} == row, "the object stays as it is"


def test_fields_that_some_rows_lack_are_no_reading() -> None:
    batch = pa.RecordBatch.from_pylist([{"title": "a", "guid": {"text": "7"}}, {"title": "b", "guid": None}])
    assert [one.mapping.kind for one in detections(batch.schema.names, batch.to_pylist())] == ["table"]
    batch = pa.RecordBatch.from_pylist([{"x": {"text": "7", "n": 1}}, {"x": {"text": None, "n": 2}}])
    assert [one.mapping.kind for one in detections(batch.schema.names, batch.to_pylist())] == ["table"]


def test_a_field_of_an_object_that_is_written_as_json_is_read_too() -> None:
    body = json.dumps({"messages": [ASKED, SAID]})
    mapped = apply(
        pa.RecordBatch.from_pylist([{"body": body}, {"body": "no JSON"}]),
        Mapping("conversation", {"messages": "body.messages"}),
    )
    assert mapped.batch.to_pylist() == [{"messages": [ASKED, SAID], "body": body}]
    assert mapped.rejects == {1: "There are no messages."}


@pytest.mark.parametrize(
    ("row", "path"),
    [
        (
            {"custom_id": "1", "response": {"body": {"choices": [{"message": SAID}]}}},
            "response.body.choices.0.message.content",
        ),
        (
            {
                "custom_id": "1",
                "result": {"message": {"role": "assistant", "content": [{"type": "text", "text": "a"}]}},
            },
            "result.message.content.0.text",
        ),
    ],
)
def test_the_answers_of_a_providers_batch_are_texts(row: dict[str, Any], path: str) -> None:
    mapping, rows = made(row, row)
    assert (mapping.kind, mapping.columns) == ("text", {"text": path})
    assert [one["text"] for one in rows] == ["a", "a"]
    assert rows[0]["custom_id"] == "1"


def test_an_item_of_a_list_that_is_too_short_is_missing() -> None:
    rows = [
        {"x": [{"t": "a"}, {"t": "b"}]},
        {"x": []},
        {"x": None},
        {"x": [{"t": "c"}]},
        {"x": [{"t": "d"}, {"t": "e"}]},
    ]
    for batch in (pa.RecordBatch.from_pylist(rows), pa.RecordBatch.from_pylist([{"x": [{"t": "z"}]}, *rows]).slice(1)):
        mapped = apply(batch, Mapping("text", {"text": "x.1.t"}))
        assert [row["text"] for row in mapped.batch.to_pylist()] == ["b", "e"]
        assert sorted(mapped.rejects) == [1, 2, 3]


def test_a_column_with_a_dot_in_its_name_goes_before_a_field() -> None:
    batch = pa.RecordBatch.from_pylist([{"a.b": "column", "a": {"b": "field"}}])
    assert apply(batch, Mapping("text", {"text": "a.b"})).batch.to_pylist() == [{"text": "column", "a": {"b": "field"}}]


def test_a_field_of_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="no column “boddy"):
        Mapping("conversation", {"messages": "boddy.messages"}).check(["body"])
    Mapping("conversation", {"messages": "body.messages"}).check(["body"])


def test_pictures_without_captions_are_a_table_and_none_is_rejected() -> None:
    mapping, rows = made(
        {"image": "cat/1.png", "caption": None, "label": "cat"}, {"image": "dog/2.png", "caption": "", "label": "dog"}
    )
    assert mapping.kind == "table"
    assert len(rows) == 2


CALL = {"name": "weather", "arguments": {"city": "Bern"}}
IN_OPENAI_FORM = {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}


def turns_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The turns with what messages cannot say."""
    return list(json.loads(next(value for name, value in row.items() if name.endswith("_original"))))


def test_calls_of_sharegpt_become_tool_calls_and_results_say_which_they_answer() -> None:
    result = {"from": "observation", "value": '{"degrees": 12}'}
    call = {"from": "function_call", "value": json.dumps(CALL)}
    mapping, rows = made({"conversations": [HUMAN, call, result, GPT]})
    assert [m["role"] for m in rows[0]["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert rows[0]["messages"][1]["content"] == "", "a call is no text"
    assert turns_of(rows[0])[1] == {"role": "assistant", "tool_calls": [{"id": "call_1", **IN_OPENAI_FORM}]}
    assert turns_of(rows[0])[2] == {**result, "tool_call_id": "call_1"}
    assert any("tool_calls" in note for note in mapping.notes)


def test_two_calls_of_one_turn_are_answered_one_after_the_other() -> None:
    both = {"from": "function_call", "value": json.dumps([CALL, CALL])}
    results = [{"from": "observation", "value": str(i)} for i in range(2)]
    _, rows = made({"conversations": [HUMAN, both, *results, GPT]})
    assert [turn.get("tool_call_id") for turn in turns_of(rows[0])[2:4]] == ["call_1", "call_2"]


def test_a_turn_called_function_call_that_holds_no_call_keeps_its_text() -> None:
    _, rows = made({"conversations": [HUMAN, {"from": "function_call", "value": "no JSON"}, GPT]})
    assert rows[0]["messages"][1] == {"role": "assistant", "content": "no JSON"}


def test_calls_of_openais_first_interface_become_tool_calls() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city": "Bern"}'}}
    result = {"role": "function", "name": "weather", "content": "12"}
    _, rows = made(
        {"messages": [ASKED, call, result, SAID], "functions": [{"name": "weather", "parameters": {"type": "object"}}]}
    )
    assert turns_of(rows[0])[1] == {"role": "assistant", "tool_calls": [{"id": "call_1", **IN_OPENAI_FORM}]}
    assert turns_of(rows[0])[2] == {**result, "tool_call_id": "call_1"}
    function = {"name": "weather", "parameters": {"type": "object"}}
    assert json.loads(rows[0]["tools"]) == [{"type": "function", "function": function}]


def test_calls_of_openai_stay_as_they_are() -> None:
    call = {"role": "assistant", "tool_calls": [{"id": "c7", **IN_OPENAI_FORM}]}
    result = {"role": "tool", "tool_call_id": "c7", "content": "12"}
    _, rows = made({"messages": json.dumps([ASKED, call, result, SAID])})
    assert turns_of(rows[0]) == [ASKED, call, result, SAID]


def test_blocks_of_anthropic_become_tool_calls_and_turns_of_the_tool() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "12 degrees"}]}
    row = {
        "system": [{"type": "text", "text": "be brief"}],
        "messages": [
            ASKED,
            {"role": "assistant", "content": [{"type": "text", "text": "let me look"}, use]},
            {"role": "user", "content": [result, {"type": "text", "text": "thanks"}]},
        ],
        "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
    }
    mapping, rows = made({name: json.dumps(value) if name == "messages" else value for name, value in row.items()})
    assert [(m["role"], m["content"]) for m in rows[0]["messages"]] == [
        ("system", "be brief"), ("user", "q"), ("assistant", "let me look"), ("tool", "12 degrees"), ("user", "thanks"),
    ]  # fmt: skip
    assert turns_of(rows[0])[1]["tool_calls"] == [{"id": "toolu_1", **IN_OPENAI_FORM}]
    assert turns_of(rows[0])[2]["tool_call_id"] == "toolu_1"
    assert json.loads(rows[0]["tools"])[0]["function"] == {"name": "weather", "parameters": {"type": "object"}}
    assert mapping.columns["system"] == "system"


def test_contents_of_gemini_are_messages() -> None:
    call = {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Bern"}}}]}
    result = {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"degrees": 12}}}]}
    row = {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": json.dumps(
            [{"role": "user", "parts": [{"text": "q"}]}, call, result, {"role": "model", "parts": [{"text": "12"}]}]
        ),
    }
    mapping, rows = made(row)
    assert mapping.kind == "conversation"
    assert [(m["role"], m["content"]) for m in rows[0]["messages"]] == [
        ("system", "be brief"), ("user", "q"), ("assistant", ""), ("tool", '{"degrees": 12}'), ("assistant", "12"),
    ]  # fmt: skip
    assert turns_of(rows[0])[1]["tool_calls"] == [{"id": "call_1", **IN_OPENAI_FORM}]


def test_what_messages_of_a_question_and_its_answer_cannot_say_is_kept() -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "c7", **IN_OPENAI_FORM}]}
    _, rows = made({"prompt": [ASKED], "completion": [call]})
    assert turns_of(rows[0])[1]["tool_calls"] == call["tool_calls"]


def test_what_answers_of_a_pair_say_beyond_their_text_is_kept() -> None:
    call = {"role": "assistant", "content": "let me look", "tool_calls": [{"id": "c7", **IN_OPENAI_FORM}]}
    row = {"prompt": [ASKED], "chosen": [call], "rejected": [SAID]}
    _, rows = made(row)
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "let me look"}]
    assert json.loads(rows[0]["chosen_original"])[0]["tool_calls"] == call["tool_calls"]
    assert "rejected_original" not in rows[0]
    _, judged = made({"prompt": [ASKED], "completion": [call], "label": True})
    assert json.loads(judged[0]["completion_original"])[0]["tool_calls"] == call["tool_calls"]


def test_answers_that_differ_only_in_their_calls_are_not_called_the_same() -> None:
    one = {"role": "assistant", "content": "", "tool_calls": [{"id": "c7", **IN_OPENAI_FORM}]}
    batch = pa.RecordBatch.from_pylist([{"prompt": [ASKED], "chosen": [one], "rejected": [{**one, "tool_calls": []}]}])
    mapped = apply(batch, Mapping("preference", {name: name for name in ("prompt", "chosen", "rejected")}))
    assert "no text, such as tool calls" in mapped.rejects[0]


def test_objects_with_a_role_but_no_content_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["turns"], [[[{"role": "user", "parts": ["q"]}]]], is_data=True)
    assert "parts" in capsys.readouterr().out


def node(key: str, parent: str | None, children: list[str], role: str = "", said: Any = "") -> dict[str, Any]:
    author = {"role": role, "name": None}
    message = {"id": key, "author": author, "content": {"content_type": "text", "parts": [said]}, "recipient": "all"}
    return {"id": key, "message": message if role else None, "parent": parent, "children": children}


TREE = {
    "root": node("root", None, ["system"]),
    "system": node("system", "root", ["asked"], "system", ""),
    "asked": node("asked", "system", ["first", "second"], "user", "q"),
    "first": node("first", "asked", [], "assistant", "a first try"),
    "second": node("second", "asked", ["look"], "assistant", "a"),
    "look": node("look", "second", ["seen"], "assistant", "print(1)"),
    "seen": node("seen", "look", [], "tool", "1"),
}
TREE["look"]["message"]["recipient"] = "python"


@pytest.mark.parametrize("is_text", [False, True])
def test_chatgpts_export_is_a_conversation_and_its_last_branch_is_read(is_text: bool) -> None:
    mapping, rows = made({"title": "t", "mapping": json.dumps(TREE) if is_text else TREE, "current_node": "seen"})
    assert mapping.kind == "conversation"
    assert [(m["role"], m["content"]) for m in rows[0]["messages"]] == [
        ("user", "q"), ("assistant", "a"), ("assistant", ""), ("tool", "1"),
    ]  # fmt: skip
    assert turns_of(rows[0])[2]["tool_calls"][0]["function"] == {"name": "python", "arguments": "print(1)"}


def test_nodes_of_other_rows_are_no_nodes_of_this_one() -> None:
    other = {"u": node("u", None, ["v"], "user", "other"), "v": node("v", "u", [], "assistant", "answer")}
    _, rows = made({"mapping": TREE}, {"mapping": other})
    assert [m["content"] for m in rows[1]["messages"]] == ["other", "answer"]


def test_a_tree_that_leads_back_into_itself_ends() -> None:
    looped = {"a": node("a", "b", ["b"], "user", "q"), "b": node("b", "a", ["a"], "assistant", "a")}
    _, rows = made({"mapping": json.dumps(looped)})
    assert [m["content"] for m in rows[0]["messages"]] == ["q", "a"]
