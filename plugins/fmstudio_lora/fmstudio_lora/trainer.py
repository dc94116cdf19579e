"""`LoraSftTrainer`: from dataset rows and a base model to an adapter in PEFT's format, with its evidence beside it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from fmstudio.api import Params as AnyParams
from fmstudio.api import TaskContext, Trainer, TrainRequest, TrainResult, UserError
from fmstudio_lora.base_model import BaseModel, open_base
from fmstudio_lora.data import Example, Loaded, Renderer, load_examples
from fmstudio_lora.params import LoraParams

_NOT_OF_THE_RESULT = {"checkpoint_seconds", "threads", "max_eval_records", "max_new_tokens"}


class LoraSftTrainer(Trainer):
    """LoRA on the answers of conversations.

    Everything is in ``out_dir``: ``adapter/`` (PEFT), ``reference.jsonl`` (`EvalRecord`s), ``training.json`` (lineage).
    """

    Params: ClassVar[type[AnyParams]] = LoraParams

    def train(self, request: TrainRequest, params: AnyParams, ctx: TaskContext) -> TrainResult:
        """See `Trainer.train`."""
        assert isinstance(params, LoraParams)
        started = time.monotonic()
        _prepare_process(params)
        base = open_base(request.base_model, ctx)
        renderer = Renderer(base.tokenizer(), params.max_length, request.chat_template)
        train, held_out, notes = _rows(request, params, renderer, ctx)
        device, dtype = _place(params, ctx)
        fingerprint = _fingerprint(base, params, dtype, train, held_out)

        from fmstudio_lora import loop

        run = _build_run(base, params, device, dtype, train, held_out, ctx, fingerprint)
        ctx.progress(0, loop.total_steps(len(train), params), "training")
        outcome = loop.train(run, ctx)
        request.out_dir.mkdir(parents=True, exist_ok=True)
        adapter = request.out_dir / "adapter"
        _save_adapter(run.model, adapter, request.base_model, renderer)
        del run
        reference = _write_reference(request, base, adapter, held_out, renderer, params, device, ctx)
        metrics = {
            "eval_loss_before": outcome.eval_losses.get(0, float("nan")),
            "eval_loss_after": outcome.eval_losses[outcome.steps],
            "tokens_per_second": outcome.tokens / max(outcome.seconds, 1e-9),
            "train_tokens": float(outcome.tokens),
            "learned_tokens": float(outcome.learned_tokens),
            "train_rows": float(len(train)),
            "eval_rows": float(len(held_out)),
            "steps": float(outcome.steps),
            "train_seconds": outcome.seconds,
            "seconds": time.monotonic() - started,
            "peak_rss_mb": _peak_rss_mb(),
        }
        _write_json(
            request.out_dir / "training.json",
            {
                "trainer": "fmstudio_lora.lora_sft",
                "base_model": str(request.base_model),
                "base_sha256": base.sha256,
                "model_type": base.model_type,
                "params": params.model_dump(mode="json"),
                "dtype": str(dtype).removeprefix("torch."),
                "device": str(device),
                "train_files": [str(f) for f in request.train_files],
                "eval_files": [str(f) for f in request.eval_files],
                "rows_passed_over_or_cut": dict(notes),
                "chat_template": "plain" if renderer.is_plain else "edited" if renderer.is_edited else "model",
                "template_hash": renderer.template_hash,
                "metrics": metrics,
                "eval_losses": {str(k): v for k, v in outcome.eval_losses.items()},
                "train_losses": outcome.train_losses,
                "resumed_at_step": outcome.resumed_at,
                "libraries": _versions(),
            },
        )
        shutil.rmtree(ctx.workdir / "checkpoints", ignore_errors=True)
        if base.folder.parent == ctx.workdir:
            shutil.rmtree(base.folder, ignore_errors=True)
        edited = renderer.template if renderer.is_edited else ""
        return TrainResult(adapter, metrics, reference, edited, renderer.template_hash)


def _prepare_process(params: LoraParams) -> None:
    """Settings that must stand before torch is imported."""
    # A thread that waits asleep leaves its core to whoever works: with spinning threads, one other busy program on the
    # machine slows small tensor operations by a factor of ten and more.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # PEFT 0.21 reads a property that transformers 5.23 deprecates.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
    import torch
    from transformers.utils import logging as hf_logging

    logging: Any = hf_logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(params.threads or os.cpu_count() or 1)
    torch.manual_seed(params.seed)


def _rows(
    request: TrainRequest, params: LoraParams, renderer: Renderer, ctx: TaskContext
) -> tuple[list[Example], list[Example], dict[str, int]]:
    """Read and render both sets; hold rows out when the request brings none."""
    if renderer.is_plain:
        ctx.log("The model has no chat template; a plain one (User: … Assistant: …) is used.", "warning")
    loaded = load_examples(request.train_files, renderer)
    _tell(loaded, "training", ctx)
    if not loaded.examples:
        reasons = "; ".join(f"{n} rows {reason}" for reason, n in loaded.notes.items()) or "the files hold no rows"
        raise UserError(
            f"There is nothing to train on: {reasons}.",
            remedy="Choose a dataset with answers (messages, prompt and completion, or text).",
        )
    notes = dict(loaded.notes)
    if request.eval_files:
        held = load_examples(request.eval_files, renderer)
        _tell(held, "held-out", ctx)
        if not held.examples:
            raise UserError("The held-out rows have no answers to evaluate on.", remedy="Choose another split.")
        return loaded.examples, held.examples, notes
    train, held_out = _split(loaded.examples, params)
    ctx.log(f"No held-out rows were given: {len(held_out)} of {len(loaded.examples)} rows are held out here.")
    return train, held_out, notes


def _split(examples: list[Example], params: LoraParams) -> tuple[list[Example], list[Example]]:
    if len(examples) < 2:
        raise UserError(
            "There is one row only: none is left to evaluate on.", remedy="Add rows, or give held-out rows."
        )
    order = list(range(len(examples)))
    random.Random(f"{params.seed}-split").shuffle(order)
    n = min(len(examples) - 1, max(1, round(params.eval_fraction * len(examples))))
    return [examples[i] for i in sorted(order[n:])], [examples[i] for i in order[:n]]


def _tell(loaded: Loaded, which: str, ctx: TaskContext) -> None:
    tokens = sum(len(e.tokens) for e in loaded.examples)
    learned = sum(e.n_learned for e in loaded.examples)
    ctx.log(f"{len(loaded.examples)} {which} rows, {tokens} tokens, {learned} of them in answers.")
    for reason, count in loaded.notes.items():
        ctx.log(f"{count} {which} rows {reason}.", "warning")


def _place(params: LoraParams, ctx: TaskContext) -> tuple[Any, Any]:
    """Choose device and number format."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if params.dtype != "auto":
        return device, torch.bfloat16 if params.dtype == "bf16" else torch.float32
    if device.type == "cuda":
        return device, torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    dtype = torch.bfloat16 if _bf16_gain() > 1.3 else torch.float32
    ctx.log(f"Computing in {'bf16' if dtype == torch.bfloat16 else 'fp32'}, the faster one on this processor.")
    return device, dtype


