"""Writing a GGUF tensor by tensor: memory holds one of them at a time, and a file is there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.api import TaskContext, UserError

FILE_TYPES = {"F32": 0, "F16": 1}
"""``general.file_type`` of the precisions written here (llama.cpp, llama_ftype)."""
HALF_MAX = 65_504.0


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor that will be written.

    Attributes:
        shape: Outermost dimension first.
        dtype: ``F32`` or ``F16``.
        values: Gives the values, in any float type, when it is their turn.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: Callable[[], Any]

    @property
    def n_bytes(self) -> int:
        """Bytes in the file."""
        count = 1
        for n in self.shape:
            count *= n
        return count * (4 if self.dtype == "F32" else 2)


def precision_of(shape: Sequence[int], wanted: str) -> str:
    """Vectors (norms, biases) stay in full precision, as llama.cpp wants them."""
    return wanted if len(shape) > 1 else "F32"


@contextmanager
def new_gguf(path: Path, architecture: str) -> Iterator[Any]:
    """A writer on a ``.part`` file, which takes its name when all went well."""
    import gguf

    part = path.with_name(path.name + ".part")
    writer = gguf.GGUFWriter(str(part), architecture)
    try:
        yield writer
        writer.close()
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        writer.close()
        part.unlink(missing_ok=True)
        raise


def write_tensors(writer: Any, path: Path, planned: Sequence[PlannedTensor], ctx: TaskContext) -> None:
    """Write the settings that were added to `writer` and all tensors.

    Raises:
        UserError: The disk is too small, or a value is beyond half precision.
    """
    import numpy as np

    need, free = sum(tensor.n_bytes for tensor in planned), shutil.disk_usage(path.parent).free
    if need > free:
        raise UserError(
            f"“{path.name}” takes {need / 1e9:.1f} GB; {free / 1e9:.1f} GB are free.", remedy="Free some disk space."
        )
    for tensor in planned:
        kind = np.dtype(np.float32 if tensor.dtype == "F32" else np.float16)
        writer.add_tensor_info(tensor.name, tensor.shape, kind, tensor.n_bytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    done = 0
    for tensor in planned:
        ctx.check_cancelled()
        values = np.ascontiguousarray(tensor.values())
        if tensor.dtype == "F16" and values.dtype != np.float16:
            largest = float(np.abs(values).max(initial=0.0))
            if not largest <= HALF_MAX:
                raise UserError(
                    f"The tensor {tensor.name} holds {largest:.3g}, which half precision cannot.", remedy="Choose F32."
                )
        writer.write_tensor_data(values.astype(np.float32 if tensor.dtype == "F32" else np.float16))
        done += tensor.n_bytes
        ctx.progress(done / 1e6, need / 1e6, "MB written")
