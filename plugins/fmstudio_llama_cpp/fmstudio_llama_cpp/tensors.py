"""Looking at the tensors of a running model: what goes into each weight, while it is evaluated.

llama.cpp calls back at each step of its graph with a bare pointer. The C interface gives names, kinds and values of a
tensor, but not what it was made of, so the head of ggml's structure is read; that it lies as expected is checked first.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_F32 = 0
OnInputs = Callable[[str, "npt.NDArray[np.float32]"], None]


class _Tensor(ctypes.Structure):
    """The head of ``struct ggml_tensor`` (ggml.h), up to its name."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * 4),
        ("nb", ctypes.c_size_t * 4),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * 16),
        ("flags", ctypes.c_int32),
        ("src", ctypes.c_void_p * 10),
        ("view_src", ctypes.c_void_p),
        ("view_offs", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("name", ctypes.c_char * 64),
    ]


class Tensors:
    """Hears of each step of an evaluation; hands the inputs of each weight on.

    Attributes:
        callback: For the parameters of a native context.
    """

    def __init__(self, on_inputs: OnInputs) -> None:
        from llama_cpp import llama_cpp as lib

        self._on_inputs, self._ggml = on_inputs, _ggml()
        self._error: BaseException | None = None
        self.callback: Any = lib.ggml_backend_sched_eval_callback(self._on_step)

    @classmethod
    @contextmanager
    def watched(cls, on_inputs: OnInputs) -> Iterator[Tensors]:
        """Watch; what went wrong in between is raised at the end, too."""
        watching = cls(on_inputs)
        yield watching
        watching.check()

    def check(self) -> None:
        """Raise what went wrong in a callback.

        Raises:
            UserError: This llama.cpp lays its tensors out in another way.
        """
        if self._error is not None:
            raise self._error

    def _on_step(self, pointer: int, is_asked: bool, _data: Any) -> bool:
        """Asked first whether a step is wanted, then told that it is done; False then would end the evaluation."""
        try:
            weight = self._weight(pointer)
            if weight and not is_asked:
                self._on_inputs(weight, self._values(_Tensor.from_address(pointer).src[1]))
        except BaseException as error:  # noqa: BLE001 - nothing may pass through native code; `check` raises it
            self._error = self._error or error
            return not is_asked
        return bool(weight) or not is_asked

    def _weight(self, pointer: int) -> str:
        """Name of the weight that a step multiplies by; empty when it does something else."""
        if self._ggml.ggml_op_desc(pointer) != b"MUL_MAT":
            return ""
        if self._ggml.ggml_get_name(pointer) - pointer != _Tensor.name.offset:
            raise UserError(
                "This version of llama.cpp lays tensors out in a way that is not known here.",
                remedy="Choose Q3_K_S or larger, which need no measuring.",
            )
        step = _Tensor.from_address(pointer)
        name = _Tensor.from_address(step.src[0]).name.decode("utf-8", "replace")
        return name if name.endswith(".weight") and _Tensor.from_address(step.src[1]).type == _F32 else ""

    def _values(self, pointer: int) -> npt.NDArray[np.float32]:
        """Values of a tensor, wherever it lies, as (rows, columns)."""
        import numpy as np

        tensor = _Tensor.from_address(pointer)
        shape, strides = tuple(tensor.ne[i] for i in (3, 2, 1, 0)), tuple(tensor.nb[i] for i in (3, 2, 1, 0))
        data = np.empty(self._ggml.ggml_nbytes(pointer), np.uint8)
        self._ggml.ggml_backend_tensor_get(pointer, data.ctypes.data, 0, data.nbytes)
        values = np.ndarray(shape, np.float32, data, strides=strides)
        return values.reshape(-1, tensor.ne[0])


@cache
def _ggml() -> Any:
    """ggml's own library, which the bindings have loaded."""
    import llama_cpp
    from llama_cpp import llama_cpp as lib

    found = lib._lib
    if not hasattr(
        found, "ggml_get_name"
    ):  # where symbols are not looked for in the libraries a library uses (Windows)
        folder = Path(llama_cpp.__file__).parent / "lib"
        found = ctypes.CDLL(str(next(iter(folder.glob("*ggml-base*")))))
    for name, result, arguments in (
        ("ggml_get_name", ctypes.c_void_p, [ctypes.c_void_p]),
        ("ggml_op_desc", ctypes.c_char_p, [ctypes.c_void_p]),
        ("ggml_nbytes", ctypes.c_size_t, [ctypes.c_void_p]),
        ("ggml_backend_tensor_get", None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found
