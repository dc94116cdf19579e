"""Reading tensors out of safetensors files with numpy alone, one at a time, bfloat16 too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.api import UserError

MOST_HEADER = 100 << 20
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file: its type as written, its shape outermost first, and where its bytes begin."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int

    def values(self) -> Any:
        """The values in fp32 (half precision stays so).

        Raises:
            UserError: The file ends early.
        """
        import numpy as np

        count = int(np.prod(self.shape, dtype=np.int64))
        raw = np.fromfile(self.path, _TYPES[self.dtype], count, offset=self.begin)
        if raw.size != count:
            raise UserError(f"“{self.path.name}” is cut short.", remedy="Copy or download the file again.")
        if self.dtype == "BF16":
            raw = (raw.astype(np.uint32) << 16).view(np.float32)
        return raw.reshape(self.shape)


def read_folder(folder: Path) -> dict[str, StoredTensor]:
    """All tensors of a folder's ``model*.safetensors``.

    Raises:
        UserError: There are none, a file is damaged, or holds numbers of a kind that cannot be converted.
    """
    found: dict[str, StoredTensor] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        found |= _read(path)
    if not found:
        raise UserError(f"The folder {folder.name} holds no weights (model*.safetensors).", remedy="Copy it again.")
    strange = next((name for name, tensor in found.items() if tensor.dtype not in _TYPES), "")
    if strange:
        raise UserError(
            f"The tensor {strange} is stored as {found[strange].dtype}, which cannot be converted.",
            remedy="Choose the model's F32, F16 or BF16 version.",
        )
    return found


def _read(path: Path) -> dict[str, StoredTensor]:
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            head: Any = json.loads(stream.read(length)) if length <= MOST_HEADER else None
        entries = {name: value for name, value in head.items() if name != "__metadata__"}
        return {
            name: StoredTensor(path, value["dtype"], tuple(value["shape"]), 8 + length + value["data_offsets"][0])
            for name, value in entries.items()
        }
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise UserError(f"“{path.name}” is damaged: {error}.", remedy="Copy or download the file again.") from error
