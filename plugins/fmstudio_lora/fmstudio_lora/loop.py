"""The training loop: rows in seeded order, packed passes, AdamW on the adapter's fp32 weights.

It knows nothing of files but the checkpoints; `trainer.py` brings model and rows and keeps what comes out.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmstudio.api import Cancelled, TaskContext, UserError
from fmstudio_lora import checkpoint
from fmstudio_lora.attention import PackedAttention
from fmstudio_lora.data import Example
from fmstudio_lora.fused import head_loss
from fmstudio_lora.packing import pack, plan
from fmstudio_lora.params import LoraParams

_TIMED_STEPS = 4
"""Steps after which it is known how long one takes."""


@dataclass(slots=True)
class Run:
    """A model ready to train, and its rows.

    Attributes:
        model: PEFT model; only the adapter asks for gradients.
        attention: The packed attention registered with it.
        fingerprint: What a checkpoint must carry to be of this run.
    """

    model: Any
    attention: PackedAttention
    train: Sequence[Example]
    held_out: Sequence[Example]
    params: LoraParams
    checkpoints: Path
    fingerprint: str


@dataclass(slots=True)
class Outcome:
    """Counts and losses of a run; `eval_losses` by step, nats a token; `planned` is the step it ends with."""

    steps: int = 0
    planned: int = 0
    tokens: int = 0
    learned_tokens: int = 0
    seconds: float = 0.0
    eval_losses: dict[int, float] = field(default_factory=dict)
    train_losses: list[float] = field(default_factory=list)
    resumed_at: int = 0

    @property
    def is_over(self) -> bool:
        """Whether all planned steps are done."""
        return self.steps >= self.planned

    def add(self, *, loss: float, tokens: int, learned: int, seconds: float) -> None:
        """Count one finished step."""
        self.steps += 1
        self.tokens += tokens
        self.learned_tokens += learned
        self.seconds += seconds
        self.train_losses.append(loss)


def total_steps(n_rows: int, params: LoraParams) -> int:
    """Steps of the whole run, if it may take as long as it takes."""
    per_epoch = math.ceil(n_rows / (params.batch_size * params.gradient_accumulation))
    steps = max(1, math.ceil(per_epoch * params.epochs))
    return min(steps, params.max_steps) if params.max_steps else steps


def learning_rate(step: int, steps: int, params: LoraParams) -> float:
    """Rate of step ``0 … steps - 1``: linear warm-up, then the chosen fall to zero."""
    warmup = math.ceil(params.warmup_ratio * steps)
    if step < warmup:
        return params.learning_rate * (step + 1) / warmup
    if params.schedule == "constant":
        return params.learning_rate
    done = (step - warmup) / max(1, steps - warmup)
    share = 1 - done if params.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return params.learning_rate * share


def rows_of_step(step: int, n_rows: int, params: LoraParams) -> list[int]:
    """Indices of the rows of a step: a function of seed and step alone, so a resumed run sees the same rows."""
    size = params.batch_size * params.gradient_accumulation
    epoch, place = divmod(step, math.ceil(n_rows / size))
    order = list(range(n_rows))
    random.Random(f"{params.seed}-{epoch}").shuffle(order)
    return order[place * size : (place + 1) * size]


def train(run: Run, ctx: TaskContext) -> Outcome:
    """Train to the last step, from the newest checkpoint when there is one.

    Raises:
        UserError: The loss is no longer a number.
        Cancelled: The user asked to stop; a checkpoint was written.
    """
    import torch

    params, model = run.params, run.model
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        list(weights.values()), lr=params.learning_rate, weight_decay=params.weight_decay, betas=(0.9, 0.999)
    )
    outcome = _resume(run, weights, optimizer, ctx)
    per_epoch = math.ceil(len(run.train) / (params.batch_size * params.gradient_accumulation))
    every = params.eval_every or per_epoch
    outcome.planned = outcome.planned or total_steps(len(run.train), params)
    random_state = torch.get_rng_state()
    saved_at = time.monotonic()
    try:
        if outcome.steps not in outcome.eval_losses and (outcome.steps % every == 0 or outcome.is_over):
            _evaluate(run, outcome, ctx)
        while not outcome.is_over:
            started, step = time.monotonic(), outcome.steps
            random_state = torch.get_rng_state()
            rate = learning_rate(step, outcome.planned, params)
            for group in optimizer.param_groups:
                group["lr"] = rate
            rows = [run.train[i] for i in rows_of_step(step, len(run.train), params)]
            learned = sum(sum(row.learned[1:]) for row in rows)
            loss, tokens = 0.0, 0
            model.train()
            for chosen in plan(rows, params.micro_batch_tokens):
                ctx.check_cancelled()
                batch = pack(rows, chosen, model.device)
                piece = _loss(run, batch) / learned
                piece.backward()
                loss += piece.item()
                tokens += batch.row_tokens
            norm = float(torch.nn.utils.clip_grad_norm_(list(weights.values()), params.max_grad_norm))
            if not math.isfinite(loss) or not math.isfinite(norm):
                raise _not_a_number(step, loss, norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            random_state = torch.get_rng_state()
            seconds = time.monotonic() - started
            outcome.add(loss=loss, tokens=tokens, learned=learned, seconds=seconds)
            if outcome.steps == _TIMED_STEPS:
                _keep_to_the_time(outcome, params, ctx)
            _report(ctx, outcome, loss, rate, tokens / seconds)
            if outcome.steps % every == 0 or outcome.is_over:
                _evaluate(run, outcome, ctx)
            if time.monotonic() - saved_at >= params.checkpoint_seconds or outcome.is_over:
                _save(run, weights, optimizer, outcome, random_state)
                saved_at = time.monotonic()
    except Cancelled:
        # Half of a step's gradients are thrown away with the random numbers they used: the step is done again.
        _save(run, weights, optimizer, outcome, random_state)
        raise
    model.eval()
    return outcome


def _not_a_number(step: int, loss: float, norm: float) -> UserError:
    return UserError(
        f"The training loss is no longer a number at step {step + 1} (loss {loss}, gradient {norm}).",
        remedy="Lower the learning rate, or set the number format to fp32; then start the run again.",
    )


def _keep_to_the_time(outcome: Outcome, params: LoraParams, ctx: TaskContext) -> None:
    """Plan fewer steps where all of them would take longer than the user wants; the rates then fall to zero sooner."""
    each = outcome.seconds / outcome.steps
    fitting = max(outcome.steps, int(params.max_minutes * 60 / each)) if params.max_minutes else outcome.planned
    if fitting < outcome.planned:
        whole = outcome.planned * each / 60
        ctx.log(f"All {outcome.planned} steps would take {whole:.1f} minutes on this machine; {fitting} are made.")
        outcome.planned = fitting


def _report(ctx: TaskContext, outcome: Outcome, loss: float, rate: float, speed: float) -> None:
    step, steps = outcome.steps, outcome.planned
    ctx.metric("train_loss", loss, step)
    ctx.metric("learning_rate", rate, step)
    ctx.metric("tokens_per_second", speed, step)
    ctx.metric("tokens", outcome.tokens, step)
    ctx.progress(step, steps, f"step {step} of {steps}, loss {loss:.3f}")


def _loss(run: Run, batch: Any) -> Any:
    """Summed loss of a pack's learned tokens."""
    model = run.model.get_base_model()
    with run.attention.use(batch):
        out = model.model(input_ids=batch.tokens, position_ids=batch.positions, use_cache=False)
    hidden = out.last_hidden_state[0].index_select(0, batch.source)
    head = model.get_output_embeddings().weight
    return head_loss(hidden, head, batch.target, getattr(model.config, "final_logit_softcapping", None))


