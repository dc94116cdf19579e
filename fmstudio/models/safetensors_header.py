"""Reading the head of a safetensors file: names, types and shapes of its tensors; no weights, bounded whatever it holds.

Source of the layout: the format section of the safetensors README. Stricter than its loader in one thing: sizes of heads.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fmstudio.api.errors import UserError

MOST_HEADER: Final = 10 << 20
"""Largest head read. A head of 36 000 tensors takes 5 MB; the format itself would allow 100 MB."""
MOST_DIMS: Final = 8

BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip

_AGAIN: Final = "Copy or download the file again; compare its size with the original."


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor's entry: type as written in the file, shape outermost first, bytes in the file."""

    dtype: str
    shape: tuple[int, ...]
    n_bytes: int

    @property
    def n_elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def read_safetensors_header(path: Path) -> dict[str, StoredTensor]:
    """Read and check the head of a safetensors file.

    Raises:
        UserError: It is no regular file, no safetensors, damaged or cut short; the message says where.
    """
    try:
        if not path.is_file():
            raise UserError(f"“{path}” is no regular file.", remedy=_AGAIN)
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > size - 8 or length > MOST_HEADER:
                raise _no_head(path, start, size, length)
            data = stream.read(length)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"“{path}” cannot be read: {reason}.", remedy="Check the file's permissions.") from error
    entries = _parse(path, data)
    tensors = {name: _tensor(path, name, value) for name, value in entries.items() if name != "__metadata__"}
    _check_places(path, tensors, size - 8 - length)
    return {name: tensor for name, (tensor, _) in tensors.items()}


def _no_head(path: Path, start: bytes, size: int, length: int) -> UserError:
    name = f"“{path.name}”"
    if start[:1] == b"\x80" or start[:2] == b"PK":
        return UserError(
            f"{name} is a pickle under another name, which can run any code when it is opened. It was not opened.",
            remedy="Ask for the safetensors version of the model.",
        )
    if size < 8:
        return UserError(f"{name} is cut short: it has {size} bytes.", remedy=_AGAIN)
    return UserError(f"{name} is no safetensors file: its head claims {length:,} of {size:,} bytes.", remedy=_AGAIN)


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise UserError(f"The head of “{path.name}” is nested too deeply.", remedy=_AGAIN) from error
    except ValueError as error:
        raise UserError(
            f"“{path.name}” is damaged: its head is no JSON ({str(error)[:200]}).", remedy=_AGAIN
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"“{path.name}” is damaged: its head is no JSON object.", remedy=_AGAIN)
    return value


def _tensor(path: Path, name: str, value: Any) -> tuple[StoredTensor, int]:
    """Check one entry; give it with the place where its bytes start."""
    entry: dict[str, Any] = value if isinstance(value, dict) else {}
    dtype: Any = entry.get("dtype")
    shape: Any = entry.get("shape")
    place: Any = entry.get("data_offsets")
    is_sound = (
        isinstance(dtype, str)
        and dtype in BITS
        and isinstance(shape, list)
        and len(shape) <= MOST_DIMS
        and all(_is_size(n) for n in shape)
        and isinstance(place, list)
        and len(place) == 2
        and all(_is_size(n) for n in place)
    )
    if not is_sound:
        raise UserError(f"“{path.name}” is damaged at its tensor “{name[:100]}”.", remedy=_AGAIN)
    bits, (begin, end) = math.prod(shape) * BITS[dtype], place
    if bits % 8 or end - begin != bits // 8:
        raise UserError(
            f"“{path.name}” is damaged: the tensor “{name[:100]}” takes {end - begin:,} bytes instead of {bits // 8:,}.",
            remedy=_AGAIN,
        )
    return StoredTensor(dtype, tuple(shape), end - begin), begin


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _check_places(path: Path, tensors: dict[str, tuple[StoredTensor, int]], room: int) -> None:
    """Tensors lie one after another without overlap or gap, and fill the file."""
    at = 0
    for name, (tensor, begin) in sorted(tensors.items(), key=lambda item: (item[1][1], item[1][0].n_bytes)):
        if begin != at:
            what = "overlaps another" if begin < at else "leaves a gap before it"
            raise UserError(f"“{path.name}” is damaged: the tensor “{name[:100]}” {what}.", remedy=_AGAIN)
        at += tensor.n_bytes
    if at > room:
        raise UserError(
            f"“{path.name}” is cut short: {at - room:,} of {at:,} bytes of weights are missing.", remedy=_AGAIN
        )
    if at < room and tensors:
        raise UserError(f"“{path.name}” is damaged: {room - at:,} bytes belong to no tensor.", remedy=_AGAIN)
