"""The exported adapter makes llama.cpp say what PEFT says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeContext
from tests.plugins.lora_kit import train
from tests.plugins.lora_llama_cpp import BareModel
from tests.tiny_llama import build_tiny_llama

# PEFT 0.21 reads a property that transformers 5.23 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def adapter(tiny: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    made: Path = train(tiny[0], folder, FakeContext(folder / "work"), epochs=4).adapter_dir
    return made


def export(source: Path, base: Path, out: Path, **settings: Any) -> Path:
    from fmstudio_lora.gguf_export import GgufParams, PeftToGgufExporter

    return PeftToGgufExporter().export(source, base, out, GgufParams(**settings), FakeContext(out / "work"))


def peft_logits(base: Path, adapter: Path | None, tokens: list[int]) -> Any:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens])).logits[0].numpy()


TOKENS = [1, 30, 40, 50, 60, 7, 8, 99, 200, 300, 2, 3, 120, 44]


@pytest.mark.parametrize("base", ["hf", "gguf"])
def test_llama_cpp_with_the_adapter_gives_pefts_logits(
    tiny: tuple[Path, Path], adapter: Path, tmp_path: Path, base: str
) -> None:
    exported = export(adapter, tiny[0] if base == "hf" else tiny[1], tmp_path)
    expected, without = peft_logits(tiny[0], adapter, TOKENS), peft_logits(tiny[0], None, TOKENS)
    assert np.abs(expected - without).max() > 0.5, "the adapter must matter, or this test shows nothing"
    model = BareModel(tiny[1], exact=True)
    try:
        model.set_adapter(exported)
        np.testing.assert_allclose(model.logits(TOKENS), expected, atol=2e-4)
        model.set_adapter(None)
        np.testing.assert_allclose(model.logits(TOKENS), without, atol=2e-4)
    finally:
        model.close()


def test_the_file_says_what_it_is(tiny: tuple[Path, Path], adapter: Path, tmp_path: Path) -> None:
    from gguf import GGUFReader

    reader = GGUFReader(export(adapter, tiny[1], tmp_path))
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.type"] == "adapter" and fields["adapter.type"] == "lora"
    assert fields["adapter.lora.alpha"] == 16 and fields["general.architecture"] == "llama"
    shapes = {tensor.name: tensor.shape.tolist() for tensor in reader.tensors}
    assert len(shapes) == 2 * 2 * 7
    assert shapes["blk.1.ffn_down.weight.lora_a"] == [192, 8]
    assert shapes["blk.1.ffn_down.weight.lora_b"] == [8, 64]


def test_half_precision_halves_the_file(tiny: tuple[Path, Path], adapter: Path, tmp_path: Path) -> None:
    full = export(adapter, tiny[1], tmp_path / "a").stat().st_size
    assert export(adapter, tiny[1], tmp_path / "b", dtype="f16").stat().st_size < 0.6 * full


def changed_config(adapter: Path, folder: Path, **values: Any) -> Path:
    shutil.copytree(adapter, folder)
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    (folder / "adapter_config.json").write_text(json.dumps({**config, **values}), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("values", "words"),
    [({"use_dora": True}, "DoRA"), ({"modules_to_save": ["lm_head"]}, "fully trained"), ({"peft_type": "IA3"}, "IA3")],
)
def test_what_gguf_cannot_hold_is_refused(
    tiny: tuple[Path, Path], adapter: Path, tmp_path: Path, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        export(changed_config(adapter, tmp_path / "changed", **values), tiny[0], tmp_path)


def test_another_architecture_is_refused_by_name(adapter: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text('{"model_type": "mamba"}', "utf-8")
    with pytest.raises(UserError, match="mamba"):
        export(adapter, base, tmp_path)


def test_a_folder_that_is_no_adapter_is_refused(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"adapter_config\.json"):
        export(tmp_path, tiny[0], tmp_path)
