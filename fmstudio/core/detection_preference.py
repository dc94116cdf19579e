"""Do rows say which answer is better: chosen and rejected, ranked answers, two answers and a winner, or thumbs?"""

from __future__ import annotations

from typing import Any, Literal

from fmstudio.core.sampling import CHAT_NAMES, Sample, ends_with_question, is_message, opened, shape_of
from fmstudio.core.schemas import Mapping
from fmstudio.core.verdicts import is_verdict, score_of, text_of, usual_threshold

Reading = tuple[Mapping, Literal["sure", "likely", "guess"], tuple[str, ...]]

_PROMPTS = ("prompt", "question", "instruction", "query", "input", "context", "history", "post", "user")
_REJECTED = {"chosen": ("rejected",), "chosen_response": ("rejected_response",), "preferred": ("dispreferred", "rejected"),
             "preferred_output": ("non_preferred_output",), "win": ("lose",), "better": ("worse",), "answer_chosen": ("answer_rejected",)}  # fmt: skip
_DUELS = (
    ("response_a", "response_b"), ("answer_a", "answer_b"), ("completion_a", "completion_b"), ("output_a", "output_b"),
    ("conversation_a", "conversation_b"), ("human_ref_a", "human_ref_b"), ("response_0", "response_1"),
    ("answer_0", "answer_1"), ("response_1", "response_2"), ("answer_1", "answer_2"), ("output_1", "output_2"),
)  # fmt: skip
_WINNERS = ("winner", "preference", "preferred", "better_response_id", "choice", "label", "labels", "vote", "better")
_LISTS = ("answers", "responses", "completions", "candidates", "outputs", "generations", "summaries", "choices")
_SCORES = ("scores", "ratings", "score", "rewards", "rating")
_RANKS = ("ranks", "rank", "ranking", "rankings")
_ANSWERS = ("completion", "response", "answer", "output", "assistant")
_VERDICTS = (
    "label",
    "thumbs",
    "thumb",
    "feedback",
    "vote",
    "is_good",
    "liked",
    "accepted",
    "rating",
    "kto_tag",
    "score",
)


def preference_readings(sample: Sample) -> list[Reading]:
    """Give the readings as preference pairs."""
    return [*_chosen(sample), *_duel(sample), *_ranked(sample)]


def _chosen(sample: Sample) -> list[Reading]:
    for good, bads in _REJECTED.items():
        chosen, rejected = sample.named(good), sample.named(*bads)
        if not chosen or not rejected:
            continue
        columns = {"chosen": chosen, "rejected": rejected}
        form = _form(sample, chosen)
        prompt = _asked(sample)
        if prompt:
            columns["prompt"] = prompt
        about = sample.named("input") if prompt.lower().strip() == "instruction" else ""
        if about and sample.is_text(about):
            columns["input"] = about
        said = [f"“{chosen}” and “{rejected}” hold {form} in {sample.count(chosen, rejected)} of {sample.size} rows."]
        notes = () if prompt else ("There is no prompt column: what both answers begin with becomes the prompt.",)
        is_usual = good in ("chosen", "preferred_output") and form != "values"
        certainty: Literal["sure", "likely"] = "sure" if is_usual else "likely"
        return [(Mapping("preference", columns, notes=notes), certainty, tuple(said))]
    return []


def _asked(sample: Sample) -> str:
    """Name the column of the prompt: by its name, or a conversation that the answers go on; empty when there is none."""
    if (prompt := sample.named(*_PROMPTS)) and not sample.share(prompt, lambda value: isinstance(value, dict)):
        return prompt
    for place, inside in sample.objects(1):  # OpenAI's preference files: input.messages
        if sample.named(*_PROMPTS) == place and (messages := inside.named("messages")):
            return f"{place}.{messages}"
    # ShareGPT's form of LLaMA-Factory: the answers stand beside the conversation up to them.
    chats = (sample.named(name) for name in CHAT_NAMES)
    return next((name for name in chats if name and sample.share(name, ends_with_question) > 0.5), "")


def _form(sample: Sample, name: str) -> str:
    if sample.share(name, lambda value: shape_of(value) == "messages" or is_message(value)) > 0.5:
        return "messages"
    return "texts" if sample.is_text(name) else "values"


