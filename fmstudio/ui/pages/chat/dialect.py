"""What a server that speaks OpenAI's API understands beyond it, and what it therefore cannot do for the chat. Pure.

Where the fields come from: llama-server's and vLLM's documentation of their chat routes, Ollama's of its OpenAI
compatibility; the answer to ``/v1/models`` says by ``owned_by`` which of them it is. Hosted services refuse fields that
they do not know, so that an unknown server is sent OpenAI's own only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QCoreApplication

STANDARD = frozenset(
    {"model", "messages", "temperature", "top_p", "max_tokens", "seed", "stream", "stream_options", "stop"}
)
SAMPLER = frozenset({"top_k", "min_p", "repeat_penalty"})
WATCHING = frozenset({"return_progress", "timings_per_token", "return_tokens"})


def _tr(text: str) -> str:
    return QCoreApplication.translate("Chat", text)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to talk to one kind of server.

    Attributes:
        name: Kept with each answer, so that later one knows what can be done with it.
        fields: Request fields beyond OpenAI's own.
        renames: Our name of a field → the server's.
        counts_messages: Whether ``/tokenize`` counts whole conversations.
        goes_on: Whether an answer can be made to begin with given text.
        views_tokens: Whether ``/token-view`` is there.
        takes_adapters: Whether adapters of this computer can act there.
    """

    name: str
    fields: frozenset[str] = frozenset()
    renames: Mapping[str, str] = field(default_factory=dict)
    counts_messages: bool = False
    goes_on: bool = False
    views_tokens: bool = False
    takes_adapters: bool = False

    def fitted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A request with the fields this server understands."""
        return {self.renames.get(key, key): value for key, value in body.items() if key in STANDARD | self.fields}

    @property
    def lacks(self) -> dict[str, str]:
        """What cannot be done with this server's answers, and why: the actions of a turn by name."""
        found = {}
        if not self.goes_on:
            found["continue"] = _tr("This server cannot go on from the middle of an answer.")
        if not self.views_tokens:
            found["tokens"] = _tr("This server does not say which other tokens were likely.")
        return found

    @property
    def unknown_sampler(self) -> frozenset[str]:
        """The sampler's fields that this server does not know."""
        return SAMPLER - self.fields


OWN = Dialect(
    "", SAMPLER | WATCHING | {"lora", "forced_prefix"}, counts_messages=True, goes_on=True, views_tokens=True,
    takes_adapters=True,
)  # fmt: skip
"""The engine of this program, in a process of its own on this computer."""
_SERVERS = (
    Dialect(
        "fmstudio",
        SAMPLER | WATCHING | {"forced_prefix", "conversation_id"},
        counts_messages=True,
        goes_on=True,
        views_tokens=True,
    ),
    Dialect("llamacpp", SAMPLER | WATCHING),
    Dialect("vllm", SAMPLER, {"repeat_penalty": "repetition_penalty"}),
    Dialect("ollama"),
    Dialect("other"),
)
DIALECTS = {dialect.name: dialect for dialect in (OWN, *_SERVERS)}
_OWNERS = {"fmstudio": "fmstudio", "llamacpp": "llamacpp", "vllm": "vllm", "library": "ollama"}


def listed(models: Any) -> list[Mapping[str, Any]]:
    """The models in an answer to ``/v1/models``; none where it is no such answer."""
    data = models.get("data") if isinstance(models, Mapping) else None
    return [one for one in data if isinstance(one, Mapping)] if isinstance(data, list) else []


def dialect_of(models: Any) -> Dialect:
    """Which kind of server gave this answer to ``/v1/models``."""
    owner = next((str(one.get("owned_by", "")) for one in listed(models)), "")
    return DIALECTS[_OWNERS.get(owner, "other")]


def offered(models: Any) -> list[str]:
    """Names of the models in an answer to ``/v1/models``."""
    return [str(one["id"]) for one in listed(models) if "id" in one]
