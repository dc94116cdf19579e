"""`LlamaCppBackend`: the chat backend. One model, one context, several conversations in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fmstudio.api import (
    AdapterScale,
    ChatBackend,
    Chunk,
    ControlVector,
    GenerateRequest,
    HeldConversation,
    Message,
    ModelInfo,
    TokenLogprob,
    UserError,
)
from fmstudio.api import Params as AnyParams
from fmstudio_llama_cpp.adapters import AdapterShelf
from fmstudio_llama_cpp.answer_text import AnswerText
from fmstudio_llama_cpp.context import TokenContext
from fmstudio_llama_cpp.control_vectors import VectorShelf
from fmstudio_llama_cpp.grammar import Grammar
from fmstudio_llama_cpp.native import NativeModel, open_model, open_vocabulary
from fmstudio_llama_cpp.params import LlamaCppParams
from fmstudio_llama_cpp.prompts import Prompt, PromptBuilder
from fmstudio_llama_cpp.sampling import Sampler, token_logprob
from fmstudio_llama_cpp.states import state_bound
from fmstudio_llama_cpp.template import ChatTemplate
from fmstudio_llama_cpp.tooling import Tooling
from fmstudio_llama_cpp.turn import Turn
from fmstudio_llama_cpp.vocabulary import Vocabulary

_VIEW_ROWS = 32


class LlamaCppBackend(ChatBackend):
    """Chat with a GGUF model through llama.cpp.

    Example:
        >>> backend = LlamaCppBackend()
        >>> backend.load(Path("model.gguf"), LlamaCppParams(), {})
        >>> request = GenerateRequest(messages=[{"role": "user", "content": "Hello"}], max_tokens=16)
        >>> text = "".join(chunk.text for chunk in backend.generate(request, lambda: False))
    """

    Params = LlamaCppParams
    takes_turns: ClassVar[bool] = True

    @classmethod
    def probe_settings(cls) -> list[dict[str, Any]]:
        """From fastest to safest.

        Repacked weight buffers (``use_extra_bufts``) crash the CPU backend on processors with AMX in some builds;
        graphics drivers come next, then flash attention and memory mapping.
        """
        without_repack: dict[str, Any] = {"use_extra_bufts": False}
        cpu_only = {**without_repack, "n_gpu_layers": 0}
        return [{}, without_repack, cpu_only, {**cpu_only, "flash_attention": "off", "use_mmap": False}]

    @classmethod
    def count_texts(cls, model: Path, texts: Sequence[str]) -> list[int]:
        """See `ChatBackend.count_texts`."""
        with open_vocabulary(model) as vocabulary:
            return [len(vocabulary.tokenize(text, add_special=False, parse_special=False)) for text in texts]

    def load(self, model: Path, params: AnyParams, settings: dict[str, Any]) -> ModelInfo:
        """See `ChatBackend.load`."""
        chosen = params if isinstance(params, LlamaCppParams) else LlamaCppParams.model_validate(params.model_dump())
        self.native: NativeModel = open_model(model, chosen, settings)
        lib = self.native.lib
        self.vocabulary = Vocabulary(lib, self.native.model)
        self.context = TokenContext(self.native, state_bound(chosen.state_mb))
        self._shelf = AdapterShelf(self.native)
        self._vectors = VectorShelf(self.native)
        self._template = ChatTemplate(
            self.native.header.text("tokenizer.chat_template"),
            bos=self.vocabulary.special_text(self.vocabulary.bos),
            eos=self.vocabulary.special_text(self.vocabulary.eos),
        )
        self._prompts = PromptBuilder(self.vocabulary, self._template, self.native.n_ctx, self.native.n_ctx_train)
        header = self.native.header
        weights = int(lib.llama_model_n_params(self.native.model))
        return ModelInfo(
            n_ctx=self.native.n_ctx,
            n_ctx_train=self.native.n_ctx_train,
            has_chat_template=not self._template.is_plain,
            n_params=weights,
            description=f"{header.architecture} {_short(weights)} {header.file_type}",
        )

    def set_adapters(self, adapters: Sequence[AdapterScale]) -> None:
        """See `ChatBackend.set_adapters`."""
        self._make_effective(adapters, self._vectors.in_force)

    def _make_effective(self, adapters: Sequence[AdapterScale] | None, vectors: Sequence[ControlVector]) -> None:
        if adapters is not None:
            self._shelf.apply(adapters)
        self._vectors.apply(vectors)
        self.context.change_key((self._shelf.key, self._vectors.key))

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `ChatBackend.count_tokens`."""
        return len(self._prompts.render(messages)[1])

    def tokenize(self, text: str) -> list[int]:
        """See `ChatBackend.tokenize`."""
        return self.vocabulary.tokenize(text, add_special=False, parse_special=True)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `ChatBackend.detokenize`."""
        wrong = next((token for token in tokens if not self.vocabulary.contains(token)), None)
        if wrong is not None:
            raise UserError(f"The token {wrong} is not in this model's vocabulary of {self.vocabulary.n_tokens:,}.")
        return self.vocabulary.text(list(tokens), special=True)

    def held(self) -> list[HeldConversation]:
        """See `ChatBackend.held`."""
        return self.context.held()

    def generate(self, request: GenerateRequest, cancelled: Callable[[], bool]) -> Iterator[Chunk]:
        """See `ChatBackend.generate`."""
        tooling = Tooling(self._template, request)
        prompt = self._prompts.build(tooling.request)
        adapters = self._shelf.in_force if request.adapters is None else tuple(request.adapters)
        turn = Turn(
            request,
            prompt,
            self.context,
            self.vocabulary,
            cancelled,
            lambda: self._make_effective(adapters, request.control_vectors),
        )
        stop = (*request.stop, *(self._template.stop if request.messages is not None else ()))
        begun = b"".join(self.vocabulary.piece(token) for token in prompt.forced)
        answer = AnswerText(self.vocabulary, stop, tooling.parser(prompt.text), begun)
        return turn.run(lambda: self._sampler(request, prompt, tooling), answer)

    def _sampler(self, request: GenerateRequest, prompt: Prompt, tooling: Tooling) -> Sampler:
        lib = self.native.lib
        source, trigger = tooling.grammar()
        grammar = Grammar(lib, self.vocabulary, source, trigger) if source else None
        try:
            if grammar is not None:
                grammar.accept_all(prompt.forced)
            return Sampler(
                lib,
                self.vocabulary,
                request,
                prompt.tokens,
                context=self.native.context,
                n_ctx=self.native.n_ctx,
                grammar=grammar,
            )
        except UserError:
            if grammar is not None:
                grammar.close()
            raise

    def token_view(self, request: GenerateRequest, cancelled: Callable[[], bool]) -> list[TokenLogprob]:
        """See `ChatBackend.token_view`."""
        prompt = self._prompts.build(request)
        if not prompt.forced:
            return []
        self._make_effective(request.adapters, request.control_vectors)
        first = len(prompt.tokens) - len(prompt.forced)
        self.context.begin(prompt.tokens[:first])
        # At most so many rows of logits at once: a row is a megabyte with a large vocabulary.
        rows = self.context.score_rest(prompt.tokens, first, _VIEW_ROWS, cancelled)
        return [
            token_logprob(row, token, request.logprobs, self.vocabulary)
            for row, token in zip(rows, prompt.forced, strict=False)
        ]

    def close(self) -> None:
        """See `ChatBackend.close`."""
        if hasattr(self, "context"):
            self.context.close()
        if hasattr(self, "native"):
            self.native.close()


def _short(count: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)
