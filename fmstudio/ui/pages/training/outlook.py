"""What a run will do, told before it starts: rows, held-out rows, estimated tokens and steps. No widgets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmstudio.project import Project

SAMPLE_ROWS = 400
CHARS_PER_TOKEN = 4.0
"""English text under common vocabularies; other languages differ, so every number made with it is an estimate."""
TRAINABLE = ("conversation", "prompt_completion", "text")


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What is known of a dataset version.

    Attributes:
        kind: conversation, prompt_completion, text or table.
        sampled: Rows that were looked at. with_answer: Those of them that hold an answer to learn.
        mean_chars: Mean length of a sampled row's text in characters.
    """

    rows: int
    kind: str
    sampled: int
    with_answer: int
    mean_chars: float

    @property
    def is_trainable(self) -> bool:
        """Whether rows of this kind can be trained on."""
        return self.kind in TRAINABLE and self.rows > 0 and self.with_answer > 0

    @property
    def usable_rows(self) -> int:
        """Rows with an answer: counted when all were looked at, else projected from the sample."""
        return round(self.rows * self.with_answer / self.sampled) if self.sampled else 0


@dataclass(frozen=True, slots=True)
class Outlook:
    """A run's size before it starts. `tokens` and `steps` are estimates."""

    train_rows: int
    held_out: int
    tokens: int
    steps: int


def read_facts(project: Project, dataset_id: str, version: int) -> DataFacts:
    """Look at the first rows of a version and count all."""
    dataset = project.datasets.get(dataset_id)
    page = project.page(dataset_id, offset=0, limit=SAMPLE_ROWS, version=version)
    rows = page.records()
    lengths = [sum(len(text) for text in texts_of(row, dataset.kind)) for row in rows]
    answers = sum(has_answer(row, dataset.kind) for row in rows)
    return DataFacts(page.total, dataset.kind, len(rows), answers, sum(lengths) / len(lengths) if lengths else 0.0)


def texts_of(row: dict[str, Any], kind: str) -> Sequence[str]:
    """The texts of a row that reach the model."""
    if kind == "conversation":
        return [str(m.get("content") or "") for m in row.get("messages") or []]
    names = {"prompt_completion": ("prompt", "completion"), "text": ("text",)}.get(kind, ())
    return [str(row.get(name) or "") for name in names]


def has_answer(row: dict[str, Any], kind: str) -> bool:
    """Whether a row holds something to learn."""
    if kind == "conversation":
        return any(m.get("role") == "assistant" and m.get("content") for m in row.get("messages") or [])
    if kind == "prompt_completion":
        return bool(row.get("completion"))
    return kind == "text" and bool(str(row.get("text") or "").strip())


def look_ahead(facts: DataFacts, params: dict[str, Any]) -> Outlook:
    """Work out a run's size from the data and the trainer's parameters (names as in `LoraParams`)."""
    rows = facts.usable_rows
    held_out = min(max(1, round(rows * float(params.get("eval_fraction") or 0))), max(0, rows - 1))
    train = rows - held_out
    longest = float(params.get("max_length") or math.inf)
    tokens = train * min(facts.mean_chars / CHARS_PER_TOKEN, longest)
    batch = max(1, int(params.get("batch_size") or 1) * int(params.get("gradient_accumulation") or 1))
    epochs = float(params.get("epochs") or 1)
    steps = math.ceil(math.ceil(train / batch) * epochs)
    limit = int(params.get("max_steps") or 0)
    return Outlook(train, held_out, round(tokens * epochs), min(steps, limit) if limit else steps)
