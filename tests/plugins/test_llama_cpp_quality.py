"""The quality report of a conversion, and the check of a chat template: on a real (tiny) model in the engine."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeContext
from fmstudio.core.paths import first_party_plugins
from tests.tiny_llama import build_tiny_llama

sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))

from fmstudio_llama_cpp.quality import GgufQuality, QualityParams
from fmstudio_llama_cpp.quantize import quantize
from fmstudio_llama_cpp.template_check import TemplateCheck, TemplateParams


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("quality"))[1]


def test_a_model_is_no_different_from_itself(model: Path, tmp_path: Path) -> None:
    figures = GgufQuality().evaluate(model, None, model, QualityParams(answer_tokens=8), FakeContext(tmp_path))
    assert figures["kl_max"] < 1e-6
    assert figures["top1_agreement"] == figures["greedy_agreement"] == 1.0
    assert figures["n_prompts"] == 8 and figures["n_positions"] > 100
    assert figures["perplexity_before"] == pytest.approx(figures["perplexity_after"], rel=1e-6)
    assert figures["tokens_per_second_after"] > 0
    assert not (tmp_path / "log-probabilities.f32").exists()


def test_fewer_bits_are_further_away(model: Path, tmp_path: Path) -> None:
    from fmstudio_llama_cpp.quantize import Precision

    figures = {}
    precisions: tuple[Precision, ...] = ("F16", "Q8_0", "Q4_0")
    for precision in precisions:
        ctx = FakeContext(tmp_path / precision)
        made = quantize(model, ctx.out_dir / "made.gguf", precision, ctx)
        figures[precision] = GgufQuality().evaluate(model, None, made, QualityParams(answer_tokens=4), ctx)
    assert 0 < figures["F16"]["kl_mean"] < figures["Q8_0"]["kl_mean"] < figures["Q4_0"]["kl_mean"]
    assert figures["Q4_0"]["top1_agreement"] < 1
    assert figures["F16"]["top1_agreement"] > 0.98
    for one in figures.values():
        assert one["kl_mean"] <= one["kl_p95"] <= one["kl_max"] == one["kl_curve"][-1]
        assert all(math.isfinite(value) for value in one["kl_curve"])
        assert one["bytes_after"] < one["bytes_before"]


def test_the_user_s_own_rows_are_measured(model: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {"messages": [[{"role": "user", "content": f"How do I restart the printer {n}?"}] for n in range(40)]}
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    params = QualityParams(prompt_files=[str(tmp_path / "rows.parquet")], max_prompts=3, answer_tokens=2)
    assert GgufQuality().evaluate(model, None, model, params, FakeContext(tmp_path))["n_prompts"] == 3
    pq.write_table(pa.table({"text": ["", " "]}), tmp_path / "rows.parquet")
    with pytest.raises(UserError, match="no text"):
        GgufQuality().evaluate(model, None, model, params, FakeContext(tmp_path))


def check(model: Path, folder: Path, template: str = "", system: str = "Be kind.") -> dict[str, object]:
    params = TemplateParams(template=template, system=system)
    return TemplateCheck().evaluate(model, None, model, params, FakeContext(folder))


def test_the_model_s_own_template_is_shown_and_sound(model: Path, tmp_path: Path) -> None:
    shown = check(model, tmp_path)
    assert shown["problems"] == [] and shown["notes"] == [] and not shown["is_plain"]
    assert str(shown["rendered"]).startswith("<|im_start|>system\nBe kind.<|im_end|>")
    assert str(shown["rendered"]).endswith("<|im_start|>assistant\n")
    assert shown["stop"] == ["<|im_end|>"]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for m in messages %}[INST] {{ m.content }} [/INST]<|im_end|>{% endfor %}{% if add_generation_prompt %}>{% endif %}",
         "“[INST]” is not a token"),
        ("{% for m in messages %}<|im_start|>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}>{% endif %}",
         "not closed by an end token"),
        ("{% for m in messages %}{{ m.content }}<|im_start|>{% endfor %}{% if add_generation_prompt %}>{% endif %}",
         "does not end generation"),
        ("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}", "does not mark where the answer begins"),
        ("{% if add_generation_prompt %}>{% endif %}<|im_start|>", "leaves out what the user says"),
    ],
)  # fmt: skip
def test_what_makes_a_model_ramble_is_found(model: Path, tmp_path: Path, template: str, words: str) -> None:
    assert any(words in str(problem) for problem in check(model, tmp_path, template)["problems"])  # type: ignore[attr-defined]


def test_a_template_that_takes_no_system_prompt_says_so(model: Path, tmp_path: Path) -> None:
    refusing = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}>{% endif %}"
    )
    shown = check(model, tmp_path, refusing)
    assert "no system role" in str(shown["notes"]) and shown["problems"] == []


def test_a_template_cannot_reach_out_of_its_sandbox(model: Path, tmp_path: Path) -> None:
    for evil in (
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{{",
    ):
        try:
            shown = check(model, tmp_path, evil)
        except UserError:
            continue
        assert "class" not in str(shown["rendered"]) and "root:" not in str(shown["rendered"])
