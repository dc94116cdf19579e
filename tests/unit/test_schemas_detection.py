"""Every kind of data is recognised by what is in it, with evidence, and other readings are offered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fmstudio.core.detection import Detection, detections
from fmstudio.core.schemas import Mapping, missing_targets, used_options

ANSWERS = [{"response": "a", "overall_score": 1}, {"response": "b", "overall_score": 3}]


def readings(*rows: dict[str, Any]) -> list[Detection]:
    return detections(list(dict.fromkeys(name for row in rows for name in row)), rows)


def chat(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


@pytest.mark.parametrize(
    ("row", "kind", "columns"),
    [
        ({"chosen": "a b", "rejected": "a c"}, "preference", {"chosen": "chosen", "rejected": "rejected"}),
        (
            {"chosen": chat(("user", "q"), ("assistant", "x")), "rejected": chat(("user", "q"), ("assistant", "y"))},
            "preference",
            {"chosen": "chosen", "rejected": "rejected"},
        ),
        (
            {"prompt": "q", "answers": ["a", "b"], "scores": [1, 2]},
            "preference",
            {"prompt": "prompt", "answers": "answers", "scores": "scores"},
        ),
        (
            {"prompt": "q", "responses": ["a", "b"], "rank": [2, 1]},
            "preference",
            {"prompt": "prompt", "answers": "responses", "ranks": "rank"},
        ),
        (
            {"instruction": "q", "completions": ANSWERS},
            "preference",
            {"prompt": "instruction", "answers": "completions"},
        ),
        (
            {"question": "q", "response_a": "x", "response_b": "y", "winner": "model_a"},
            "preference",
            {"prompt": "question", "answer_a": "response_a", "answer_b": "response_b", "winner": "winner"},
        ),
        (
            {"prompt": "q", "completion": "a", "label": True},
            "unpaired_preference",
            {"prompt": "prompt", "completion": "completion", "label": "label"},
        ),
        (
            {"question": "q", "answer": "a", "thumbs": "up"},
            "unpaired_preference",
            {"prompt": "question", "completion": "answer", "label": "thumbs"},
        ),
        ({"image": "a/b.JPG", "caption": "A cat"}, "image_caption", {"image": "image", "caption": "caption"}),
        (
            {"system_prompt": "s", "question": "q", "response": "a"},
            "conversation",
            {"system": "system_prompt", "prompt": "question", "completion": "response"},
        ),
        (
            {"prompt": chat(("user", "q")), "completion": chat(("assistant", "a"))},
            "conversation",
            {"prompt": "prompt", "completion": "completion"},
        ),
        (
            {"messages": chat(("user", "q"), ("assistant", "a")), "tools": [{"type": "function"}]},
            "conversation",
            {"messages": "messages", "tools": "tools"},
        ),
    ],
)
def test_kinds(row: dict[str, Any], kind: str, columns: dict[str, str]) -> None:
    best = readings(row, row)[0]
    assert (best.mapping.kind, best.mapping.columns) == (kind, columns)
    assert best.evidence and all(best.evidence)
    json.dumps(best.to_dict())


def test_stars_are_only_a_guess_and_come_after_the_table() -> None:
    found = readings(*({"prompt": "q", "completion": "a", "rating": stars} for stars in (1, 3, 5)))
    assert [one.mapping.kind for one in found] == ["prompt_completion", "table", "unpaired_preference"]
    assert found[2].certainty == "guess" and found[2].mapping.options == {"good_from": "4"}


def test_classes_named_label_do_not_hide_questions_and_answers() -> None:
    found = readings({"question": "q", "answer": "a", "label": 0}, {"question": "q", "answer": "a", "label": 1})
    assert found[0].mapping.kind == "prompt_completion"
    assert "unpaired_preference" in [one.mapping.kind for one in found]


def test_two_unknown_speakers_are_told_apart_by_who_begins() -> None:
    rows = [{"conversations": [{"from": "patient", "value": "x"}, {"from": "doctor", "value": "y"}]}] * 3
    mapping = readings(*rows)[0].mapping
    assert mapping.roles == {"patient": "user", "doctor": "assistant"}
    assert sum("a guess" in note for note in mapping.notes) == 2


def test_three_unknown_speakers_stay_unknown() -> None:
    rows = [{"messages": chat(("a", "1"), ("b", "2"), ("c", "3"))}]
    mapping = readings(*rows)[0].mapping
    assert mapping.roles == {} and sum("not known" in note for note in mapping.notes) == 3


def test_tool_calls_and_pictures_are_noticed() -> None:
    calls = [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    notes = readings({"messages": calls}, {"messages": image})[0].mapping.notes
    assert any("1 of 2 sampled conversations call tools" in note for note in notes)
    assert any("hold pictures" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "winners", "rule"),
    [("response_a", [0, 1], "0=a"), ("response_a", [1, 2], "1=a"), ("human_ref_a", [0, 1], "flag")],
)
def test_numbers_of_winners_get_a_rule(name: str, winners: list[int], rule: str) -> None:
    other = name[:-1] + "b"
    best = readings(*({"prompt": "q", name: "x", other: "y", "labels": w} for w in winners))[0]
    assert best.mapping.kind == "preference" and best.mapping.options == {"winner": rule}


def test_a_table_is_always_offered_once() -> None:
    for row in ({"a": 1}, {"text": "x"}, {"prompt": "a", "chosen": "b", "rejected": "c"}):
        assert [one.mapping.kind for one in readings(row)].count("table") == 1
    assert [one.mapping.kind for one in detections([], [])] == ["table"]


def test_targets_that_are_missing_and_rules_that_matter() -> None:
    assert missing_targets("preference", {"chosen": "c"}) == ["rejected"]
    assert missing_targets("conversation", {"prompt": "p", "completion": "c"}) == []
    assert used_options("preference", {"answers": "a"}) == ["pairs"]
    assert used_options("preference", {"chosen": "a", "rejected": "b"}) == []
    mapping = Mapping.parse(["answers=a", "scores=s", "rule.pairs=all"])
    assert (mapping.kind, mapping.options) == ("preference", {"pairs": "all"})
    assert Mapping.of(mapping.to_dict()) == mapping


def test_the_length_of_a_text_is_said_with_separators_and_the_right_number() -> None:
    said = [" ".join(detections(["text"], [{"text": "x" * size}])[0].evidence) for size in (1, 11_744)]
    assert said[0].endswith("about 1 character a row.") and said[1].endswith("about 11,744 characters a row.")
