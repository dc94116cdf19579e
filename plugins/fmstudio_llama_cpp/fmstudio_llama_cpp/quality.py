"""`GgufQuality`: what a conversion did to a model, measured on prompts: how far its predictions moved, how fast it is.

The original is asked first and its log-probabilities are kept on disk, so that only one model is in memory at a time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fmstudio.api import Evaluator, Field, Params, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_llama_cpp.context import EvaluationCancelled, TokenContext
from fmstudio_llama_cpp.native import open_model
from fmstudio_llama_cpp.params import LlamaCppParams
from fmstudio_llama_cpp.vocabulary import Vocabulary

MOST_KEPT_BYTES: Final = 1 << 30
"""Room on disk for the original's log-probabilities: 5 000 positions of a vocabulary of 50 000."""
CONTEXT: Final = 2048

PROMPTS: Final = (
    "The capital of France is Paris. The largest planet is Jupiter, and the smallest one is Mercury.",
    "To restart the router, hold the button for ten seconds, then wait until the light turns green.",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return fibonacci(n - 1) + fibonacci(n - 2)\n",
    "Water boils at one hundred degrees Celsius at sea level, and at a lower temperature on a mountain.",
    "Dear customer, thank you for your message. We are sorry to hear that your order arrived damaged.",
    "In 1969 two people walked on the Moon for the first time, while a third stayed in orbit above them.",
    "If all birds have feathers and a penguin is a bird, then a penguin has feathers.",
    '{"name": "Sam", "age": 42, "languages": ["English", "French"], "city": "Lyon"}',
)
"""Built-in texts of eight kinds, for when the user names none of their own."""


class QualityParams(Params):
    """What to measure on."""

    prompts: list[str] = Field(default_factory=list, title="Prompts", description="Texts; empty = eight built-in ones.")
    prompt_files: list[str] = Field(
        default_factory=list,
        title="Files",
        description="Parquet files of a dataset version, whose texts are the prompts.",
    )
    max_prompts: int = Field(default=32, ge=1, le=1000, title="Prompts at most")
    max_tokens: int = Field(default=256, ge=8, le=CONTEXT - 80, title="Tokens of a prompt at most")
    answer_tokens: int = Field(
        default=32, ge=1, le=64, title="Tokens of an answer", description="For greedy agreement."
    )
    native_settings: dict[str, Any] = Field(
        default_factory=lambda: {"use_extra_bufts": False, "n_gpu_layers": 0},
        title="Engine settings",
        description="Native settings that work on this computer. The default is the safest, not the fastest.",
    )


class GgufQuality(Evaluator):
    """Compares a converted GGUF with the one it was made from.

    Figures: ``kl_mean``, ``kl_p95``, ``kl_max`` (Kullback-Leibler divergence of the next-token distributions, nats, from
    the original's to the converted one's), ``top1_agreement`` (share of positions with the same likeliest token),
    ``greedy_agreement`` (share of prompts with the very same greedy answer), ``n_prompts``, ``n_positions``,
    ``perplexity_before``, ``perplexity_after``, ``tokens_per_second_before`` and ``…_after`` (decoding one token at a time),
    ``bytes_before``, ``bytes_after``, ``kl_curve`` (21 quantiles from 0 to 1).
    """

    Params = QualityParams

    def evaluate(
        self, base_model: Path, adapter: Path | None, reference: Path, params: AnyParams, ctx: TaskContext
    ) -> dict[str, Any]:
        """See `Evaluator.evaluate`.

        Args:
            base_model: The original.
            adapter: Not used.
            reference: The converted model.
            params: `QualityParams`.
            ctx: Its workdir holds the original's log-probabilities meanwhile.

        Raises:
            UserError: A model cannot be loaded, their vocabularies differ, or there is no text to measure on.
        """
        chosen = params if isinstance(params, QualityParams) else QualityParams.model_validate(params.model_dump())
        store = ctx.workdir / "log-probabilities.f32"
        try:
            before = _Original(store, chosen, ctx).measure(base_model)
            return before.compare(reference, ctx, chosen)
        finally:
            store.unlink(missing_ok=True)


