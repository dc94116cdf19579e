"""Writing a GGUF in another precision: the file loads and says nearly the same; what cannot be written is explained."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import UserError
from fmstudio.api.gguf_header import read_gguf_header
from fmstudio.api.testing import FakeContext
from fmstudio.core.paths import first_party_plugins
from tests.plugins.lora_llama_cpp import BareModel
from tests.tiny_llama import build_tiny_llama

sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))

from fmstudio_llama_cpp.quantize import GgufQuantizer, QuantizeParams

PROMPT = [1, 40, 41, 42, 43, 2, 1]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("quantize"))[1]


def convert(source: Path, precision: Any, folder: Path) -> Path:
    params = QuantizeParams(precision=precision)
    return GgufQuantizer().export(source, source, folder / "out", params, FakeContext(folder))


def last_logits(path: Path) -> Any:
    loaded = BareModel(path, exact=True)
    try:
        return loaded.logits(PROMPT)[-1]
    finally:
        loaded.close()


@pytest.mark.parametrize(("precision", "far"), [("F32", 1e-6), ("F16", 5e-3), ("BF16", 5e-2), ("Q8_0", 1e-1)])
def test_the_file_loads_and_answers_nearly_as_before(model: Path, precision: str, far: float, tmp_path: Path) -> None:
    made = convert(model, precision, tmp_path)
    assert made.name == f"tiny-llama-f32-{precision}.gguf" or made.name == f"tiny-llama-{precision}.gguf"
    assert read_gguf_header(made).file_type == precision
    before, after = last_logits(model), last_logits(made)
    assert abs(before - after).max() <= far * abs(before).max()


def test_half_precision_of_a_quantised_model_holds_the_same_weights(model: Path, tmp_path: Path) -> None:
    import gguf

    small = convert(model, "Q8_0", tmp_path / "a")
    half = convert(small, "F16", tmp_path / "b")
    old = {t.name: t for t in gguf.GGUFReader(small).tensors}
    new = {t.name: t for t in gguf.GGUFReader(half).tensors}
    assert old.keys() == new.keys()
    for name, tensor in old.items():
        exact = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        held = gguf.quants.dequantize(new[name].data, new[name].tensor_type)
        assert abs(exact - held).max() <= 1e-3 * abs(exact).max(), name


def test_a_cut_file_and_a_small_disk_are_explained(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(model.read_bytes()[:200_000])
    with pytest.raises(UserError):
        convert(cut, "F16", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(UserError, match="are free"):
        convert(model, "F16", tmp_path)
    assert not list(tmp_path.rglob("*.part"))
