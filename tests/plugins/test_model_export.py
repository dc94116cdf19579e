"""Merging, converting and exporting models: each result is loaded in the engine and held against where it came from."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmstudio.api import UserError
from fmstudio.api.gguf_header import read_gguf_header
from fmstudio.api.testing import FakeContext
from fmstudio.core.paths import first_party_plugins
from tests.plugins.lora_llama_cpp import BareModel
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_llama import CHATML, build_tiny_llama

sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))
sys.path.insert(0, str(first_party_plugins() / "fmstudio_model_export"))
sys.path.insert(0, str(first_party_plugins() / "fmstudio_lora"))

from fmstudio_llama_cpp.quantize import quantize
from fmstudio_llama_cpp.same_answers import SameAnswers, SameParams
from fmstudio_llama_cpp.tokenizer_parity import TokenizerParity
from fmstudio_model_export.folder import FolderParams, ModelFolder
from fmstudio_model_export.hf_to_gguf import HfParams, HfToGguf
from fmstudio_model_export.merge import GgufMerger, MergeParams
from fmstudio_model_export.turns import turn_format

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

PROMPT = [1, 40, 41, 42, 43, 2, 1, 60, 61]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_tiny_llama(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_adapter(tmp_path_factory.mktemp("adapter") / "tuned.gguf")


def logits(path: Path, adapter: Path | None = None, prompt: list[int] = PROMPT) -> Any:
    model = BareModel(path, exact=True)
    try:
        model.set_adapter(adapter)
        return model.logits(prompt)
    finally:
        model.close()


def merge(base: Path, adapter: Path, folder: Path, **settings: Any) -> Path:
    return GgufMerger().export(adapter, base, folder / "out", MergeParams(**settings), FakeContext(folder))


# ---- merging -----------------------------------------------------------------------------------------------------


def test_a_merge_computes_what_base_and_adapter_do(tiny: tuple[Path, Path], adapter: Path, tmp_path: Path) -> None:
    made = merge(tiny[1], adapter, tmp_path, precision="F32")
    wanted = logits(tiny[1], adapter)
    assert np.abs(logits(tiny[1]) - wanted).max() > 0.5, "the adapter must change something"
    assert np.abs(logits(made) - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_at_half_precision_greedy_answers_are_those_of_base_and_adapter(
    tiny: tuple[Path, Path], adapter: Path, tmp_path: Path
) -> None:
    half = quantize(tiny[1], tmp_path / "half.gguf", "F16", FakeContext(tmp_path))
    made = merge(half, adapter, tmp_path)
    figures = SameAnswers().evaluate(half, adapter, made, SameParams(answer_tokens=24), FakeContext(tmp_path))
    assert figures["same_prompts"] == figures["same_answers"] == 1.0 and figures["n_questions"] == 6
    with pytest.raises(UserError, match="otherwise than the original"):
        SameAnswers().evaluate(half, None, made, SameParams(), FakeContext(tmp_path))


def test_strength_and_settings_are_kept(tiny: tuple[Path, Path], adapter: Path, tmp_path: Path) -> None:
    made = merge(tiny[1], adapter, tmp_path, precision="F32", scale=0.0)
    assert np.abs(logits(made) - logits(tiny[1])).max() < 1e-5
    old, new = read_gguf_header(tiny[1]), read_gguf_header(made)
    assert {k: v for k, v in old.metadata.items() if k != "general.file_type"} == {
        k: v for k, v in new.metadata.items() if k != "general.file_type"
    }
    assert {t.name: t.shape for t in old.tensors} == {t.name: t.shape for t in new.tensors}


def test_a_quantised_base_is_merged_on_its_dequantised_weights(
    tiny: tuple[Path, Path], adapter: Path, tmp_path: Path
) -> None:
    small = quantize(tiny[1], tmp_path / "small.gguf", "Q8_0", FakeContext(tmp_path))
    whole = quantize(small, tmp_path / "whole.gguf", "F32", FakeContext(tmp_path))
    made = merge(small, adapter, tmp_path, precision="F32")
    wanted = logits(whole, adapter)
    assert np.abs(logits(made) - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_an_adapter_of_another_model_and_a_cancel_leave_nothing(
    tiny: tuple[Path, Path], adapter: Path, tmp_path: Path
) -> None:
    from fmstudio.api import Cancelled

    stranger = build_tiny_adapter(tmp_path / "stranger.gguf", hidden=128)
    with pytest.raises(UserError, match="does not belong"):
        merge(tiny[1], stranger, tmp_path)
    with pytest.raises(Cancelled):
        GgufMerger().export(
            adapter, tiny[1], tmp_path / "out", MergeParams(), FakeContext(tmp_path / "c", cancel_after=2)
        )
    assert not list((tmp_path / "out").glob("*"))


# ---- converting --------------------------------------------------------------------------------------------------


def hf_logits(folder: Path, prompt: list[int] = PROMPT) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(torch.tensor([prompt])).logits[0].numpy()


def convert(folder: Path, out: Path, precision: Any = "F32") -> Path:
    return HfToGguf().export(folder, folder, out / "out", HfParams(precision=precision), FakeContext(out))


def test_a_converted_folder_gives_transformers_logits(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    made = convert(tiny[0], tmp_path)
    wanted = hf_logits(tiny[0])
    assert np.abs(logits(made) - wanted).max() < 1e-4 * np.abs(wanted).max()
    half = convert(tiny[0], tmp_path, "F16")
    assert np.abs(logits(half) - wanted).max() < 5e-3 * np.abs(wanted).max()
    header = read_gguf_header(made)
    assert header.text("tokenizer.chat_template") == CHATML
    assert (header.number("tokenizer.ggml.bos_token_id"), header.number("tokenizer.ggml.eos_token_id")) == (1, 2)


def test_its_vocabulary_reads_as_the_original(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    made = convert(tiny[0], tmp_path)
    figures = TokenizerParity().evaluate(tiny[0], None, made, TokenizerParity.Params(), FakeContext(tmp_path))
    assert figures["same_tokens"] == 1.0


def test_a_vocabulary_that_would_read_otherwise_is_refused(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    shutil.copytree(tiny[0], folder)
    made = convert(folder, tmp_path)
    spec = json.loads((folder / "tokenizer.json").read_text())
    spec["model"]["merges"] = spec["model"]["merges"][:5]
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    with pytest.raises(UserError, match="otherwise"):
        TokenizerParity().evaluate(folder, None, made, TokenizerParity.Params(), FakeContext(tmp_path))


FAMILIES: dict[str, dict[str, Any]] = {
    "untied": {"tie_word_embeddings": False},
    "wide-heads": {"head_dim": 32},
    "llama31": {"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                                    "high_freq_factor": 4.0, "original_max_position_embeddings": 64}},
    "linear": {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    "biased": {"attention_bias": True},
}  # fmt: skip


def family(folder: Path, tokenizer: Path, name: str) -> Path:
    """A seeded tiny model of another family or shape, with the tiny tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

    numbers: dict[str, Any] = {
        "vocab_size": 448, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 96, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 2,
    }  # fmt: skip
    made: dict[str, Any] = {"mistral": MistralConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config}
    more = {"head_dim": 16} if name == "qwen3" else {"sliding_window": None} if name == "mistral" else {}
    config = made.get(name, LlamaConfig)(**{**numbers, **more, **FAMILIES.get(name, {})})
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model: Any = AutoModelForCausalLM.from_config(config)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, mean=1.0 if weight.dim() == 1 else 0.0, std=0.12)
    model.to(torch.bfloat16).save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / file, folder / file)
    return folder


