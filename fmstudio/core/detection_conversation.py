"""Is a column a conversation, and who speaks in it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from typing import Any, Literal

from fmstudio.api import message_keys
from fmstudio.core.canonical_tools import calls_tools, in_openai_form
from fmstudio.core.sampling import CHAT_NAMES, Sample, ends_with_question, opened, shape_of
from fmstudio.core.schemas import ROLES, Mapping

Reading = tuple[Mapping, Literal["sure", "likely", "guess"], tuple[str, ...]]

_TOOLS = ("tools", "functions", "tool_definitions", "available_tools")
_IMAGE_PARTS = ("image", "image_url", "input_image")


def conversation_readings(sample: Sample) -> list[Reading]:
    """Give the readings as a conversation: the best column first, then the others that hold messages."""
    if {"chosen", "rejected"} <= {name.lower().strip() for name in sample.columns}:
        return []
    shapes = _shapes(sample)
    chats = [n for n, shape in shapes.items() if shape == "messages" or n.lower() in CHAT_NAMES]
    chats.sort(key=lambda n: CHAT_NAMES.index(n.lower()) if n.lower() in CHAT_NAMES else len(CHAT_NAMES))
    readings = [_reading(sample, name, shapes[name]) for name in chats]
    prompt, completion = sample.named("prompt"), sample.named("completion", "response")
    if shapes.get(prompt) == shapes.get(completion) == "messages":
        both = f"“{prompt}” and “{completion}” both hold messages: together they are a conversation."
        columns = {"prompt": prompt, "completion": completion}
        roles = roles_of([*sample.values(prompt), *sample.values(completion)], sample.roles)
        readings.insert(0, (Mapping("conversation", columns, _needed(roles)), "sure", (both,)))
    elif chats and _is_answered(sample, chats[0], completion):
        known = readings[0][0]
        columns = {target: source for target, source in known.columns.items() if target != "messages"}
        columns |= {"prompt": chats[0], "completion": completion}
        answered = f"“{chats[0]}” holds what was asked, “{completion}” the answer: together they are a conversation."
        readings.insert(0, (Mapping("conversation", columns, known.roles, known.notes), "sure", (answered,)))
    if len(chats) > 1 and readings:
        mapping, certainty, said = readings[0]
        others = ", ".join(n for n in chats if n not in mapping.columns.values())
        if others:
            notes = (*mapping.notes, f"Other columns hold messages, too, and stay as they are: {others}.")
            readings[0] = (Mapping(mapping.kind, mapping.columns, mapping.roles, notes), certainty, said)
    return readings


def _is_answered(sample: Sample, chat: str, completion: str) -> bool:
    """Whether in every row a conversation ends with a question, and another column holds a text that answers it."""
    has_answers = sample.count(completion) == sample.size and sample.is_text(completion)
    return has_answers and sample.share(chat, ends_with_question) == 1


def _shapes(sample: Sample) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in sample.columns:
        shapes = [shape_of(value) for value in sample.values(name)]
        if (len(shapes) - shapes.count("")) * 2 > len(shapes):
            found[name] = max(("messages", "turns"), key=shapes.count)
    return found


def _reading(sample: Sample, name: str, shape: str) -> Reading:
    columns = {"messages": name}
    if system := system_column(sample):
        columns["system"] = system
    if (tools := sample.named(*_TOOLS)) and tools != name:
        columns["tools"] = tools
    values = sample.values(name)
    fitting = sum(shape_of(value) == shape for value in values)
    whole = "sure" if fitting == sample.size and name.lower() in CHAT_NAMES else "likely"
    if shape == "turns":
        note = "Turns have no roles: the first is taken for the user's, the next for the assistant's, and so on."
        said = f"“{name}” holds lists of texts in {fitting} of {sample.size} rows."
        return Mapping("conversation", columns, notes=(note,)), whole, (said,)  # type: ignore[return-value]
    roles = roles_of(values, sample.roles)
    evidence = [_form(name, values, fitting, sample.size, is_tree=name in sample.trees), _spoken(values)]
    notes = (*_role_notes(values, roles, sample.roles), *_more_notes(values))
    return Mapping("conversation", columns, _needed(roles), notes), whole, tuple(evidence)  # type: ignore[return-value]


def _form(name: str, values: Sequence[Any], fitting: int, size: int, *, is_tree: bool) -> str:
    if is_tree:
        return f"“{name}” is ChatGPT's export in {fitting} of {size} rows; of answers that were asked for again the last is read."
    first = next((m for value in values for m in _messages(value)), {})
    keys = message_keys(first)
    form = {("role", "content"): "OpenAI's form", ("from", "value"): "ShareGPT's form"}.get(keys, "a list of messages")
    return f"“{name}” is {form} (“{keys[0]}” and “{keys[1] or 'parts'}”) in {fitting} of {size} rows."


def _spoken(values: Sequence[Any]) -> str:
    counts = role_counts(values)
    return "Roles: " + ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(8)) + "."


def system_column(sample: Sample) -> str:
    """Name the column of the system prompt: texts, or parts of one as Anthropic and Gemini write them; empty without."""
    name = sample.named("system", "system_prompt", "system_message", "systeminstruction", "system_instruction")
    return name if name and all(map(_is_system, sample.values(name))) else ""


def _is_system(value: Any) -> bool:
    if isinstance(value, dict):
        value = value.get("parts") or value.get("content") or value.get("text")
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(p, dict) and "text" in p for p in value)
    )


def is_history(value: Any) -> bool:
    """Whether a cell holds earlier exchanges: messages, or pairs of a question and its answer (LLaMA-Factory's Alpaca)."""
    value = opened(value)
    if not isinstance(value, list) or not value:
        return isinstance(value, list)
    return shape_of(value) == "messages" or all(isinstance(pair, list) and len(pair) == 2 for pair in value)


def role_counts(values: Sequence[Any]) -> Counter[str]:
    """Count the messages of each role name, as the file writes it."""
    return Counter(str(m[message_keys(m)[0]]) for value in values for m in _messages(value))


def roles_of(values: Sequence[Any], said: Dict[str, str]) -> dict[str, str]:
    """Give role name (lower case) → canonical role, for all names that can be known or told from who speaks first.

    Of two sides, of which only one is known, the other is the other one; of two unknown sides, the user's is the one that
    usually begins. These are guesses, and `_role_notes` says so.
    """
    names = {name.strip().lower() for name in role_counts(values)}
    sure = ROLES | dict(said)
    known = {name: sure[name] for name in names if name in sure}
    unknown = sorted(names - known.keys())
    sides = set(known.values()) & {"user", "assistant"}
    if len(unknown) == 1 and len(sides) == 1:
        known[unknown[0]] = "assistant" if sides == {"user"} else "user"
    elif len(unknown) == 2 and not sides:
        starts = Counter(_starter(value, unknown) for value in values)
        first = max(unknown, key=lambda name: starts[name])
        known |= {first: "user", next(name for name in unknown if name != first): "assistant"}
    return known


def _starter(value: Any, names: Sequence[str]) -> str:
    spoken = (str(m[message_keys(m)[0]]).strip().lower() for m in _messages(value))
    return next((name for name in spoken if name in names), "")


def _needed(roles: dict[str, str]) -> dict[str, str]:
    return {name: role for name, role in sorted(roles.items()) if name != role}


def _role_notes(values: Sequence[Any], roles: dict[str, str], said: dict[str, str]) -> list[str]:
    notes = []
    for name in sorted(role_counts(values)):
        key = name.strip().lower()
        if key not in roles:
            notes.append(f"Role “{name}” is not known; map it, e.g. role.{name}=assistant.")
        elif key not in ROLES and key not in said:
            notes.append(
                f"Role “{name}” is taken for the {roles[key]}: a guess from who speaks when. Correct it if it is wrong."
            )
    return notes


def _more_notes(values: Sequence[Any]) -> list[str]:
    messages = [(i, m) for i, value in enumerate(values) for m in _messages(value)]
    calls = {i for i, m in messages if calls_tools(m)}
    converted = any(in_openai_form([m], {}) for _, m in messages)
    images = {i for i, m in messages if _has_image(m.get(message_keys(m)[1]))}
    notes = []
    if calls:
        how = "in OpenAI's form (tool_calls)" if converted else "as they are"
        notes.append(
            f"{len(calls):,} of {len(values):,} sampled conversations call tools; the calls are kept {how} beside the messages."
        )
    if images:
        notes.append(
            f"{len(images):,} of {len(values):,} sampled conversations hold pictures; messages keep the text, the rest is kept beside them."
        )
    return notes


def _has_image(content: Any) -> bool:
    return isinstance(content, list) and any(isinstance(p, dict) and p.get("type") in _IMAGE_PARTS for p in content)


def _messages(value: Any) -> list[Dict[str, Any]]:
    value = opened(value)
    return list(value) if shape_of(value) == "messages" else []
