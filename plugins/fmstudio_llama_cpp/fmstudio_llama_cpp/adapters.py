"""LoRA adapters of a loaded model: opened once, switched in microseconds, checked before native code sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmstudio.api import AdapterScale, UserError
from fmstudio.api.gguf_header import read_gguf_header, require_matching_adapter
from fmstudio.api.gguf_soundness import require_sound_adapter
from fmstudio_llama_cpp import native_log
from fmstudio_llama_cpp.native import NativeModel

KEPT = 16
_Key = tuple[Path, int, int]


class AdapterShelf:
    """The adapters that were opened for one model, and those that act.

    Attributes:
        in_force: What acts now.
        key: Tells what acts from anything else that could act, by the files' content as far as their times show it.
    """

    def __init__(self, native: NativeModel) -> None:
        self._native = native
        self._opened: dict[_Key, Any] = {}
        self._acting: list[tuple[_Key, float]] = []
        self.in_force: tuple[AdapterScale, ...] = ()

    @property
    def key(self) -> tuple[tuple[_Key, float], ...]:
        return tuple(self._acting)

    def apply(self, adapters: Sequence[AdapterScale]) -> bool:
        """Make exactly these act; says whether that is a change. The caller then drops what was cached.

        Raises:
            UserError: A file is no adapter or belongs to another base; what acted before goes on acting.
        """
        wanted = [(self._open(each.path), each.scale) for each in adapters if each.scale != 0]
        self.in_force = tuple(adapters)
        if wanted == self._acting:
            return False
        self._set(wanted)
        self._acting = wanted
        self._forget_unused()
        return True

    def _open(self, path: Path) -> _Key:
        header = read_gguf_header(path)
        key = (path, path.stat().st_mtime_ns, header.file_size)
        if key in self._opened:
            return key
        require_matching_adapter(header, self._native.header)
        require_sound_adapter(header)
        native_log.clear()
        handle = self._native.lib.llama_adapter_lora_init(self._native.model, str(path).encode())
        if not handle:
            raise UserError(
                f"llama.cpp could not use the adapter “{path.name}”: {native_log.cause() or 'it gave no reason'}.",
                remedy="Export the adapter again from its training run.",
                details=native_log.tail(),
            )
        self._opened[key] = handle
        return key

    def _set(self, wanted: list[tuple[_Key, float]]) -> None:
        import ctypes

        lib, count = self._native.lib, len(wanted)
        handles = (lib.llama_adapter_lora_p_ctypes * max(1, count))(*(self._opened[key] for key, _ in wanted))
        scales = (ctypes.c_float * max(1, count))(*(scale for _, scale in wanted))
        if lib.llama_set_adapters_lora(self._native.context, handles, count, scales) != 0:
            raise UserError(
                f"llama.cpp could not switch the adapters: {native_log.cause() or 'it gave no reason'}.",
                remedy="Load the model again.",
                details=native_log.tail(),
            )

    def _forget_unused(self) -> None:
        acting = {key for key, _ in self._acting}
        for key in [key for key in self._opened if key not in acting][: max(0, len(self._opened) - KEPT)]:
            self._native.lib.llama_adapter_lora_free(self._opened.pop(key))
