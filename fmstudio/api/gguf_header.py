"""Reading the head of a GGUF file: what a model or adapter says of itself, without opening its weights.

Plain Python over a buffered file: safe in the window's process, bounded in time and memory whatever the file holds.
It does not load models, and it does not judge whether an architecture is supported by an engine.

Source of the layout: ggml's docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from fmstudio.api.errors import UserError

Scalar = int | float | bool | str

MAGIC: Final = b"GGUF"
MAX_KEYS: Final = 65_536
MAX_TENSORS: Final = 262_144
MAX_STRING: Final = 16 * 1024 * 1024
MAX_TEXT: Final = 64 * 1024 * 1024  # of all names and texts that are kept
MAX_ELEMENTS: Final = 2_000_000  # of all string arrays together: twice the largest vocabulary with merges
KEPT_ARRAY: Final = 64
_MAX_DIMS: Final = 4

STRING: Final = 8
_ARRAY: Final = 9
_SCALARS: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip

# ggml_type id → (name, weights a block, bytes a block); ggml/include/ggml.h and gguf-py's GGML_QUANT_SIZES.
_TYPES: Final[dict[int, tuple[str, int, int]]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip

# llama_ftype id → name; llama.cpp's include/llama.h. Only those that a tensor type alone does not tell.
_FILE_TYPES: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS",
    20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M",
    28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip

# Architectures that only embed text (llama.cpp, llama-arch.cpp): they have no way to generate.
_EMBEDDING_ONLY: Final = frozenset(
    {"bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3", "eurobert",
     "gemma-embedding", "t5encoder", "clip"}
)  # fmt: skip

_AGAIN: Final = "Copy or download the file again; compare its size with the original."


@dataclass(frozen=True, slots=True)
class GgufArray:
    """Stands for an array that was skipped because it is long.

    Attributes:
        element_type: GGUF's number of it.
        offset: Byte of the file where its elements begin.
    """

    element_type: int
    length: int
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor's entry.

    Attributes:
        shape: Innermost dimension first, as ggml writes it: a linear layer is ``(in, out)``.
        type_id: The ggml type; `type_name` says it in words.
        offset: Bytes from the start of the file's tensor data.
    """

    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int

    @property
    def type_name(self) -> str:
        """``"Q4_1"``, or ``"type 99"`` for one that is newer than this reader."""
        return _TYPES[self.type_id][0] if self.type_id in _TYPES else f"type {self.type_id}"

    @property
    def n_elements(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Bytes on disk; 0 when the type is newer than this reader."""
        if self.type_id not in _TYPES:
            return 0
        _, weights, size = _TYPES[self.type_id]
        return -(-self.n_elements // weights) * size


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself.

    Attributes:
        metadata: Key → value. Arrays of up to 64 scalars are tuples, longer ones a `GgufArray`.
        data_offset: Byte where tensor data starts.
        expected_size: Bytes the file must have for every tensor to be whole.
    """

    path: Path
    version: int
    file_size: int
    data_offset: int
    expected_size: int
    metadata: dict[str, Scalar | tuple[Scalar, ...] | GgufArray]
    tensors: tuple[GgufTensor, ...] = field(repr=False)

    def text(self, key: str) -> str:
        """Value of a text key; empty when it is missing or of another type."""
        value = self.metadata.get(key, "")
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        """Value of a whole-number key; 0 when it is missing or of another type."""
        value = self.metadata.get(key, 0)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    @property
    def architecture(self) -> str:
        """``"llama"``, ``"gemma3"``, …; empty when the file does not say."""
        return self.text("general.architecture")

    @property
    def name(self) -> str:
        """The model's own name, or the file's stem."""
        return self.text("general.name") or self.path.stem

    @property
    def license(self) -> str:
        """SPDX id as the file gives it; empty when it says none."""
        return self.text("general.license")

    @property
    def context_length(self) -> int:
        """Tokens the model was trained for; 0 when the file does not say."""
        return self.number(f"{self.architecture}.context_length")

    @property
    def is_adapter(self) -> bool:
        """Whether this is a LoRA or another adapter and not a model."""
        return self.text("general.type") == "adapter" or bool(self.text("adapter.type"))

    @property
    def is_split(self) -> bool:
        """Whether this is one part of a model kept in several files."""
        return self.number("split.count") > 1

    @property
    def is_vocab_only(self) -> bool:
        """Whether there is a tokenizer but no weights."""
        return not self.tensors and not self.is_adapter and not self.is_split

    @property
    def is_embedding_only(self) -> bool:
        """Whether the architecture can embed text but not generate any."""
        return self.architecture in _EMBEDDING_ONLY

    @property
    def has_chat_template(self) -> bool:
        """Whether the model brings its own chat template."""
        return bool(self.text("tokenizer.chat_template").strip())

    @property
    def n_params(self) -> int:
        """Number of weights in this file."""
        return sum(tensor.n_elements for tensor in self.tensors)

    @property
    def file_type(self) -> str:
        """Quantisation as commonly written, ``"Q4_K_M"``; else the type that fills the most bytes."""
        named = _FILE_TYPES.get(self.number("general.file_type"))
        if named and "general.file_type" in self.metadata:
            return named
        sizes: dict[str, int] = {}
        for tensor in self.tensors:
            sizes[tensor.type_name] = sizes.get(tensor.type_name, 0) + tensor.n_bytes
        return max(sizes, key=lambda kind: sizes[kind]) if sizes else ""


class _Reader:
    """Reads little-endian values and never past the end, nor more than a bounded number of things."""

    def __init__(self, path: Path, stream: BinaryIO, size: int) -> None:
        self.path = path
        self.size = size
        self.pos = 0
        self.budget = MAX_ELEMENTS
        self.text_budget = MAX_TEXT
        self._stream = stream

    def take(self, count: int, what: str) -> bytes:
        if count > self.size - self.pos:
            raise UserError(
                f"“{self.path.name}” ends inside {what}, at byte {self.size:,}.",
                remedy=f"The file is cut short. {_AGAIN}",
            )
        data = self._stream.read(count)
        if len(data) != count:
            raise UserError(f"“{self.path.name}” changed while it was read.", remedy="Wait until its copy is finished.")
        self.pos += count
        return data

    def scalar(self, type_id: int, what: str) -> int | float | bool:
        layout = _SCALARS[type_id]
        value: int | float | bool = struct.unpack(layout, self.take(struct.calcsize(layout), what))[0]
        return value

    def count(self, what: str, limit: int, least_bytes: int) -> int:
        """Read a length that the rest of the file must be able to hold."""
        start = self.pos
        value = int(self.scalar(10, what))
        if value > limit or value * least_bytes > self.size - self.pos:
            raise self.damaged(start, f"it claims {value:,} {what}")
        return value

    def string(self, what: str, limit: int = MAX_STRING) -> str:
        start = self.pos
        length = self.count(f"bytes of {what}", min(limit, self.size), 1)
        self.text_budget -= length
        if self.text_budget < 0:
            raise self.damaged(start, f"its names and texts take more than {MAX_TEXT:,} bytes")
        return self.take(length, what).decode("utf-8", "replace")

    def value(self, key: str) -> Scalar | tuple[Scalar, ...] | GgufArray:
        type_id = int(self.scalar(4, "a setting's type"))
        if type_id == STRING:
            return self.string(f"the setting “{key}”")
        if type_id == _ARRAY:
            return self._array(key)
        if type_id not in _SCALARS:
            raise self.damaged(self.pos - 4, f"the setting “{key}” has the unknown type {type_id}")
        return self.scalar(type_id, f"the setting “{key}”")

    def _array(self, key: str) -> tuple[Scalar, ...] | GgufArray:
        type_id = int(self.scalar(4, "an array's type"))
        if type_id != STRING and type_id not in _SCALARS:
            raise self.damaged(self.pos - 4, f"the list “{key}” has elements of the unknown type {type_id}")
        width = 8 if type_id == STRING else struct.calcsize(_SCALARS[type_id])
        length = self.count(f"elements in the list “{key}”", self.size, width)
        what = f"the list “{key}”"
        if type_id == STRING:
            return self._strings(key, length, what)
        if length > KEPT_ARRAY:
            start = self.pos
            self.skip(length * width, what)
            return GgufArray(type_id, length, start)
        return tuple(self.scalar(type_id, what) for _ in range(length))

    def _strings(self, key: str, length: int, what: str) -> tuple[Scalar, ...] | GgufArray:
        self.budget -= length
        if self.budget < 0:
            raise self.damaged(self.pos, f"the list “{key}” claims {length:,} texts")
        if length <= KEPT_ARRAY:
            return tuple(self.string(what) for _ in range(length))
        start = self.pos
        for _ in range(length):
            self.skip(int.from_bytes(self.take(8, what), "little"), what)
        return GgufArray(STRING, length, start)

    def skip(self, count: int, what: str) -> None:
        if count < 4096 or count > self.size - self.pos:
            self.take(count, what)
            return
        self._stream.seek(count, 1)
        self.pos += count

    def damaged(self, at: int, why: str) -> UserError:
        return UserError(
            f"“{self.path.name}” is damaged at byte {at:,}: {why}.", remedy=f"It cannot be used as it is. {_AGAIN}"
        )


def read_gguf_header(path: Path) -> GgufHeader:
    """Read and check the head of a GGUF file; takes milliseconds, also for files of many gigabytes.

    Raises:
        UserError: There is no such file, it is no GGUF, it is damaged or cut short; the message names the place.
    """
    try:
        size = path.stat().st_size
        with path.open("rb", buffering=1 << 18) as stream:
            return _read(_Reader(path, stream, size))
    except FileNotFoundError as error:
        raise UserError(f"There is no file “{path}”.", remedy="Choose the model again.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"“{path}” cannot be read: {reason}.", remedy="Check the file's permissions.") from error


def _read(reader: _Reader) -> GgufHeader:
    version = _read_version(reader)
    n_tensors = reader.count("tensors", MAX_TENSORS, 24)
    n_keys = reader.count("settings", MAX_KEYS, 13)
    metadata: dict[str, Scalar | tuple[Scalar, ...] | GgufArray] = {}
    for _ in range(n_keys):
        at = reader.pos
        key = reader.string("a setting's name", 65_535)
        if not key or key in metadata:
            raise reader.damaged(at, f"the setting “{key[:100]}” is there twice" if key else "a setting has no name")
        metadata[key] = reader.value(key)
    tensors = tuple(_read_tensor(reader) for _ in range(n_tensors))
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
        raise reader.damaged(reader.pos, f"its alignment is {alignment!r}")
    data_offset = -(-reader.pos // alignment) * alignment
    header = GgufHeader(
        path=reader.path,
        version=version,
        file_size=reader.size,
        data_offset=data_offset,
        expected_size=max((data_offset + t.offset + t.n_bytes for t in tensors), default=reader.pos),
        metadata=metadata,
        tensors=tensors,
    )
    _check_complete(header)
    return header


def _read_version(reader: _Reader) -> int:
    name = reader.path.name
    if reader.size == 0:
        raise UserError(f"“{name}” is empty (0 bytes).", remedy=_AGAIN)
    magic = reader.take(min(4, reader.size), "the first four bytes")
    if magic != MAGIC:
        raise UserError(
            f"“{name}” is not a GGUF file: it starts with {magic!r} where “GGUF” is expected.",
            remedy="Choose a model file whose name ends in .gguf.",
        )
    version = int(reader.scalar(4, "the format version"))
    if version in (2, 3):
        return version
    if version & 0xFFFF == 0:
        raise UserError(f"“{name}” is a big-endian GGUF, for another kind of processor.", remedy="Get the common one.")
    age = "an old" if version < 2 else "an unknown, newer"
    raise UserError(
        f"“{name}” has {age} GGUF version, {version}.",
        remedy="Convert the model again with a current converter." if version < 2 else "Update this app.",
    )


def _read_tensor(reader: _Reader) -> GgufTensor:
    at = reader.pos
    name = reader.string("a tensor's name", 65_535)
    if not name:
        raise reader.damaged(at, "it has a tensor without a name")
    what = f"the entry of tensor “{name}”"
    at = reader.pos
    n_dims = int(reader.scalar(4, what))
    if n_dims > _MAX_DIMS:
        raise reader.damaged(at, f"tensor “{name}” claims {n_dims:,} dimensions")
    shape = tuple(int(reader.scalar(10, what)) for _ in range(n_dims))
    type_id = int(reader.scalar(4, what))
    return GgufTensor(name, shape, type_id, int(reader.scalar(10, what)))


def _check_complete(header: GgufHeader) -> None:
    if header.expected_size <= header.file_size:
        return
    start = header.data_offset
    broken = next(t for t in header.tensors if start + t.offset + t.n_bytes > header.file_size)
    raise UserError(
        f"“{header.path.name}” is cut short: it has {_size(header.file_size)} of {_size(header.expected_size)}, "
        f"and ends inside tensor “{broken.name}”.",
        remedy=_AGAIN,
    )


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB ({count:,} bytes)" if count >= 100_000 else f"{count:,} bytes"


def require_chat_model(header: GgufHeader) -> None:
    """Refuse a file that no engine can chat with, before any native code sees it.

    Raises:
        UserError: It is an adapter, has no weights, only embeds text, or does not say how long its context is.
    """
    name = f"“{header.path.name}”"
    if header.is_adapter:
        raise UserError(
            f"{name} is an adapter, not a model.",
            remedy="Load the base model it was trained on, then switch it on there.",
        )
    if header.is_vocab_only:
        raise UserError(
            f"{name} holds a vocabulary but no weights.", remedy="Choose the model's full file; it is much larger."
        )
    if not header.architecture:
        raise UserError(f"{name} does not name its architecture.", remedy="Convert the model again, or choose another.")
    if header.is_embedding_only:
        raise UserError(
            f"{name} is a {header.architecture} model: it can embed text but not write any.",
            remedy="Choose a model made for chat or text generation.",
        )
    if header.context_length <= 0 and not header.is_split:
        raise UserError(
            f"{name} gives its context length as {header.context_length} tokens.",
            remedy="The file is faulty: get it from another source, or convert the model again.",
        )


def require_matching_adapter(adapter: GgufHeader, base: GgufHeader) -> None:
    """Refuse an adapter that does not belong to this base model, by architecture and by the shape of every tensor.

    Raises:
        UserError: Names the first thing that does not fit.
    """
    name = f"“{adapter.path.name}”"
    if not adapter.is_adapter:
        raise UserError(f"{name} is a whole model, not an adapter.", remedy="Choose a LoRA adapter file.")
    kind = adapter.text("adapter.type")
    if kind != "lora":
        raise UserError(f"{name} is an adapter of the kind “{kind}”; only LoRA can be used.", remedy="Choose another.")
    why = "" if base.is_split else next(_misfits(adapter, base), "")
    if adapter.architecture != base.architecture:
        why = f"it was made for the architecture {adapter.architecture}, the model is {base.architecture}"
    if why:
        raise UserError(
            f"{name} does not belong to “{base.path.name}”: {why}.",
            remedy="Choose an adapter that was trained on this base model, or load the base it was trained on.",
        )


def _misfits(adapter: GgufHeader, base: GgufHeader) -> Iterator[str]:
    """Say of each tensor pair what does not fit: A is (in, r), B is (r, out), the base (in, out)."""
    shapes = {t.name: t.shape for t in base.tensors}
    halves = {t.name: t.shape for t in adapter.tensors}
    if not halves:
        yield "it holds no tensors"
    for name, shape in halves.items():
        target, _, half = name.rpartition(".")
        if half not in ("lora_a", "lora_b") or len(shape) < 2:
            continue
        if target not in shapes:
            yield f"the model has no tensor “{target}”"
            continue
        other = halves.get(f"{target}.lora_b" if half == "lora_a" else f"{target}.lora_a")
        if other is None:
            yield f"“{target}” has only one half of its LoRA pair"
        elif half == "lora_a":
            yield from _misfit_pair(target, shape, other, shapes[target])


def _misfit_pair(target: str, a: tuple[int, ...], b: tuple[int, ...], base: tuple[int, ...]) -> Iterator[str]:
    # llama.cpp reads the pair of the token embedding the other way round (llama-adapter.cpp).
    turned = target == "token_embd.weight"
    made_for = (b[1], a[1]) if turned else (a[0], b[1])
    rank_fits = a[0] == b[0] if turned else a[1] == b[0]
    if not rank_fits:
        yield f"the two halves of “{target}” have different ranks"
    elif made_for != base[:2]:
        held = "×".join(map(str, base[:2]))
        yield f"“{target}” is made for {made_for[0]}×{made_for[1]} weights, the model has {held}"


def peek_gguf_kind(path: Path) -> str:
    """Architecture and quantisation from the first kilobytes, e.g. ``"llama 3"``; empty when they are not to be seen.

    For the window's thread: a whole header with a large vocabulary takes a tenth of a second, this a fraction of a
    millisecond. Never raises; whether the file is sound is not its business.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(1 << 16)
    except OSError:
        return ""
    seen: dict[str, str] = {}
    reader = _Reader(path, io.BytesIO(data), len(data))
    try:
        _read_version(reader)
        reader.take(8, "the number of tensors")
        for _ in range(min(int(reader.scalar(10, "settings")), MAX_KEYS)):
            key = reader.string("a setting's name", 65_535)
            value = reader.value(key)
            if key in ("general.architecture", "general.file_type"):
                seen[key] = str(value)
    except UserError:
        pass  # the rest lies beyond what was read
    return " ".join(seen[key] for key in sorted(seen))
