"""Control vectors: directions added to the hidden state, read from GGUF files of llama.cpp's cvector generator."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import ControlVector, UserError
from fmstudio.api.gguf_header import read_gguf_header
from fmstudio_llama_cpp.native import NativeModel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_DIRECTION = re.compile(r"direction\.(\d+)")
_F32 = 0


class VectorShelf:
    """The control vectors that act on a context.

    Attributes:
        in_force: Those.
        key: Tells them from any others.
    """

    def __init__(self, native: NativeModel) -> None:
        self._native = native
        self._width = int(native.lib.llama_model_n_embd(native.model))
        self._layers = int(native.lib.llama_model_n_layer(native.model))
        self.in_force: tuple[ControlVector, ...] = ()
        self.key: Hashable = ()

    def apply(self, vectors: Sequence[ControlVector]) -> None:
        """Make exactly these act.

        Raises:
            UserError: A file is no control vector, or of another width than the model.
        """
        wanted = tuple(vector for vector in vectors if vector.scale != 0)
        key = tuple((vector, _stamp(vector.path)) for vector in wanted)
        if key == self.key:
            return
        lib, context = self._native.lib, self._native.context
        if not wanted:
            lib.llama_set_adapter_cvec(context, None, 0, self._width, 0, 0)
        else:
            total = self._total(wanted)
            data = total.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            if lib.llama_set_adapter_cvec(context, data, total.size, self._width, 1, self._layers) != 0:
                raise UserError("llama.cpp could not apply the control vectors.", remedy="Load the model again.")
        self.in_force, self.key = wanted, key

    def _total(self, vectors: Sequence[ControlVector]) -> npt.NDArray[np.float32]:
        """Sum of the scaled directions: float32 of shape ``(layers - 1, width)``, from layer 1 on."""
        import numpy as np

        total = np.zeros((self._layers - 1, self._width), np.float32)
        for vector in vectors:
            for layer, direction in self._read(vector.path).items():
                first, last = vector.layer_start or 1, vector.layer_end or self._layers
                if first <= layer <= last and layer < self._layers:
                    total[layer - 1] += vector.scale * direction
        return total

    def _read(self, path: Path) -> dict[int, Any]:
        import gguf

        header = read_gguf_header(path)
        if header.architecture != "controlvector":
            raise UserError(f"“{path.name}” is not a control vector.", remedy="Choose a GGUF file of that kind.")
        found: dict[int, Any] = {}
        for tensor in gguf.GGUFReader(path).tensors:
            match = _DIRECTION.fullmatch(tensor.name)
            if match is None:
                continue
            if int(tensor.tensor_type) != _F32 or tensor.data.size != self._width:
                raise UserError(
                    f"The control vector “{path.name}” was made for another model: it is {tensor.data.size} wide, the "
                    f"model {self._width}.",
                    remedy="Choose one made from this model.",
                )
            found[int(match[1])] = tensor.data.reshape(-1).copy()
        if not found:
            raise UserError(f"The control vector “{path.name}” holds no directions.", remedy="Choose another file.")
        return found


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError as error:
        raise UserError(f"There is no file “{path}”.", remedy="Choose the control vector again.") from error
    return facts.st_mtime_ns, facts.st_size
