"""Where the tokens of an answer come from: one evaluation a token, or several tokens checked in one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fmstudio.api import TokenLogprob
from fmstudio_llama_cpp.context import TokenContext
from fmstudio_llama_cpp.sampling import Sampler, token_logprob
from fmstudio_llama_cpp.speculation import Speculator
from fmstudio_llama_cpp.vocabulary import Vocabulary

Choice = tuple[int, tuple[TokenLogprob, ...]]
"""A token, and its log-probability where asked for."""


@dataclass(slots=True)
class Choices:
    """Chooses the tokens of one answer. Its iterators never end by themselves; the context may be another's in between.

    Args:
        alternatives: How many to report with each token; 0 = no log-probabilities.
    """

    sampler: Sampler
    context: TokenContext
    vocabulary: Vocabulary
    alternatives: int
    cancelled: Callable[[], bool]

    def one_by_one(self) -> Iterator[Choice]:
        """Choose, then evaluate what was chosen. The hot path.

        Raises:
            ContextFullError, EvaluationCancelled: See `TokenContext.step`.
        """
        if self.alternatives:
            while True:
                choice = self._choose(-1)
                yield choice
                self.context.step(choice[0], self.cancelled)
        sample, step, cancelled = self.sampler.sample, self.context.step, self.cancelled
        while True:
            token = sample(-1)
            yield token, ()
            step(token, cancelled)

    def ahead(self, speculator: Speculator, most: int) -> Iterator[Choice]:
        """As `one_by_one`, with guesses checked several at once, as long as that is faster.

        Args:
            most: Tokens that will be taken at most.

        Raises:
            ContextFullError, EvaluationCancelled: See `TokenContext.step`.
        """
        context, cancelled, pace = self.context, self.cancelled, speculator.pace
        choice = self._choose(-1)
        while True:
            yield choice
            most -= 1
            token = choice[0]
            draft = list[int]()
            if pace.may_guess:
                speculator.drafter.prepare(context.tokens, cancelled)
            started = time.perf_counter()
            if pace.may_guess:
                draft = speculator.draft(context.tokens, token, min(most, context.room) - 1, cancelled)
            if not draft:
                context.step(token, cancelled)
                choice = self._choose(-1)
                pace.saw_plain(time.perf_counter() - started)
                continue
            done, choice = self._check(token, draft)
            speculator.saw_ahead(time.perf_counter() - started, len(draft), len(done))
            yield from done
            most -= len(done)

    def _check(self, token: int, draft: Sequence[int]) -> tuple[list[Choice], Choice]:
        """Evaluate `token` and the guess at once; give the guesses that came true, and the first choice after them."""
        held = len(self.context.tokens)
        self.context.step_many((token, *draft), self.cancelled)
        done: list[Choice] = []
        choice = self._choose(0)
        for index, guess in enumerate(draft, 1):
            if choice[0] != guess or self.vocabulary.is_end(guess):
                break
            done.append(choice)
            choice = self._choose(index)
        self.context.truncate(held + 1 + len(done))
        return done, choice

    def _choose(self, index: int) -> Choice:
        token = self.sampler.sample(index)
        if not self.alternatives:
            return token, ()
        return token, (token_logprob(self.context.logits(index), token, self.alternatives, self.vocabulary),)
