"""What matters in a model is measured as transformers would, and the smallest precisions are written with it."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest

from fmstudio.api import UserError
from fmstudio.api.gguf_header import read_gguf_header
from fmstudio.api.testing import FakeContext
from fmstudio.core.paths import first_party_plugins
from fmstudio.plugin_manager import PluginManager
from tests import tiny_llama
from tests.plugins.lora_llama_cpp import BareModel

sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))

from fmstudio_llama_cpp import importance, tensors
from fmstudio_llama_cpp.quantize import BITS, MEASURED, GgufQuantizer, Precision, QuantizeParams

TEXT = "How do I restart the printer? Hold the button for ten seconds, then wait until the light is green. " * 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Wide enough for blocks of 256 weights, which the smallest precisions are made of."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HIDDEN": 256, "INTERMEDIATE": 512, "KV_HEADS": 4}.items():
            patch.setattr(tiny_llama, name, value)
        return tiny_llama.build_tiny_llama(tmp_path_factory.mktemp("importance"))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, "utf-8")
    return path


def by_transformers(folder: Path, pieces: list[list[int]]) -> dict[str, Any]:
    """Mean squares of the inputs of each linear layer, by hooks."""
    import torch
    from transformers import AutoModelForCausalLM

    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    sums: dict[str, Any] = {}

    def hook(name: str) -> Any:
        def take(_module: Any, inputs: tuple[Any, ...]) -> None:
            squares = inputs[0].double().pow(2).sum((0, 1)).numpy()
            sums[name] = sums.get(name, 0) + squares

        return take

    for name, module in loaded.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            module.register_forward_pre_hook(hook(tiny_llama._gguf_name(f"{name}.weight")))
    with torch.no_grad():
        for piece in pieces:
            loaded(torch.tensor([piece[:-1]]))
    rows = sum(len(piece) - 1 for piece in pieces)
    return {name: values / rows for name, values in sums.items()}


def test_it_is_what_transformers_sees(model: tuple[Path, Path], text: Path, tmp_path: Path) -> None:
    folder, gguf = model
    pieces = importance._read(gguf, text)
    assert pieces and all(len(piece) == importance.PIECE for piece in pieces)
    found = importance.measure(gguf, str(text), FakeContext(tmp_path)).means()
    wanted = by_transformers(folder, pieces)
    assert len(wanted) == 7 * tiny_llama.LAYERS and wanted.keys() <= found.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-3, err_msg=name)


@pytest.mark.parametrize("precision", ["Q2_K_S", "IQ2_M"])
def test_the_smallest_are_written_and_load(
    model: tuple[Path, Path], precision: Any, text: Path, tmp_path: Path
) -> None:
    params = QuantizeParams(precision=precision, calibration=str(text))
    made = GgufQuantizer().export(model[1], model[1], tmp_path / "out", params, FakeContext(tmp_path))
    assert read_gguf_header(made).file_type == precision and precision in MEASURED
    assert made.stat().st_size < model[1].stat().st_size / 6
    loaded = BareModel(made, exact=True)
    try:
        assert np.isfinite(loaded.logits([1, 40, 41, 42])).all()
    finally:
        loaded.close()


def test_a_model_writes_its_own_text(model: tuple[Path, Path], tmp_path: Path) -> None:
    pieces = importance._written(model[1], FakeContext(tmp_path))
    assert pieces == importance._written(model[1], FakeContext(tmp_path)), "the same each time"
    assert len(pieces) == len(importance.PROMPTS) and max(map(len, pieces)) <= importance.PIECE
    assert len({tuple(piece[-20:]) for piece in pieces}) == len(pieces)
    assert importance.measure(model[1], "", FakeContext(tmp_path)).means()


def test_the_manifest_offers_what_can_be_written() -> None:
    facts = PluginManager().contribution("exporter", "gguf_quantize").facts
    assert facts["precisions"] == BITS and list(get_args(Precision)) == list(BITS)
    assert set(facts["measured"]) == MEASURED


def test_what_cannot_be_measured_is_said(
    model: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx, short = FakeContext(tmp_path), tmp_path / "short.txt"
    short.write_text("Too short.", "utf-8")
    with pytest.raises(UserError, match="too short"):
        importance.measure(model[1], str(short), ctx)
    with pytest.raises(UserError, match="cannot be read as text"):
        importance.measure(model[1], str(tmp_path / "gone.txt"), ctx)
    header: Any = SimpleNamespace(architecture="llama", path=model[1], number=lambda key: 8 if "expert" in key else 0)
    with pytest.raises(UserError, match="mixture of experts"):
        importance._refuse_experts(header)

    class Other(ctypes.Structure):
        _fields_ = [("more", ctypes.c_int64), *tensors._Tensor._fields_]

    monkeypatch.setattr(tensors, "_Tensor", Other)
    with pytest.raises(UserError, match="lays tensors out"):
        importance.measure(model[1], "", ctx)