class _Original:
    """The original's account of the prompts, with its log-probabilities in a file of fp32 rows."""

    def __init__(self, store: Path, chosen: QualityParams, ctx: TaskContext) -> None:
        self._store, self._chosen, self._ctx = store, chosen, ctx
        self._texts = _texts(chosen)
        self._prompts: list[list[int]] = []
        self._answers: list[list[int]] = []
        self._n_vocab = 0
        self._bytes = 0
        self._speed = 0.0

    def measure(self, path: Path) -> _Original:
        """Ask the original; keeps what it says."""
        with _opened(path, self._chosen) as opened:
            self._n_vocab, self._bytes = opened.vocabulary.n_tokens, path.stat().st_size
            self._prompts = _tokens(opened, self._texts, self._chosen)
            with self._store.open("wb") as file:
                for done, tokens in enumerate(self._prompts):
                    self._ctx.check_cancelled()
                    for row in _log_rows(opened, tokens):
                        row.astype("float32").tofile(file)
                    self._ctx.progress(done + 1, 2 * len(self._prompts), "prompts read by the original")
            self._answers, self._speed = _greedy(opened, self._prompts, self._chosen, self._ctx)
        return self

    def compare(self, path: Path, ctx: TaskContext, chosen: QualityParams) -> dict[str, Any]:
        """Ask the converted model the same and give the figures."""
        import numpy as np

        kl: list[float] = []
        losses: list[tuple[float, float]] = []
        same = 0
        with _opened(path, chosen) as opened, self._store.open("rb") as file:
            if opened.vocabulary.n_tokens != self._n_vocab:
                raise UserError(
                    f"“{path.name}” has {opened.vocabulary.n_tokens:,} tokens, the original {self._n_vocab:,}.",
                    remedy="Compare a model with the one it was made from.",
                )
            for done, tokens in enumerate(self._prompts):
                ctx.check_cancelled()
                for target, row in zip(tokens[1:], _log_rows(opened, tokens), strict=True):
                    held = np.fromfile(file, np.float32, self._n_vocab).astype(np.float64)
                    kl.append(max(0.0, float((np.exp(held) * (held - row)).sum())))
                    losses.append((-float(held[target]), -float(row[target])))
                    same += int(held.argmax() == row.argmax())
                ctx.progress(len(self._prompts) + done + 1, 2 * len(self._prompts), "prompts read by the new model")
            answers, speed = _greedy(opened, self._prompts, chosen, ctx)
        equal = sum(a == b for a, b in zip(self._answers, answers, strict=True))
        before, after = (float(np.exp(np.mean([pair[side] for pair in losses]))) for side in (0, 1))
        return {
            "kl_mean": float(np.mean(kl)),
            "kl_p95": float(np.quantile(kl, 0.95)),
            "kl_max": float(np.max(kl)),
            "kl_curve": [float(value) for value in np.quantile(kl, np.linspace(0, 1, 21))],
            "top1_agreement": same / len(kl),
            "greedy_agreement": equal / len(answers),
            "perplexity_before": before,
            "perplexity_after": after,
            "n_prompts": len(self._prompts),
            "n_positions": len(kl),
            "tokens_per_second_before": self._speed,
            "tokens_per_second_after": speed,
            "bytes_before": self._bytes,
            "bytes_after": path.stat().st_size,
        }


@dataclass(frozen=True, slots=True)
class _Opened:
    context: TokenContext
    vocabulary: Vocabulary


@contextmanager
def _opened(path: Path, chosen: QualityParams) -> Iterator[_Opened]:
    native = open_model(path, LlamaCppParams(n_ctx=CONTEXT), chosen.native_settings)
    try:
        yield _Opened(TokenContext(native), Vocabulary(native.lib, native.model))
    finally:
        native.close()


def _texts(chosen: QualityParams) -> list[str]:
    texts = [text for text in chosen.prompts if text.strip()]
    if not texts and chosen.prompt_files:
        texts = list(_rows(chosen.prompt_files, chosen.max_prompts))
        if not texts:
            raise UserError(
                "The chosen dataset holds no text to measure on.", remedy="Choose another dataset, or none."
            )
    return (texts or list(PROMPTS))[: chosen.max_prompts]


def _rows(files: Sequence[str], most: int) -> list[str]:
    """Texts of a dataset's first rows: its ``text``, or what is said in its ``messages``."""
    import pyarrow.parquet as pq

    texts: list[str] = []
    for name in files:
        with pq.ParquetFile(name) as file:
            columns = [c for c in ("messages", "text", "prompt", "completion") if c in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=256, columns=columns):
                texts += [text for text in map(_text_of, batch.to_pylist()) if text.strip()]
                if len(texts) >= most:
                    return texts[:most]
    return texts


def _text_of(record: dict[str, Any]) -> str:
    messages = record.get("messages")
    if isinstance(messages, str):
        messages = json.loads(messages)
    if isinstance(messages, list) and messages:
        return "\n".join(str(m.get("content") or "") for m in messages if isinstance(m, dict))
    return "\n".join(str(record[key]) for key in ("text", "prompt", "completion") if record.get(key))


def _tokens(opened: _Opened, texts: Sequence[str], chosen: QualityParams) -> list[list[int]]:
    """Token ids of the prompts, as many as their log-probabilities have room for."""
    room = MOST_KEPT_BYTES // (4 * opened.vocabulary.n_tokens)
    most = min(chosen.max_tokens, opened.context.n_ctx - chosen.answer_tokens - 8)
    found: list[list[int]] = []
    for text in texts:
        tokens = opened.vocabulary.tokenize(text, add_special=True, parse_special=True)[:most]
        if 1 < len(tokens) <= room:
            found.append(tokens)
            room -= len(tokens)
    if not found:
        raise UserError("The prompts are too short to measure anything on.", remedy="Choose longer texts.")
    return found


def _log_rows(opened: _Opened, tokens: Sequence[int]) -> Any:
    """Log-probabilities in fp64 after each token but the last."""
    import numpy as np

    for logits in opened.context.score(tokens, 1):
        values = logits.astype(np.float64)
        values -= values.max()
        yield values - np.log(np.exp(values).sum())


def _greedy(
    opened: _Opened, prompts: Sequence[Sequence[int]], chosen: QualityParams, ctx: TaskContext
) -> tuple[list[list[int]], float]:
    """Greedy answers, and tokens a second of decoding (without reading the prompt)."""
    answers, seconds, count = [], 0.0, 0
    context = opened.context
    for prompt in prompts:
        ctx.check_cancelled()
        context.clear()
        try:
            for _ in context.prefill(prompt, lambda: ctx.cancelled):
                pass
        except EvaluationCancelled:
            ctx.check_cancelled()
            raise
        answer = [int(context.logits().argmax())]
        start = time.perf_counter()
        while len(answer) < chosen.answer_tokens and not opened.vocabulary.is_end(answer[-1]):
            context.step(answer[-1])
            answer.append(int(context.logits().argmax()))
        seconds += time.perf_counter() - start
        count += len(answer) - 1
        answers.append(answer)
    return answers, count / seconds if count else 0.0
