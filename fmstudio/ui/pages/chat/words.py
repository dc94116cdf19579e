"""What a turn's card says: who spoke, and the numbers that were measured, in words."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication

from fmstudio.ui.pages.chat.turn import Shown, Turn
from fmstudio.ui.widgets.chat_card_data import CardData
from fmstudio.ui.widgets.words import duration, number

if TYPE_CHECKING:
    from fmstudio.project.chats import ChatMessage, TokenCost
    from fmstudio.project.models import ModelEntry
    from fmstudio.ui.pages.chat.engine_link import EngineLink
    from fmstudio.ui.pages.chat.thread import Thread


def _tr(text: str) -> str:
    return QCoreApplication.translate("Chat", text)


def card_data(
    thread: Thread,
    message: ChatMessage,
    preferred: Container[str] = (),
    lacks: Mapping[str, str] = MappingProxyType({}),
) -> CardData:
    """What the card of a stored turn shows."""
    versions = thread.siblings(message.id)
    is_answer = message.role == "assistant"
    return CardData(
        id=message.id,
        who=message.role,
        speaker=_speaker(message.facts) if is_answer else _tr("You"),
        text=message.content,
        numbers=numbers_of(message.facts) if is_answer else "",
        note=_note(message.facts),
        rating=message.rating,
        correction=message.correction or "",
        version=versions.index(message.id) + 1,
        versions=len(versions),
        is_preferred=message.id in preferred,
        is_cut=message.facts.get("finish_reason") in ("length", "cancelled", "error", "interrupted"),
        files=_files(message.facts),
        thoughts=str(message.facts.get("reasoning") or ""),
        images=tuple(str(i.get("data")) for i in message.facts.get("attachments") or () if i.get("kind") == "image"),
        lacks=dict(lacks),
    )


def _files(facts: dict[str, Any]) -> str:
    return ", ".join(str(item.get("name", "")) for item in facts.get("attachments") or ())


def speaker_of(turn: Turn) -> str:
    """Name of the model that is answering, with its adapters."""
    return _name(turn.model.name, [(entry.name, choice.scale) for choice, entry in turn.adapters])


def speaker_name(message: ChatMessage) -> str:
    """Who said a stored turn."""
    return _speaker(message.facts) if message.role == "assistant" else _tr("You")


def _speaker(facts: dict[str, Any]) -> str:
    if facts.get("kind") == "edited":
        return _tr("Written by you")
    model = facts.get("model") or {}
    adapters = [(str(a.get("name")), float(a.get("scale", 1))) for a in facts.get("adapters") or []]
    return _name(str(model.get("name") or _tr("Model")), adapters)


def _name(model: str, adapters: list[tuple[str, float]]) -> str:
    parts = [model, *(name if scale == 1 else f"{name} × {scale:g}" for name, scale in adapters)]
    return " + ".join(parts)


def numbers_of(facts: dict[str, Any]) -> str:
    """``42 tokens · 31.2 tokens/s · first text after 0.2 s · seed 7``; only what was measured."""
    shown, parts = Shown.of(facts), []
    if shown.completion_tokens:
        parts.append(_tr("{count} tokens").format(count=number(shown.completion_tokens)))
    if shown.tokens_per_second:
        parts.append(_tr("{rate:.1f} tokens/s").format(rate=shown.tokens_per_second))
    if shown.drafted:
        parts.append(
            _tr("{share:.0%} of {count} guesses right").format(
                share=shown.accepted / shown.drafted, count=number(shown.drafted)
            )
        )
    if shown.off_reason and not shown.drafted:  # where it was given up, `_note` says why
        parts.append(_gave_up(shown))
    if shown.first_text_ms:
        parts.append(_tr("first text after {time}").format(time=seconds(shown.first_text_ms / 1000)))
    if "seed" in facts:
        parts.append(_tr("seed {seed}").format(seed=facts["seed"]))
    return " · ".join(parts)


def _gave_up(shown: Shown) -> str:
    """Why guessing ahead is off for this conversation: the measured figures, else the engine's own words."""
    if not (shown.plain_ms and shown.ahead_ms):
        return shown.off_reason
    words = _tr("guessing ahead is off, it was slower: {ahead:.1f} ms a token, {plain:.1f} ms without")
    return words.format(ahead=shown.ahead_ms, plain=shown.plain_ms)


