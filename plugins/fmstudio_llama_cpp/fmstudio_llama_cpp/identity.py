"""Names by content: of a model file, and of adapters and control vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from fmstudio.api.gguf_header import GgufHeader

SAMPLES = 64
SAMPLE_BYTES = 1 << 16


def model_digest(header: GgufHeader) -> str:
    """Name of a model file; see `sampled_digest`."""
    return sampled_digest(header.path, header.file_size, header.data_offset)


def sampled_digest(path: Path, size: int, head: int = 0) -> str:
    """SHA-256 over a file's size, its first `head` bytes and samples of the rest: milliseconds, whatever its size.

    Another fine-tune has the same head and size, but other weights everywhere.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        digest.update(stream.read(head))
        rest = max(0, size - head - SAMPLE_BYTES)
        for number in range(SAMPLES):
            stream.seek(head + rest * number // (SAMPLES - 1))
            digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()


class ActingNames:
    """Names what acts on a context by its content: adapters with their scales, control vectors with their layers.

    Called with the key that `LlamaCppBackend` gives its context: the keys of the adapter and the vector shelf.
    """

    def __init__(self) -> None:
        self._files: dict[tuple[Path, int, int], str] = {}
        self._names: dict[Hashable, str] = {}

    def __call__(self, key: Hashable) -> str:
        """The name; empty when nothing acts."""
        if key not in self._names:
            self._names[key] = self._name(key)
        return self._names[key]

    def _name(self, key: Any) -> str:
        adapters, vectors = key or ((), ())
        if not adapters and not vectors:
            return ""
        digest = hashlib.sha256()
        for (path, modified_ns, size), scale in adapters:
            digest.update(f"adapter {self._file(path, modified_ns, size)} {scale!r}\n".encode())
        for vector, (modified_ns, size) in vectors:
            layers = f"{vector.layer_start} {vector.layer_end}"
            digest.update(f"vector {self._file(vector.path, modified_ns, size)} {vector.scale!r} {layers}\n".encode())
        return digest.hexdigest()

    def _file(self, path: Path, modified_ns: int, size: int) -> str:
        """Name of a file by its content, read once as long as its time and size stay."""
        key = (path, modified_ns, size)
        if key not in self._files:
            try:
                self._files[key] = sampled_digest(path, size)
            except OSError:
                self._files[key] = f"gone {key}"
        return self._files[key]
