"""Bodies of the job specifications that make models of models: convert, merge, measure, write a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fmstudio.api.errors import UserError
from fmstudio.jobs.spec import JobSpec, StepSpec
from fmstudio.project.models import ModelEntry, template_of

WHOLE: Final = ("F16", "F32")
"""Precisions that merging and converting write by themselves; the quantiser makes the others of them."""


@dataclass(frozen=True, slots=True)
class QualityPrompts:
    """What a quality report is measured on.

    Attributes:
        files: Parquet files of a dataset version; none = the built-in texts.
        most: Rows used at most.
    """

    files: Sequence[Path] = ()
    most: int = 32

    @property
    def params(self) -> dict[str, Any]:
        """For the evaluator."""
        return {"prompt_files": [str(file) for file in self.files], "max_prompts": self.most}


def convert_spec(base: ModelEntry, precision: str, prompts: QualityPrompts | None) -> JobSpec:
    """Write a base model in another precision, and measure what that did to it.

    Args:
        base: A GGUF file, or a Hugging Face folder.
        prompts: What to measure on; None = do not measure. A folder is compared in its vocabulary, and below half
            precision with what it is at half precision.

    Raises:
        UserError: It is neither.
    """
    title = f"Convert {base.name} to {precision}"
    # A made model keeps the template its source was used with.
    meta = {"name": f"{base.name} {precision}", "model_id": base.id, "precision": precision, **base.engine_params}
    if base.format == "hf":
        steps = [_export("read", "hf_to_gguf", str(base.path), base, {"precision": _whole(precision)})]
        steps.append(_vocabulary(str(base.path), steps[0]))
        steps += _quantise(steps[0], base, precision, prompts)
        return JobSpec.new(title, "convert", steps, meta={**meta, "step": _last_export(steps)})
    if base.format != "gguf":
        raise UserError(f"{base.name} is no GGUF file.", remedy="Choose a GGUF base model.")
    steps = [_export("convert", "gguf_quantize", str(base.path), base, {"precision": precision})]
    if prompts is not None:
        steps.append(_quality(str(base.path), {"from_step": "convert", "key": "path"}, prompts))
    return JobSpec.new(title, "convert", steps, meta={**meta, "step": "convert"})


def merge_spec(
    adapter: ModelEntry, base: ModelEntry, precision: str, scale: float = 1.0, prompts: QualityPrompts | None = None
) -> JobSpec:
    """Merge an adapter into its base: two GGUF files into one, or a PEFT adapter into a Hugging Face folder or a GGUF.

    A GGUF at half or full precision is asked the same as base and adapter, and kept only when it answers the same. Below
    half precision it is measured against what it is at half precision.

    Args:
        precision: Of the new GGUF. Empty = F16; of a PEFT adapter a folder, written as bf16.
        prompts: What to measure on; None = do not measure.

    Raises:
        UserError: The adapter is of a kind that does not go with this base.
    """
    if adapter.format == "peft":
        steps = _peft_steps(adapter, base, precision, scale, prompts)
    elif base.format == "gguf":
        steps = _gguf_steps(adapter, base, precision or "F16", scale, prompts)
    else:
        raise UserError(
            f"{adapter.name} is a GGUF adapter, {base.name} a folder.",
            remedy="Choose a GGUF base, or the PEFT adapter.",
        )
    is_folder = adapter.format == "peft" and not precision
    name = f"{base.name} + {adapter.name}"
    meta = {
        "name": name if is_folder else f"{name} {precision or 'F16'}",
        "model_id": base.id,
        "adapter_id": adapter.id,
        "scale": scale,
        "step": _last_export(steps),
        "chat_template": template_of(base, adapter),
    }
    return JobSpec.new(f"Merge {adapter.name} into {base.name}", "merge", steps, meta=meta)


def _gguf_steps(
    adapter: ModelEntry, base: ModelEntry, precision: str, scale: float, prompts: QualityPrompts | None
) -> list[StepSpec]:
    steps = [_export("merge", "merge_gguf", str(adapter.path), base, {"precision": _whole(precision), "scale": scale})]
    if base.facts.get("quantization") in WHOLE:  # on other weights the engine's own rounding makes a difference
        steps.append(
            _same_answers(base, adapter, {"from_step": "merge", "key": "path"}, scale, template_of(base, adapter))
        )
    return steps + _quantise(steps[0], base, precision, prompts)


def _peft_steps(
    adapter: ModelEntry, base: ModelEntry, precision: str, scale: float, prompts: QualityPrompts | None
) -> list[StepSpec]:
    steps = [_export("merge", "peft_merge", str(adapter.path), base, {"scale": scale})]
    if not precision:
        return steps
    merged = {"from_step": "merge", "key": "path"}
    read = _export("read", "hf_to_gguf", merged, base, {"precision": _whole(precision)})
    return [*steps, read, _vocabulary(merged, read), *_quantise(read, base, precision, prompts)]


def quality_spec(made: ModelEntry, source: ModelEntry, prompts: QualityPrompts) -> JobSpec:
    """Measure what a conversion did to a model.

    Raises:
        UserError: One of the two is no GGUF file.
    """
    for one in (made, source):
        if one.format != "gguf" or one.is_missing:
            raise UserError(f"{one.name} is no GGUF file that is there.", remedy="Choose two GGUF models.")
    steps = [_quality(str(source.path), str(made.path), prompts)]
    meta = {"model_id": made.id, "source_id": source.id}
    return JobSpec.new(f"Measure {made.name} against {source.name}", "model_quality", steps, meta=meta)


def folder_spec(model: ModelEntry, adapter: ModelEntry | None, target: Path, *, copy: bool, context: int) -> JobSpec:
    """Write a folder for Ollama, llama-server and vLLM; a GGUF is then reloaded from there and asked the same.

    Raises:
        UserError: The model is of another format, or the folder is not empty.
    """
    if model.format not in ("gguf", "hf"):
        raise UserError(f"{model.name} cannot be exported.", remedy="Choose a base model.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} is not empty.", remedy="Choose a new folder.")
    template = template_of(model, adapter)
    params = {
        "target": str(target.absolute()),
        "name": model.name if adapter is None else f"{model.name} + {adapter.name}",
        "adapter": str(adapter.path) if adapter else "",
        "template": template,
        "copy_files": copy,
        "context": context,
    }
    steps = [_export("export", "model_folder", str(model.path), model, params)]
    if model.format == "gguf":
        steps.append(_same_answers(model, adapter, {"from_step": "export", "key": "path"}, 1.0, template))
    meta = {"model_id": model.id, "target": str(target.absolute())}
    return JobSpec.new(f"Export {params['name']} to {target.name}", "model_export", steps, meta=meta)


def _whole(precision: str) -> str:
    """What is written before the quantiser: BF16 holds what half precision cannot."""
    return precision if precision in WHOLE else "F32" if precision == "BF16" else "F16"


def _export(name: str, exporter: str, source: Any, base: ModelEntry, params: dict[str, Any]) -> StepSpec:
    work = {"exporter": exporter, "source": source, "base_model": str(base.path), "params": params}
    return StepSpec(name, "export", work)


def _quantise(made: StepSpec, base: ModelEntry, precision: str, prompts: QualityPrompts | None) -> list[StepSpec]:
    """From what was written whole to the precision that was asked for, and what that did to it."""
    if precision in WHOLE:
        return []
    source = {"from_step": made.name, "key": "path"}
    steps = [_export("quantise", "gguf_quantize", source, base, {"precision": precision})]
    if prompts is not None:
        steps.append(_quality(source, {"from_step": "quantise", "key": "path"}, prompts))
    return steps


def _last_export(steps: Sequence[StepSpec]) -> str:
    return [step.name for step in steps if step.task == "export"][-1]


def _vocabulary(folder: Any, made: StepSpec) -> StepSpec:
    """Whether a GGUF reads text as the folder does that it was made from."""
    reference = {"from_step": made.name, "key": "path"}
    work = {"evaluator": "tokenizer_parity", "base_model": folder, "adapter": None, "reference": reference}
    return StepSpec("vocabulary", "evaluate", work)


def _quality(source: Any, made: Any, prompts: QualityPrompts) -> StepSpec:
    work = {
        "evaluator": "gguf_quality",
        "base_model": source,
        "adapter": None,
        "reference": made,
        "params": prompts.params,
    }
    return StepSpec("quality", "evaluate", work)


def _same_answers(
    base: ModelEntry, adapter: ModelEntry | None, reference: Any, scale: float, template: str = ""
) -> StepSpec:
    work = {
        "evaluator": "same_answers",
        "base_model": str(base.path),
        "adapter": str(adapter.path) if adapter else None,
        "reference": reference,
        "params": {"scale": scale, "template": template},
    }
    return StepSpec("proof", "evaluate", work)
