"""Models made of models from the command line, with real workers: folders to GGUF, PEFT adapters merged, all measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fmstudio.api.gguf_header import read_gguf_header
from fmstudio.project import Project
from tests.helpers import fmstudio, fmstudio_json, write_jsonl
from tests.tiny_llama import build_tiny_llama

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Hugging Face folder, and a PEFT adapter of it that changes answers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    hf, _ = build_tiny_llama(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(hf)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "o_proj"], init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        tuned: Any = get_peft_model(model, config)
    tuned.save_pretrained(folder / "tuned")
    return hf, folder / "tuned"


@pytest.fixture
def project(tmp_path: Path) -> str:
    Project.create(tmp_path / "project").close()
    return str(tmp_path / "project")


def test_a_folder_becomes_a_small_gguf_measured_on_the_users_rows(
    tiny: tuple[Path, Path], project: str, tmp_path: Path
) -> None:
    rows = write_jsonl(tmp_path / "rows.jsonl", [{"text": f"The printer in room {n} is silent."} for n in range(5)])
    fmstudio_json("import", str(rows), "--project", project)
    made = fmstudio_json("convert", str(tiny[0]), "--to", "Q8_0", "--prompts", "rows", "--project", project)["model"]
    assert read_gguf_header(Path(made["path"])).file_type == "Q8_0"
    quality = made["metrics"]["quality"]
    assert (quality["n_prompts"], made["metrics"]["same_tokens"]) == (5, 1.0)
    assert 0 <= quality["kl_mean"] < 0.1 and quality["tokens_per_second_after"] > 0
    shown = fmstudio("models", "show", made["name"], "--project", project)
    assert "Estimate:" in shown.stdout and "Fits with: n_ctx 512" in shown.stdout, shown.stderr
    assert len(list(Path(project, "models").iterdir())) == 1, "what was only on the way is gone"


def test_a_peft_adapter_is_merged_into_a_folder_and_into_a_gguf(tiny: tuple[Path, Path], project: str) -> None:
    fmstudio_json("models", "--add", str(tiny[0]), "--project", project)
    adapter = fmstudio_json("models", "--add", str(tiny[1]), "--project", project)["models"][-1]
    assert adapter["kind"] == "adapter" and adapter["base_id"]
    folder = fmstudio_json("merge", adapter["id"], "--project", project)["model"]
    assert (folder["format"], folder["facts"]["quantization"]) == ("hf", "BF16")
    made = fmstudio_json("merge", adapter["id"], "--to", "Q8_0", "--project", project)["model"]
    assert (made["format"], made["facts"]["quantization"]) == ("gguf", "Q8_0")
    assert made["metrics"]["same_tokens"] == 1.0
    asked = ("--max-tokens", "8", "--project", project, "Where is the light?")
    base = fmstudio_json("convert", str(tiny[0]), "--to", "F16", "--no-measure", "--project", project)["model"]
    plain = fmstudio_json("chat", "--model", base["id"], *asked)["answer"]
    assert fmstudio_json("chat", "--model", made["id"], *asked)["answer"] != plain, "the adapter is in the weights"


def test_an_adapter_without_a_base_is_refused_in_words(tiny: tuple[Path, Path], project: str) -> None:
    opened = Project.open(Path(project))
    for entry in opened.models.all():
        opened.models.remove(entry.id)
    opened.close()
    adapter = fmstudio_json("models", "--add", str(tiny[1]), "--project", project)["models"][0]
    done = fmstudio("merge", adapter["id"], "--project", project)
    assert done.returncode == 2 and "belongs to no base model yet" in done.stderr
