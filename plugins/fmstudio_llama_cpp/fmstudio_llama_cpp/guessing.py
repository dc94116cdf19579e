"""Which answers are guessed ahead, and how: what was chosen at loading, and what a request asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fmstudio.api import GenerateRequest, UserError
from fmstudio_llama_cpp.context import TokenContext
from fmstudio_llama_cpp.draft_model import DraftModel, ModelDrafter
from fmstudio_llama_cpp.native import NativeModel
from fmstudio_llama_cpp.params import LlamaCppParams
from fmstudio_llama_cpp.speculation import Drafter, Paces, PromptLookup, Speculator
from fmstudio_llama_cpp.vocabulary import Vocabulary


class Guessing:
    """Speculative decoding of one loaded model.

    Raises:
        UserError: What was chosen cannot be done with this model.
    """

    def __init__(
        self,
        native: NativeModel,
        vocabulary: Vocabulary,
        context: TokenContext,
        params: LlamaCppParams,
        settings: dict[str, Any],
    ) -> None:
        self._context, self._params = context, params
        self.paces = Paces()
        self._draft_model: DraftModel | None = None
        if params.draft_model:
            self._draft_model = DraftModel(Path(params.draft_model), native, vocabulary, params, settings)
        self._maker(params.speculation)

    def speculator(self, request: GenerateRequest) -> Speculator | None:
        """Give what guesses in the answer to a request; None = nothing does.

        Raises:
            UserError: This model cannot, or there is no draft model.
        """
        method = request.speculation or self._params.speculation
        make = self._maker(method)
        if make is None:
            return None
        most = min(request.draft_tokens or self._params.draft_tokens, self._context.slice - 1)
        return Speculator(make(), self.paces.of(request.conversation, method, most))

    def close(self) -> None:
        """Free the draft model."""
        if self._draft_model is not None:
            self._draft_model.close()
            self._draft_model = None

    def _maker(self, method: str) -> Callable[[], Drafter] | None:
        if method == "off":
            return None
        if not self._context.can_forget:
            raise UserError(
                "This model cannot guess ahead: it cannot take back a wrong guess (a recurrent or hybrid model).",
                remedy="Load it without guessing ahead.",
                remedy_action={"speculation": "off"},
            )
        if method == "lookup":
            return PromptLookup
        if (model := self._draft_model) is None:
            raise UserError(
                "There is no draft model to guess ahead with.",
                remedy="Load the model with a draft model, or guess from the conversation itself (lookup).",
                remedy_action={"speculation": "lookup"},
            )
        return lambda: ModelDrafter(model)
