"""What a user can set on a LoRA run. Defaults suit a model of 0.1–1 billion weights on a few CPU cores."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from fmstudio.api import Params

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj")
MLP = ("gate_proj", "up_proj", "down_proj", "gate_up_proj")
FORBIDDEN = ("lm_head", "embed_tokens")


class LoraParams(Params):
    """Settings of `LoraSftTrainer`. Rank, alpha and targets carry the names PEFT gives them."""

    r: int = Field(default=8, ge=1, le=512, title="Rank (r)", description="Size of the adapter; larger learns more.")
    lora_alpha: float = Field(
        default=16.0, gt=0, le=4096, title="Alpha", description="Strength of the adapter; it acts with alpha ÷ rank."
    )
    lora_dropout: float = Field(
        default=0.0, ge=0, lt=1, title="Dropout", description="Share of inputs hidden from the adapter; 0 is fastest."
    )
    target_modules: tuple[str, ...] = Field(
        default=ATTENTION + MLP,
        min_length=1,
        title="Target layers",
        description="Projections that get an adapter; names the model does not have are passed over.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, le=1, title="Learning rate", description="Largest step size.")
    epochs: float = Field(default=2.0, gt=0, le=1000, title="Epochs", description="Passes over the training rows.")
    max_steps: int = Field(
        default=0, ge=0, title="Most steps", description="Stop after this many steps; 0 = by epochs."
    )
    max_minutes: float = Field(
        default=0.0,
        ge=0,
        title="Most minutes",
        description="Fewer steps where all of them would take longer here; 0 = as long as it takes.",
    )
    batch_size: int = Field(default=8, ge=1, le=4096, title="Batch size", description="Rows that make one batch.")
    gradient_accumulation: int = Field(
        default=1, ge=1, le=4096, title="Gradient accumulation", description="Batches gathered for one step."
    )
    micro_batch_tokens: int = Field(
        default=1024,
        ge=64,
        le=1_048_576,
        title="Tokens at once",
        description="Most tokens in one pass through the model; smaller needs less memory and changes no result.",
    )
    max_length: int = Field(
        default=512, ge=8, le=131_072, title="Longest row", description="In tokens; longer rows are cut and counted."
    )
    warmup_ratio: float = Field(
        default=0.05, ge=0, lt=1, title="Warm-up", description="Share of steps in which the learning rate rises."
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", title="Schedule", description="How the learning rate falls after the warm-up."
    )
    weight_decay: float = Field(default=0.0, ge=0, le=1, title="Weight decay", description="Pull of weights to zero.")
    max_grad_norm: float = Field(
        default=1.0, gt=0, title="Gradient limit", description="Longer gradients are shortened to this length."
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, title="Seed", description="Same seed, same run.")
    eval_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=0.9,
        title="Held-out share",
        description="Rows kept for evaluation when the dataset brings none.",
    )
    eval_every: int = Field(
        default=0, ge=0, title="Evaluate every", description="Steps between evaluations; 0 = once an epoch."
    )
    dtype: Literal["auto", "bf16", "fp32"] = Field(
        default="auto", title="Number format", description="auto takes bf16 where this processor computes in it."
    )
    max_eval_records: int = Field(
        default=24, ge=0, le=10_000, title="Sample answers", description="Held-out answers written before and after."
    )
    max_new_tokens: int = Field(
        default=48, ge=1, le=4096, title="Longest sample answer", description="In tokens, of the sample answers."
    )
    checkpoint_seconds: float = Field(
        default=30.0, ge=0, title="Checkpoint every", description="Seconds between checkpoints; 0 = after every step."
    )
    threads: int = Field(default=0, ge=0, le=1024, title="Threads", description="0 = one for each processor core.")

    @field_validator("target_modules")
    @classmethod
    def _refuse_vocabulary_layers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        bad = [name for name in value if name.split(".")[-1] in FORBIDDEN]
        if bad:
            raise ValueError(
                f"{', '.join(bad)} cannot be trained here: llama.cpp refuses adapters of vocabulary layers"
            )
        return value