def _bf16_gain() -> float:
    """How many times faster this processor multiplies bf16 matrices than fp32 ones (a few milliseconds)."""
    import torch

    times = []
    for dtype in (torch.float32, torch.bfloat16):
        a, b = torch.ones(256, 512, dtype=dtype), torch.ones(1024, 512, dtype=dtype)
        best = float("inf")
        for _ in range(6):
            start = time.perf_counter()
            torch.nn.functional.linear(a, b)
            best = min(best, time.perf_counter() - start)
        times.append(best)
    return times[0] / times[1]


def _build_run(
    base: BaseModel,
    params: LoraParams,
    device: Any,
    dtype: Any,
    train: list[Example],
    held_out: list[Example],
    ctx: TaskContext,
    fingerprint: str,
) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    from fmstudio_lora.attention import PackedAttention
    from fmstudio_lora.fused import fuse_lora
    from fmstudio_lora.loop import Run

    ctx.progress(0, None, "loading the model")
    model = base.load(dtype, device)
    config = LoraConfig(
        r=params.r,
        lora_alpha=params.lora_alpha,  # type: ignore[arg-type]
        lora_dropout=params.lora_dropout,
        target_modules=_targets(model, params.target_modules),
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(params.seed)
    peft_model: Any = get_peft_model(model, config, autocast_adapter_dtype=True)
    for weight in peft_model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    attention = PackedAttention()
    attention.register(model)
    fuse_lora(peft_model)
    return Run(peft_model, attention, train, held_out, params, ctx.workdir / "checkpoints", fingerprint)


def _targets(model: Any, wanted: Sequence[str]) -> list[str]:
    present = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    found = [name for name in wanted if name in present]
    if not found:
        raise UserError(
            f"The model has none of the target layers {', '.join(wanted)}.",
            remedy="Leave the target layers at their default.",
        )
    return found


def _fingerprint(base: BaseModel, params: LoraParams, dtype: Any, train: list[Example], held_out: list[Example]) -> str:
    """Hash of all that decides a run's result; checkpoints of another run are not gone on from."""
    digest = hashlib.sha256(base.sha256.encode())
    settings = params.model_dump(mode="json", exclude=_NOT_OF_THE_RESULT)
    digest.update(json.dumps([settings, str(dtype)], sort_keys=True).encode())
    for examples in (train, held_out):
        for example in examples:
            digest.update(repr((example.tokens, example.learned)).encode())
        digest.update(b"|")
    return digest.hexdigest()


def _save_adapter(model: Any, folder: Path, base_model: Path, renderer: Renderer) -> None:
    """Save in PEFT's format with the template it was trained on, published by rename."""
    model.peft_config["default"].base_model_name_or_path = str(base_model)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    # The vocabulary layers are frozen; "auto" would look for the base model on a hub.
    model.save_pretrained(part, save_embedding_layers=False)
    (part / "README.md").unlink(missing_ok=True)
    (part / "chat_template.jinja").write_text(renderer.template, "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)


def _write_reference(
    request: TrainRequest,
    base: BaseModel,
    adapter: Path,
    held_out: list[Example],
    renderer: Renderer,
    params: LoraParams,
    device: Any,
    ctx: TaskContext,
) -> Path | None:
    if not params.max_eval_records:
        return None
    import torch
    from peft import PeftModel

    from fmstudio_lora.reference import records

    ctx.progress(0, None, "loading the model in full precision")
    model = PeftModel.from_pretrained(base.load(torch.float32, device), adapter).eval()
    chosen = _spread(held_out, params.max_eval_records)
    made = records(model, chosen, ends=renderer.ends, max_new_tokens=params.max_new_tokens, ctx=ctx)
    path = request.out_dir / "reference.jsonl"
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in made), "utf-8")
    os.replace(part, path)
    return path


def _spread(rows: list[Example], n: int) -> list[Example]:
    """At most `n` rows at even distances."""
    if len(rows) <= n:
        return rows
    return [rows[i * len(rows) // n] for i in range(n)]


def _write_json(path: Path, value: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
    os.replace(part, path)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "peft", "safetensors", "gguf")}


def _peak_rss_mb() -> float:
    """Most memory this process has held, in MB."""
    if os.name == "nt":
        import psutil

        memory: Any = psutil.Process().memory_info()
        return float(memory.peak_wset) / 1e6
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
