"""`PeftMerger`: a PEFT adapter written into the weights of its base, as a Hugging Face folder of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, ClassVar, Literal

from fmstudio.api import Exporter, Field, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_lora.base_model import open_base


class MergeParams(AnyParams):
    """Settings of a merge."""

    dtype: Literal["bf16", "f16", "f32"] = Field(
        default="bf16", title="Number format", description="Of the merged weights on disk; computed in f32."
    )
    scale: float = Field(default=1.0, ge=-4, le=4, title="Strength", description="1 = as it was trained.")


class PeftMerger(Exporter):
    """Writes the folder ``<base>-<adapter>`` with safetensors, tokenizer and chat template."""

    Params: ClassVar[type[AnyParams]] = MergeParams

    def export(self, source: Path, base_model: Path, out_dir: Path, params: AnyParams, ctx: TaskContext) -> Path:
        """See `Exporter.export`; `base_model` is a GGUF file or a Hugging Face folder.

        Raises:
            UserError: The base cannot be opened, or the adapter does not belong to it.
        """
        import torch
        from peft import PeftModel

        assert isinstance(params, MergeParams)
        base = open_base(base_model, ctx)
        ctx.check_cancelled()
        ctx.progress(1, 3, "steps: base opened")
        model: Any = base.load(torch.float32, torch.device("cpu"))
        try:
            tuned: Any = PeftModel.from_pretrained(model, str(source), local_files_only=True, use_safetensors=True)
        except (ValueError, RuntimeError, KeyError, OSError) as error:
            raise UserError(
                f"The adapter {source.name} does not go with {base_model.name}: {str(error).splitlines()[0][:300]}",
                remedy="Choose the base model it was trained on.",
                details=str(error),
            ) from error
        for layer in tuned.modules():
            if hasattr(layer, "scale_layer"):
                layer.scale_layer(params.scale)
        merged: Any = tuned.merge_and_unload(safe_merge=True)
        ctx.check_cancelled()
        ctx.progress(2, 3, "steps: adapter merged")
        out_dir.mkdir(parents=True, exist_ok=True)
        target = out_dir / f"{base_model.stem}-{source.name}"
        part = target.with_name(f"{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        kinds = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
        merged.to(kinds[params.dtype]).save_pretrained(part, safe_serialization=True)
        base.tokenizer().save_pretrained(part)
        os.replace(part, target)
        ctx.progress(3, 3, "steps: written")
        return target