def first_words(model: ModelEntry | None) -> str:
    """What an empty conversation says: how to begin, and where the words go."""
    if model is not None and model.format == "endpoint":
        words = _tr("Write below and press Ctrl+Enter. What you write, and what is attached, is sent to {place}.")
        return words.format(place=model.facts.get("url") or model.path)
    return _tr(
        "Write below and press Ctrl+Enter. The model is loaded with the first message and everything stays on this"
        " computer."
    )


def cost_words(costs: Sequence[TokenCost], on: Set[str]) -> str:
    """What a token costs with the adapters that are on and without any, as far as both were measured."""
    bare = next((cost for cost in costs if not cost.adapters), None)
    blend = next((cost for cost in costs if cost.adapters == on), None)
    if not on or blend is None:
        return _tr("{ms:.1f} ms a token without adapters").format(ms=bare.milliseconds) if bare is not None else ""
    if bare is None:
        return _tr("{ms:.1f} ms a token with these adapters").format(ms=blend.milliseconds)
    words = _tr("{ms:.1f} ms a token with these adapters, {bare:.1f} ms without: {more:+.0%}")
    more = blend.milliseconds / bare.milliseconds - 1
    return words.format(ms=blend.milliseconds, bare=bare.milliseconds, more=more)


def seconds(value: float) -> str:
    """A short time with the digits it deserves."""
    return f"{value * 1000:.0f} ms" if value < 1 else duration(value)


def _note(facts: dict[str, Any]) -> str:
    """How the answer ended, where that is not as a matter of course, and why guessing was given up on the way."""
    shown = Shown.of(facts)
    parts = (_ending(facts), _gave_up(shown) if shown.off_reason and shown.drafted else "")
    return " · ".join(part for part in parts if part)


def _ending(facts: dict[str, Any]) -> str:
    return {
        "cancelled": _tr("stopped by you"),
        "length": _tr("cut at the longest answer allowed"),
        "error": _tr("cut off: the engine stopped"),
        "interrupted": _tr("cut off: the app was closed"),
    }.get(str(facts.get("finish_reason") or ""), "")


def turn_note(turn: Turn, link: EngineLink) -> str:
    """What is happening with the answer being made."""
    if not turn.asked:
        return link.text
    if turn.reasoning and turn.text == turn.prefix:
        words = _tr("thinking, {time}: {count} characters so far")
        return words.format(time=duration(turn.seconds), count=number(len(turn.reasoning)))
    if not turn.text:
        if turn.prompt_total:
            share = turn.prompt_done / turn.prompt_total
            words = _tr("reading the prompt: {done} of {total} tokens ({share:.0%})")
            return words.format(done=number(turn.prompt_done), total=number(turn.prompt_total), share=share)
        return _tr("reading the prompt, {time}").format(time=duration(turn.seconds))
    parts = [_tr("writing, {time}").format(time=duration(turn.seconds))]
    if rate := float(turn.timings.get("predicted_per_second") or 0):
        parts.append(_tr("{rate:.1f} tokens/s").format(rate=rate))
    if drafted := int(turn.timings.get("draft_n") or 0):
        share = int(turn.timings.get("draft_n_accepted") or 0) / drafted
        parts.append(_tr("{share:.0%} of {count} guesses right").format(share=share, count=number(drafted)))
    parts.append(_tr("first text after {time}").format(time=seconds(turn.first_text_ms / 1000)))
    return " · ".join(parts)


def remedy_words(action: dict[str, Any]) -> str:
    """A change of the engine's parameters, as a button says it."""
    words = {
        "n_ctx": _tr("Use a context of {value} tokens"),
        "kv_type": _tr("Keep the context in {value}"),
        "n_gpu_layers": _tr("Put {value} layers on the GPU"),
        "n_batch": _tr("Read {value} tokens at once"),
    }
    guessing = {"off": _tr("Do not guess ahead"), "lookup": _tr("Guess ahead from the text")}
    said = [
        guessing.get(value, str(value)) if key == "speculation"
        else words.get(key, key + " = {value}").format(value=_value(value))
        for key, value in action.items()
        if key != "draft_model"  # said by how to guess ahead
    ]  # fmt: skip
    return _tr(", ").join(said)


def _value(value: Any) -> str:
    return number(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)
