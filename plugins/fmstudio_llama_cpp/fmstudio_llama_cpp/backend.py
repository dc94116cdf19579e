"""`LlamaCppBackend`: the chat backend. One model, one context, one conversation cached at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.api import (
    AdapterScale,
    ChatBackend,
    Chunk,
    FinishReason,
    GenerateRequest,
    Message,
    ModelInfo,
    TokenLogprob,
    UserError,
)
from fmstudio.api import Params as AnyParams
from fmstudio_llama_cpp.adapters import AdapterShelf
from fmstudio_llama_cpp.context import ContextFullError, EvaluationCancelled, TokenContext, is_slow_token
from fmstudio_llama_cpp.native import NativeModel, open_model, open_vocabulary
from fmstudio_llama_cpp.params import LlamaCppParams
from fmstudio_llama_cpp.sampling import Sampler, token_logprob
from fmstudio_llama_cpp.template import ChatTemplate
from fmstudio_llama_cpp.text_stream import TextStream
from fmstudio_llama_cpp.vocabulary import Vocabulary


class LlamaCppBackend(ChatBackend):
    """Chat with a GGUF model through llama.cpp.

    Example:
        >>> backend = LlamaCppBackend()
        >>> backend.load(Path("model.gguf"), LlamaCppParams(), {})
        >>> request = GenerateRequest(messages=[{"role": "user", "content": "Hello"}], max_tokens=16)
        >>> text = "".join(chunk.text for chunk in backend.generate(request, lambda: False))
    """

    Params = LlamaCppParams

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
        self.context = TokenContext(self.native)
        self._shelf = AdapterShelf(self.native)
        self._template = ChatTemplate(
            self.native.header.text("tokenizer.chat_template"),
            bos=self.vocabulary.special_text(self.vocabulary.bos),
            eos=self.vocabulary.special_text(self.vocabulary.eos),
        )
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
        if self._shelf.apply(adapters):
            self.context.clear()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `ChatBackend.count_tokens`."""
        return len(self._render(messages))

    def generate(self, request: GenerateRequest, cancelled: Callable[[], bool]) -> Iterator[Chunk]:
        """See `ChatBackend.generate`."""
        if request.adapters is not None and tuple(request.adapters) != self._shelf.in_force:
            self.set_adapters(request.adapters)
        prompt = self._prompt_tokens(request)
        self._require_room(len(prompt))
        turn = _Turn(prompt_tokens=len(prompt), started=time.perf_counter())
        turn.cached = self.context.reuse(prompt)
        yield Chunk(prompt_done=turn.cached, prompt_total=len(prompt))
        try:
            for done in self.context.prefill(prompt, cancelled):
                yield Chunk(prompt_done=done, prompt_total=len(prompt))
        except EvaluationCancelled:
            yield turn.last_chunk("cancelled")
            return
        stop = (*request.stop, *(self._template.stop if request.messages is not None else ()))
        sampler = Sampler(self.native.lib, self.vocabulary, request, prompt)
        try:
            yield from self._answer(request, turn, sampler, TextStream(stop), cancelled)
        finally:
            sampler.close()

    def _answer(
        self, request: GenerateRequest, turn: _Turn, sampler: Sampler, stream: TextStream, cancelled: Callable[[], bool]
    ) -> Iterator[Chunk]:
        """The decode loop: choose, show, evaluate. Kept in one piece, for it is the hot path."""
        sample = self.native.lib.llama_sampler_sample
        chain, context, vocabulary = sampler.chain, self.native.context, self.vocabulary
        most = self.native.n_ctx if request.max_tokens is None else request.max_tokens
        turn.answer_started = time.perf_counter()
        reason: FinishReason = "length"
        step_seconds = 0.0
        while turn.completion_tokens < most:
            if cancelled():
                reason = "cancelled"
                break
            token = sample(chain, context, -1)
            turn.completion_tokens += 1
            logprobs: tuple[TokenLogprob, ...] = ()
            if request.logprobs:
                logprobs = (token_logprob(self.context.logits(), token, request.logprobs, vocabulary),)
            if vocabulary.is_end(token):
                turn.end_token = token
                reason = "stop"
                break
            text = stream.push(vocabulary.piece(token))
            yield Chunk(text=text, token_ids=(token,), logprobs=logprobs)
            if stream.is_stopped:
                reason = "stop"
                break
            if turn.completion_tokens >= most:
                break
            before = time.perf_counter()
            try:
                if is_slow_token(step_seconds):
                    self.context.step_abortable(token, cancelled)
                else:
                    self.context.step(token)
            except ContextFullError:
                break
            except EvaluationCancelled:
                reason = "cancelled"
                break
            step_seconds = time.perf_counter() - before
        yield turn.last_chunk(reason, stream.finish())

    def _prompt_tokens(self, request: GenerateRequest) -> list[int]:
        if request.messages is not None:
            return self._render(request.messages)
        if request.prompt is not None:
            tokens = self.vocabulary.tokenize(request.prompt, add_special=True, parse_special=True)
        else:
            tokens = list(request.tokens or ())
        wrong = next((token for token in tokens if not self.vocabulary.contains(token)), None)
        if wrong is not None:
            raise UserError(f"The token {wrong} is not in this model's vocabulary of {self.vocabulary.n_tokens:,}.")
        if not tokens:
            raise UserError("The prompt is empty.", remedy="Write something first.")
        return tokens

    def _render(self, messages: Sequence[Message]) -> list[int]:
        # A model's own template writes its start token itself, as in training; the plain one cannot.
        text = self._template.render(messages)
        return self.vocabulary.tokenize(text, add_special=self._template.is_plain, parse_special=True)

    def _require_room(self, n_prompt: int) -> None:
        n_ctx = self.native.n_ctx
        if n_prompt < n_ctx:
            return
        more = "Start a new conversation or shorten this one"
        if n_ctx < self.native.n_ctx_train:
            more += f", or load the model with a longer context (it was trained for {self.native.n_ctx_train:,} tokens)"
        raise UserError(f"The prompt is {n_prompt:,} tokens long; the context holds {n_ctx:,}.", remedy=f"{more}.")

    def close(self) -> None:
        """See `ChatBackend.close`."""
        if hasattr(self, "context"):
            self.context.close()
        if hasattr(self, "native"):
            self.native.close()


@dataclass(slots=True)
class _Turn:
    """Counts and clocks of one answer."""

    prompt_tokens: int
    started: float
    cached: int = 0
    completion_tokens: int = 0
    answer_started: float = 0.0
    end_token: int | None = None

    def last_chunk(self, reason: FinishReason, text: str = "") -> Chunk:
        now = time.perf_counter()
        answer_started = self.answer_started or now
        predicted_ms = (now - answer_started) * 1000
        return Chunk(
            text=text,
            token_ids=() if self.end_token is None else (self.end_token,),
            prompt_total=self.prompt_tokens,
            finish_reason=reason,
            usage={
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "cached_tokens": self.cached,
            },
            timings={
                "prompt_ms": (answer_started - self.started) * 1000,
                "predicted_ms": predicted_ms,
                "predicted_per_second": self.completion_tokens / predicted_ms * 1000 if predicted_ms > 0 else 0.0,
            },
        )


def _short(count: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)
