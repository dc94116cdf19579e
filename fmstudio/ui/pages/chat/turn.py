"""One answer in the making: what was asked of whom with which settings, and what came so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fmstudio.ui.pages.chat.client import StreamEnd
from fmstudio.ui.pages.chat.settings import AdapterChoice, ChatSettings
from fmstudio.ui.pages.chat.thread import context_hash

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry


@dataclass(slots=True)
class Turn:
    """All that decides an answer, fixed when it is asked for, and what was measured on the way.

    Attributes:
        parent_id: The question it answers.
        draft: The model that guesses ahead, where one was chosen and is there.
        id: The answer's id, drawn before it is saved.
        messages: What is sent: system prompt and turns.
        kind: ``answer``, ``continue``, ``branch`` (at a token), ``drafts``, ``models`` or ``reproduce``.
        prefix: Text the answer begins with, which the engine does not say again.
        prefix_tokens: The same as token ids, where they are known.
        about: The answer that is continued, branched from or reproduced.
        reasoning: What the model thought before it answered.
        tokens: Token ids of the new text, from engines that say them.
        adapters: The adapters that act, with their library entries.
        asked, first_text: `time.perf_counter` at sending and at the first text.
        prompt_done, prompt_total: Prompt tokens read so far; total 0 = not known yet.
        timings: What the engine measured so far, where it says so before the end.
    """

    conversation_id: str
    parent_id: str
    model: ModelEntry
    adapters: list[tuple[AdapterChoice, ModelEntry]]
    settings: ChatSettings
    seed: int
    messages: list[dict[str, Any]]
    draft: ModelEntry | None = None
    id: str = ""
    kind: str = "answer"
    prefix: str = ""
    prefix_tokens: list[int] = field(default_factory=list)
    about: str = ""
    label: str = ""
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    reasoning: str = ""
    asked: float = 0.0
    first_text: float = 0.0
    prompt_done: int = 0
    prompt_total: int = 0
    timings: dict[str, Any] = field(default_factory=dict)

    def add_text(self, text: str) -> None:
        """Take in new text."""
        if not self.first_text:
            self.first_text = time.perf_counter()
        self.text += text

    def body(self) -> dict[str, Any]:
        """The request: every setting explicitly."""
        body = {
            "model": self.model.id,
            "messages": self.messages,
            **self.settings.sampler(),
            "seed": self.seed,
            "lora": [{"path": str(entry.path), "scale": choice.scale} for choice, entry in self.adapters],
            "return_tokens": True,
            "conversation_id": self.conversation_id,
        }
        if self.prefix_tokens:
            return {**body, "forced_prefix": self.prefix_tokens}
        return {**body, "forced_prefix": self.prefix} if self.prefix else body

    @property
    def engine_params(self) -> dict[str, Any]:
        """What the model is loaded with for this answer."""
        return self.settings.engine_params(self.draft.path if self.draft else None)

    def planned_facts(self) -> dict[str, Any]:
        """What is known of the answer before it is made."""
        facts = {
            "model": _identity(self.model),
            "adapters": [{**_identity(entry), "scale": choice.scale} for choice, entry in self.adapters],
            "sampler": self.settings.sampler(),
            "seed": self.seed,
            "n_ctx": self.settings.n_ctx,
            "system_prompt": self.settings.filled_prompt,
            "has_chat_template": self.model.facts.get("has_chat_template"),
            "context_hash": context_hash(self.messages),
            "kind": self.kind,
        }
        if self.settings.speculation != "off":
            model = {"model": _identity(self.draft)} if self.draft else {}
            facts["guess_ahead"] = {
                "method": self.settings.speculation,
                "draft_tokens": self.settings.draft_tokens,
                "draft_p_min": self.settings.draft_p_min,
                **model,
            }
        more = {"about": self.about, "preset": self.settings.preset, "prefix": self.prefix, "label": self.label}
        return {**facts, **{key: value for key, value in more.items() if value}}

    @property
    def first_text_ms(self) -> float:
        """Milliseconds from asking to the first text; 0 before it."""
        return (self.first_text - self.asked) * 1000 if self.first_text else 0.0

    @property
    def seconds(self) -> float:
        """Seconds since it was asked; 0 while the engine is loading."""
        return time.perf_counter() - self.asked if self.asked else 0.0

    def facts(self, end: StreamEnd, engine: dict[str, Any]) -> dict[str, Any]:
        """Everything needed to say this turn again, for the catalogue.

        Args:
            end: How it ended.
            engine: What the engine said of itself when it was ready.
        """
        more: dict[str, Any] = {"tokens": [*self.prefix_tokens, *self.tokens]} if self._knows_tokens else {}
        if self.reasoning:
            more["reasoning"] = self.reasoning
        if end.speculation:
            more["speculation"] = end.speculation
        return {
            **self.planned_facts(),
            **more,
            "engine": engine,
            "template_hash": end.template_hash or str(engine.get("template_hash") or ""),
            "finish_reason": end.reason,
            "usage": end.usage,
            "timings": {**end.timings, "first_text_ms": round(self.first_text_ms, 1)},
            "problem": end.problem.message if end.problem else "",
        }

    @property
    def _knows_tokens(self) -> bool:
        return bool(self.tokens) and bool(self.prefix_tokens) == bool(self.prefix)


def _identity(entry: ModelEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "path": str(entry.path),
        "format": entry.format,
        "fingerprint": entry.facts.get("fingerprint", ""),
        "quantization": entry.facts.get("quantization", ""),
        "job_id": entry.job_id,
    }


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows of a turn's numbers.

    Attributes:
        drafted, accepted: Tokens guessed ahead by speculative decoding, and those that were right.
        off_reason: Why the engine gave guessing up for the conversation; empty while it is on. plain_ms, ahead_ms: what a
            token took without and with guessing, 0 where it was not measured.
    """

    tokens_per_second: float = 0.0
    first_text_ms: float = 0.0
    completion_tokens: int = 0
    prompt_tokens: int = 0
    finish_reason: str = ""
    drafted: int = 0
    accepted: int = 0
    off_reason: str = ""
    plain_ms: float = 0.0
    ahead_ms: float = 0.0

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Shown:
        """Read them from a stored answer's facts; what was not measured is 0."""
        timings, usage = facts.get("timings") or {}, facts.get("usage") or {}
        guessed = facts.get("speculation") or {}
        return cls(
            float(timings.get("predicted_per_second") or 0),
            float(timings.get("first_text_ms") or 0),
            int(usage.get("completion_tokens") or 0),
            int(usage.get("prompt_tokens") or 0),
            str(facts.get("finish_reason") or ""),
            int(timings.get("draft_n") or 0),
            int(timings.get("draft_n_accepted") or 0),
            str(guessed.get("reason") or ""),
            float(guessed.get("plain_ms") or 0),
            float(guessed.get("ahead_ms") or 0),
        )


