"""Preferences of any known shape → ``prompt``, ``chosen``, ``rejected``; single verdicts → ``prompt``, ``completion``, ``label``.

The forms are TRL's ("Preference" and "Unpaired preference"): answers are texts or lists of messages, the same in all rows of
a batch. Where a prompt is part of both answers it is taken out of them, as TRL's ``extract_prompt`` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fmstudio.core.canonical_messages import Messages, json_text, messages_type, read_messages, side, storable
from fmstudio.core.sampling import is_message, opened, shape_of
from fmstudio.core.schemas import Mapping
from fmstudio.core.verdicts import number_of, score_of, text_of, verdict, winner_of

if TYPE_CHECKING:
    import pyarrow as pa

_TRANSCRIPT = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
"""Turns as Anthropic's HH-RLHF writes them: a blank line, the speaker, a colon."""
DEFAULT_GOOD_FROM = 1.0
_SAME = "Chosen and rejected are the same, so there is nothing to learn from them."
_SAME_TEXT = "The texts of chosen and rejected are the same; they differ only in what is no text, such as tool calls."


@dataclass(frozen=True, slots=True)
class _Duel:
    """Two answers to one prompt, as the file has them, and the row they come from."""

    row: int
    prompt: Any
    chosen: Any
    rejected: Any


def preference(
    batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]
) -> tuple[dict[str, pa.Array], list[int]]:
    """Make pairs; a row of ranked answers may give several.

    Returns:
        The columns ``prompt``, ``chosen`` and ``rejected``, and for each of their rows the position in the batch.
    """
    import pyarrow as pa

    duels = _duels(batch, mapping, rejects)
    more: set[str] = set()
    is_chat = any(_is_chat(one.chosen) or shape_of(one.prompt) == "messages" for one in duels[:50])
    kind = messages_type() if is_chat else pa.string()
    made: dict[str, list[Any]] = {"prompt": [], "chosen": [], "rejected": []}
    rows: list[int] = []
    for one in duels:
        try:
            pair = _as_chat(one, mapping, more) if is_chat else _as_text(one)
        except ValueError as error:
            rejects.setdefault(one.row, str(error))
            continue
        if pair[1] == pair[2]:
            rejects.setdefault(one.row, _SAME if one.chosen == one.rejected else _SAME_TEXT)
            continue
        rows.append(one.row)
        for column, value in zip(made.values(), pair, strict=True):
            column.append(value)
    kept = [place for place, row in enumerate(rows) if row not in rejects]
    columns = {name: pa.array([values[place] for place in kept], kind) for name, values in made.items()}
    places = [rows[place] for place in kept]
    originals = {
        name: column.take(pa.array(places, pa.int64())) for name, column in _kept(batch, mapping, more).items()
    }
    return columns | originals, places


def unpaired(batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]) -> dict[str, pa.Array]:
    """Make ``prompt``, ``completion`` and ``label``; the label is true for a good answer."""
    import pyarrow as pa

    cells = [_cells(batch, mapping.columns.get(target, "")) for target in ("prompt", "completion", "label")]
    if "messages" in mapping.columns:
        cells[:2] = _split(_cells(batch, mapping.columns["messages"]))
    is_chat = any(shape_of(value) == "messages" or is_message(value) for cell in cells[:2] for value in cell[:50])
    more: set[str] = set()
    good_from = float(mapping.options.get("good_from", DEFAULT_GOOD_FROM))
    made: list[list[Any]] = [[], [], []]
    for row, (prompt, completion, label) in enumerate(zip(*cells, strict=True)):
        judged = verdict(label, good_from)
        if judged is None:
            rejects.setdefault(
                row,
                f"“{label}” does not say whether the answer is good." if label is not None else "There is no verdict.",
            )
        try:
            asked = _one(prompt, "user", mapping, is_chat, more)
            pair = asked, _one(completion, "assistant", mapping, is_chat, more)
        except ValueError as error:
            rejects.setdefault(row, str(error))
            pair = None, None
        for column, value in zip(made, (*pair, judged), strict=True):
            column.append(value)
    kind = messages_type() if is_chat else pa.string()
    return {
        "prompt": pa.array(made[0], kind),
        "completion": pa.array(made[1], kind),
        "label": pa.array(made[2], pa.bool_()),
        **_kept(batch, mapping, {"prompt", "completion", "messages"} if more else set()),
    }


