"""For tests of the LoRA plugin: rows, quick settings, one training call."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

PLUGIN = Path(__file__).resolve().parents[2] / "plugins" / "fmstudio_lora"
if str(PLUGIN) not in sys.path:
    sys.path.insert(0, str(PLUGIN))

QUICK: dict[str, Any] = {
    "dtype": "fp32",
    "threads": 1,
    "batch_size": 4,
    "epochs": 2,
    "learning_rate": 0.01,
    "max_length": 128,
    "micro_batch_tokens": 128,
    "max_eval_records": 3,
    "max_new_tokens": 6,
}


def conversation(number: int) -> list[dict[str, str]]:
    """Rows of different lengths, some with two answers."""
    turns = [
        {"role": "user", "content": f"What is number {number}?" + " Tell me." * (number % 3)},
        {"role": "assistant", "content": f"The number {number} is {number * number}." + " Thanks." * (number % 4)},
    ]
    if number % 5 == 0:
        turns += [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "There, near the river."}]
    return turns


def write_rows(path: Path, rows: list[Any], column: str = "messages") -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({column: rows}), path)
    return path


def train(base: Path, folder: Path, ctx: Any, *, rows: int = 20, **settings: Any) -> Any:
    """Train on `conversation`s; gives the `TrainResult`."""
    from fmstudio.api import TrainRequest
    from fmstudio_lora.params import LoraParams
    from fmstudio_lora.trainer import LoraSftTrainer

    folder.mkdir(parents=True, exist_ok=True)
    train_file = write_rows(folder / "train.parquet", [conversation(i) for i in range(rows)])
    held_out = write_rows(folder / "eval.parquet", [conversation(i) for i in range(100, 106)])
    request = TrainRequest(base, [train_file], [held_out], folder / "out")
    return LoraSftTrainer().train(request, LoraParams(**{**QUICK, **settings}), ctx)


def adapter_weights(adapter: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    weights: dict[str, Any] = load_file(adapter / "adapter_model.safetensors")
    return weights