@dataclass(slots=True)
class Library:
    """The models a conversation can use, as last read from the project."""

    entries: list[ModelEntry] = field(default_factory=list)

    def get(self, model_id: str) -> ModelEntry | None:
        """The entry of that id, or None."""
        return next((m for m in self.entries if m.id == model_id), None)

    def chat_models(self) -> list[ModelEntry]:
        """What can answer: GGUF files for the engine, and servers."""
        return [m for m in self.entries if (m.kind == "base" and m.format == "gguf") or m.format == "endpoint"]

    def draft_models(self, model: ModelEntry | None) -> list[ModelEntry]:
        """What could guess ahead for a model, the smallest first; whether its vocabulary is the same, the engine says."""
        own = model.id if model is not None else ""
        found = [m for m in self.chat_models() if m.format == "gguf" and m.id != own and not m.is_missing]
        return sorted(found, key=lambda m: m.bytes)

    def draft_for(self, settings: ChatSettings) -> ModelEntry | None:
        """The model that guesses ahead under these settings; None when none does, or it is not in the library."""
        return self.get(settings.draft_model_id) if settings.speculation == "draft" else None

    def settings_for(self, model: ModelEntry, settings: ChatSettings) -> ChatSettings:
        """The settings as they act on a model: one does not guess ahead for itself."""
        is_own = settings.speculation == "draft" and settings.draft_model_id == model.id
        return replace(settings, speculation="off") if is_own else settings

    def engine_params(self, model: ModelEntry, settings: ChatSettings) -> dict[str, Any]:
        """What that model is loaded with under these settings."""
        settings = self.settings_for(model, settings)
        draft = self.draft_for(settings)
        return settings.engine_params(draft.path if draft else None)

    def adapters_for(self, base: ModelEntry | None) -> list[ModelEntry]:
        """GGUF adapters made for that base, and those whose base is not known (the engine decides)."""
        adapters = [m for m in self.entries if m.kind == "adapter" and m.format == "gguf"]
        return [m for m in adapters if base is not None and m.base_id in ("", base.id)]


def reads_pictures(model: ModelEntry) -> bool:
    """Whether pictures are sent to a model: to every server, and here where a projector lies beside the model's file.

    Whether that projector fits, the engine says.
    """
    return model.format == "endpoint" or any(model.path.parent.glob("*mmproj*.gguf"))