def _one(value: Any, role: str, mapping: Mapping, is_chat: bool, more: set[str]) -> Any:
    if is_chat:
        messages, is_whole = side(opened(value), role, mapping.roles)
        more |= set() if is_whole else {role}
        return messages
    return _text(value, "question" if role == "user" else "answer")


def _split(conversations: list[Any]) -> list[list[Any]]:
    """Part conversations into what was asked and the answer, which is the last message."""
    values = [opened(value) for value in conversations]
    lists = [value if isinstance(value, list) else [] for value in values]
    return [[value[:-1] for value in lists], [value[-1:] for value in lists]]


def _cells(batch: pa.RecordBatch, name: str) -> list[Any]:
    if name not in batch.schema.names:
        return [None] * batch.num_rows
    return list(batch.column(name).to_pylist())


def _duels(batch: pa.RecordBatch, mapping: Mapping, rejects: dict[int, str]) -> list[_Duel]:
    prompts = _cells(batch, mapping.columns["prompt"]) if "prompt" in mapping.columns else [None] * batch.num_rows
    if "chosen" in mapping.columns:
        answers = (_cells(batch, mapping.columns[target]) for target in ("chosen", "rejected"))
        return [_Duel(row, *cells) for row, cells in enumerate(zip(prompts, *answers, strict=True))]
    if "winner" in mapping.columns:
        return _won(batch, mapping, prompts, rejects)
    return _ranked(batch, mapping, prompts, rejects)


def _won(batch: pa.RecordBatch, mapping: Mapping, prompts: list[Any], rejects: dict[int, str]) -> list[_Duel]:
    first, second, winners = (_cells(batch, mapping.columns[t]) for t in ("answer_a", "answer_b", "winner"))
    rule = mapping.options.get("winner", "0=a")
    duels = []
    for row, winner in enumerate(winners):
        who = "" if winner is None else winner_of(winner, rule)
        if who in ("a", "b"):
            pair = (first[row], second[row]) if who == "a" else (second[row], first[row])
            duels.append(_Duel(row, prompts[row], *pair))
        elif who == "tie":
            rejects.setdefault(row, f"Neither answer won (“{winner}”).")
        else:
            rejects.setdefault(
                row, f"“{winner}” does not say which answer won." if winner is not None else "There is no winner."
            )
    return duels


def _ranked(batch: pa.RecordBatch, mapping: Mapping, prompts: list[Any], rejects: dict[int, str]) -> list[_Duel]:
    answers = _cells(batch, mapping.columns["answers"])
    beside = mapping.columns.get("scores") or mapping.columns.get("ranks") or ""
    marks = _cells(batch, beside) if beside else [None] * batch.num_rows
    sign = -1.0 if "scores" not in mapping.columns and "ranks" in mapping.columns else 1.0
    rule = mapping.options.get("pairs", "best_worst")
    duels = []
    for row, (given, marked) in enumerate(zip(answers, marks, strict=True)):
        try:
            pairs = _pairs(_scored(opened(given), opened(marked), sign, is_beside=bool(beside)), rule)
        except ValueError as error:
            rejects.setdefault(row, str(error))
            continue
        duels += [_Duel(row, prompts[row], chosen, rejected) for chosen, rejected in pairs]
    return duels


def _scored(answers: Any, marks: Any, sign: float, *, is_beside: bool) -> list[tuple[float, str]]:
    """Give (goodness, text) of each answer, the best first."""
    if not isinstance(answers, list) or len(answers) < 2:
        raise ValueError("There are not two answers to compare.")
    if is_beside and (not isinstance(marks, list) or len(marks) != len(answers)):
        raise ValueError(f"There are {len(answers)} answers, but not as many scores.")
    goodness = [number_of(mark) for mark in marks] if is_beside else [score_of(answer) for answer in answers]
    found = [
        (sign * good, text_of(a)) for good, a in zip(goodness, answers, strict=True) if good is not None and text_of(a)
    ]
    if len(found) < 2:
        raise ValueError("Fewer than two answers have both a text and a score.")
    return sorted(found, key=lambda one: -one[0])