def _duel(sample: Sample) -> list[Reading]:
    winner = sample.named(*_WINNERS)
    for one, other in _DUELS:
        first, second = sample.named(one), sample.named(other)
        if not first or not second or not winner:
            continue
        columns = {"answer_a": first, "answer_b": second, "winner": winner}
        if prompt := sample.named(*_PROMPTS):
            columns["prompt"] = prompt
        values = {str(value).lower() for value in sample.values(winner)}
        rule = _number_rule(one, values)
        said = [
            f"“{first}” and “{second}” are two answers, “{winner}” says which is better ({', '.join(sorted(values)[:4])})."
        ]
        if rule:
            said.append("Its numbers say nothing of themselves; check the rule.")
        options = {"winner": rule or "0=a"}
        return [(Mapping("preference", columns, options=options), "likely", tuple(said))]
    return []


def _number_rule(first: str, values: set[str]) -> str:
    """Guess what a winner's number means; empty when winners are words."""
    if not values or not all(value.lstrip("-").isdigit() for value in values):
        return ""
    if first == "human_ref_a":
        return "flag"  # Stanford Human Preferences: 1 = the first is preferred
    return "1=a" if "2" in values or first.endswith("_1") else "0=a"


def _ranked(sample: Sample) -> list[Reading]:
    for name in _LISTS:
        answers = sample.named(name)
        if not answers or sample.share(answers, _is_list_of_answers) <= 0.5:
            continue
        columns = {"answers": answers}
        for target, names in (("scores", _SCORES), ("ranks", _RANKS)):
            marks = sample.named(*names)
            if marks and sample.share(marks, lambda value: isinstance(opened(value), list)) > 0.5:
                columns[target] = marks
                break
        if len(columns) == 1 and sample.share(answers, _is_scored) <= 0.5:
            continue
        if prompt := sample.named(*_PROMPTS):
            columns["prompt"] = prompt
        beside = columns.get("scores") or columns.get("ranks") or ""
        who = f"“{beside}” says" if beside else "the answers themselves say"
        said = f"“{answers}” holds several answers a row; {who} how good each is."
        note = "The best answer of a row is paired with its worst; choose another rule for more pairs."
        return [(Mapping("preference", columns, notes=(note,), options={"pairs": "best_worst"}), "likely", (said,))]
    return []


def _is_list_of_answers(value: Any) -> bool:
    value = opened(value)
    return isinstance(value, list) and len(value) > 1 and all(text_of(answer) for answer in value)


def _is_scored(value: Any) -> bool:
    value = opened(value)
    return isinstance(value, list) and all(isinstance(a, dict) and score_of(a) is not None for a in value)


def thumbs_readings(sample: Sample) -> list[Reading]:
    """Give the readings as single answers with a verdict each (unpaired preferences)."""
    judged = _judged(sample)
    if not judged:
        return []
    readings: list[Reading] = []
    for label in (sample.named(name) for name in _VERDICTS):
        values = sample.values(label) if label else []
        if not values or sample.share(label, is_verdict) < 1:
            continue
        distinct = {value if isinstance(value, bool) else str(value).strip().lower() for value in values}
        numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        is_two_sided = len(distinct) <= 2 and (not numbers or set(numbers) <= {-1.0, 0.0, 1.0})
        good_from = usual_threshold(numbers)
        columns = {**judged, "label": label}
        options = {"good_from": f"{good_from:g}"} if numbers else {}
        shown = ", ".join(sorted(str(value) for value in distinct)[:4])
        said = [f"“{label}” says of each answer whether it is good ({shown})."]
        if numbers:
            said.append(f"{good_from:g} and more counts as good.")
        # Zeros and ones under “label” may be classes; yes or no, thumbs and votes are verdicts.
        is_verdicts = not numbers or label.lower() in ("thumbs", "thumb", "vote", "liked", "accepted", "is_good")
        certainty: Literal["sure", "likely", "guess"] = "guess"
        if is_two_sided and label.lower() != "score":
            # Of whole conversations that are all good ones, the verdict is less than what was said.
            certainty = "sure" if is_verdicts and (len(distinct) > 1 or "messages" not in judged) else "likely"
        readings.append((Mapping("unpaired_preference", columns, options=options), certainty, tuple(said)))
    return readings[:1]


def _judged(sample: Sample) -> dict[str, str]:
    """Give the columns of a question and its answer: two, or a conversation that ends with the answer; empty without."""
    prompt, completion = sample.named(*_PROMPTS), sample.named(*_ANSWERS)
    if prompt and completion and prompt != completion:
        about = sample.named("input") if prompt.lower().strip() == "instruction" else ""
        return {"prompt": prompt, "completion": completion} | ({"input": about} if about else {})
    chats = (sample.named(name) for name in CHAT_NAMES)
    found = next((name for name in chats if name and sample.share(name, _ends_with_answer) > 0.5), "")
    return {"messages": found} if found else {}


def _ends_with_answer(value: Any) -> bool:
    return shape_of(value) == "messages" and len(opened(value)) > 1 and not ends_with_question(value)
