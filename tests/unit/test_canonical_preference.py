"""Preferences and verdicts of any form become prompt, chosen, rejected, or prompt, completion, label."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmstudio.core.canonical import Mapped, apply
from fmstudio.core.schemas import Mapping
from fmstudio.core.verdicts import usual_threshold, verdict, winner_of

PAIR = Mapping("preference", {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"})
IMPLICIT = Mapping("preference", {"chosen": "chosen", "rejected": "rejected"})


def mapped(mapping: Mapping, *rows: dict[str, Any]) -> Mapped:
    return apply(pa.RecordBatch.from_pylist(list(rows)), mapping)


def chat(*turns: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]


def test_texts_with_a_prompt_stay_as_they_are() -> None:
    row = {"prompt": "q", "chosen": "same start a", "rejected": "same start b", "id": 7}
    assert mapped(PAIR, row).batch.to_pylist() == [row]


def test_what_both_texts_begin_with_becomes_the_prompt_and_no_word_is_torn() -> None:
    row = {"chosen": "The sky is blue.", "rejected": "The sky is black."}
    assert mapped(IMPLICIT, row).batch.to_pylist() == [
        {"prompt": "The sky is ", "chosen": "blue.", "rejected": "black."}
    ]


def test_what_both_conversations_begin_with_becomes_the_prompt() -> None:
    row = {"chosen": chat("q", "a", "more", "good"), "rejected": chat("q", "a", "more", "bad")}
    made = mapped(IMPLICIT, row).batch.to_pylist()[0]
    assert made["prompt"] == chat("q", "a", "more")
    assert [made[name][0]["content"] for name in ("chosen", "rejected")] == ["good", "bad"]


def test_a_prompt_that_the_conversations_repeat_is_not_doubled() -> None:
    row = {"prompt": "q", "chosen": chat("q", "good"), "rejected": chat("q", "bad")}
    assert mapped(PAIR, row).batch.to_pylist()[0]["prompt"] == chat("q")
    row = {"prompt": "q", "chosen": chat("", "good")[1:], "rejected": chat("", "bad")[1:]}
    assert mapped(PAIR, row).batch.to_pylist()[0]["prompt"] == chat("q")


def test_transcripts_of_humans_and_assistants_are_read() -> None:
    start = "\n\nHuman: Hello there\n\nAssistant: Hi.\n\nHuman: How?\n\nAssistant: "
    made = mapped(IMPLICIT, {"chosen": start + "Well.", "rejected": start + "Go away."}).batch.to_pylist()[0]
    assert made["prompt"] == chat("Hello there", "Hi.", "How?")
    assert made["chosen"] == [{"role": "assistant", "content": "Well."}]


def test_pairs_without_a_difference_or_an_answer_are_rejected() -> None:
    rows = [
        {"prompt": "q", "chosen": "a", "rejected": "a"},
        {"prompt": "q", "chosen": None, "rejected": "a"},
        {"prompt": "q", "chosen": "x", "rejected": "y"},
    ]
    result = mapped(PAIR, *rows)
    assert result.batch.num_rows == 1 and "the same" in result.rejects[0] and "no chosen" in result.rejects[1]


RANKED = {"prompt": "q", "answers": ["mid", "best", "worst"], "scores": [2, 3, 1], "id": 5}


@pytest.mark.parametrize(
    ("rule", "pairs"),
    [
        ("best_worst", [("best", "worst")]),
        ("adjacent", [("best", "mid"), ("mid", "worst")]),
        ("all", [("best", "mid"), ("best", "worst"), ("mid", "worst")]),
    ],
)
def test_ranked_answers_give_pairs_by_the_rule(rule: str, pairs: list[tuple[str, str]]) -> None:
    columns = {"prompt": "prompt", "answers": "answers", "scores": "scores"}
    rows = mapped(Mapping("preference", columns, options={"pairs": rule}), RANKED).batch.to_pylist()
    assert [(row["chosen"], row["rejected"]) for row in rows] == pairs
    assert all(row["id"] == 5 and row["answers"] == RANKED["answers"] for row in rows)


def test_ranks_count_down_and_scores_inside_answers_are_found() -> None:
    ranks = Mapping("preference", {"answers": "answers", "ranks": "ranks"})
    rows = mapped(ranks, {"answers": ["b", "a"], "ranks": [2, 1]}).batch.to_pylist()
    assert (rows[0]["chosen"], rows[0]["rejected"]) == ("a", "b")
    inside = Mapping("preference", {"answers": "c"})
    cell = json.dumps(
        [{"response": "x", "rating": "4"}, {"response": "y", "rating": 2}, {"response": "z", "rating": "N/A"}]
    )
    assert mapped(inside, {"c": cell}).batch.to_pylist()[0]["chosen"] == "x"


def test_ranked_rows_that_say_nothing_are_rejected() -> None:
    columns = {"answers": "answers", "scores": "scores"}
    rows = [
        {"answers": ["a", "b"], "scores": [1, 1]},
        {"answers": ["a", "b"], "scores": [1]},
        {"answers": ["a"], "scores": [1]},
        {"answers": ["a", "b"], "scores": [1, 2]},
    ]
    result = mapped(Mapping("preference", columns), *rows)
    assert set(result.rejects) == {0, 1, 2} and result.batch.num_rows == 1
    assert "equally good" in result.rejects[0] and "2 answers" in result.rejects[1]


def test_two_answers_and_a_winner() -> None:
    columns = {"answer_a": "a", "answer_b": "b", "winner": "w"}
    rows = [{"a": "x", "b": "y", "w": w} for w in ("model_b", "tie", "a", "?")]
    result = mapped(Mapping("preference", columns), *rows)
    assert [(r["chosen"], r["rejected"]) for r in result.batch.to_pylist()] == [("y", "x"), ("x", "y")]
    assert "Neither" in result.rejects[1] and "which answer won" in result.rejects[3]


@pytest.mark.parametrize(
    ("value", "rule", "who"),
    [(0, "0=a", "a"), (1, "0=a", "b"), (1, "1=a", "a"), (2, "1=a", "b"), (1, "flag", "a"), (True, "flag", "a"),
     ("response_1", "0=a", "b"), ("first", "0=a", "a"), ("Tie", "0=a", "tie"), (0, "1=a", "tie"), (7, "1=a", "")],
)  # fmt: skip
def test_winners(value: Any, rule: str, who: str) -> None:
    assert winner_of(value, rule) == who


def test_verdicts_become_a_label_and_ratings_stay_beside_it() -> None:
    columns = {"prompt": "p", "completion": "c", "label": "stars"}
    rows = [{"p": "q", "c": "a", "stars": s} for s in (5, 4, 2, None)]
    result = mapped(Mapping("unpaired_preference", columns, options={"good_from": "4"}), *rows)
    assert [(r["label"], r["stars"]) for r in result.batch.to_pylist()] == [(True, 5), (True, 4), (False, 2)]
    assert result.rejects == {3: "There is no verdict."}


def test_a_label_that_is_no_boolean_is_kept_under_another_name() -> None:
    columns = {"prompt": "prompt", "completion": "completion", "label": "label"}
    rows = mapped(Mapping("unpaired_preference", columns), {"prompt": "q", "completion": "a", "label": "👍"})
    assert rows.batch.to_pylist() == [{"prompt": "q", "completion": "a", "label": True, "label_original": "👍"}]
    rows = mapped(Mapping("unpaired_preference", columns), {"prompt": "q", "completion": "a", "label": False})
    assert rows.batch.to_pylist() == [{"prompt": "q", "completion": "a", "label": False}]


@pytest.mark.parametrize(
    ("value", "good_from", "is_good"),
    [
        ("down", 1, False),
        ("Yes", 1, True),
        (0, 1, False),
        ("1", 1, True),
        (3.5, 4, False),
        ("?", 1, None),
        (-1, 1, False),
    ],
)
def test_verdict_words_and_numbers(value: Any, good_from: float, is_good: bool | None) -> None:
    assert verdict(value, good_from) is is_good


def test_thresholds_follow_the_scale() -> None:
    scales = ([0.0, 1.0], [-1.0, 1.0], [1.0, 5.0], [1.0, 10.0], [0.2, 0.8])
    assert [usual_threshold(list(s)) for s in scales] == [1.0, 1.0, 4.0, 7.0, 0.5]


def test_a_column_whose_name_is_taken_is_not_lost() -> None:
    mapping = Mapping("prompt_completion", {"prompt": "question", "completion": "answer"})
    row = mapped(mapping, {"question": "q", "answer": "a", "prompt": "template"}).batch.to_pylist()[0]
    assert row == {"prompt": "q", "completion": "a", "prompt_original": "template"}


def test_tool_calls_are_kept_whole_beside_the_messages() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": {"city": "Paris", "days": [1, 2]}}}
    messages = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "21"},
    ]
    tools = [{"type": "function", "function": {"name": "f"}}]
    mapping = Mapping("conversation", {"messages": "messages", "tools": "tools"})
    for cell in (messages, json.dumps(messages)):
        row = mapped(mapping, {"messages": cell, "tools": tools}).batch.to_pylist()[0]
        assert [m["role"] for m in row["messages"]] == ["user", "assistant", "tool"]
        assert json.loads(row["messages_original"]) == messages and json.loads(row["tools"]) == tools


def test_pictures_keep_their_column() -> None:
    mapping = Mapping("image_caption", {"image": "img", "caption": "text"})
    rows = [{"img": {"bytes": b"\x89PNG", "path": None}, "text": "cat"}, {"img": None, "text": "dog"}]
    result = mapped(mapping, *rows)
    assert result.batch.to_pylist() == [{"image": {"bytes": b"\x89PNG", "path": None}, "caption": "cat"}]
    assert "no picture" in result.rejects[1]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_nothing_of_two_texts_is_lost(chosen: str, rejected: str) -> None:
    result = mapped(IMPLICIT, {"chosen": chosen, "rejected": rejected})
    if result.rejects:
        assert chosen == rejected
    else:
        row = result.batch.to_pylist()[0]
        assert (row["prompt"] + row["chosen"], row["prompt"] + row["rejected"]) == (chosen, rejected)
