"""Training runs on a tiny model: learning, resuming, being killed, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import Cancelled, EvalRecord, TaskContext, TrainRequest, UserError
from fmstudio.api.testing import FakeContext
from tests.helpers import ROOT, wait_until
from tests.plugins.lora_kit import PLUGIN, QUICK, adapter_weights, conversation, train, write_rows
from tests.tiny_llama import build_tiny_llama

# PEFT 0.21 reads a property that transformers 5.23 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_tiny_llama(tmp_path_factory.mktemp("tiny"))


class StopAtStep(FakeContext):
    """Says that the user asked to stop once a step was reported."""

    def __init__(self, workdir: Path, step: int) -> None:
        super().__init__(workdir)
        self.step = step

    @property
    def cancelled(self) -> bool:
        return any(name == "train_loss" and step == self.step for name, _, step in self.metrics)


def test_a_gguf_base_is_learned_on_and_everything_promised_is_written(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path / "work")
    result = train(tiny[1], tmp_path, ctx, epochs=8)
    assert result.metrics["eval_loss_after"] < 0.7 * result.metrics["eval_loss_before"]
    config = json.loads((result.adapter_dir / "adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"] == str(tiny[1]) and config["r"] == 8
    assert not {"lm_head", "embed_tokens"} & set(config["target_modules"])
    lineage = json.loads((tmp_path / "out" / "training.json").read_text("utf-8"))
    assert lineage["metrics"]["steps"] == 40 == len(lineage["train_losses"])
    assert len(lineage["base_sha256"]) == 64
    steps = [step for name, _, step in ctx.metrics if name == "train_loss"]
    assert steps == list(range(1, 41))
    assert {name for name, _, _ in ctx.metrics} >= {"train_loss", "eval_loss", "learning_rate", "tokens_per_second"}


def test_reference_records_are_what_peft_says(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    result = train(tiny[0], tmp_path, FakeContext(tmp_path / "work"))
    assert result.reference is not None
    lines = result.reference.read_text("utf-8").splitlines()
    records = [EvalRecord(**json.loads(line)) for line in lines]
    assert len(records) == 3
    model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny[0]), result.adapter_dir)
    for record in records:
        ids = torch.tensor([record.prompt_tokens + record.answer_tokens])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, len(record.prompt_tokens) - 1 : -1]
        assert record.top1 == logits.argmax(-1).tolist()
        assert record.answer_tokens[-1] == 2
        loss = torch.nn.functional.cross_entropy(logits, ids[0, len(record.prompt_tokens) :])
        assert record.nll == pytest.approx(float(loss), abs=1e-4)
        assert record.greedy[0] == record.top1[0]


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_cancelled_run_goes_on_to_the_same_weights(tiny: tuple[Path, Path], tmp_path: Path, dropout: float) -> None:
    whole = train(tiny[0], tmp_path / "a", FakeContext(tmp_path / "a-work"), lora_dropout=dropout)
    workdir = tmp_path / "b-work"
    with pytest.raises(Cancelled):
        train(tiny[0], tmp_path / "b", StopAtStep(workdir, 3), lora_dropout=dropout)
    ctx = FakeContext(workdir)
    resumed = train(tiny[0], tmp_path / "b", ctx, lora_dropout=dropout)
    assert next(step for name, _, step in ctx.metrics if name == "train_loss") == 4
    assert_same_weights(whole.adapter_dir, resumed.adapter_dir)
    for name in ("eval_loss_before", "eval_loss_after", "train_tokens"):
        assert whole.metrics[name] == resumed.metrics[name]


def assert_same_weights(first: Path, second: Path) -> None:
    import torch

    a, b = adapter_weights(first), adapter_weights(second)
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def test_a_run_ends_in_the_time_it_is_given_also_when_it_is_gone_on_with(
    tiny: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(Cancelled):
        train(tiny[0], tmp_path / "run", StopAtStep(tmp_path / "work", 2), max_minutes=1e-9)
    ctx = FakeContext(tmp_path / "work")
    assert train(tiny[0], tmp_path / "run", ctx, max_minutes=1e-9).metrics["steps"] == 4
    assert sum("All 10 steps would take" in text for _, text in ctx.logs) == 1
    assert train(tiny[0], tmp_path / "b", FakeContext(tmp_path / "b-work"), max_minutes=9).metrics["steps"] == 10


def test_a_half_written_checkpoint_is_passed_over_for_the_one_before(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    whole = train(tiny[0], tmp_path / "a", FakeContext(tmp_path / "a-work"))
    workdir = tmp_path / "b-work"
    with pytest.raises(Cancelled):
        train(tiny[0], tmp_path / "b", StopAtStep(workdir, 3), checkpoint_seconds=0)
    newest, before = sorted((workdir / "checkpoints").iterdir(), reverse=True)
    assert (newest.name, before.name) == ("step-00000003", "step-00000002")
    content = (newest / "state.pt").read_bytes()
    (newest / "state.pt").write_bytes(content[: len(content) // 2])
    ctx = FakeContext(workdir)
    resumed = train(tiny[0], tmp_path / "b", ctx, checkpoint_seconds=0)
    assert next(step for name, _, step in ctx.metrics if name == "train_loss") == 3
    assert_same_weights(whole.adapter_dir, resumed.adapter_dir)


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        train(tiny[0], tmp_path, StopAtStep(tmp_path / "work", 3))
    ctx = FakeContext(tmp_path / "work")
    train(tiny[0], tmp_path, ctx, learning_rate=0.02)
    assert next(step for name, _, step in ctx.metrics if name == "train_loss") == 1


CHILD = """
import sys
from pathlib import Path
from fmstudio.api.testing import FakeContext
from tests.plugins.lora_kit import train

