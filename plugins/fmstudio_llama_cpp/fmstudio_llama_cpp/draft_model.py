"""A second, smaller model that guesses what the first will say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fmstudio.api import UserError
from fmstudio_llama_cpp.context import TokenContext
from fmstudio_llama_cpp.native import NativeModel, open_model
from fmstudio_llama_cpp.params import LlamaCppParams
from fmstudio_llama_cpp.vocabulary import Vocabulary

MOST_MORE_TOKENS = 128
"""Vocabularies padded to different sizes may differ by this (llama.cpp, common/speculative.cpp)."""
_LAG = 16  # tokens behind which catching up is no longer part of guessing


class DraftModel:
    """An open draft model with a context of its own.

    Args:
        p_min: It goes on guessing while it gives its guess at least this probability.

    Raises:
        UserError: The file is unusable, or its vocabulary is not that of the model it is to guess for.
    """

    def __init__(
        self, path: Path, target: NativeModel, vocabulary: Vocabulary, params: LlamaCppParams, settings: dict[str, Any]
    ) -> None:
        self._native = open_model(path, params.model_copy(update={"n_ctx": target.n_ctx}), settings)
        try:
            _require_same_vocabulary(path, Vocabulary(self._native.lib, self._native.model), vocabulary)
            self.context = TokenContext(self._native)
            if not self.context.can_forget:
                raise _refused(path, "it cannot take back what it has read (a recurrent or hybrid model)")
        except BaseException:
            self._native.close()
            raise
        self.p_min = params.draft_p_min
        self.n_tokens = vocabulary.n_tokens
        self.user: object | None = None

    def close(self) -> None:
        """Free the model."""
        self.context.close()
        self._native.close()


class ModelDrafter:
    """Lets a draft model guess in one answer."""

    method = "draft"

    def __init__(self, model: DraftModel) -> None:
        self._model = model
        self._agreed = 0
        self._has_pictures: bool | None = None

    def prepare(self, held: Sequence[int], cancelled: Callable[[], bool]) -> None:
        """See `Drafter.prepare`."""
        if self._has_pictures is None:  # they come with the prompt; negative ids stand for them
            self._has_pictures = any(token < 0 for token in held)
        if self._has_pictures or len(held) > self._model.context.n_ctx:
            return
        if self._keep_agreed(held) + _LAG < len(held):
            for _ in self._model.context.prefill(held, cancelled):
                pass

    def draft(self, held: Sequence[int], token: int, most: int, cancelled: Callable[[], bool]) -> list[int]:
        """See `Drafter.draft`."""
        context = self._model.context
        most = min(most, context.n_ctx - len(held) - 1)
        if most < 1 or self._has_pictures:
            return []
        context.step_many([*held[self._keep_agreed(held) :], token], cancelled, only_last=True)
        found: list[int] = []
        while True:
            guess, probability = _likeliest(context.logits(-1))
            if probability < self._model.p_min or guess >= self._model.n_tokens:
                return found
            found.append(guess)
            if len(found) == most:
                return found
            context.step(guess, cancelled)

    def _keep_agreed(self, held: Sequence[int]) -> int:
        """Forget what the draft model holds beyond the common start; what agreed once in this answer is not compared again."""
        model, tokens = self._model, self._model.context.tokens
        if model.user is not self:
            model.user, self._agreed = self, 0
        most = min(len(tokens), len(held))
        at = min(self._agreed, most)
        while at < most and tokens[at] == held[at]:
            at += 1
        model.context.truncate(at)
        self._agreed = len(model.context.tokens)
        return self._agreed


def _likeliest(logits: Any) -> tuple[int, float]:
    """Give the likeliest token and its probability at temperature 1."""
    import numpy as np

    best = int(logits.argmax())
    return best, 1.0 / float(np.exp(logits - logits[best]).sum())


def _require_same_vocabulary(path: Path, draft: Vocabulary, target: Vocabulary) -> None:
    if abs(draft.n_tokens - target.n_tokens) > MOST_MORE_TOKENS:
        raise _refused(path, f"its vocabulary has {draft.n_tokens:,} tokens, the model's {target.n_tokens:,}")
    if (draft.bos, draft.eos, draft.adds_bos) != (target.bos, target.eos, target.adds_bos):
        raise _refused(path, "its start or end token is another")
    for token in range(min(draft.n_tokens, target.n_tokens)):
        ours, theirs = draft.written(token), target.written(token)
        if ours != theirs:
            said = f"token {token} is {_quoted(ours)} there and {_quoted(theirs)} in the model"
            raise _refused(path, f"its vocabulary is another ({said})")


def _quoted(data: bytes) -> str:
    return f"“{data.decode('utf-8', 'replace')[:40]}”"


def _refused(path: Path, why: str) -> UserError:
    return UserError(
        f"“{path.name}” cannot draft for this model: {why}.",
        remedy="Choose a smaller model of the same family, or guess from the conversation itself (lookup).",
        remedy_action={"draft_model": "", "speculation": "off"},
    )
