"""Settings that are chosen by themselves: context by memory, layers by the GPU's memory, each with its reason."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fmstudio.api.gguf_context import free_memory
from fmstudio.api.gguf_header import GgufHeader, read_gguf_header
from fmstudio.api.gguf_memory import memory_of
from tests.plugins.llama_kit import loaded
from tests.tiny_llama import build_tiny_llama
from tests.unit.test_gguf_header import gguf_bytes

from fmstudio_llama_cpp.automatic import choose, free_gpu_memory  # isort: skip - see the kit
from fmstudio_llama_cpp.params import LlamaCppParams  # isort: skip

GB = 10**9


@pytest.fixture
def header(tmp_path: Path) -> GgufHeader:
    """8 billion parameters as Llama 3.1 lays them out: 131,072 bytes of cache a token."""
    path = tmp_path / "large.gguf"
    path.write_bytes(
        gguf_bytes(
            {
                "general.architecture": "llama",
                "llama.context_length": 131_072,
                "llama.block_count": 32,
                "llama.embedding_length": 4096,
                "llama.feed_forward_length": 14_336,
                "llama.attention.head_count": 32,
                "llama.attention.head_count_kv": 8,
            },
            [],
        )
    )
    return read_gguf_header(path)


def chosen(header: GgufHeader, free: int, vram: int = 0, settings: dict[str, Any] | None = None, **params: Any) -> Any:
    return choose(header, LlamaCppParams(**params), settings or {}, free=free, vram=vram)


def test_the_context_follows_the_free_memory(header: GgufHeader) -> None:
    found = [chosen(header, free).n_ctx for free in (64 * GB, 16 * GB, 6 * GB, GB // 2)]
    assert found == [32_768, 16_384, 8192, 2048]
    for free in (64 * GB, 16 * GB, 6 * GB):
        memory = memory_of(header, n_ctx=chosen(header, free).n_ctx)
        assert memory.cache + memory.compute <= free / 4


def test_a_coarser_cache_makes_room_for_more(header: GgufHeader) -> None:
    assert chosen(header, 6 * GB, kv_type="q8_0").n_ctx > chosen(header, 6 * GB).n_ctx


def test_the_reason_is_told(header: GgufHeader) -> None:
    assert "a quarter of the 6.0 GB" in chosen(header, 6 * GB).notes[0]
    assert "only 500 MB" in chosen(header, GB // 2).notes[0]
    assert chosen(header, 6 * GB, n_ctx=1024, n_threads=3).notes == (
        "Context: 1,024 tokens, as set.",
        "Threads: 3, as set.",
    )


def test_layers_go_to_the_gpu_as_far_as_they_fit(header: GgufHeader) -> None:
    assert chosen(header, 6 * GB, vram=80 * GB).n_gpu_layers == -1
    some = chosen(header, 6 * GB, vram=GB, n_ctx=8192)
    assert 0 < some.n_gpu_layers < 33 and f"{some.n_gpu_layers} of 33 layers" in some.notes[-1]
    assert chosen(header, 6 * GB, vram=80 * GB, n_gpu_layers=7).n_gpu_layers == 7
    off = chosen(header, 6 * GB, vram=80 * GB, settings={"n_gpu_layers": 0})
    assert off.n_gpu_layers == 0 and off.n_ctx == chosen(header, 6 * GB).n_ctx


def test_memory_of_gpus_is_read_from_the_library() -> None:
    class Function:
        def __init__(self, work: Any) -> None:
            self.work = work

        def __call__(self, *values: Any) -> Any:
            return self.work(*values)

    def memory(device: int, free: Any, total: Any) -> None:
        free._obj.value, total._obj.value = device * GB, 9 * GB

    kinds = {1: 0, 2: 1, 3: 1}  # the processor and two GPUs
    native = SimpleNamespace(
        ggml_backend_dev_count=Function(lambda: 3),
        ggml_backend_dev_get=Function(lambda index: index + 1),
        ggml_backend_dev_type=Function(kinds.__getitem__),
        ggml_backend_dev_memory=Function(memory),
    )
    lib = SimpleNamespace(llama_supports_gpu_offload=lambda: True, _lib=native)
    assert free_gpu_memory(lib) == 5 * GB
    assert free_gpu_memory(SimpleNamespace(llama_supports_gpu_offload=lambda: True, _lib=SimpleNamespace())) == 0
    assert free_gpu_memory(SimpleNamespace(llama_supports_gpu_offload=lambda: False)) == 0


def test_a_loaded_model_says_what_was_chosen(tmp_path: Path) -> None:
    _, model = build_tiny_llama(tmp_path)
    with loaded(model) as backend:
        assert backend.native.n_ctx == 512
        assert backend.native.notes[0].startswith("Context: 512 tokens, all the model was trained for")
    assert free_memory() > 0
