"""Values that say how good an answer is: thumbs, ratings, scores, ranks and winners."""

from __future__ import annotations

from typing import Any

GOOD = (
    "true",
    "yes",
    "y",
    "good",
    "up",
    "thumbs_up",
    "thumbs up",
    "thumbup",
    "like",
    "liked",
    "positive",
    "accepted",
    "👍",
    "+1",
)
"""Words that call an answer good, in lower case; `BAD` those that call it bad."""
BAD = ("false", "no", "n", "bad", "down", "thumbs_down", "thumbs down", "thumbdown", "dislike", "disliked", "negative",
       "rejected", "👎", "-1")  # fmt: skip
_TEXT_KEYS = (
    "response",
    "text",
    "content",
    "answer",
    "completion",
    "output",
    "generation",
    "summary",
    "value",
    "message",
)
_SCORE_KEYS = ("score", "overall_score", "rating", "reward", "overall", "quality", "points", "votes")
_RANK_KEYS = ("rank", "ranking", "place")
_TIES = ("tie", "both", "neither", "tie (bothbad)", "same", "none", "equal", "draw")


def is_verdict(value: Any) -> bool:
    """Whether a cell can be read as good or bad: yes or no, a number, or one of the usual words."""
    if isinstance(value, (bool, int, float)):
        return True
    return isinstance(value, str) and (value.strip().lower() in (*GOOD, *BAD) or number_of(value) is not None)


def verdict(value: Any, good_from: float) -> bool | None:
    """Read a cell as good (True), bad (False) or nothing (None).

    Args:
        value: The cell.
        good_from: The lowest number that counts as good.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and (word := value.strip().lower()) in (*GOOD, *BAD):
        return word in GOOD
    number = number_of(value)
    return None if number is None else number >= good_from


def usual_threshold(numbers: list[float]) -> float:
    """Give the lowest number that counts as good, by the scale in use: thumbs (0, 1 or -1, 1), stars (1 to 5), 1 to 10."""
    high, low = max(numbers, default=1.0), min(numbers, default=0.0)
    if high <= 1:
        return 1.0 if all(number == int(number) for number in numbers) else (low + high) / 2
    return 4.0 if high <= 5 else 7.0 if high <= 10 else high * 0.7


def number_of(value: Any) -> float | None:
    """Read a number, also one written as text; None when it is none or no finite one."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) else None
    except ValueError:
        return None
    return number if number is not None and number - number == 0 else None


def text_of(answer: Any) -> str:
    """Give the text of one answer in a list: the text itself, or the usual field of an object."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, dict):
        return next((answer[key] for key in _TEXT_KEYS if isinstance(answer.get(key), str)), "")
    return ""


def score_of(answer: Any) -> float | None:
    """Give how good an answer in a list is by its own fields, high is good; ranks count down."""
    if not isinstance(answer, dict):
        return None
    score = next((number_of(answer[key]) for key in _SCORE_KEYS if number_of(answer.get(key)) is not None), None)
    if score is not None:
        return score
    rank = next((number_of(answer[key]) for key in _RANK_KEYS if number_of(answer.get(key)) is not None), None)
    return None if rank is None else -rank


def winner_of(value: Any, rule: str) -> str:
    """Say which of two answers won: ``"a"``, ``"b"``, ``"tie"`` or ``""`` (not readable).

    Args:
        value: A letter, a name that ends in one or in a number (``model_a``, ``response_1``), or a number.
        rule: What a number means, see `fmstudio.core.schemas.OPTIONS`.
    """
    if isinstance(value, bool):
        value = int(value)
    word = str(value).strip().lower()
    if word in _TIES:
        return "tie"
    if word in ("first", "left") or word.endswith(("_a", " a")) or word == "a":
        return "a"
    if word in ("second", "right") or word.endswith(("_b", " b")) or word == "b":
        return "b"
    number = number_of(word.rsplit("_", 1)[-1])
    by_rule = {"0=a": {0: "a", 1: "b"}, "1=a": {1: "a", 2: "b"}, "flag": {1: "a", 0: "b"}}[rule]
    return "" if number is None else by_rule.get(int(number), "tie" if number == 0 else "")