base, folder = map(Path, sys.argv[1:3])

class Slow(FakeContext):
    def metric(self, name, value, step=None):
        import time
        super().metric(name, value, step)
        if name == "train_loss":
            time.sleep(0.2)

train(base, folder, Slow(folder / "work"), checkpoint_seconds=0)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_killed_process_loses_nothing_but_its_last_step(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    whole = train(tiny[0], tmp_path / "a", FakeContext(tmp_path / "a-work"), checkpoint_seconds=0)
    folder = tmp_path / "b"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(PLUGIN)])}
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tiny[0]), str(folder)], env=env)
    wait_until(lambda: (folder / "work" / "checkpoints" / "step-00000003").is_dir(), timeout=120)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert not (folder / "out" / "adapter").exists()
    ctx = FakeContext(folder / "work")
    resumed = train(tiny[0], folder, ctx, checkpoint_seconds=0)
    assert next(step for name, _, step in ctx.metrics if name == "train_loss") >= 4
    assert_same_weights(whole.adapter_dir, resumed.adapter_dir)


def refused(base: Path, tmp_path: Path, rows: list[Any], column: str = "messages", **settings: Any) -> UserError:
    from fmstudio_lora.params import LoraParams
    from fmstudio_lora.trainer import LoraSftTrainer

    file = write_rows(tmp_path / "rows.parquet", rows, column)
    request = TrainRequest(base, [file], [], tmp_path / "out")
    ctx: TaskContext = FakeContext(tmp_path / "work")
    with pytest.raises(UserError) as caught:
        LoraSftTrainer().train(request, LoraParams(**{**QUICK, **settings}), ctx)
    return caught.value


def test_rows_without_answers_are_refused_with_the_reason(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    error = refused(tiny[0], tmp_path, [[{"role": "user", "content": "Hello?"}]] * 3)
    assert "3 rows without an answer" in error.message and error.remedy


def test_pickled_weights_are_refused_unopened(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_bytes((tiny[0] / "config.json").read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    error = refused(folder, tmp_path, [conversation(1), conversation(2)])
    assert "pickled" in error.message and "safetensors" in error.remedy


def test_an_unknown_kind_of_model_is_refused_by_name(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "mamba"}', "utf-8")
    (folder / "model.safetensors").write_bytes((tiny[0] / "model.safetensors").read_bytes())
    assert "mamba" in refused(folder, tmp_path, [conversation(1), conversation(2)]).message


def test_a_cut_gguf_is_refused(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny[1].read_bytes()[:200_000])
    assert "cut short" in refused(cut, tmp_path, [conversation(1), conversation(2)]).message


def test_a_loss_that_is_no_number_stops_the_run(
    tiny: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from fmstudio_lora import loop

    real = loop.head_loss
    monkeypatch.setattr(loop, "head_loss", lambda *a: real(*a) * (float("nan") if torch.is_grad_enabled() else 1.0))
    error = refused(tiny[0], tmp_path, [conversation(i) for i in range(12)])
    assert "no longer a number at step 1" in error.message and "learning rate" in error.remedy


def test_a_base_that_computes_no_numbers_is_named_as_the_cause(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "broken"
    shutil.copytree(tiny[0], folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "base model" in refused(folder, tmp_path, [conversation(1), conversation(2)]).message


@pytest.mark.parametrize("name", ["lm_head", "embed_tokens"])
def test_vocabulary_layers_cannot_be_targets(name: str) -> None:
    from pydantic import ValidationError

    from fmstudio_lora.params import LoraParams

    with pytest.raises(ValidationError, match=name):
        LoraParams(target_modules=("q_proj", name))
