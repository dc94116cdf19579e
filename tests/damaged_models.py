"""Makes a corpus of damaged and hostile model files: GGUF, safetensors, adapter folders. All small on disk (sparse)."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Chunk = tuple[str, bytes, int]
"""File name, bytes, and the size it is stretched to with zeros (0 = as it is)."""


def _text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def _key(name: bytes, kind: int, value: bytes) -> bytes:
    return _text(name) + struct.pack("<I", kind) + value


def _head(keys: list[bytes], tensors: list[bytes], n_keys: int | None = None, n_tensors: int | None = None) -> bytes:
    counts = (len(tensors) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys)
    return b"GGUF" + struct.pack("<IQQ", 3, *counts) + b"".join(keys) + b"".join(tensors)


def _tensor(name: bytes, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


_ARCH = _key(b"general.architecture", 8, _text(b"llama"))
_CTX = _key(b"llama.context_length", 4, struct.pack("<I", 64))


def sound_gguf() -> bytes:
    head = _head([_ARCH, _CTX], [_tensor(b"a.weight", (32, 4), 0, 0), _tensor(b"b.weight", (32, 4), 0, 512)])
    return head + b"\0" * (-len(head) % 32) + b"\0" * 1024


def sound_safetensors() -> bytes:
    head = json.dumps({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    return struct.pack("<Q", len(head)) + head + b"\0" * 16


def _ggufs() -> Iterator[Chunk]:
    whole = sound_gguf()
    for cut in (0, 1, 3, 4, 7, 8, 15, 16, 23, 24, 31, 40, 52, 60, 77, 90, 101, 120, 140, 160, 180, 200, 300, 700, 1100):
        yield f"cut-{cut}.gguf", whole[: min(cut, len(whole) - 1)], 0
    for magic in (b"GGML", b"gguf", b"\x80\x04.", b"PK\3\4", b"\x7fELF", b"MZ", b"%PDF", b"\0\0\0\0"):
        yield f"magic-{magic.hex()}.gguf", magic + whole[4:], 0
    for version in (0, 1, 4, 99, 0xFFFFFFFF, 0x03000000):
        yield f"version-{version}.gguf", b"GGUF" + struct.pack("<I", version) + whole[8:], 0
    for count in (1 << 16, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
        yield f"tensors-{count}.gguf", _head([_ARCH], [], n_tensors=count), 1 << 20
        yield f"keys-{count}.gguf", _head([_ARCH], [], n_keys=count), 1 << 20
        yield f"string-{count}.gguf", _head([struct.pack("<Q", count)], []), 1 << 20
        yield f"array-{count}.gguf", _head([_key(b"k", 9, struct.pack("<IQ", 0, count))], []), 1 << 20
        yield f"texts-{count}.gguf", _head([_key(b"k", 9, struct.pack("<IQ", 8, count))], []), 1 << 20
        yield f"shape-{count}.gguf", _head([_ARCH], [_tensor(b"t", (count, count, count, count), 0, 0)]), 1 << 20
        yield f"offset-{count}.gguf", _head([_ARCH], [_tensor(b"t", (32,), 0, count)]), 1 << 20
    for dims in (5, 1000, 0xFFFFFFFF):
        yield f"dims-{dims}.gguf", _head([_ARCH], [_text(b"t") + struct.pack("<I", dims)]), 1 << 16
    for align in (0, 1, 3, 7, 33, 1 << 21, 0xFFFFFFFF):
        key = _key(b"general.alignment", 4, struct.pack("<I", align))
        yield f"align-{align}.gguf", _head([_ARCH, key], [_tensor(b"t", (33,), 0, 0)]), 1 << 12
    yield "align-text.gguf", _head([_key(b"general.alignment", 8, _text(b"x"))], []), 1 << 12
    yield "nested.gguf", _head([_key(b"k", 9, struct.pack("<IQ", 9, 1) * 200)], []), 1 << 12
    yield "type.gguf", _head([_key(b"k", 77, b"\0" * 8)], []), 1 << 12
    yield "element.gguf", _head([_key(b"k", 9, struct.pack("<IQ", 55, 3))], []), 1 << 12
    yield "not-utf8.gguf", _head([_key(b"\xff\xfe\xc3\x28", 8, _text(b"\xff" * 100)), _ARCH], []), 1 << 12
    overlap = [_tensor(b"a", (32, 4), 0, 0), _tensor(b"b", (32, 4), 0, 32)]
    yield "overlap.gguf", _head([_ARCH, _CTX], overlap), 1 << 16
    yield "twice.gguf", _head([_ARCH, _CTX], [_tensor(b"a", (8,), 0, 0), _tensor(b"a", (8,), 0, 32)]), 1 << 16
    yield "zero.gguf", _head([_ARCH, _CTX], [_tensor(b"a", (0, 8), 0, 0)]), 1 << 16
    yield "unaligned.gguf", _head([_ARCH, _CTX], [_tensor(b"a", (8,), 0, 5)]), 1 << 16
    # Sparse giants: what a reader that trusts lengths would spend minutes or gigabytes on.
    yield "long-texts.gguf", _head([_key(b"k", 8, struct.pack("<Q", 16 << 20))] * 1, [], n_keys=120), 2_100_000_000
    many = b"".join(_key(b"%d" % n, 8, struct.pack("<Q", 16_000_000) + b"\0" * 0) for n in range(1))
    yield "sixteen-megabytes.gguf", _head([many], [], n_keys=60_000), 2_100_000_000
    yield "empty-texts.gguf", _head([_key(b"k", 9, struct.pack("<IQ", 8, 7_900_000))], []), 100_000_000
    yield "two-million-texts.gguf", _head([_key(b"k", 9, struct.pack("<IQ", 8, 1_999_999))], [], n_keys=2), 100_000_000
    yield "names.gguf", _head([_ARCH], [], n_tensors=262_144), 1_000_000_000
    yield "keys-of-zeros.gguf", _head([], [], n_keys=65_536), 1_000_000_000


def _stored(head: Any, tail: bytes = b"") -> bytes:
    data = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(data)) + data + tail


def _safetensors() -> Iterator[Chunk]:
    whole = sound_safetensors()
    for cut in (0, 1, 7, 8, 9, 20, 40, 60, len(whole) - 16, len(whole) - 1):
        yield f"cut-{cut}", whole[:cut], 0
    for length in (0, 1, 1 << 20, 1 << 31, 1 << 32, 1 << 62, (1 << 64) - 1):
        yield f"length-{length}", struct.pack("<Q", length) + b"{}", 1 << 16

    def one(**change: Any) -> dict[str, Any]:
        return {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16], **change}}

    for name, head in {
        "negative": one(shape=[-2, -2]), "offset-back": one(data_offsets=[16, 0]), "offset-minus": one(data_offsets=[-16, 0]),
        "huge-shape": one(shape=[1 << 60, 1 << 60]), "long-shape": one(shape=[1 << 61] * 100_000), "float": one(shape=[2.5]),
        "bool": one(shape=[True, 4]), "dtype": one(dtype="F33"), "dtype-list": one(dtype=["F32"]), "no-entry": {"w": 3},
        "null": {"w": None}, "list": [1, 2], "text": "w", "nan": {"w": float("nan")}, "empty": {}, "short": one(shape=[1]),
        "overlap": {**one(), "v": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]}},
        "gap": {**one(), "v": {"dtype": "F32", "shape": [1], "data_offsets": [20, 24]}},
        "metadata": {"__metadata__": [1] * 1000, **one()},
    }.items():  # fmt: skip
        yield name, _stored(head, b"\0" * 8), 0
    yield "deep", _stored(b"[" * 200_000), 0
    yield "deep-objects", _stored(b'{"a":' * 200_000), 0
    yield "not-utf8", _stored(b'{"\xff\xfe": 1}'), 0
    yield "long-number", _stored(b'{"w": ' + b"9" * 1_000_000 + b"}"), 0
    yield "many-objects", _stored(b'{"w": [' + b"{}," * 3_000_000 + b"{}]}"), 0
    yield (
        "many-tensors",
        _stored({f"t{n}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(90_000)}),
        0,
    )
    yield "pickle", pickle.dumps({"weights": [1.0] * 100}), 0
    yield "zip", b"PK\3\4" + b"\0" * 60, 0


_CONFIGS: dict[str, bytes] = {
    "deep": b"[" * 500_000, "deep-object": b'{"a":' * 300_000, "huge": b'{"a": "' + b"x" * 20_000_000 + b'"}',
    "many": b'{"a": [' + b"{}," * 2_600_000 + b"{}]}", "list": b"[]", "number": b"7", "empty": b"", "cut": b'{"model_type": "lla',
    "not-utf8": b'{"model_type": "\xff\xfe"}', "nul": b"\0" * 4096, "long-number": b'{"a": ' + b"1" * 100_000 + b"}",
    "wrong-types": b'{"model_type": ["llama"], "max_position_embeddings": "many", "text_config": 3, "dtype": {}}',
    "negative": b'{"model_type": "llama", "max_position_embeddings": -5, "r": -1, "lora_alpha": "x"}',
    "infinite": b'{"max_position_embeddings": 1e999, "r": NaN}', "code": b'{"auto_map": {"AutoModel": "evil.Model"}}',
}  # fmt: skip


def _write(path: Path, data: bytes, size: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if size > len(data):
        os.truncate(path, size)
    return path


def _strange_folders(folder: Path) -> Iterator[Path]:
    for name in ("config.json", "adapter_config.json"):
        fifo = folder / f"fifo-{name}"
        fifo.mkdir()
        os.mkfifo(fifo / name)
        yield fifo
        loop = folder / f"loop-{name}"
        loop.mkdir()
        (loop / name).symlink_to(loop / name)
        yield loop
    pipe = folder / "fifo-weights"
    _write(pipe / "config.json", b'{"model_type": "llama"}')
    os.mkfifo(pipe / "model.safetensors")
    yield pipe
    parts = folder / "parts"
    _write(parts / "config.json", b"{}")
    _write(parts / "model-00001-of-99999.safetensors", sound_safetensors())
    yield parts
    pickled = folder / "pickled"
    _write(pickled / "config.json", b"{}")
    _write(pickled / "pytorch_model.bin", pickle.dumps([1]))
    yield pickled
    zipped = folder / "zipped.pt"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps([1]))
    yield zipped
    yield folder / "there-is-none.gguf"
    yield _write(folder / "adapter_model.bin", pickle.dumps([1]))
    crowd = folder / "crowd"
    _write(crowd / "config.json", b"{}")
    for number in range(600):
        _write(crowd / f"model-{number:05d}.safetensors", sound_safetensors())
    yield crowd


def write_corpus(folder: Path) -> list[Path]:
    """Write the corpus below `folder`; give what is to be looked at. Every one of them must be refused or harmless."""
    found = [_write(folder / "gguf" / name, data, size) for name, data, size in _ggufs()]
    for name, data, size in _safetensors():
        model = folder / "model" / name
        _write(model / "config.json", b'{"model_type": "llama"}')
        _write(model / "model.safetensors", data, size)
        adapter = folder / "adapter" / name
        _write(adapter / "adapter_config.json", b'{"peft_type": "LORA", "r": 4}')
        _write(adapter / "adapter_model.safetensors", data, size)
        found += [model, adapter]
    for name, data in _CONFIGS.items():
        for config, weights in (("config.json", "model"), ("adapter_config.json", "adapter_model")):
            place = folder / f"config-{weights}" / name
            _write(place / config, data)
            _write(place / f"{weights}.safetensors", sound_safetensors())
            found.append(place)
    strange = folder / "strange"
    strange.mkdir()
    return [*found, *_strange_folders(strange)]
