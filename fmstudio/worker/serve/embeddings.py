"""``/v1/embeddings``: reading a request in OpenAI's shape, and writing its answer."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmstudio.api import EmbedRequest, ModelInfo
from fmstudio.worker.serve.fields import BadRequestError, Fields

MAX_INPUTS = 2048


@dataclass(frozen=True, slots=True)
class EmbeddingsAsked:
    """What was asked for; vectors go out as base64 of little-endian float32, or as numbers."""

    request: EmbedRequest
    is_base64: bool


def read_embeddings(body: Mapping[str, Any], info: ModelInfo) -> EmbeddingsAsked:
    """Read a body: one text, a list of texts, a list of token ids, or a list of such lists.

    Raises:
        BadRequestError: Names the field.
    """
    fields = Fields(body)
    inputs = _inputs(fields.take("input"))
    kind = fields.choice("encoding_format", "float", ("float", "base64"))
    size = fields.take("dimensions")
    if size is not None and size != info.embedding_size:
        raise BadRequestError(
            f"This model's vectors have {info.embedding_size} numbers; it was not made to have them cut.", "dimensions"
        )
    fields.refuse_rest()
    return EmbeddingsAsked(EmbedRequest(inputs), kind == "base64")


def _inputs(value: Any) -> list[str | list[int]]:
    wrong = BadRequestError(
        f"input must be a text, a list of token ids, or a list of up to {MAX_INPUTS:,} of either.", "input"
    )
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise wrong
    if all(type(token) is int for token in value):
        return [value]
    if len(value) > MAX_INPUTS or not all(_is_input(item) for item in value):
        raise wrong
    return value


def _is_input(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, list) and all(type(token) is int for token in item))


def embeddings_body(
    asked: EmbeddingsAsked, vectors: Sequence[Any], n_tokens: int, model: str, info: ModelInfo
) -> dict[str, Any]:
    """The answer, in OpenAI's shape; ``pooling`` and ``note`` beside it say what the vectors are."""
    data = [
        {"object": "embedding", "index": number, "embedding": written}
        for number, written in enumerate(_written(vectors, asked.is_base64))
    ]
    usage = {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
    body = {"object": "list", "data": data, "model": model, "usage": usage, "pooling": info.pooling}
    return {**body, "note": info.embedding_note} if info.embedding_note else body


def _written(vectors: Iterable[Any], is_base64: bool) -> Iterable[str | list[float]]:
    for vector in vectors:
        yield base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii") if is_base64 else vector.tolist()