def mean_loss(run: Run, rows: Sequence[Example], ctx: TaskContext) -> float:
    """Mean loss of the learned tokens of `rows`, nats a token, with the adapter as it stands."""
    import torch

    total, learned = 0.0, 0
    run.model.eval()
    with torch.inference_mode():
        for chosen in plan(rows, run.params.micro_batch_tokens):
            ctx.check_cancelled()
            batch = pack(rows, chosen, run.model.device)
            total += float(_loss(run, batch))
            learned += batch.n_learned
    return total / learned


def _evaluate(run: Run, outcome: Outcome, ctx: TaskContext) -> None:
    loss = mean_loss(run, run.held_out, ctx)
    if not math.isfinite(loss) and not outcome.steps:
        raise UserError(
            f"The base model gives no usable numbers on the held-out rows (loss {loss}).",
            remedy="Set the number format to fp32, or choose another copy of the model.",
        )
    outcome.eval_losses[outcome.steps] = loss
    ctx.metric("eval_loss", loss, outcome.steps)


def _save(run: Run, weights: dict[str, Any], optimizer: Any, outcome: Outcome, random_state: Any) -> None:
    state = {
        "fingerprint": run.fingerprint,
        "weights": {name: p.detach().cpu() for name, p in weights.items()},
        "optimizer": optimizer.state_dict(),
        "random": random_state,
        "steps": outcome.steps,
        "planned": outcome.planned,
        "tokens": outcome.tokens,
        "learned_tokens": outcome.learned_tokens,
        "seconds": outcome.seconds,
        "eval_losses": dict(outcome.eval_losses),
        "train_losses": list(outcome.train_losses),
    }
    checkpoint.save(run.checkpoints, outcome.steps, state)


def _resume(run: Run, weights: dict[str, Any], optimizer: Any, ctx: TaskContext) -> Outcome:
    import torch

    state = checkpoint.load_newest(run.checkpoints, run.fingerprint)
    if state is None:
        return Outcome()
    with torch.no_grad():
        for name, value in state["weights"].items():
            weights[name].copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    ctx.log(f"Going on from the checkpoint after step {state['steps']}.")
    names = ("steps", "planned", "tokens", "learned_tokens", "seconds", "eval_losses", "train_losses")
    return Outcome(**{name: state[name] for name in names}, resumed_at=state["steps"])
