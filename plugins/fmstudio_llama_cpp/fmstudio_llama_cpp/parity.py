"""`AdapterParity`: does an adapter do in the engine what it did in the trainer?

Reads the trainer's own account of held-out rows (`EvalRecord`) and repeats it in llama.cpp: teacher-forced most
likely tokens, greedy answers, loss. It trains nothing and judges no quality.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fmstudio.api import AdapterScale, EvalRecord, Evaluator, Field, GenerateRequest, Params, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio.api.gguf_header import read_gguf_header
from fmstudio_llama_cpp.backend import LlamaCppBackend
from fmstudio_llama_cpp.params import LlamaCppParams
from fmstudio_llama_cpp.quantize import quantize

ANSWER_TOKENS = 48
HALF_PRECISION_PARAMS = 1_000_000_000
"""Largest base (in weights) of which a half-precision copy is made: 2 GB on disk for the length of the comparison."""


class ParityParams(Params):
    """What to measure and how to load the model."""

    max_prompts: int = Field(default=0, ge=0, title="Prompts", description="Held-out prompts to measure; 0 = all.")
    compare_weights: bool = Field(
        default=True,
        title="Compare on the trainer's weights",
        description="Also measure on a half-precision copy of a quantised base, where both compute with the same numbers.",
    )
    native_settings: dict[str, Any] = Field(
        default_factory=lambda: {"use_extra_bufts": False, "n_gpu_layers": 0},
        title="Engine settings",
        description="Native settings that work on this computer. The default is the safest, not the fastest.",
    )


@dataclass(slots=True)
class _Side:
    """Measurements of one model: the base, or the base with the adapter."""

    loss_sum: float = 0.0
    n_tokens: int = 0
    n_agree: int = 0
    answers: list[list[int]] = field(default_factory=list)

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood in nats a token."""
        return self.loss_sum / self.n_tokens if self.n_tokens else 0.0


class AdapterParity(Evaluator):
    """Compares engine and trainer over held-out rows.

    The trainer computes with the base's dequantised weights; beside 4-bit weights llama.cpp also rounds *activations*
    to 8 bits, which alone turns 2–3 % of the likeliest tokens of SmolLM2 Q4_1, adapter or not. So the adapter is judged
    on the same weights at half precision, and what that rounding adds is reported beside it.

    Figures: ``top1_agreement`` and ``greedy_parity`` (shares in [0, 1], adapter on, same weights as the trainer);
    ``top1_agreement_served`` and ``greedy_parity_served`` (the file as it is served); ``compared_on`` (name of the
    weights the first two were measured on); ``eval_loss_before_engine`` and ``eval_loss_after_engine`` (nats a token,
    adapter off and on, as served), ``n_tokens``, ``n_prompts``, ``answers`` (prompt, before, after, expected; as served).
    """

    Params = ParityParams

    def evaluate(
        self, base_model: Path, adapter: Path | None, reference: Path, params: AnyParams, ctx: TaskContext
    ) -> dict[str, Any]:
        """See `Evaluator.evaluate`. Without an adapter, before and after are the same.

        Raises:
            UserError: The reference is damaged or was made with another vocabulary; a file cannot be loaded.
        """
        chosen = params if isinstance(params, ParityParams) else ParityParams.model_validate(params.model_dump())
        records = _read(reference)[: chosen.max_prompts or None]
        longest = max(len(r.prompt_tokens) + max(len(r.answer_tokens), len(r.greedy), ANSWER_TOKENS) for r in records)
        settings = chosen.native_settings
        scales = [AdapterScale(adapter)] if adapter else []
        greedy = [max(len(r.greedy), ANSWER_TOKENS) for r in records]
        copy = _half_precision(base_model, ctx) if chosen.compare_weights else None
        total = (3 if copy else 2) * len(records)
        with _opened(base_model, longest, settings) as backend:
            _check_vocabulary(records, backend)
            before = _measure(backend, records, _base_limits(records), ctx, (0, total))
            backend.set_adapters(scales)
            after = _measure(backend, records, greedy, ctx, (len(records), total))
            figures = _figures(backend, records, before, after)
        if copy is None:
            return figures
        try:
            with _opened(copy, longest, settings) as backend:
                backend.set_adapters(scales)
                same = _measure(backend, records, greedy, ctx, (2 * len(records), total))
        finally:
            copy.unlink(missing_ok=True)
        return {**figures, **_agreement(records, same), "compared_on": "F16 copy of the base"}


@contextmanager
def _opened(path: Path, longest: int, settings: dict[str, Any]) -> Iterator[LlamaCppBackend]:
    backend = LlamaCppBackend()
    try:
        info = backend.load(path, LlamaCppParams(n_ctx=longest + 8), settings)
        if longest > info.n_ctx:
            raise UserError(
                f"A held-out row needs {longest:,} tokens; the model holds {info.n_ctx:,}.",
                remedy="Leave longer rows out of the evaluation.",
            )
        yield backend
    finally:
        backend.close()


