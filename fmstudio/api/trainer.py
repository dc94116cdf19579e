"""Trainers, exporters and evaluators: from dataset rows to a tested adapter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from fmstudio.api.context import TaskContext
from fmstudio.api.params import Params


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What to train on what.

    Attributes:
        base_model: A GGUF file or a Hugging Face model folder.
        train_files: Parquet files of the dataset version, with the canonical columns of `fmstudio.api.rows`.
        eval_files: Held-out rows never trained on; empty = the trainer holds out its own share and says so.
        out_dir: Where the PEFT adapter folder and other results go.
        chat_template: Jinja text to render conversations with, as the user edited it; empty = the base model's own.
    """

    base_model: Path
    train_files: Sequence[Path]
    eval_files: Sequence[Path]
    out_dir: Path
    chat_template: str = ""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came out.

    Attributes:
        adapter_dir: The adapter in PEFT's format (``adapter_config.json``, ``adapter_model.safetensors``).
        metrics: Measured numbers by name, e.g. ``eval_loss_before``, ``eval_loss_after``, ``tokens_per_second``.
        reference: JSON Lines of what the trained model says of the held-out rows (format: `EvalRecord`), or None.
        chat_template: The edited template it was trained on; empty = the base model's own.
        template_hash: Names the template in use (`fmstudio.api.chat_template.template_hash`).
    """

    adapter_dir: Path
    metrics: dict[str, float]
    reference: Path | None = None
    chat_template: str = ""
    template_hash: str = ""


@dataclass(frozen=True, slots=True)
class EvalRecord:
    """One held-out prompt and what the trained model makes of it, in token ids of the base model.

    Written by a trainer as one JSON object a line, read by evaluators: so an engine can be compared with the trainer
    without either importing the other.

    Attributes:
        prompt: The prompt's text as the user wrote it (last user turn), for display.
        prompt_tokens: The whole rendered prompt.
        answer_tokens: The reference answer, end-of-turn token included.
        top1: The trained model's most likely token at each position of `answer_tokens` (teacher-forced).
        greedy: The trained model's own greedy answer (end-of-turn included when it stopped).
        greedy_base: The base model's greedy answer, adapter off.
        nll: Mean negative log-likelihood (nats a token) of `answer_tokens` under the trained model.
        nll_base: The same under the base model.
    """

    prompt: str
    prompt_tokens: list[int]
    answer_tokens: list[int]
    top1: list[int]
    greedy: list[int]
    greedy_base: list[int] = field(default_factory=list)
    nll: float = 0.0
    nll_base: float = 0.0


class Trainer(ABC):
    """Trains an adapter. Runs in a worker of its own; GPU memory ends with the process.

    Manifest facts: ``method`` (``"sft"``), ``formats`` of base models it accepts (``["gguf", "hf"]``).
    """

    Params: ClassVar[type[Params]] = Params

    @abstractmethod
    def train(self, request: TrainRequest, params: Any, ctx: TaskContext) -> TrainResult:
        """Train, reporting ``train_loss``, ``eval_loss``, ``learning_rate``, ``tokens_per_second`` as metrics.

        Checkpoints go to ``ctx.workdir``; when one is there, training goes on from it to the same result.

        Raises:
            UserError: The data or the model cannot be trained on; the message says why.
        """


class Exporter(ABC):
    """Writes a model artifact in another format. Manifest facts: ``source`` and ``target`` (``"peft"``, ``"gguf"``)."""

    Params: ClassVar[type[Params]] = Params

    @abstractmethod
    def export(self, source: Path, base_model: Path, out_dir: Path, params: Any, ctx: TaskContext) -> Path:
        """Write the artifact below `out_dir` and return its path.

        Raises:
            UserError: The source cannot be expressed in the target format; the message says what stands against it.
        """


class Evaluator(ABC):
    """Measures a model or adapter. Runs in a worker."""

    Params: ClassVar[type[Params]] = Params

    @abstractmethod
    def evaluate(
        self, base_model: Path, adapter: Path | None, reference: Path, params: Any, ctx: TaskContext
    ) -> dict[str, Any]:
        """Return measured figures by name; small and JSON-serialisable.

        Args:
            base_model: The model file the engine loads.
            adapter: Adapter in the engine's format, or None for the bare base.
            reference: JSON Lines of `EvalRecord`.
        """
