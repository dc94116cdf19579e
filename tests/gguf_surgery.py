"""Takes a sound GGUF file apart and puts it together again with chosen faults, everything else as it was."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ALIGNMENT = 32
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
_LAYOUT = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?", U64: "<Q"}


@dataclass(slots=True)
class Tensor:
    """A tensor's entry and data; `offset` None = where it comes to lie."""

    shape: tuple[int, ...]
    kind: int
    data: bytes
    offset: int | None = None


@dataclass(slots=True)
class Parts:
    """A GGUF file in parts: keys in their order, each with its type and bytes; tensors with their data.

    A name of a tensor may be given twice by `extra`.
    """

    keys: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    extra: list[tuple[str, Tensor]] = field(default_factory=list)

    def set(self, key: str, kind: int, value: int | float | str) -> None:
        """Give a key another value."""
        data = text(value.encode()) if isinstance(value, str) else struct.pack(_LAYOUT[kind], value)
        self.keys[key] = (kind, data)

    def set_texts(self, key: str, values: list[bytes]) -> None:
        """Give a key a list of texts."""
        self.keys[key] = (ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values)))

    def set_numbers(self, key: str, values: list[int]) -> None:
        """Give a key a list of 32-bit numbers."""
        self.keys[key] = (ARRAY, struct.pack(f"<IQ{len(values)}i", I32, len(values), *values))

    def texts(self, key: str) -> list[bytes]:
        """The texts of a key."""
        reader = _Reader(self.keys[key][1])
        _, count = reader.read("<IQ")
        return [reader.text() for _ in range(count)]

    def write(self, path: Path) -> Path:
        """Write it all."""
        tensors = [*self.tensors.items(), *self.extra]
        head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(self.keys))
        for name, (kind, data) in self.keys.items():
            head += text(name.encode()) + struct.pack("<I", kind) + data
        body = b""
        for name, tensor in tensors:
            offset = len(body) if tensor.offset is None else tensor.offset
            body += tensor.data + b"\0" * (-len(tensor.data) % ALIGNMENT)
            n = len(tensor.shape)
            head += text(name.encode()) + struct.pack(f"<I{n}QIQ", n, *tensor.shape, tensor.kind, offset)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(head + b"\0" * (-len(head) % ALIGNMENT) + body)
        return path


Change = Callable[[Parts], None]


def text(value: bytes) -> bytes:
    """A text as GGUF writes it."""
    return struct.pack("<Q", len(value)) + value


def take_apart(path: Path) -> Parts:
    """Read a sound file of version 3 whose tensors are of 4 bytes a weight."""
    reader = _Reader(path.read_bytes())
    magic, _version, n_tensors, n_keys = reader.read("<4sIQQ")
    assert magic == b"GGUF"
    parts = Parts()
    for _ in range(n_keys):
        name = reader.text().decode()
        (kind,) = reader.read("<I")
        start = reader.pos
        reader.skip(kind)
        parts.keys[name] = (kind, reader.data[start : reader.pos])
    entries = []
    for _ in range(n_tensors):
        name = reader.text().decode()
        (n,) = reader.read("<I")
        *shape, tensor_kind, offset = reader.read(f"<{n}QIQ")
        entries.append((name, tuple(shape), tensor_kind, offset))
    base = reader.pos + -reader.pos % ALIGNMENT
    for name, shape, tensor_kind, offset in entries:
        size = 4
        for dimension in shape:
            size *= dimension
        parts.tensors[name] = Tensor(shape, tensor_kind, reader.data[base + offset : base + offset + size])
    return parts


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.pos = data, 0

    def read(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(layout, self.data, self.pos)
        self.pos += struct.calcsize(layout)
        return values

    def text(self) -> bytes:
        (length,) = self.read("<Q")
        self.pos += length
        return self.data[self.pos - length : self.pos]

    def skip(self, kind: int) -> None:
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            element, count = self.read("<IQ")
            for _ in range(count):
                self.skip(element)
        else:
            self.pos += _SIZES[kind]
