"""Detecting what rows are, mapping them to canonical columns, and rejecting those that do not fit."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmstudio.api import UserError
from fmstudio.core.canonical import apply
from fmstudio.core.detection import detect, detections
from fmstudio.core.schemas import Mapping, completed, is_partial, said_in

OPENAI = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
SHAREGPT = {"id": "1", "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]}
MESSAGES = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


def detected(*rows: dict[str, Any]) -> Mapping:
    return detect(list(dict.fromkeys(name for row in rows for name in row)), rows)


def mapped(*rows: dict[str, Any], mapping: Mapping | None = None) -> list[dict[str, Any]]:
    batch = pa.RecordBatch.from_pylist(list(rows))
    return apply(batch, mapping or detected(*rows)).batch.to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("row", "kind", "columns"),
    [
        (OPENAI, "conversation", {"messages": "messages"}),
        (SHAREGPT, "conversation", {"messages": "conversations"}),
        ({"conversations": ["hi", "hello"], "category": "c"}, "conversation", {"messages": "conversations"}),
        ({"messages": json.dumps(MESSAGES)}, "conversation", {"messages": "messages"}),
        ({"prompt": "a", "completion": "b"}, "prompt_completion", {"prompt": "prompt", "completion": "completion"}),
        (
            {"instruction": "a", "input": "x", "output": "b"},
            "prompt_completion",
            {"prompt": "instruction", "completion": "output", "input": "input"},
        ),
        ({"Question": "a", "Answer": "b", "n": 1}, "prompt_completion", {"prompt": "Question", "completion": "Answer"}),
        ({"text": "long", "label": "x"}, "text", {"text": "text"}),
        ({"id": 1, "essay": "many words " * 10}, "text", {"text": "essay"}),
        ({"x": 1.0, "y": 2}, "table", {}),
        ({"tags": ["a", "b"], "n": 1}, "table", {}),
        (
            {"prompt": "a", "chosen": "b", "rejected": "c"},
            "preference",
            {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
        ),
        ({"question": [1], "answer": [2]}, "table", {}),
    ],
)
def test_detects(row: dict[str, Any], kind: str, columns: dict[str, str]) -> None:
    mapping = detected(row)
    assert (mapping.kind, mapping.columns) == (kind, columns)


def test_sharegpt_names_are_mapped_visibly() -> None:
    assert detected(SHAREGPT).roles == {"human": "user", "gpt": "assistant"}
    assert mapped(SHAREGPT) == [{"messages": MESSAGES, "id": "1"}]


def test_alternating_strings_become_messages() -> None:
    rows = mapped({"conversations": ["a", "b", "c"], "k": 1}, {"conversations": ["d"], "k": 2})
    assert [[(m["role"], m["content"]) for m in row["messages"]] for row in rows] == [
        [("user", "a"), ("assistant", "b"), ("user", "c")],
        [("user", "d")],
    ]
    assert [row["k"] for row in rows] == [1, 2]


def test_messages_written_as_json_text() -> None:
    assert mapped({"messages": json.dumps(MESSAGES)}) == [{"messages": MESSAGES}]


def test_a_system_column_becomes_the_first_message() -> None:
    row = mapped({"system": "be kind", **SHAREGPT})[0]
    assert row["messages"] == [{"role": "system", "content": "be kind"}, *MESSAGES]


def test_alpaca_input_is_joined_only_where_there_is_one() -> None:
    rows = mapped(
        {"instruction": "add", "input": "1 2", "output": "3"}, {"instruction": "hi", "input": "", "output": "x"}
    )
    assert rows == [{"prompt": "add\n\n1 2", "completion": "3"}, {"prompt": "hi", "completion": "x"}]


def test_what_the_canonical_form_cannot_say_is_kept_beside_it() -> None:
    tool = {
        "messages": [
            {"role": "user", "content": "hi", "weight": 1},
            {"role": "assistant", "content": None, "weight": 0},
        ]
    }
    row = mapped(tool)[0]
    assert row["messages"] == [{"role": "user", "content": "hi"}, {"role": "assistant", "content": ""}]
    assert json.loads(row["messages_original"]) == [
        {"role": "user", "content": "hi", "weight": 1},
        {"role": "assistant", "weight": 0},
    ]


def test_bad_rows_are_rejected_with_a_reason_and_good_ones_stay() -> None:
    batch = pa.RecordBatch.from_pylist(
        [
            {"messages": '[{"role": "user", "content": "ok"}]', "n": 0},
            {"messages": "no json", "n": 1},
            {"messages": "{}", "n": 2},
            {"messages": '[{"content": "x"}]', "n": 3},
            {"messages": '[{"role": "wizard", "content": "x"}]', "n": 4},
            {"messages": None, "n": 5},
            {"messages": '{"role": "user"}', "n": 6},
        ]
    )
    result = apply(batch, Mapping("conversation", {"messages": "messages"}))
    assert result.batch.column("n").to_pylist() == [0]
    assert set(result.rejects) == {1, 2, 3, 4, 5, 6}
    assert "not valid JSON" in result.rejects[1] and "wizard" in result.rejects[4] and "an object" in result.rejects[6]


def test_half_characters_and_absurd_nesting_in_json_text_harm_nothing() -> None:
    rows = ['[{"role": "user", "content": "a\\ud800b"}]', '["x\\udfff"]', "[" * 100_000]
    assert detected(*({"messages": row} for row in rows)).kind == "conversation"
    result = apply(pa.RecordBatch.from_pydict({"messages": rows}), Mapping("conversation", {"messages": "messages"}))
    contents = [messages[0]["content"] for messages in result.batch.column("messages").to_pylist()]
    assert contents == ["a?b", "x?"] and list(result.rejects) == [2]


def test_an_unknown_role_is_rejected_and_a_mapped_one_is_not() -> None:
    rows = [{"messages": [{"role": "Narrator", "content": "x"}]}, {"messages": []}, OPENAI]
    result = apply(pa.RecordBatch.from_pylist(rows), Mapping("conversation", {"messages": "messages"}))
    assert list(result.rejects) == [0, 1] and "role.Narrator=" in result.rejects[0]
    mapping = Mapping.parse(["messages=messages", "role.Narrator=system"])
    assert apply(pa.RecordBatch.from_pylist(rows), mapping).rejects == {1: "There are no messages."}


def test_an_input_without_an_instruction_is_the_prompt() -> None:
    rows = [
        {"instruction": i, "input": x, "output": "z"} for i, x in (("", "only"), ("do", "it"), ("do", ""), ("", ""))
    ]
    assert [row["prompt"] for row in mapped(*rows)] == ["only", "do\n\nit", "do", ""]


def test_a_missing_completion_is_rejected() -> None:
    batch = pa.RecordBatch.from_pylist([{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": None}])
    result = apply(batch, Mapping("prompt_completion", {"prompt": "prompt", "completion": "completion"}))
    assert list(result.rejects) == [1] and "completion" in result.rejects[1]


def test_parse_reads_what_the_command_line_gives() -> None:
    mapping = Mapping.parse(["prompt=q", "completion=a"])
    assert mapping == Mapping("prompt_completion", {"prompt": "q", "completion": "a"})
    assert Mapping.of(mapping.to_dict()) == mapping


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["prompt"], "not a mapping"),
        (["promt=q", "completion=a"], "Did you mean “prompt”?"),
        (["prompt=q"], "lacks completion"),
        (["prompt=q", "text=t"], "mixes"),
        (["kind=chat"], "no kind of data “chat”"),
        (["messages=m", "role.bot=robot"], "no role “robot”"),
    ],
)
def test_parse_explains_what_is_wrong(pairs: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        Mapping.parse(pairs)
    assert message in str(error.value)


def test_kind_roles_and_rules_alone_correct_what_is_detected() -> None:
    said = said_in(["role.Bing=assistant"])
    turns = [{"from": who, "value": who} for who in ("ghost", "bing", "gpt")]
    found = [one.mapping for one in detections(["conversations"], [{"conversations": turns}], said["roles"])]
    mapping = completed(said, found)
    assert is_partial(said) and mapping.columns == {"messages": "conversations"}
    assert mapping.roles["bing"] == "assistant" and mapping.roles["ghost"] == "user"
    assert ["ghost" in note for note in mapping.notes] == [True]  # what was said is no guess to be noted
    ranked = detections(["q", "answers", "scores"], [{"q": "x", "answers": ["a", "b"], "scores": [1, 2]}])
    mapping = completed(said_in(["rule.pairs=all"]), [one.mapping for one in ranked])
    assert (mapping.kind, mapping.options, mapping.notes) == ("preference", {"pairs": "all"}, ())
    assert completed(said_in(["kind=conversation"]), found).kind == "conversation"
    for wrong in (["kind=text"], ["rule.pairs=all"], ["kind=preference", "role.bing=user"]):
        with pytest.raises(UserError, match="can be read as conversation"):
            completed(said_in(wrong), found)
    assert not is_partial(said_in(["kind=table"])) and not is_partial(said_in(["text=t"]))


def test_check_names_the_nearest_column() -> None:
    with pytest.raises(UserError, match="Did you mean “question”"):
        Mapping.parse(["prompt=questoin", "completion=a"]).check(["question", "a"])


TURN = st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt", "system"]), "value": st.text(max_size=8)})


@settings(max_examples=60)
@given(st.lists(st.lists(TURN, max_size=4), min_size=1, max_size=6))
def test_fast_and_slow_paths_agree(conversations: list[list[dict[str, str]]]) -> None:
    mapping = Mapping("conversation", {"messages": "c"})
    kind = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
    fast = apply(pa.RecordBatch.from_arrays([pa.array(conversations, kind)], names=["c"]), mapping)
    slow = apply(pa.RecordBatch.from_pydict({"c": [json.dumps(c) for c in conversations]}), mapping)
    assert fast.batch.to_pylist() == slow.batch.to_pylist()
    assert fast.rejects == slow.rejects
    assert fast.batch.num_rows + len(fast.rejects) == len(conversations)
