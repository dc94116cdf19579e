"""How much each input of each weight matters: the importance matrix that the smallest precisions need.

While a model reads text, the inputs of every matrix are squared and added up; the quantiser then spends its few bits where
much passes through (llama.cpp, pull request 4861). By default the text is the model's own: eight short beginnings that it
goes on with at temperature 1, so that it is measured on what it says, in whatever language.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Sampling, TaskContext, UserError
from fmstudio.api.gguf_header import GgufHeader, read_gguf_header, require_chat_model
from fmstudio_llama_cpp.context import TokenContext
from fmstudio_llama_cpp.native import open_model
from fmstudio_llama_cpp.params import LlamaCppParams
from fmstudio_llama_cpp.quality import PROMPTS
from fmstudio_llama_cpp.sampling import Sampler
from fmstudio_llama_cpp.tensors import Tensors
from fmstudio_llama_cpp.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PIECE = 256
"""Tokens read at once, and written from each beginning."""
MOST_TOKENS = 16_384
"""Of a text file no more is read; published matrices are made of some ten thousand tokens."""
_SAFE = {"use_extra_bufts": False, "n_gpu_layers": 0}
_SEED = 1


@dataclass(slots=True)
class Importance:
    """The matrix.

    Attributes:
        sums: Weight tensor → sum of the squares of each of its inputs, fp64.
        rows: Weight tensor → rows that were added up.
    """

    sums: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, inputs: npt.NDArray[np.float32]) -> None:
        """Take the inputs of a weight, of shape (rows, inputs)."""
        import numpy as np

        squares = np.einsum("ij,ij->j", inputs, inputs, dtype=np.float64)
        self.sums[name] = self.sums[name] + squares if name in self.sums else squares
        self.rows[name] = self.rows.get(name, 0) + len(inputs)

    def means(self) -> dict[str, npt.NDArray[np.float32]]:
        """Weight tensor → mean square of each input."""
        return {name: (total / self.rows[name]).astype("float32") for name, total in self.sums.items()}


@contextmanager
def native_matrix(lib: Any, means: Mapping[str, npt.NDArray[np.float32]]) -> Iterator[Any]:
    """The matrix as the quantiser takes it; valid while entered."""
    entries = (lib.llama_model_imatrix_data * (len(means) + 1))()  # a nameless one ends the list
    for entry, (name, values) in zip(entries, means.items(), strict=False):
        entry.name, entry.size = name.encode(), values.size
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    yield ctypes.cast(entries, ctypes.POINTER(lib.llama_model_imatrix_data))


def measure(model: Path, calibration: str, ctx: TaskContext) -> Importance:
    """Measure a model.

    Args:
        calibration: A text file to read; empty = the model writes the text itself.

    Raises:
        UserError: The model or the text is of no use, or this llama.cpp cannot be looked into.
        Cancelled: The user stopped it.
    """
    header = read_gguf_header(model)
    require_chat_model(header)
    _refuse_experts(header)
    pieces = _read(model, Path(calibration)) if calibration else _written(model, ctx)
    found = Importance()
    with Tensors.watched(found.add) as watching:
        native = open_model(model, _params(PIECE), _SAFE, on_evaluation=watching.callback)
        try:
            context = TokenContext(native)
            for done, tokens in enumerate(pieces):
                ctx.check_cancelled()
                ctx.progress(done, len(pieces), "pieces of text measured")
                for _ in context.score(tokens, 1):  # with all outputs: else the last layer would see one token alone
                    pass
                watching.check()
            context.close()
        finally:
            native.close()
    if not found.sums:
        raise UserError(f"Nothing of “{model.name}” could be measured.", remedy="Choose Q3_K_S or larger.")
    return found


def _params(n_ctx: int) -> LlamaCppParams:
    return LlamaCppParams(n_ctx=n_ctx, n_batch=PIECE)


def _refuse_experts(header: GgufHeader) -> None:
    if header.number(f"{header.architecture}.expert_count"):
        raise UserError(
            f"“{header.path.name}” is a mixture of experts, whose importance is not measured yet.",
            remedy="Choose Q3_K_S or larger, which need no measuring.",
        )


def _read(model: Path, file: Path) -> list[list[int]]:
    """A text file in pieces of tokens."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as text: {error}.", remedy="Choose a text file in UTF-8.") from error
    native = open_model(model, _params(PIECE), _SAFE)
    try:
        tokens = Vocabulary(native.lib, native.model).tokenize(text, add_special=True, parse_special=True)
    finally:
        native.close()
    pieces = [tokens[at : at + PIECE] for at in range(0, min(len(tokens), MOST_TOKENS), PIECE)]
    whole = [piece for piece in pieces if len(piece) == PIECE]
    if not whole:
        raise UserError(f"{file.name} is too short to measure with.", remedy=f"Give at least {PIECE} tokens of text.")
    return whole


def _written(model: Path, ctx: TaskContext) -> list[list[int]]:
    """Texts that the model writes itself, after the built-in beginnings."""
    native = open_model(model, _params(2 * PIECE), _SAFE)
    pieces = []
    try:
        vocabulary, context = Vocabulary(native.lib, native.model), TokenContext(native)
        for done, beginning in enumerate(PROMPTS):
            ctx.progress(done, len(PROMPTS), "texts written to measure with")
            start = vocabulary.tokenize(beginning, add_special=True, parse_special=True)[: PIECE // 2]
            pieces.append(_gone_on(start, vocabulary, context, native, ctx, _SEED + done))
        context.close()
    finally:
        native.close()
    return pieces


def _gone_on(
    start: list[int], vocabulary: Vocabulary, context: TokenContext, native: Any, ctx: TaskContext, seed: int
) -> list[int]:
    settings = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed)
    sampler = Sampler(native.lib, vocabulary, settings, start, context=native.context, n_ctx=native.n_ctx)
    tokens = list(start)
    try:
        context.clear()
        for _ in context.prefill(start, lambda: ctx.cancelled):
            pass
        while len(tokens) < PIECE:
            if len(tokens) % 32 == 0:
                ctx.check_cancelled()
            token = sampler.sample(-1)
            if vocabulary.is_end(token):
                break
            tokens.append(token)
            context.step(token)
    finally:
        sampler.close()
    return tokens