def _half_precision(base_model: Path, ctx: TaskContext) -> Path | None:
    """Write the base's weights as F16; None where they are not quantised or the copy would be too large."""
    header = read_gguf_header(base_model)
    if header.file_type in ("F32", "F16", "BF16"):
        return None
    if header.n_params > HALF_PRECISION_PARAMS:
        ctx.log("The base is too large for a half-precision copy: agreement is measured on the file as served.")
        return None
    try:
        return quantize(base_model, ctx.workdir / "base-f16.gguf", "F16", ctx)
    except UserError as error:
        ctx.log(f"No half-precision copy of the base could be made: {error}", "warning")
        return None


def _read(reference: Path) -> list[EvalRecord]:
    known = {f.name for f in fields(EvalRecord)}
    records = []
    for number, line in enumerate(reference.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            record = EvalRecord(**{key: value[key] for key in value if key in known})
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"Line {number} of “{reference.name}” is no evaluation record: {error}.", remedy="Train again."
            ) from error
        if record.prompt_tokens and record.answer_tokens:
            records.append(record)
    if not records:
        raise UserError(f"“{reference.name}” holds no held-out rows.", remedy="Train with more rows held out.")
    return records


def _check_vocabulary(records: Sequence[EvalRecord], backend: LlamaCppBackend) -> None:
    for number, record in enumerate(records, 1):
        for token in (*record.prompt_tokens, *record.answer_tokens):
            if not backend.vocabulary.contains(token):
                raise UserError(
                    f"Held-out row {number} holds the token {token}; the model has {backend.vocabulary.n_tokens:,}.",
                    remedy="Evaluate with the base model the adapter was trained on.",
                )


def _base_limits(records: Sequence[EvalRecord]) -> list[int]:
    return [max(len(r.greedy_base), ANSWER_TOKENS) for r in records]


def _measure(
    backend: LlamaCppBackend,
    records: Sequence[EvalRecord],
    limits: Sequence[int],
    ctx: TaskContext,
    progress: tuple[int, int],
) -> _Side:
    side = _Side()
    for number, (record, limit) in enumerate(zip(records, limits, strict=True)):
        ctx.check_cancelled()
        _score(backend, record, side)
        side.answers.append(_greedy(backend, record.prompt_tokens, limit, ctx))
        ctx.progress(progress[0] + number + 1, progress[1], "held-out prompts measured in the engine")
    return side


def _score(backend: LlamaCppBackend, record: EvalRecord, side: _Side) -> None:
    """Teacher-forced: at each token of the reference answer, the engine's best token and the loss."""
    import numpy as np

    tokens = [*record.prompt_tokens, *record.answer_tokens]
    rows = backend.context.score(tokens, len(record.prompt_tokens))
    for logits, target, expected in zip(rows, record.answer_tokens, record.top1, strict=True):
        best = float(logits.max())
        log_sum = best + float(np.log(np.exp(logits.astype(np.float64) - best).sum()))
        side.loss_sum += log_sum - float(logits[target])
        side.n_tokens += 1
        side.n_agree += int(logits.argmax()) == expected


def _greedy(backend: LlamaCppBackend, prompt: Sequence[int], limit: int, ctx: TaskContext) -> list[int]:
    backend.context.clear()  # no reuse: the prompt is evaluated the same way each time
    request = GenerateRequest(tokens=prompt, temperature=0.0, max_tokens=limit)
    return [token for chunk in backend.generate(request, lambda: ctx.cancelled) for token in chunk.token_ids]


def _figures(backend: LlamaCppBackend, records: Sequence[EvalRecord], before: _Side, after: _Side) -> dict[str, Any]:
    text = backend.vocabulary.text
    served = _agreement(records, after)
    return {
        **served,
        **{f"{name}_served": value for name, value in served.items()},
        "compared_on": "the file as served",
        "eval_loss_before_engine": before.loss,
        "eval_loss_after_engine": after.loss,
        "n_tokens": after.n_tokens,
        "n_prompts": len(records),
        "answers": [
            {
                "prompt": record.prompt,
                "before": text(old).strip(),
                "after": text(new).strip(),
                "expected": text(record.answer_tokens).strip(),
            }
            for record, old, new in zip(records, before.answers, after.answers, strict=True)
        ],
    }


def _agreement(records: Sequence[EvalRecord], side: _Side) -> dict[str, float]:
    # The trainer's answer may be cut at its own limit, so the engine's is compared as far as that reaches.
    identical = sum(
        answer[: len(record.greedy)] == record.greedy for answer, record in zip(side.answers, records, strict=True)
    )
    return {"top1_agreement": side.n_agree / side.n_tokens, "greedy_parity": identical / len(records)}
