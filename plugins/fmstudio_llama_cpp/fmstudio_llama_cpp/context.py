"""One context and the tokens it has seen: evaluation in slices that can be cancelled, and reuse of what is known.

Several answers may be under way: each holds a ticket. The context is one ticket's at a time; what another left is
saved, and brought back when that one goes on.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from fmstudio.api import HeldConversation, UserError
from fmstudio_llama_cpp import native_log
from fmstudio_llama_cpp.native import NativeModel
from fmstudio_llama_cpp.state_files import WORTH_KEEPING, StateFiles
from fmstudio_llama_cpp.states import SavedState, Span, StateShelf, common_start

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fmstudio_llama_cpp.projector import PicturePiece, Projector

_NO_PICTURES: Mapping[int, PicturePiece] = MappingProxyType({})
_ABORTED = 2
_NO_ROOM = 1
# A token that takes longer than this is itself made cancellable; a callback per graph node would slow down fast ones.
_SLOW_TOKEN_S = 0.15
# Saving and loading cost about 10 µs a token for a small model, evaluating at least 1 ms.
_WORTH_SAVING = 48


class ContextFullError(Exception):
    """There is no room for another token."""


class EvaluationCancelled(Exception):
    """The evaluation was stopped on request; the context holds what was evaluated before."""


def _never() -> bool:
    return False


class TokenContext:
    """Sequence 0 of a native context.

    Args:
        most_bytes: Bound for the memory of saved conversations.

    Attributes:
        tokens: What the context holds, in order.
        key: What acts on the values (adapters, control vectors): another key, other values.
        saved: Conversations that were left.
        files: Conversations on disk; None = none are kept there.
        projector: Evaluates pictures, where the model sees any.
        can_forget: Whether the end of what is held can be taken back alone; recurrent and hybrid models cannot.
    """

    def __init__(self, native: NativeModel, most_bytes: int = 0) -> None:
        self._lib = lib = native.lib
        self._context = native.context
        self._memory = lib.llama_get_memory(native.context)
        self._n_vocab: int = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(native.model))
        self.n_ctx = native.n_ctx
        self.slice = _slice_size(native)
        self.tokens: list[int] = []
        self.key: Hashable = ()
        self.conversation = ""
        self.can_forget = not (lib.llama_model_is_recurrent(native.model) or lib.llama_model_is_hybrid(native.model))
        self.saved = StateShelf(most_bytes, is_whole_only=not self.can_forget)
        self.files: StateFiles | None = None
        self.projector: Projector | None = None
        self._n_batch = native.n_batch
        self._owner: object | None = None
        self._slices: list[Span] = []  # where the prompt evaluations of `tokens` began and ended
        self._batch = lib.llama_batch_init(max(self.slice, 1), 0, 1)
        self._step_s = 0.0
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
        """Forget everything. The old values stay in their places, unseen: wiping a long context takes a tenth of a second."""
        self._lib.llama_memory_clear(self._memory, False)
        self.tokens.clear()
        self._slices.clear()

    def change_key(self, key: Hashable) -> None:
        """Something else acts from now on: what is held is put aside, for it is wrong under the new key."""
        if key != self.key:
            self._put_aside(_WORTH_SAVING)
            self.clear()
            self.key = key

    def begin(self, prompt: Sequence[int], ticket: object | None = None, conversation: str = "") -> int:
        """Make ready for a prompt: keep or bring back its longest known start; give its length in tokens."""
        if self._owner is not None and self._owner is not ticket:
            self._put_aside()
            self.clear()
        kept = common_start(self.tokens, self._slices, prompt)
        state, length = self.saved.best(self.key, prompt)
        if state is not None and length > kept:
            self._put_aside(_WORTH_SAVING)
            self._load(state)
            kept = length
        elif (found := self._from_disk(prompt, kept)) is not None:
            kept = found
        elif len(self.tokens) - kept >= _WORTH_SAVING:
            self._put_aside()
        self._owner, self.conversation = ticket, conversation
        self.truncate(kept)
        return len(self.tokens)

    def _from_disk(self, prompt: Sequence[int], kept: int) -> int | None:
        """Bring back a conversation kept on disk; gives how much of the prompt it saves, None = there is none better."""
        state = self.files.better(self.key, prompt, kept) if self.files is not None else None
        if state is None:
            return None
        self._put_aside(_WORTH_SAVING)
        try:
            self._load(state)
        except UserError as error:
            self.files.reject_state(state, str(error))  # type: ignore[union-attr]
            return 0
        return common_start(self.tokens, self._slices, prompt)

    def keep_on_disk(self) -> None:
        """Have what is held written to disk, unless it is there; for moments when nothing else is to be done."""
        if self.files is None:
            return
        for state in self.saved:
            if state.ticket is None:
                self.files.keep(state)
        is_new = len(self.tokens) >= WORTH_KEEPING and not self.files.has(self.key, self.tokens)
        if is_new and self._owner is None:
            self.files.keep(self._copy())

    def resume(self, ticket: object) -> None:
        """Go on with an answer; the logits of its last token are gone if another had the context in between."""
        if self._owner is not ticket:
            self._put_aside(_WORTH_SAVING)
            state = self.saved.take(ticket)
            self._load(state)
            self._owner, self.key, self.conversation = ticket, state.key, state.conversation

    def forget(self, conversation: str) -> None:
        """Forget a conversation, in memory and on disk; an answer under way keeps what it needs."""
        if self.conversation == conversation and self._owner is None:
            self.clear()
            self.conversation = ""
        self.saved.forget(conversation)
        if self.files is not None:
            self.files.forget(conversation)

    def is_held_by(self, ticket: object) -> bool:
        """Whether nobody else had the context since."""
        return self._owner is ticket

    def held(self) -> list[HeldConversation]:
        """List what is held, the active one first; its own memory is the context's and counts as 0."""
        first = [HeldConversation(self.conversation, len(self.tokens), 0, True)] if self.tokens else []
        return first + [HeldConversation(s.conversation, len(s.tokens), s.bytes, False) for s in self.saved]

    def release(self, ticket: object) -> None:
        """The answer is over; what it made stays for the next turn."""
        if self._owner is ticket:
            self._owner = None
        self.saved.release(ticket)

    def _put_aside(self, worth: int = 1) -> None:
        """Save what is held, always for an answer under way, else if it is as long as `worth` tokens."""
        if self._owner is None and (len(self.tokens) < worth or not self.saved.most_bytes):
            return
        state = self._copy()
        self._owner = None
        self.saved.put(state)
        if self.files is not None and state.ticket is None:
            self.files.keep(state)

    def _copy(self) -> SavedState:
        import numpy as np

        lib = self._lib
        data = np.empty(lib.llama_state_seq_get_size(self._context, 0), np.uint8)
        pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        if lib.llama_state_seq_get_data(self._context, pointer, data.nbytes, 0) != data.nbytes:
            raise UserError("llama.cpp could not save a conversation's state.", remedy="Load the model again.")
        return SavedState(self.key, self.tokens.copy(), self._slices.copy(), data, self.conversation, self._owner)

    def _load(self, state: SavedState) -> None:
        self._lib.llama_memory_clear(self._memory, False)
        pointer = state.data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        if state.tokens and not self._lib.llama_state_seq_set_data(self._context, pointer, state.data.nbytes, 0):
            self.clear()
            raise UserError("llama.cpp could not bring back a conversation's state.", remedy="Try again.")
        self.tokens, self._slices = state.tokens.copy(), state.slices.copy()
        state.used = time.monotonic()

    def truncate(self, length: int) -> None:
        """Take back all but the first `length` tokens; where the model cannot do that, everything."""
        if length == len(self.tokens):
            return
        # Recurrent and hybrid models cannot forget only an end: they answer no, and all is evaluated again.
        if length == 0 or not self._lib.llama_memory_seq_rm(self._memory, 0, length, -1):
            self.clear()
            return
        del self.tokens[length:]
        self._slices = [span for span in self._slices if span[1] <= length]

    def prefill(
        self, prompt: Sequence[int], cancelled: Callable[[], bool], pictures: Mapping[int, PicturePiece] = _NO_PICTURES
    ) -> Iterator[int]:
        """Evaluate what is missing of `prompt`; yields the number of its tokens that are known, after each slice.

        Args:
            pictures: Those that stand in it, by their first place.

        Raises:
            EvaluationCancelled: `cancelled` said so, within milliseconds on a CPU.
        """
        while len(self.tokens) < len(prompt):
            if cancelled():
                raise EvaluationCancelled
            start = len(self.tokens)
            end = min((place for place in pictures if place > start), default=len(prompt))
            part = prompt[start : min(start + self.slice, end)]
            with _Abortable(self, cancelled):
                if start in pictures:
                    part = pictures[start].ids
                    self._show(pictures[start])
                else:
                    is_last = start + len(part) == len(prompt)
                    self._decode(part, outputs=range(len(part) - 1, len(part)) if is_last else ())
            self._slices.append((start, start + len(part)))
            yield len(self.tokens)

    def _show(self, piece: PicturePiece) -> None:
        assert self.projector is not None
        start = len(self.tokens)
        status = self.projector.evaluate(piece, start, self._n_batch)
        self._settle(status, start, piece.ids, "a picture")

    @property
    def room(self) -> int:
        """Tokens that may still come."""
        return self.n_ctx - len(self.tokens)

    def step(self, token: int, cancelled: Callable[[], bool] = _never) -> None:
        """Evaluate one more token.

        Raises:
            ContextFullError: The context holds no more.
            EvaluationCancelled: `cancelled` said so; it is asked only where tokens take long.
        """
        self._step((token,), (0,), cancelled)

    def step_many(self, tokens: Sequence[int], cancelled: Callable[[], bool], *, only_last: bool = False) -> None:
        """Evaluate a few tokens at once; `logits` then gives those after each of them, or after the last alone.

        Raises:
            ContextFullError, EvaluationCancelled: See `step`.
        """
        self._step(tokens, range(len(tokens) - 1 if only_last else 0, len(tokens)), cancelled)

    def _step(self, tokens: Sequence[int], outputs: Sequence[int], cancelled: Callable[[], bool]) -> None:
        if len(tokens) > self.room:
            raise ContextFullError
        before = time.perf_counter()
        if self._step_s > _SLOW_TOKEN_S:
            with _Abortable(self, cancelled):
                self._decode(tokens, outputs)
        else:
            self._decode(tokens, outputs)
        self._step_s = time.perf_counter() - before

    def logits(self, index: int = -1) -> npt.NDArray[np.float32]:
        """Logits after a token of the last evaluation: a view that holds until the next."""
        import numpy as np

        pointer = self._lib.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(pointer, (self._n_vocab,))

    def score(self, tokens: Sequence[int], first: int) -> Iterator[npt.NDArray[np.float32]]:
        """Evaluate from nothing and yield the logits that predict each of ``tokens[first:]``, teacher-forced.

        Each array holds only until the next is asked for.
        """
        self.clear()
        yield from self.score_rest(tokens, first, self.slice)

    def score_rest(
        self, tokens: Sequence[int], first: int, most: int, cancelled: Callable[[], bool] = _never
    ) -> Iterator[npt.NDArray[np.float32]]:
        """As `score`, after what is held already (fewer than `first` tokens); at most `most` rows of logits at once.

        Raises:
            EvaluationCancelled: `cancelled` said so.
        """
        while len(self.tokens) < len(tokens) - 1:
            start = len(self.tokens)
            end = start + self.slice if start + self.slice < first else start + min(most, self.slice)
            part = tokens[start : min(end, len(tokens) - 1)]
            wanted = range(max(0, first - 1 - start), len(part))
            if cancelled():
                raise EvaluationCancelled
            with _Abortable(self, cancelled):
                self._decode(part, outputs=wanted)
            self._slices.append((start, start + len(part)))
            for index in wanted:
                yield self.logits(index)

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
        self._settle(self._lib.llama_decode(self._context, batch), start, part, f"{len(part)} tokens")

    def _settle(self, status: int, start: int, part: Sequence[int], what: str) -> None:
        """Draw the conclusions from an evaluation: `part` is known now, or nothing of it is."""
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
            f"llama.cpp could not evaluate {what} (code {status}): {cause}.",
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


def _slice_size(native: NativeModel) -> int:
    """Prompt tokens evaluated at once: few enough for a moving bar, enough not to slow down; fixed for a model.

    On a CPU throughput is flat from 128 tokens on (SmolLM2-135M on two cores: 64 tokens 378/s, 128 391/s, 256 415/s,
    512 417/s). A GPU wants all it can get.
    """
    if native.lib.llama_supports_gpu_offload():
        return native.n_batch
    weights = native.lib.llama_model_n_params(native.model)
    return min(native.n_batch, 256 if weights < 1_000_000_000 else 128 if weights < 4_000_000_000 else 64)
