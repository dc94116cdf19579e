"""Files as training tools, providers and annotation tools write them: detected, and made canonical without losing anything."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from fmstudio.api import UserError
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


def test_two_single_answers_beside_the_conversation_they_go_on() -> None:
    row = {"conversations": [HUMAN], "chosen": GPT, "rejected": {"from": "gpt", "value": "worse"}}
    mapping, rows = made(row)
    assert mapping.kind == "preference"
    assert rows == [{"prompt": [ASKED], "chosen": [SAID], "rejected": [{"role": "assistant", "content": "worse"}]}]


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


def test_a_field_of_an_object_that_is_written_as_json_is_read_too() -> None:
    body = json.dumps({"messages": [ASKED, SAID]})
    mapped = apply(
        pa.RecordBatch.from_pylist([{"body": body}, {"body": "no JSON"}]),
        Mapping("conversation", {"messages": "body.messages"}),
    )
    assert mapped.batch.to_pylist() == [{"messages": [ASKED, SAID], "body": body}]
    assert mapped.rejects == {1: "There are no messages."}


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