@pytest.mark.parametrize("name", ["untied", "wide-heads", "llama31", "linear", "biased", "mistral", "qwen2", "qwen3"])
def test_families_and_shapes_convert(tiny: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    folder = family(tmp_path / name, tiny[0], name)
    prompt = [1, *range(30, 130), 2, 1]
    wanted = hf_logits(folder, prompt)
    assert np.abs(logits(convert(folder, tmp_path), None, prompt) - wanted).max() < 1e-3 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "mamba"}, "kind “mamba”"),
        ({"quantization_config": {"bits": 4}}, "quantised already"),
        ({"hidden_size": None}, "config.json"),
        ({"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4}}, "longrope"),
    ],
)
def test_what_is_not_known_for_certain_is_refused(
    tiny: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    folder = tmp_path / "hf"
    shutil.copytree(tiny[0], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UserError, match=words):
        convert(folder, tmp_path)
    assert not list(tmp_path.glob("out/*.gguf*"))


# ---- folders -----------------------------------------------------------------------------------------------------


def write_folder(model: Path, target: Path, **settings: Any) -> Path:
    params = FolderParams(target=str(target), **settings)
    return ModelFolder().export(model, model, target.parent, params, FakeContext(target.parent / "work"))


def test_a_folder_is_reloaded_and_says_the_same(tiny: tuple[Path, Path], adapter: Path, tmp_path: Path) -> None:
    folder = write_folder(tiny[1], tmp_path / "mine", adapter=str(adapter), name="My tiny model")
    assert sorted(f.name for f in folder.iterdir()) == [
        "Modelfile", "README.md", "adapter.gguf", "chat_template.jinja", "model.gguf",
    ]  # fmt: skip
    assert (folder / "model.gguf").samefile(tiny[1])
    figures = SameAnswers().evaluate(tiny[1], adapter, folder, SameParams(), FakeContext(tmp_path))
    assert figures["same_prompts"] == figures["same_answers"] == 1.0
    modelfile = (folder / "Modelfile").read_text()
    assert "FROM ./model.gguf" in modelfile and "ADAPTER ./adapter.gguf" in modelfile
    assert 'PARAMETER stop "<|im_end|>"' in modelfile
    assert '{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n' in modelfile
    readme = (folder / "README.md").read_text()
    for command in ("ollama create my-tiny-model", "llama-server -m model.gguf --lora adapter.gguf", "vllm serve"):
        assert command in readme


def test_an_edited_template_goes_along(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    edited = CHATML.replace("<|im_start|>assistant", "<|im_start|>bot")
    folder = write_folder(tiny[1], tmp_path / "mine", template=edited, copy_files=True)
    assert not (folder / "model.gguf").samefile(tiny[1])
    assert (folder / "chat_template.jinja").read_text() == edited
    assert "--chat-template-file chat_template.jinja" in (folder / "README.md").read_text()
    figures = SameAnswers().evaluate(tiny[1], None, folder, SameParams(template=edited), FakeContext(tmp_path))
    assert figures["same_prompts"] == 1.0


def test_a_folder_that_is_not_empty_is_left_alone(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    with pytest.raises(UserError, match="not empty"):
        write_folder(tiny[1], tmp_path / "mine")
    assert [f.name for f in (tmp_path / "mine").iterdir()] == ["diary.txt"]


def test_a_training_folder_is_exported_for_vllm(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    folder = write_folder(tiny[0], tmp_path / "mine", name="tiny")
    assert np.abs(hf_logits(folder) - hf_logits(tiny[0])).max() == 0
    assert "vllm serve . --served-model-name tiny" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    "template",
    [
        CHATML,
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
        "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}",
    ],
)
def test_a_simple_template_is_told_as_turns(template: str) -> None:
    found = turn_format(template, eos="</s>")
    assert found is not None
    assert "AAQ" not in found.go_template()


def test_an_involved_template_is_not_guessed() -> None:
    merging = "{% for m in messages %}{% if loop.first %}<{{ messages | length }}>{% endif %}{{ m.content | trim }}{% endfor %}"
    assert turn_format(merging, eos="</s>") is None
    assert turn_format("{{ raise_exception('no') }}", eos="") is None
    assert turn_format("{{", eos="") is None


# ---- adapters into folders ---------------------------------------------------------------------------------------


def test_a_peft_adapter_is_merged_into_a_folder(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    from fmstudio_lora.merge import MergeParams as PeftParams
    from fmstudio_lora.merge import PeftMerger

    def base() -> Any:
        return AutoModelForCausalLM.from_pretrained(tiny[0], dtype=torch.float32)

    with torch.random.fork_rng():
        torch.manual_seed(3)
        tuned: Any = get_peft_model(base(), LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"]))
        for name, weight in tuned.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.3)
    tuned.save_pretrained(tmp_path / "tuned")
    made = PeftMerger().export(
        tmp_path / "tuned", tiny[0], tmp_path / "out", PeftParams(dtype="f32"), FakeContext(tmp_path / "w")
    )
    held: Any = PeftModel.from_pretrained(base(), str(tmp_path / "tuned")).eval()
    with torch.no_grad():
        wanted = held(torch.tensor([PROMPT])).logits[0].numpy()
    assert np.abs(hf_logits(made) - wanted).max() < 1e-4 * np.abs(wanted).max()
    gguf = convert(made, tmp_path)
    assert np.abs(logits(gguf) - wanted).max() < 1e-3 * np.abs(wanted).max()
