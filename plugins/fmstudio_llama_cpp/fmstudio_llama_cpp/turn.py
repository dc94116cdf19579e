"""`Turn`: one answer, from its prompt to its last chunk. It may stand still between chunks while others go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fmstudio.api import Chunk, FinishReason, GenerateRequest
from fmstudio_llama_cpp.answer_text import AnswerText
from fmstudio_llama_cpp.choices import Choice, Choices
from fmstudio_llama_cpp.context import ContextFullError, EvaluationCancelled, TokenContext
from fmstudio_llama_cpp.prompts import Prompt
from fmstudio_llama_cpp.sampling import Sampler
from fmstudio_llama_cpp.speculation import Speculator
from fmstudio_llama_cpp.vocabulary import Vocabulary


@dataclass(slots=True, eq=False)
class Turn:
    """Counts and clocks of one answer, and the loop that makes it. It is its own ticket at the context.

    Attributes:
        make_effective: Lets the turn's adapters and control vectors act.
        speculator: Guesses ahead; None = every token by itself.
    """

    request: GenerateRequest
    prompt: Prompt
    context: TokenContext
    vocabulary: Vocabulary
    cancelled: Callable[[], bool]
    make_effective: Callable[[], None]
    speculator: Speculator | None = None
    completion_tokens: int = 0
    cached: int = 0
    started: float = 0.0
    waited: float = 0.0
    answer_started: float = 0.0
    _end_token: int | None = None

    def run(self, make_sampler: Callable[[], Sampler], answer: AnswerText) -> Iterator[Chunk]:
        """Evaluate the prompt and answer.

        Raises:
            UserError: See `Sampler` and `TokenContext`.
        """
        self.started = time.perf_counter()
        sampler: Sampler | None = None
        try:
            self.make_effective()
            sampler = make_sampler()
            self.cached = self.context.begin(self.prompt.tokens, self, self.request.conversation)
            total = len(self.prompt.tokens)
            yield from self._pause(Chunk(prompt_done=self.cached, prompt_total=total))
            try:
                for done in self.context.prefill(self.prompt.tokens, self.cancelled, self.prompt.pictures):
                    if done < total:
                        yield from self._pause(Chunk(prompt_done=done, prompt_total=total))
            except EvaluationCancelled:
                yield self._last("cancelled", answer)
                return
            yield from self._answer(sampler, answer)
        finally:
            self.context.release(self)
            if sampler is not None:
                sampler.close()

    def _pause(self, chunk: Chunk) -> Iterator[Chunk]:
        """Hand a chunk over; afterwards the context is this turn's again, whoever had it in between."""
        before = time.perf_counter()
        yield chunk
        if not self.context.is_held_by(self):
            self._take_back(before)

    def _take_back(self, before: float) -> None:
        self.make_effective()
        self.context.resume(self)
        self.waited += time.perf_counter() - before

    def _answer(self, sampler: Sampler, answer: AnswerText) -> Iterator[Chunk]:
        """Show what is chosen, until there is a reason to stop. The hot path.

        The first token is chosen before the last news of the prompt goes out: a turn that stands still keeps its
        values, but not the logits of its last token.
        """
        piece, is_end, push = answer.piece_of, self.vocabulary.is_end, answer.push
        cancelled, is_held_by, clock = self.cancelled, self.context.is_held_by, time.perf_counter
        most = self.context.n_ctx if self.request.max_tokens is None else self.request.max_tokens
        reason: FinishReason = "length"
        self.answer_started = clock()
        try:
            for token, logprobs in self._choices(sampler, most) if most else ():
                if not self.completion_tokens:
                    total = len(self.prompt.tokens)
                    yield from self._pause(Chunk(prompt_done=total, prompt_total=total))
                self.completion_tokens += 1
                if is_end(token):
                    self._end_token = token
                    reason = "stop"
                    break
                before = clock()
                yield push(piece(token), token, logprobs)
                if not is_held_by(self):
                    self._take_back(before)
                if answer.is_over:
                    reason = "stop"
                    break
                if self.completion_tokens >= most:
                    break
                if cancelled():
                    raise EvaluationCancelled
        except ContextFullError:
            pass
        except EvaluationCancelled:
            reason = "cancelled"
        yield self._last(reason, answer)

    def _choices(self, sampler: Sampler, most: int) -> Iterator[Choice]:
        choices = Choices(sampler, self.context, self.vocabulary, self.request.logprobs, self.cancelled)
        return choices.one_by_one() if self.speculator is None else choices.ahead(self.speculator, most)

    def _last(self, reason: FinishReason, answer: AnswerText) -> Chunk:
        now = time.perf_counter()
        answer_started = self.answer_started or now
        seconds = max(0.0, now - answer_started - self.waited) if self.answer_started else 0.0
        rest = answer.finish()
        usage: dict[str, Any] = {
            "prompt_tokens": len(self.prompt.tokens),
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self.cached,
        }
        return Chunk(
            text=rest.text,
            reasoning=rest.reasoning,
            tool_calls=rest.tool_calls,
            token_ids=() if self._end_token is None else (self._end_token,),
            prompt_total=len(self.prompt.tokens),
            finish_reason="tool_calls" if answer.has_calls and reason == "stop" else reason,
            usage=usage,
            timings={
                "prompt_ms": (answer_started - self.started) * 1000,
                "predicted_ms": seconds * 1000,
                "predicted_per_second": self.completion_tokens / seconds if seconds > 0 else 0.0,
            },
            dropped_messages=self.prompt.dropped,
            speculation=self.speculator.report() if self.speculator else None,
        )
