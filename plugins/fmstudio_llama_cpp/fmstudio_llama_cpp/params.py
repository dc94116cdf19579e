"""What a user can set when a model is loaded."""

from __future__ import annotations

from typing import Literal

from fmstudio.api import Field, Params
from fmstudio.api.chat_template import LONGEST_TEMPLATE

MOST_DRAFT_TOKENS = 31  # with the token before them they fill the smallest batch


class LlamaCppParams(Params):
    """Settings of one loaded model; the defaults suit a laptop."""

    n_ctx: int = Field(
        default=0,
        ge=0,
        title="Context length",
        description="Tokens the conversation may hold. 0 = as many as a quarter of the free memory holds, up to 32,768. "
        "Never more than the model was trained for.",
    )
    n_threads: int = Field(
        default=0, ge=0, le=512, title="Threads", description="0 = one for each physical core this program may use."
    )
    n_batch: int = Field(
        default=512, ge=32, le=4096, title="Batch size", description="Prompt tokens evaluated at once, at most."
    )
    n_gpu_layers: int = Field(
        default=-1, ge=-1, title="Layers on the GPU", description="-1 = as many as fit; 0 = use no GPU."
    )
    flash_attention: Literal["auto", "on", "off"] = Field(
        default="auto", title="Flash attention", description="Auto uses it wherever the model and machine allow."
    )
    kv_type: Literal["f16", "q8_0", "q4_0"] = Field(
        default="f16",
        title="Cache precision",
        description="q8_0 halves the memory a long conversation takes, at a small loss; it needs flash attention.",
    )
    state_mb: int = Field(
        default=-1,
        ge=-1,
        le=1 << 20,
        title="Memory for other conversations",
        description="MiB in which conversations that were left stay ready to go on. -1 = an eighth of the free memory, "
        "2 GiB at most; 0 = none.",
    )
    chat_template: str = Field(
        default="",
        max_length=LONGEST_TEMPLATE,
        title="Chat template",
        description="Jinja text in place of the model's own template; empty = the model's own.",
    )
    projector: str = Field(
        default="",
        title="Projector for pictures",
        description="The mmproj file of a vision model; empty = the one that lies beside the model, if it fits.",
    )
    speculation: Literal["off", "lookup", "draft"] = Field(
        default="off",
        title="Guess ahead",
        description="Guess several tokens and check them at once; answers stay the model's own. lookup guesses from the "
        "conversation itself, good for edits and quotes; draft asks the draft model. Slower guessing is switched off.",
    )
    draft_model: str = Field(
        default="",
        max_length=4096,
        title="Draft model",
        description="Path of a much smaller GGUF model with the same vocabulary, to guess ahead with.",
    )
    draft_tokens: int = Field(
        default=8, ge=1, le=MOST_DRAFT_TOKENS, title="Tokens guessed at once", description="Most tokens of one guess."
    )
    draft_p_min: float = Field(
        default=0.75,
        ge=0,
        le=1,
        title="Least certainty of a guess",
        description="The draft model goes on guessing while it is at least this certain.",
    )
