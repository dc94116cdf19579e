"""Shared by the tests of the llama.cpp engine: the tiny model, and short ways to ask it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmstudio.api import Chunk, GenerateRequest, Message
from fmstudio.core.paths import first_party_plugins

sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))

from fmstudio_llama_cpp.backend import LlamaCppBackend
from fmstudio_llama_cpp.params import LlamaCppParams

SAFE = {"use_extra_bufts": False}
ASK: list[Message] = [{"role": "user", "content": "What is your name?"}]


@contextmanager
def loaded(model: Path, **params: Any) -> Iterator[LlamaCppBackend]:
    """A backend with the model loaded, closed in the end."""
    made = LlamaCppBackend()
    made.load(model, LlamaCppParams(**params), SAFE)
    try:
        yield made
    finally:
        made.close()


def ask(backend: LlamaCppBackend, cancelled: Callable[[], bool] = lambda: False, **fields: Any) -> list[Chunk]:
    """All chunks of an answer; greedy unless said otherwise."""
    if "tokens" not in fields and "prompt" not in fields:
        fields.setdefault("messages", ASK)
    return list(backend.generate(GenerateRequest(**{"temperature": 0.0, "max_tokens": 24, **fields}), cancelled))


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def tokens_of(chunks: list[Chunk]) -> list[int]:
    return [token for chunk in chunks for token in chunk.token_ids]
