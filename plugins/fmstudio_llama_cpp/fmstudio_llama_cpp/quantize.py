"""`GgufQuantizer`: a GGUF model in another precision, by llama.cpp's own quantiser."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from fmstudio.api import Exporter, Field, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio.api.gguf_header import read_gguf_header
from fmstudio_llama_cpp import native_log
from fmstudio_llama_cpp.importance import measure, native_matrix

Precision = Literal[
    "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0", "IQ4_NL",
    "IQ4_XS", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS", "Q2_K", "Q2_K_S", "IQ2_M", "IQ2_S",
    "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S",
]  # fmt: skip
"""All of llama.cpp's for models of any kind; ternary ones and MXFP4 are for models that were trained in them."""

MEASURED = frozenset({"IQ3_XS", "IQ3_XXS", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"})
"""Those that are written with an importance matrix."""

BITS = {
    "F32": 32.0, "F16": 16.0, "BF16": 16.0, "Q8_0": 8.5, "Q6_K": 6.5625, "Q5_K_M": 5.7, "Q5_K_S": 5.6, "Q5_1": 6.0,
    "Q5_0": 5.5, "Q4_K_M": 4.9, "Q4_K_S": 4.7, "Q4_1": 5.0, "Q4_0": 4.6, "IQ4_NL": 4.7, "IQ4_XS": 4.5, "Q3_K_L": 4.3,
    "Q3_K_M": 4.0, "Q3_K_S": 3.6, "IQ3_M": 3.8, "IQ3_S": 3.7, "IQ3_XS": 3.5, "IQ3_XXS": 3.3, "Q2_K": 3.2, "Q2_K_S": 3.0,
    "IQ2_M": 2.9, "IQ2_S": 2.7, "IQ2_XS": 2.6, "IQ2_XXS": 2.4, "IQ1_M": 2.1, "IQ1_S": 2.0,
}  # fmt: skip
"""Bits a weight takes on average, to tell the size before writing (llama.cpp, tools/quantize/README.md)."""
SPARE = 1.1  # tables and weights that stay in a higher precision


class QuantizeParams(AnyParams):
    """Settings of a conversion."""

    precision: Precision = Field(
        default="F16",
        title="Precision",
        description="F16 of a 4-bit base holds exactly the weights a trainer computes with; fewer bits make a smaller file.",
    )
    calibration: str = Field(
        default="",
        title="Text to measure with",
        description="For the smallest precisions it is measured what matters in the model: while it reads this text file, "
        "or (empty) a text that it writes itself.",
    )


class GgufQuantizer(Exporter):
    """Writes ``<name>-<precision>.gguf``. Going up (4-bit → F16) adds no knowledge, it only keeps what is there."""

    Params: ClassVar[type[AnyParams]] = QuantizeParams

    def export(self, source: Path, base_model: Path, out_dir: Path, params: AnyParams, ctx: TaskContext) -> Path:
        """See `Exporter.export`; `base_model` is not used."""
        assert isinstance(params, QuantizeParams)
        out_dir.mkdir(parents=True, exist_ok=True)
        target = out_dir / f"{_stem(source)}-{params.precision}.gguf"
        return quantize(source, target, params.precision, ctx, calibration=params.calibration)


def quantize(source: Path, target: Path, precision: Precision, ctx: TaskContext, *, calibration: str = "") -> Path:
    """Write `source` in another precision.

    Args:
        calibration: See `QuantizeParams`.

    Raises:
        UserError: The source is no model, the disk is too small, or llama.cpp refuses; with its reason.
    """
    from llama_cpp import llama_cpp as lib

    header = read_gguf_header(source)
    need = int(header.n_params * BITS[precision] / 8 * SPARE)
    free = shutil.disk_usage(target.parent).free
    if need > free:
        raise UserError(
            f"{precision} of “{source.name}” takes about {need / 1e9:.1f} GB; {free / 1e9:.1f} GB are free.",
            remedy="Free some disk space, or choose fewer bits.",
        )
    means = measure(source, calibration, ctx).means() if precision in MEASURED else {}
    ctx.progress(0, None, f"writing {precision}, about {need / 1e6:,.0f} MB")
    native_log.install()
    native_log.clear()
    options: Any = lib.llama_model_quantize_default_params()
    options.allow_requantize = True
    options.ftype = getattr(lib, f"LLAMA_FTYPE_{'ALL' if precision == 'F32' else 'MOSTLY'}_{precision}")
    part = target.with_suffix(".part")
    with native_matrix(lib, means) as matrix:
        options.imatrix = matrix if means else None
        status = lib.llama_model_quantize(str(source).encode(), str(part).encode(), options)
    if status != 0:
        part.unlink(missing_ok=True)
        raise UserError(
            f"llama.cpp could not write {precision} of “{source.name}”: {native_log.cause() or f'code {status}'}.",
            remedy="Check the free disk space; some kinds of model do not go into every precision.",
            details=native_log.tail(),
        )
    os.replace(part, target)
    ctx.progress(1, 1, f"{target.stat().st_size / 1e6:,.0f} MB written")
    return target


def _stem(source: Path) -> str:
    """Leave out the precision at the end of a name: ``SmolLM2-Q4_1`` → ``SmolLM2``."""
    head, _, tail = source.stem.rpartition("-") if "-" in source.stem else source.stem.rpartition(".")
    is_precision = tail.upper() in get_args(Precision) or tail.upper()[:2] in ("Q2", "Q3", "Q4", "Q5", "Q6", "Q8", "IQ")
    return head if head and is_precision else source.stem
