"""One context and the tokens it has seen: evaluation in slices that can be cancelled, and reuse of what is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from fmstudio.api import UserError
from fmstudio_llama_cpp import native_log
from fmstudio_llama_cpp.native import NativeModel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_ABORTED = 2
_NO_ROOM = 1
# A token that takes longer than this is itself made cancellable; a callback per graph node would slow down fast ones.
_SLOW_TOKEN_S = 0.15


class ContextFullError(Exception):
    """There is no room for another token."""


class EvaluationCancelled(Exception):
    """The evaluation was stopped on request; the context holds what was evaluated before."""


class TokenContext:
    """Sequence 0 of a native context.

    Attributes:
        tokens: What the context holds, in order.
        slow: Set when single tokens take so long that a cancel must reach into their evaluation.
    """

    def __init__(self, native: NativeModel) -> None:
        self._lib = lib = native.lib
        self._context = native.context
        self._memory = lib.llama_get_memory(native.context)
        self._n_vocab: int = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(native.model))
        self.n_ctx = native.n_ctx
        self.slice = _slice_size(native)
        self.tokens: list[int] = []
        self._slices: list[tuple[int, int]] = []  # where the prompt evaluations of `tokens` began and ended
        self._batch = lib.llama_batch_init(max(self.slice, 1), 0, 1)
        self._cancelled: Callable[[], bool] = _never
        # Kept alive here: the library only stores the pointer.
        self._abort = lib.ggml_abort_callback(lambda _data: self._cancelled())
        self._no_abort = lib.ggml_abort_callback()

    def close(self) -> None:
        """Free the batch; the context itself belongs to `NativeModel`."""
        if self._batch is not None:
            self._lib.llama_batch_free(self._batch)
            self._batch = None

    def clear(self) -> None:
        """Forget everything."""
        self._lib.llama_memory_clear(self._memory, True)
        self.tokens.clear()
        self._slices.clear()

    def reuse(self, prompt: Sequence[int]) -> int:
        """Keep the longest common start of what is held and `prompt`; give its length in tokens.

        At least the last token of the prompt is left to evaluate. A slice that was evaluated at once is kept whole or
        not at all: then asking the same again repeats the same arithmetic, and with the same seed the same answer.
        """
        kept = 0
        for held, wanted in zip(self.tokens, prompt[: len(prompt) - 1], strict=False):
            if held != wanted:
                break
            kept += 1
        kept = next((start for start, end in self._slices if start < kept < end), kept)
        self._truncate(kept)
        return len(self.tokens)

    def _truncate(self, length: int) -> None:
        if length == len(self.tokens):
            return
        # Recurrent and hybrid models cannot forget only an end: they answer no, and all is evaluated again.
        if length == 0 or not self._lib.llama_memory_seq_rm(self._memory, 0, length, -1):
            self.clear()
            return
        del self.tokens[length:]
        self._slices = [span for span in self._slices if span[1] <= length]

    def prefill(self, prompt: Sequence[int], cancelled: Callable[[], bool]) -> Iterator[int]:
        """Evaluate what is missing of `prompt`; yields the number of its tokens that are known, after each slice.

        Raises:
            EvaluationCancelled: `cancelled` said so, within milliseconds on a CPU.
        """
        while len(self.tokens) < len(prompt):
            if cancelled():
                raise EvaluationCancelled
            start = len(self.tokens)
            part = prompt[start : start + self.slice]
            with _Abortable(self, cancelled):
                self._decode(part, outputs=range(len(part) - 1, len(part)) if start + len(part) == len(prompt) else ())
            self._slices.append((start, start + len(part)))
            yield len(self.tokens)

    def step(self, token: int) -> None:
        """Evaluate one more token.

        Raises:
            ContextFullError: The context holds no more.
        """
        if len(self.tokens) >= self.n_ctx:
            raise ContextFullError
        self._decode((token,), outputs=(0,))

    def step_abortable(self, token: int, cancelled: Callable[[], bool]) -> None:
        """As `step`, for models so slow that a cancel should not wait for a token.

        Raises:
            ContextFullError: The context holds no more.
            EvaluationCancelled: `cancelled` said so.
        """
        with _Abortable(self, cancelled):
            self.step(token)

    def logits(self) -> npt.NDArray[np.float32]:
        """Logits after the last token: a view that holds until the next evaluation."""
        return self._logits_at(-1)

    def _logits_at(self, index: int) -> npt.NDArray[np.float32]:
        import numpy as np

        pointer = self._lib.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(pointer, (self._n_vocab,))

    def score(self, tokens: Sequence[int], first: int) -> Iterator[npt.NDArray[np.float32]]:
        """Evaluate from nothing and yield the logits that predict each of ``tokens[first:]``, teacher-forced.

        Each array holds only until the next is asked for.
        """
        self.clear()
        while len(self.tokens) < len(tokens) - 1:
            start = len(self.tokens)
            part = tokens[start : min(start + self.slice, len(tokens) - 1)]
            wanted = range(max(0, first - 1 - start), len(part))
            self._decode(part, outputs=wanted)
            self._slices.append((start, start + len(part)))
            for index in wanted:
                yield self._logits_at(index)

    def _decode(self, part: Sequence[int], outputs: Sequence[int]) -> None:
        batch, start = self._batch, len(self.tokens)
        batch.n_tokens = len(part)
        for index, token in enumerate(part):
            batch.token[index] = token
            batch.pos[index] = start + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = 0
        for index in outputs:
            batch.logits[index] = 1
        status = self._lib.llama_decode(self._context, batch)
        if status == 0:
            self.tokens.extend(part)
            return
        # What the failed batch left behind goes, so that memory and `tokens` say the same.
        if not self._lib.llama_memory_seq_rm(self._memory, 0, start, -1):
            self.clear()
        if status == _ABORTED:
            raise EvaluationCancelled
        if status == _NO_ROOM:
            raise ContextFullError
        self.clear()
        cause = native_log.cause() or "no reason given"
        raise UserError(
            f"llama.cpp could not evaluate {len(part)} tokens (code {status}): {cause}.",
            remedy="Try again; if it fails again, load the model with a shorter context or off the GPU.",
            details=native_log.tail(),
        )


class _Abortable:
    """While entered, `cancelled` is asked at every node of the native graph."""

    def __init__(self, owner: TokenContext, cancelled: Callable[[], bool]) -> None:
        self._owner, self._wanted = owner, cancelled

    def __enter__(self) -> None:
        self._owner._cancelled = self._wanted
        self._owner._lib.llama_set_abort_callback(self._owner._context, self._owner._abort, None)

    def __exit__(self, *_exc: object) -> None:
        self._owner._lib.llama_set_abort_callback(self._owner._context, self._owner._no_abort, None)
        self._owner._cancelled = _never


def _never() -> bool:
    return False


def is_slow_token(seconds: float) -> bool:
    """Whether a token took so long that the next should be evaluated with `TokenContext.step_abortable`."""
    return seconds > _SLOW_TOKEN_S


def _slice_size(native: NativeModel) -> int:
    """Prompt tokens evaluated at once: few enough for a moving bar, enough not to slow down; fixed for a model.

    On a CPU throughput is flat from 128 tokens on (SmolLM2-135M on two cores: 64 tokens 378/s, 128 391/s, 256 415/s,
    512 417/s). A GPU wants all it can get.
    """
    if native.lib.llama_supports_gpu_offload():
        return native.n_batch
    weights = native.lib.llama_model_n_params(native.model)
    return min(native.n_batch, 256 if weights < 1_000_000_000 else 128 if weights < 4_000_000_000 else 64)
