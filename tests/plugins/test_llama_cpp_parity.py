"""The parity evaluator against transformers on the same tiny weights, and against a wrong adapter."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import Cancelled, EvalRecord, LogLevel, TaskContext, UserError
from fmstudio.core.paths import first_party_plugins
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_llama import build_tiny_llama

sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))

from fmstudio_llama_cpp.parity import AdapterParity, ParityParams

PROMPTS = [[1, 40, 41, 42, 43, 2, 1], [1, 90, 91, 2, 1, 200], [1, 300, 17, 17, 60, 2, 1, 5]]
ANSWERS = [[50, 51, 52, 2], [99, 100, 2], [7, 8, 9, 10, 11, 2]]
GREEDY = 10


@dataclass
class Context(TaskContext):
    """Notes progress; can be cancelled."""

    workdir: Path = Path()
    steps: list[float] = field(default_factory=list)
    stop: bool = False

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        self.steps.append(done)

    def log(self, text: str, level: LogLevel = "info") -> None: ...

    def metric(self, name: str, value: float, step: int | None = None) -> None: ...

    @property
    def cancelled(self) -> bool:
        return self.stop


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_tiny_llama(tmp_path_factory.mktemp("parity"))


@pytest.fixture(scope="module")
def records(tiny: tuple[Path, Path]) -> list[EvalRecord]:
    """What transformers makes of the base model."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(tiny[0], dtype=torch.float32)
    model.train(False)
    made = []
    with torch.no_grad():
        for prompt, answer in zip(PROMPTS, ANSWERS, strict=True):
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
            nll = torch.nn.functional.cross_entropy(logits, torch.tensor(answer)).item()
            greedy = model.generate(torch.tensor([prompt]), max_new_tokens=GREEDY, do_sample=False, eos_token_id=2)
            top1 = logits.argmax(-1).tolist()
            made.append(EvalRecord("p", prompt, answer, top1, greedy[0, len(prompt) :].tolist(), nll=nll, nll_base=nll))
    return made


def write(path: Path, records: list[EvalRecord]) -> Path:
    path.write_text("".join(json.dumps(asdict(record)) + "\n" for record in records))
    return path


def evaluate(tiny: tuple[Path, Path], reference: Path, adapter: Path | None = None, **options: Any) -> dict[str, Any]:
    context = options.pop("context", Context())
    return AdapterParity().evaluate(tiny[1], adapter, reference, ParityParams(**options), context)


def test_the_engine_agrees_with_transformers(tiny: Any, records: list[EvalRecord], tmp_path: Path) -> None:
    context = Context()
    figures = evaluate(tiny, write(tmp_path / "r.jsonl", records), context=context)
    assert figures["top1_agreement"] == 1.0
    assert figures["greedy_parity"] == 1.0
    expected = sum(r.nll * len(r.answer_tokens) for r in records) / sum(len(r.answer_tokens) for r in records)
    assert figures["eval_loss_before_engine"] == pytest.approx(expected, abs=5e-3)
    assert figures["eval_loss_after_engine"] == figures["eval_loss_before_engine"]
    assert (figures["n_prompts"], figures["n_tokens"]) == (3, sum(map(len, ANSWERS)))
    assert [set(answer) for answer in figures["answers"]] == [{"prompt", "before", "after", "expected"}] * 3
    assert context.steps == [1, 2, 3, 4, 5, 6]
    json.dumps(figures)


def test_an_adapter_that_is_not_the_trained_one_is_found_out(
    tiny: Any, records: list[EvalRecord], tmp_path: Path
) -> None:
    adapter = build_tiny_adapter(tmp_path / "other.gguf", seed=3, strength=1.0)
    figures = evaluate(tiny, write(tmp_path / "r.jsonl", records), adapter)
    assert figures["top1_agreement"] < 0.9
    assert figures["greedy_parity"] < 1.0
    assert figures["eval_loss_after_engine"] != figures["eval_loss_before_engine"]


def test_fewer_prompts_can_be_asked_for(tiny: Any, records: list[EvalRecord], tmp_path: Path) -> None:
    assert evaluate(tiny, write(tmp_path / "r.jsonl", records), max_prompts=2)["n_prompts"] == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no held-out rows"), ('{"prompt": 1', "Line 1"), ('{"prompt": "x"}', "Line 1"), ("[1]", "Line 1")],
)
def test_a_damaged_reference_is_named_by_line(tiny: Any, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        evaluate(tiny, path)


def test_tokens_of_another_vocabulary_are_refused(tiny: Any, tmp_path: Path) -> None:
    record = EvalRecord("p", [1, 999_999], [2], [2], [2])
    with pytest.raises(UserError, match="999999"):
        evaluate(tiny, write(tmp_path / "r.jsonl", [record]))


def test_it_can_be_cancelled(tiny: Any, records: list[EvalRecord], tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        evaluate(tiny, write(tmp_path / "r.jsonl", records), context=Context(stop=True))
