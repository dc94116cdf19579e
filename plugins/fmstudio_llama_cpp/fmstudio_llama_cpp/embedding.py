"""Texts as vectors: a native context of its own beside the chats', so that what they hold stays untouched.

Models made for it say in their file how the vectors of a text's tokens become one (its *pooling*). A chat model says
nothing: then the mean of its last hidden states is taken, and that is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from fmstudio.api import Chunk, EmbedRequest, UserError
from fmstudio_llama_cpp import native_log
from fmstudio_llama_cpp.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fmstudio_llama_cpp.native import NativeModel

    Vector = npt.NDArray[np.float32]

POOLINGS: Final = ("none", "mean", "cls", "last", "rank")
"""llama.cpp's names, in the order of its numbers."""
MOST_TOGETHER: Final = 16
"""Short texts an encoder reads in one evaluation."""
TOKENS_TOGETHER: Final = 512
_SLICE = 128  # a chat model writes a row of logits for each of these tokens too
_ABORTED = 2


class EmbeddingCancelled(Exception):
    """The evaluation was stopped on request."""


class TextEmbedder:
    """Embeds with one loaded model. The native context is made at first use.

    Args:
        n_ctx: Most tokens of one text.

    Attributes:
        pooling: How token vectors become one: ``mean``, ``cls`` or ``last``.
        is_trained: Whether the file says so; else the mean of a chat model's hidden states is used.
        size: Numbers in a vector.
    """

    def __init__(self, native: NativeModel, vocabulary: Vocabulary, n_ctx: int, n_threads: int) -> None:
        header, self._made = native.header, list[Any]()
        named = header.metadata.get(f"{header.architecture}.pooling_type")
        kind = POOLINGS[named] if isinstance(named, int) and 0 <= named < len(POOLINGS) else "none"
        self.is_trained = kind != "none" or header.is_embedding_only
        self.pooling = "mean" if kind == "none" else kind
        self.n_ctx = n_ctx
        self.size = int(native.lib.llama_model_n_embd_out(native.model))
        # Such a model must see the whole text at once; others read it slice by slice.
        self._is_whole = (
            header.is_embedding_only or header.metadata.get(f"{header.architecture}.attention.causal") is False
        )
        self._native, self._lib, self._vocabulary, self._n_threads = native, native.lib, vocabulary, n_threads
        self._context: Any = None
        self._batch: Any = None
        self._is_busy = False
        self._cancelled: Callable[[], bool] = _never
        self._abort = native.lib.ggml_abort_callback(lambda _data: self._cancelled())

    @property
    def note(self) -> str:
        """What a user should know of the vectors; empty when the model was made for them."""
        return "" if self.is_trained else "A chat model: the mean of its hidden states, which it was not trained for."

    def embed(self, request: EmbedRequest, cancelled: Callable[[], bool]) -> Iterator[Chunk]:
        """Yield vectors as they come, of unit length, float32 of shape ``(size,)``; see `ChatBackend.embed`.

        Raises:
            UserError: A text is empty or longer than the context, a token is unknown, or the model only ranks.
        """
        texts = self._tokens(request)
        total, done, started = sum(map(len, texts)), 0, time.perf_counter()
        try:
            while self._is_busy and not cancelled():  # another request is in the middle of a text
                yield Chunk(prompt_done=0, prompt_total=total)
            for group in self._groups(texts):
                if cancelled():
                    raise EmbeddingCancelled
                for _ in self._evaluated(group, cancelled):
                    yield Chunk(prompt_done=done, prompt_total=total)
                done += sum(map(len, group))
                yield Chunk(prompt_done=done, prompt_total=total, vectors=tuple(self._made))
        except EmbeddingCancelled:
            yield Chunk(finish_reason="cancelled", prompt_total=total)
            return
        usage = {"prompt_tokens": total, "completion_tokens": 0, "cached_tokens": 0}
        timings = {"prompt_ms": (time.perf_counter() - started) * 1000}
        yield Chunk(finish_reason="stop", usage=usage, timings=timings)

    def close(self) -> None:
        """Free the context; calling it twice does nothing."""
        if self._context is not None:
            self._lib.llama_batch_free(self._batch)
            self._lib.llama_free(self._context)
            self._context = None

    def _tokens(self, request: EmbedRequest) -> list[list[int]]:
        if self.pooling == "rank":
            raise UserError(
                "This model ranks texts against a question; it gives no vectors.", remedy="Choose an embedding model."
            )
        found = []
        for number, given in enumerate(request.inputs):
            tokens = (
                self._vocabulary.tokenize(given, add_special=True, parse_special=False)
                if isinstance(given, str)
                else list(given)
            )
            self._check(number, given, tokens)
            found.append(tokens)
        return found

    def _check(self, number: int, given: str | Sequence[int], tokens: Sequence[int]) -> None:
        if not tokens or (isinstance(given, str) and not given.strip()):
            raise UserError(f"Text {number + 1} is empty.", remedy="Leave empty texts out.")
        wrong = next((token for token in tokens if not self._vocabulary.contains(token)), None)
        if wrong is not None:
            raise UserError(f"Text {number + 1} holds the token {wrong}, which this model does not know.")
        if len(tokens) > self.n_ctx:
            raise UserError(
                f"Text {number + 1} is {len(tokens):,} tokens long; this model embeds up to {self.n_ctx:,} at once.",
                remedy="Split the text into chunks; nothing is cut off silently.",
            )

    def _groups(self, texts: Sequence[list[int]]) -> Iterator[list[list[int]]]:
        """What is evaluated together, in order: several short texts of an encoder, else one."""
        group: list[list[int]] = []
        held = 0
        for tokens in texts:
            is_full = len(group) >= (MOST_TOGETHER if self._is_whole else 1) or held + len(tokens) > TOKENS_TOGETHER
            if group and is_full:
                yield group
                group, held = [], 0
            group.append(tokens)
            held += len(tokens)
        if group:
            yield group

    def _evaluated(self, group: list[list[int]], cancelled: Callable[[], bool]) -> Iterator[None]:
        """Evaluate a group into `_made`; yields where other work may come between."""
        self._is_busy = True
        try:
            self._open()
            self._made = []
            if self._is_whole:
                self._whole(group, cancelled)
            else:
                yield from self._sliced(group[0], cancelled)
            self._made = [_unit(vector) for vector in self._made]
        finally:
            self._is_busy = False

    def _whole(self, group: list[list[int]], cancelled: Callable[[], bool]) -> None:
        import numpy as np

        self._decode(
            [(token, at, seq) for seq, tokens in enumerate(group) for at, token in enumerate(tokens)], cancelled
        )
        for seq in range(len(group)):
            pointer = self._lib.llama_get_embeddings_seq(self._context, seq)
            self._made.append(np.ctypeslib.as_array(pointer, (self.size,)).copy())
        self._clear()

    def _sliced(self, tokens: list[int], cancelled: Callable[[], bool]) -> Iterator[None]:
        import numpy as np

        total = np.zeros(self.size, np.float64)
        rows: Any = None
        try:
            for start in range(0, len(tokens), _SLICE):
                part = tokens[start : start + _SLICE]
                self._decode([(token, start + i, 0) for i, token in enumerate(part)], cancelled)
                pointer = self._lib.llama_get_embeddings(self._context)
                rows = np.ctypeslib.as_array(pointer, (len(part), self.size))
                if self.pooling == "cls" and start == 0:
                    total += rows[0]
                elif self.pooling == "mean":
                    total += rows.sum(axis=0, dtype=np.float64)
                if self.pooling == "last":
                    total[:] = rows[-1]
                if start + len(part) < len(tokens):
                    yield
        finally:
            self._clear()
        self._made.append((total / (len(tokens) if self.pooling == "mean" else 1)).astype(np.float32))

    def _clear(self) -> None:
        memory = self._lib.llama_get_memory(self._context)
        if memory:  # encoders have none
            self._lib.llama_memory_clear(memory, False)

    def _decode(self, places: list[tuple[int, int, int]], cancelled: Callable[[], bool]) -> None:
        """Evaluate (token, position, sequence)s."""
        batch = self._batch
        batch.n_tokens = len(places)
        for index, (token, position, sequence) in enumerate(places):
            batch.token[index], batch.pos[index] = token, position
            batch.n_seq_id[index], batch.seq_id[index][0], batch.logits[index] = 1, sequence, 1
        self._cancelled = cancelled
        try:
            status = self._lib.llama_decode(self._context, batch)
        finally:
            self._cancelled = _never
        if status == _ABORTED:
            raise EmbeddingCancelled
        if status != 0:
            raise UserError(
                f"llama.cpp could not embed {len(places)} tokens (code {status}): "
                f"{native_log.cause() or 'no reason given'}.",
                remedy="Try shorter texts; if it fails again, load the model with a shorter context.",
                details=native_log.tail(),
            )

    def _open(self) -> None:
        if self._context is not None:
            return
        lib = self._lib
        wanted = lib.llama_context_default_params()
        at_once = max(self.n_ctx, TOKENS_TOGETHER) if self._is_whole else min(_SLICE, self.n_ctx)
        wanted.n_ctx = max(self.n_ctx, at_once)
        wanted.n_batch = wanted.n_ubatch = at_once  # an encoder must hold a whole text in one batch, or it aborts
        wanted.n_seq_max = MOST_TOGETHER if self._is_whole else 1
        wanted.kv_unified = True
        wanted.embeddings = True
        wanted.pooling_type = POOLINGS.index(self.pooling if self._is_whole else "none")
        wanted.n_threads = wanted.n_threads_batch = self._n_threads
        wanted.abort_callback = self._abort
        wanted.no_perf = True
        native_log.clear()
        context = lib.llama_init_from_model(self._native.model, wanted)
        if not context:
            raise UserError(
                f"llama.cpp could not make room to embed texts of {self.n_ctx:,} tokens: "
                f"{native_log.cause() or 'no reason given'}.",
                remedy="Load the model with a shorter context.",
                remedy_action={"n_ctx": max(256, self.n_ctx // 2)},
                details=native_log.tail(),
            )
        self._context = context
        self._batch = lib.llama_batch_init(at_once, 0, 1)


def _unit(vector: Vector) -> Vector:
    import numpy as np

    length = float(np.linalg.norm(vector))
    if not np.isfinite(length):
        raise UserError("The model gave a vector with values that are no numbers.", remedy="Choose another file of it.")
    return vector / np.float32(length) if length > 0 else vector


def _never() -> bool:
    return False