def _pairs(scored: Sequence[tuple[float, str]], rule: str) -> list[tuple[str, str]]:
    if rule == "best_worst":
        candidates = [(scored[0], scored[-1])]
    elif rule == "adjacent":
        candidates = list(pairwise(scored))
    else:
        candidates = [(one, other) for i, one in enumerate(scored) for other in scored[i + 1 :]]
    pairs = [(one[1], other[1]) for one, other in candidates if one[0] > other[0]]
    if not pairs:
        raise ValueError("All answers are equally good.")
    return pairs


def _is_chat(value: Any) -> bool:
    return shape_of(value) == "messages" or is_message(value) or (isinstance(value, str) and _is_transcript(value))


def _is_transcript(text: str) -> bool:
    return text.lstrip().startswith("Human:") and "\n\nAssistant:" in text


def _as_chat(duel: _Duel, mapping: Mapping, more: set[str]) -> tuple[Messages, Messages, Messages]:
    """Give prompt, chosen and rejected; `more` learns the names of those whose turns say more than their text."""
    chosen, rejected = _chat(duel.chosen, mapping, "chosen", more), _chat(duel.rejected, mapping, "rejected", more)
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if duel.prompt not in (None, ""):
        given, is_whole = side(opened(duel.prompt), "user", mapping.roles)
        more |= set() if is_whole else {"prompt"}
        said = [message["content"] for message in prompt]
        if any(message["content"] not in said for message in given):
            prompt = [*given, *prompt]
    if not prompt:
        raise ValueError("There is no question: the answers have no common beginning.")
    return prompt, chosen, rejected


def _chat(value: Any, mapping: Mapping, target: str, more: set[str]) -> Messages:
    if isinstance(value, str) and _is_transcript(value):
        parts = _TRANSCRIPT.split("\n\n" + value.strip())[1:]
        names = {"Human": "user", "Assistant": "assistant"}
        turns = zip(parts[::2], parts[1::2], strict=True)
        return [{"role": names[who], "content": storable(text.strip())} for who, text in turns]
    value = opened(value)
    read = read_messages(value, mapping.roles) if isinstance(value, list) else side(value, "assistant", mapping.roles)
    more |= set() if read[1] else {target}
    return read[0]


def _kept(batch: pa.RecordBatch, mapping: Mapping, targets: set[str]) -> dict[str, pa.Array]:
    """Keep the columns of these targets as JSON text, for what their messages cannot say: tool calls, pictures, names."""
    if targets & {"chosen", "rejected"} and "winner" in mapping.columns:
        targets = (targets - {"chosen", "rejected"}) | {"answer_a", "answer_b"}
    sources = [source for target, source in mapping.columns.items() if target in targets]
    return {f"{source}_original": json_text(batch.column(source)) for source in sources if source in batch.schema.names}


def _as_text(duel: _Duel) -> tuple[str, str, str]:
    chosen, rejected = _text(duel.chosen, "chosen answer"), _text(duel.rejected, "rejected answer")
    if duel.prompt is not None:
        return _text(duel.prompt, "prompt"), chosen, rejected
    shared = _shared_words(chosen, rejected)
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _shared_words(one: str, other: str) -> int:
    """Length of what both texts begin with, cut back to the start of a word so that no word is torn."""
    length = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    while length and not one[length - 1].isspace():
        length -= 1
    return length


def _text(value: Any, what: str) -> str:
    if value is None:
        raise ValueError(f"There is no {what}.")
    if isinstance(value, (list, dict)):
        return storable(json.dumps(value, ensure_ascii=False, default=str))
    return storable(value if isinstance(value, str) else str(value))
