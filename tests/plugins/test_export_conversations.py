"""Exporters of training formats: what they write, and what they leave out and say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import check_dataset_exporter
from fmstudio.core.canonical import apply
from fmstudio.core.schemas import Mapping
from fmstudio.plugin_manager import Contribution
from tests.plugins.export_kit import MESSAGES, chats, everything, export, exporters, lines, pairs, turns

KTO = {"prompt": ["q", "q"], "completion": ["good", "bad"], "label": [True, False]}
SAMPLES = {
    "dpo": pa.RecordBatch.from_pydict({"prompt": ["q"], "chosen": ["good"], "rejected": ["bad"]}),
    "kto": pa.RecordBatch.from_pydict(KTO),
    **dict.fromkeys(("messages", "sft", "alpaca", "sharegpt"), chats(turns("hi", "hello"), turns("a", "b", "c"))),
}


@pytest.mark.parametrize("exporter", exporters(), ids=lambda c: c.id)
def test_every_exporter_keeps_the_contract(exporter: Contribution) -> None:
    kind = exporter.load()
    check_dataset_exporter(kind, kind.Params(), [SAMPLES.get(exporter.id, everything())])


def test_messages_are_written_as_openai_reads_them(tmp_path: Path) -> None:
    batch = chats(
        turns("hi", "hello", system="Be kind."), None, turns("only me"), tools=['[{"type": "function"}]', None, None]
    )
    path, report = export(tmp_path, "messages", batch)
    first, last = lines(path)
    assert first == {"messages": turns("hi", "hello", system="Be kind."), "tools": [{"type": "function"}]}
    assert last == {"messages": turns("only me")}
    assert report.left_out == [(1, "It has no messages.")]


def test_messages_come_from_pairs_with_a_system_message(tmp_path: Path) -> None:
    path, report = export(tmp_path, "messages", pairs(("q", "a"), ("q", None)), system="Be kind.")
    assert lines(path) == [{"messages": turns("q", "a", system="Be kind.")}]
    assert report.left_out == [(1, "It has no completion.")]


def test_unanswered_conversations_are_left_out_when_asked(tmp_path: Path) -> None:
    path, report = export(tmp_path, "messages", chats(turns("a"), turns("a", "b")), only_answered=True)
    assert lines(path) == [{"messages": turns("a", "b")}]
    assert report.left_out == [(0, "Its last message is not the assistant's.")]


def test_alpaca_holds_one_exchange_and_counts_the_others(tmp_path: Path) -> None:
    batch = chats(turns("q", "a"), turns("q", "a", system="s"), turns("q", "a", "q2", "a2"), turns("q"))
    path, report = export(tmp_path, "alpaca", batch)
    assert json.loads(path.read_text("utf-8")) == [
        {"instruction": "q", "input": "", "output": "a"},
        {"instruction": "q", "input": "", "output": "a", "system": "s"},
    ]
    assert [row for row, _ in report.left_out] == [2, 3]
    assert len({reason for _, reason in report.left_out}) == 1


def test_alpaca_keeps_earlier_turns_as_history_when_asked(tmp_path: Path) -> None:
    path, report = export(tmp_path, "alpaca", chats(turns("q", "a", "q2", "a2"), turns("q", "a", "q2")), history=True)
    rows = json.loads(path.read_text("utf-8"))
    assert rows == [{"instruction": "q2", "input": "", "output": "a2", "history": [["q", "a"]]}]
    assert [row for row, _ in report.left_out] == [1]


def test_sharegpt_names_the_speakers_its_way(tmp_path: Path) -> None:
    tool = [*turns("q", "a", system="s"), {"role": "tool", "content": "42"}]
    path, _ = export(tmp_path, "sharegpt", chats(tool))
    found = json.loads(path.read_text("utf-8"))[0]["conversations"]
    assert [turn["from"] for turn in found] == ["system", "human", "gpt", "observation"]
    apart, _ = export(tmp_path, "sharegpt", chats(tool), name="apart.json", system_as="field")
    row = json.loads(apart.read_text("utf-8"))[0]
    assert (row["system"], row["conversations"][0]["from"]) == ("s", "human")


def test_prompt_and_completion_stay_texts_and_conversations_stay_messages(tmp_path: Path) -> None:
    path, _ = export(tmp_path, "sft", pairs(("q", "a")))
    assert lines(path) == [{"prompt": "q", "completion": "a"}]
    dialog = turns("q", "a", "q2", "a2", system="s")
    path, report = export(tmp_path, "sft", chats(dialog, turns("q"), turns("q", "a")), name="chat.jsonl")
    assert lines(path)[0] == {"prompt": dialog[:-1], "completion": dialog[-1:]}
    assert [row for row, _ in report.left_out] == [1]
    path, report = export(tmp_path, "sft", chats(dialog, turns("q", "a")), name="text.jsonl", style="text")
    assert lines(path) == [{"prompt": "q", "completion": "a"}]
    assert [row for row, _ in report.left_out] == [0]


def test_what_a_format_has_no_place_for_is_said(tmp_path: Path) -> None:
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("name", pa.string())]))
    messages = [[{"role": "user", "content": "q", "name": "Ann"}, {"role": "assistant", "content": "a", "name": None}]]
    batch = pa.RecordBatch.from_pydict({"messages": pa.array(messages, kind), "score": [1]})
    _, report = export(tmp_path, "alpaca", batch)
    assert any("score" in note for note in report.notes)
    assert any("name" in note for note in report.notes)


CALL = {"id": "c1", "type": "function", "function": {"name": "w", "arguments": '{"city":"Bonn"}'}}
TOOLS = [
    {"role": "user", "content": "weather?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "12C", "tool_call_id": "c1"},
    {"role": "assistant", "content": "12C", "weight": 0},
]
PICTURE = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
SHOWN = [{"role": "user", "content": [{"type": "text", "text": "what?"}, PICTURE]}, turns("", "a cat")[1]]


def imported(*conversations: list[dict[str, Any]]) -> pa.RecordBatch:
    """Conversations as an import stores them."""
    raw = [json.dumps(one, ensure_ascii=False) for one in conversations]
    mapping = Mapping("conversation", {"messages": "messages"})
    return apply(
        pa.RecordBatch.from_pydict({"messages": raw, "tools": ['[{"type": "function"}]'] * len(raw)}), mapping
    ).batch


def test_tool_calls_pictures_and_further_fields_come_back_as_they_were(tmp_path: Path) -> None:
    batch = imported(TOOLS, SHOWN, turns("q", "a"))
    path, report = export(tmp_path, "messages", batch)
    assert [row["messages"] for row in lines(path)] == [TOOLS, SHOWN, turns("q", "a")]
    assert not report.notes and not report.left_out
    again, _ = export(tmp_path, "messages", imported(*(row["messages"] for row in lines(path))), name="again.jsonl")
    assert again.read_bytes() == path.read_bytes()
    path, _ = export(tmp_path, "sft", batch, name="sft.jsonl")
    row = {"prompt": TOOLS[:-1], "completion": TOOLS[-1:], "tools": [{"type": "function"}]}
    assert lines(path)[0] == row


def test_an_edited_text_wins_over_the_imported_turn(tmp_path: Path) -> None:
    batch = imported(TOOLS, SHOWN, TOOLS)
    tools, shown, shorter = batch.column("messages").to_pylist()
    tools[3]["content"] = "Twelve degrees"
    shown[0]["content"] = "Which animal?"
    shorter = [{"role": "system", "content": "Be brief."}, shorter[0], {"role": "assistant", "content": "No idea"}]
    edited = batch.set_column(0, "messages", pa.array([tools, shown, shorter], MESSAGES))
    path, _ = export(tmp_path, "messages", edited)
    first, second, third = (row["messages"] for row in lines(path))
    assert first == [*TOOLS[:3], {"role": "assistant", "content": "Twelve degrees", "weight": 0}]
    assert second[0]["content"] == [{"type": "text", "text": "Which animal?"}, PICTURE]
    assert third == shorter


@pytest.mark.parametrize(("exporter", "style"), [("sharegpt", {}), ("alpaca", {}), ("sft", {"style": "text"})])
def test_formats_of_texts_leave_out_what_calls_tools_or_shows_pictures(
    tmp_path: Path, exporter: str, style: dict[str, str]
) -> None:
    call = [TOOLS[0], {"role": "assistant", "content": "I look.", "tool_calls": [CALL]}]
    path, report = export(tmp_path, exporter, imported(call, SHOWN, turns("q", "a")), **style)
    assert [row for row, _ in report.left_out] == [0, 1]
    assert "calls tools or shows pictures" in report.left_out[0][1] and '"q"' in path.read_text("utf-8")


def preference(**columns: Any) -> pa.RecordBatch:
    arrays = {n: pa.array(v, MESSAGES) if isinstance(v[0], list) else pa.array(v) for n, v in columns.items()}
    return pa.RecordBatch.from_pydict(arrays)


def test_dpo_writes_pairs_and_leaves_out_what_is_none(tmp_path: Path) -> None:
    batch = preference(prompt=["q", "q", "q", None], chosen=["a", "a", None, "a"], rejected=["b", "a", "b", "b"])
    path, report = export(tmp_path, "dpo", batch)
    assert lines(path) == [{"prompt": "q", "chosen": "a", "rejected": "b"}]
    assert [reason for _, reason in report.left_out] == [
        "Both answers are the same.",
        "It has no chosen answer.",
        "It has no prompt.",
    ]


def test_dpo_moves_the_shared_beginning_into_the_prompt_as_trl_does(tmp_path: Path) -> None:
    good, bad = turns("q", "a", "q2", "good"), turns("q", "a", "q2", "bad")
    expected = {"prompt": turns("q", "a", "q2"), "chosen": good[-1:], "rejected": bad[-1:]}
    path, _ = export(tmp_path, "dpo", preference(chosen=[good], rejected=[bad]))
    assert lines(path) == [expected]
    from trl import extract_prompt

    assert extract_prompt({"chosen": good, "rejected": bad}) == expected
    # UltraFeedback's form: the prompt stands beside answers that hold it, too.
    short = preference(prompt=["q"], chosen=[turns("q", "good")], rejected=[turns("q", "bad")])
    path, _ = export(tmp_path, "dpo", short, name="ultra.jsonl")
    assert lines(path)[0]["prompt"] == turns("q")


def test_dpo_mixes_a_text_prompt_with_answers_in_messages(tmp_path: Path) -> None:
    answers = ([{"role": "assistant", "content": text}] for text in ("good", "bad"))
    chosen, rejected = answers
    path, _ = export(tmp_path, "dpo", preference(prompt=["q"], chosen=[chosen], rejected=[rejected]))
    assert lines(path) == [{"prompt": turns("q"), "chosen": chosen, "rejected": rejected}]


def test_kto_splits_pairs_as_trl_does(tmp_path: Path) -> None:
    batch = preference(prompt=["q", "p"], chosen=["a", "c"], rejected=["b", "d"])
    path, report = export(tmp_path, "kto", batch)
    assert any(note.endswith("2 give 4.") for note in report.notes)
    from datasets import Dataset
    from trl import unpair_preference_dataset

    theirs = unpair_preference_dataset(Dataset.from_list(batch.to_pylist())).to_list()
    order = lambda rows: sorted(rows, key=lambda r: (r["prompt"], r["completion"]))  # noqa: E731
    assert order(lines(path)) == order(theirs)


def test_kto_takes_ratings_of_rows(tmp_path: Path) -> None:
    batch = chats(
        turns("q", "a"), turns("q", "b"), turns("q", "c"), turns("q"), rating=pa.array([1, -1, None, 1], pa.int8())
    )
    path, report = export(tmp_path, "kto", batch)
    assert [row["label"] for row in lines(path)] == [True, False]
    assert report.left_out == [(2, "It is not rated."), (3, "It has no prompt with an answer after it.")]
    rated = pa.RecordBatch.from_pydict({"prompt": ["q"], "completion": ["a"], "rating": pa.array([-1], pa.int8())})
    path, _ = export(tmp_path, "kto", rated, name="texts.jsonl")
    assert lines(path) == [{"prompt": "q", "completion": "a", "label": False}]


@pytest.mark.parametrize(
    ("exporter", "missing"),
    [("messages", "messages"), ("alpaca", "completion"), ("dpo", "chosen"), ("kto", "label"), ("sft", "prompt")],
)
def test_a_table_that_does_not_fit_is_told_what_would_help(tmp_path: Path, exporter: str, missing: str) -> None:
    with pytest.raises(UserError, match=missing) as caught:
        export(tmp_path, exporter, pa.RecordBatch.from_pydict({"article": ["x"], "n": [1]}))
    assert caught.value.remedy
    assert not list(tmp_path.glob("out*"))
