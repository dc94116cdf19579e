"""The GGUF header reader: what it reads, and that no file of any kind makes it crash, hang or lie."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import UserError
from fmstudio.api.gguf_header import (
    GgufArray,
    peek_gguf_kind,
    read_gguf_header,
    require_chat_model,
    require_matching_adapter,
)

MODEL_KEYS: dict[str, Any] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.license": "apache-2.0",
    "general.file_type": 15,
    "llama.context_length": 512,
    "llama.rope.freq_base": 10000.0,
    "tokenizer.chat_template": "{{ messages }}",
    "tokenizer.ggml.tokens": [f"token{n}" for n in range(100)],
    "tokenizer.ggml.scores": [0.5] * 100,
    "general.tags": ["a", "b"],
}
MODEL_TENSORS = [("token_embd.weight", (64, 100), 0), ("blk.0.attn_q.weight", (64, 32), 0), ("q", (32, 4), 2)]
ADAPTER_KEYS: dict[str, Any] = {"general.type": "adapter", "adapter.type": "lora", "general.architecture": "llama"}
PAIR = [("blk.0.attn_q.weight.lora_a", (64, 4), 0), ("blk.0.attn_q.weight.lora_b", (4, 32), 0)]
SIZES = {0: (1, 4), 2: (32, 18)}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    kind = 8 if isinstance(value[0], str) else 6
    items = b"".join(text(item) if kind == 8 else struct.pack("<f", item) for item in value)
    return struct.pack("<IIQ", 9, kind, len(value)) + items


def gguf_bytes(keys: dict[str, Any], tensors: Sequence[tuple[str, tuple[int, ...], int]], version: int = 3) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    head += b"".join(text(key) + value_bytes(value) for key, value in keys.items())
    offset = 0
    for name, shape, kind in tensors:
        head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", kind, offset)
        per_block, size = SIZES[kind]
        count = 1
        for n in shape:
            count *= n
        offset += -(-count // per_block * size // 32) * 32
    return head + b"\0" * (-len(head) % 32) + b"\0" * offset


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_bytes(MODEL_KEYS, MODEL_TENSORS))
    return path


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_reads_what_a_model_says_of_itself(model: Path) -> None:
    header = read_gguf_header(model)
    assert (header.architecture, header.name, header.license) == ("llama", "Tiny", "apache-2.0")
    assert (header.context_length, header.file_type, header.n_params) == (512, "Q4_K_M", 64 * 100 + 64 * 32 + 128)
    assert header.has_chat_template and not header.is_adapter and not header.is_vocab_only
    assert header.metadata["general.tags"] == ("a", "b")
    assert header.metadata["tokenizer.ggml.tokens"] == GgufArray(8, 100)
    assert header.tensors[1].shape == (64, 32)
    assert header.expected_size <= header.file_size
    require_chat_model(header)


def test_a_file_cut_anywhere_is_refused_with_its_name(tmp_path: Path, model: Path) -> None:
    data = model.read_bytes()
    end = read_gguf_header(model).expected_size
    for length in [*range(0, 600, 7), *range(600, end, 997), end - 1]:
        cut = write(tmp_path / "cut.gguf", data[:length])
        with pytest.raises(UserError) as caught:
            read_gguf_header(cut)
        assert "cut.gguf" in caught.value.message
        assert caught.value.remedy


def test_a_file_cut_inside_its_weights_names_the_tensor_and_both_sizes(tmp_path: Path, model: Path) -> None:
    data = model.read_bytes()
    cut = write(tmp_path / "cut.gguf", data[: len(data) // 2])
    with pytest.raises(UserError, match=r"cut short.*token_embd\.weight"):
        read_gguf_header(cut)


def test_damaged_bytes_never_raise_anything_but_a_user_error(tmp_path: Path, model: Path) -> None:
    data = bytearray(model.read_bytes()[:4200])
    dice = random.Random(1)
    refused = 0
    for _ in range(1500):
        broken = bytearray(data)
        for _ in range(dice.randint(1, 4)):
            broken[dice.randrange(len(broken))] = dice.choice((0, 255, dice.randrange(256)))
        try:
            read_gguf_header(write(tmp_path / "broken.gguf", bytes(broken)))
        except UserError as error:
            refused += 1
            assert "broken.gguf" in error.message
    assert refused > 500


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"PK\x03\x04 and so on", "not a GGUF"),
        (b"GGUF" + struct.pack(">I", 3) + b"\0" * 64, "big-endian"),
        (b"GGUF" + struct.pack("<I", 1) + b"\0" * 64, "old GGUF version"),
        (b"GGUF" + struct.pack("<I", 9) + b"\0" * 64, "newer GGUF version"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0) + b"\0" * 64, "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60) + b"\0" * 64, "claims"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 62) + b"\0" * 64, "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 0, 1 << 61), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 9, 1), "unknown type"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<I", 77) + b"\0" * 8, "unknown type"),
        (gguf_bytes({"general.alignment": 7}, []), "alignment"),
    ],
)
def test_hostile_and_foreign_files_are_refused_in_words(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_gguf_header(write(tmp_path / "odd.gguf", data))


def test_a_hostile_list_of_empty_texts_does_not_hang_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "hostile.gguf"
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 8, 200_000_000)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(2_000_000_000)  # sparse: 200 million texts of no bytes each
    start = time.perf_counter()
    with pytest.raises(UserError, match="claims"):
        read_gguf_header(path)
    assert time.perf_counter() - start < 2


def test_a_two_gigabyte_file_is_read_within_two_seconds(tmp_path: Path) -> None:
    keys = {**MODEL_KEYS, "tokenizer.ggml.tokens": [f"token{n}" for n in range(260_000)]}
    path = tmp_path / "large.gguf"
    data = gguf_bytes(keys, [("w", (32_768, 16), 0)])
    path.write_bytes(data[: len(data) - 32_768 * 16 * 4])
    with path.open("r+b") as file:
        file.truncate(2_000_000_000)
    start = time.perf_counter()
    assert read_gguf_header(path).architecture == "llama"
    assert time.perf_counter() - start < 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.gguf"):
        read_gguf_header(tmp_path / "gone.gguf")


@pytest.mark.parametrize(
    ("keys", "tensors", "words"),
    [
        (MODEL_KEYS, [], "vocabulary but no weights"),
        (ADAPTER_KEYS, PAIR, "adapter, not a model"),
        ({**MODEL_KEYS, "general.architecture": "bert"}, MODEL_TENSORS, "can embed text"),
        ({**MODEL_KEYS, "llama.context_length": 0}, MODEL_TENSORS, "context length as 0"),
        ({"llama.context_length": 5}, MODEL_TENSORS, "does not name its architecture"),
    ],
)
def test_files_that_no_engine_can_chat_with_are_refused(
    tmp_path: Path, keys: dict[str, Any], tensors: list[Any], words: str
) -> None:
    header = read_gguf_header(write(tmp_path / "m.gguf", gguf_bytes(keys, tensors)))
    with pytest.raises(UserError, match=words) as caught:
        require_chat_model(header)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("keys", "tensors", "words"),
    [
        ({**ADAPTER_KEYS, "general.architecture": "gemma3"}, PAIR, "architecture gemma3"),
        ({**ADAPTER_KEYS, "adapter.type": "ia3"}, PAIR, "kind “ia3”"),
        (
            ADAPTER_KEYS,
            [("blk.9.attn_q.weight.lora_a", (64, 4), 0), ("blk.9.attn_q.weight.lora_b", (4, 32), 0)],
            "blk.9",
        ),
        (
            ADAPTER_KEYS,
            [("blk.0.attn_q.weight.lora_a", (96, 4), 0), ("blk.0.attn_q.weight.lora_b", (4, 32), 0)],
            "96×32",
        ),
        (ADAPTER_KEYS, [PAIR[0], ("blk.0.attn_q.weight.lora_b", (8, 32), 0)], "different ranks"),
        (ADAPTER_KEYS, [PAIR[0]], "one half"),
        (ADAPTER_KEYS, [], "no tensors"),
        (MODEL_KEYS, MODEL_TENSORS, "whole model"),
    ],
)
def test_an_adapter_of_another_base_is_refused(
    tmp_path: Path, model: Path, keys: dict[str, Any], tensors: list[Any], words: str
) -> None:
    adapter = read_gguf_header(write(tmp_path / "a.gguf", gguf_bytes(keys, tensors)))
    with pytest.raises(UserError, match=words):
        require_matching_adapter(adapter, read_gguf_header(model))


def test_an_adapter_of_this_base_passes(tmp_path: Path, model: Path) -> None:
    adapter = read_gguf_header(write(tmp_path / "a.gguf", gguf_bytes(ADAPTER_KEYS, PAIR)))
    require_matching_adapter(adapter, read_gguf_header(model))


def test_the_kind_is_seen_from_the_first_kilobytes_and_never_raises(tmp_path: Path, model: Path) -> None:
    assert peek_gguf_kind(model) == "llama 15"
    assert peek_gguf_kind(tmp_path / "gone.gguf") == ""
    assert peek_gguf_kind(write(tmp_path / "x.gguf", b"nonsense")) == ""
