"""The whole main job on the real model and data, from the command line; training is cut short, nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import fmstudio_json


@pytest.mark.slow
def test_the_demo_goes_from_files_to_a_tested_adapter(tmp_path: Path) -> None:
    project = str(tmp_path / "demo")
    figures = fmstudio_json("demo", "--project", project, "--no-window", "--max-steps", "12", timeout=900)
    assert (figures["rows_before"], figures["rows_after"]) == (2025, 898)
    assert figures["eval_loss_after"] < figures["eval_loss_before"] - 0.2
    assert figures["top1_agreement"] >= 0.98
    assert figures["greedy_parity"] >= 0.9
    assert figures["base"] == "SmolLM2-135M-Instruct F16"
    assert set(figures["seconds"]) == {"import", "clean", "embed", "convert", "train", "chat", "total"}
    assert all(set(answer) == {"prompt", "before", "after"} for answer in figures["answers"])
    assert any(answer["before"] != answer["after"] for answer in figures["answers"])
    assert figures["chat"]["adapter_on"] != figures["chat"]["adapter_off"]
    models = fmstudio_json("models", "--project", project)["models"]
    base = next(m for m in models if m["name"] == figures["base"])
    assert base["facts"]["made_from"] == next(m["id"] for m in models if m["name"] == "SmolLM2-135M-Instruct")
    assert {(m["kind"], m["format"]) for m in models} == {("base", "gguf"), ("adapter", "peft"), ("adapter", "gguf")}
    adapter = next(m for m in models if m["format"] == "peft")
    assert adapter["dataset_version"] == 2
    assert adapter["base_id"] == base["id"]
    asked = ("chat", "--model", base["name"], "--adapter", "chatterbot english", "--project", project)
    again = [fmstudio_json(*asked, "Who are you?", "--max-tokens", "16")["answer"] for _ in range(2)]
    assert again[0] == again[1]
    assert again[0]
