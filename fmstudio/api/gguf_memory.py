"""How much memory a GGUF model takes to chat with, by its architecture. No engine is asked.

Weights are exact, from the header. The cache is computed as llama.cpp lays it out: per layer, with its own number of
key/value heads, its sliding window and the cache's number type; recurrent layers keep a state of fixed size. The compute
buffer is an estimate of the largest intermediate values of one batch; it is filled with the first long prompt only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from fmstudio.api.gguf_header import GgufHeader

KvType = Literal["f16", "q8_0", "q4_0"]

KV_BYTES: Final[dict[KvType, float]] = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Bytes a value of the cache takes: ggml's blocks of 32 values."""
CELLS: Final = 256
"""llama.cpp rounds the number of cached tokens up to a multiple of this (llama-kv-cache.cpp)."""
ENGINE_BYTES: Final = 88_000_000
"""Resident size of an engine process around its model: Python, the server, llama.cpp. Measured: SmolLM2 on Linux, 88 MB."""
DEFAULT_CONTEXT: Final = 4096
DEFAULT_BATCH: Final = 512
CONTEXTS: Final = (32_768, 16_384, 8192, 4096, 2048, 1024, 512)
HEADROOM: Final = 0.9
"""Share of the free memory that may be planned for."""
MOST_LAYERS: Final = 4096

# Every how many layers one sees the whole context; the others see a window (llama.cpp, set_swa_pattern in llama-model.cpp).
_FULL_EVERY: Final = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4, "gpt-oss": 2, "exaone4": 4, "olmo2": 4,
                      "smallthinker": 4, "gemma-embedding": 6}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes a loaded model takes, estimated.

    Attributes:
        weights: Of all tensors, exact.
        cache: Keys and values of `n_ctx` tokens in `kv_type`, and recurrent states.
        compute: Intermediate values of one batch.
        n_layers: Layers of the model; the output counts as one more when layers go to a GPU.
    """

    weights: int
    cache: int
    compute: int
    n_ctx: int
    kv_type: KvType
    n_layers: int

    @property
    def model_bytes(self) -> int:
        """Weights, cache and compute buffer, without the process around them."""
        return self.weights + self.cache + self.compute

    @property
    def total(self) -> int:
        """All the engine's process takes."""
        return self.model_bytes + ENGINE_BYTES


def memory_of(
    header: GgufHeader, *, n_ctx: int = DEFAULT_CONTEXT, kv_type: KvType = "f16", n_batch: int = DEFAULT_BATCH
) -> Memory:
    """Estimate for given settings; `n_ctx` is cut to what the model was trained for."""
    n_ctx = max(1, min(n_ctx, header.context_length or n_ctx))
    layers = _layers(header)
    return Memory(
        weights=sum(tensor.n_bytes for tensor in header.tensors),
        cache=cache_bytes(header, n_ctx, kv_type) + state_bytes(header),
        compute=compute_bytes(header, n_ctx, min(n_batch, n_ctx)),
        n_ctx=n_ctx,
        kv_type=kv_type,
        n_layers=layers,
    )


def _layers(header: GgufHeader) -> int:
    return min(header.number(f"{header.architecture}.block_count"), MOST_LAYERS)


def _per_layer(header: GgufHeader, key: str, layers: int, fallback: int) -> list[int]:
    """A number that is one for all layers or a list of one a layer."""
    value = header.metadata.get(f"{header.architecture}.{key}")
    if isinstance(value, tuple) and len(value) >= layers:
        return [n if isinstance(n, int) and n >= 0 else 0 for n in value[:layers]]
    one = header.number(f"{header.architecture}.{key}")
    return [one or fallback] * layers


def cache_bytes(header: GgufHeader, n_ctx: int, kv_type: KvType = "f16", *, full_window: bool = True) -> int:
    """Size of the attention cache; 0 when the header does not tell the number of layers or heads.

    Args:
        full_window: The engine keeps the whole context for layers with a sliding window too (llama.cpp's
            ``swa_full``, its default), so that a chat can be edited; else only their window.
    """
    arch, layers = header.architecture, _layers(header)
    heads = max(_per_layer(header, "attention.head_count", layers, 0), default=0)
    if not heads:
        return 0
    width = header.number(f"{arch}.embedding_length") // heads
    key = header.number(f"{arch}.attention.key_length") or width
    value = header.number(f"{arch}.attention.value_length") or width
    window = header.number(f"{arch}.attention.sliding_window")
    every = _FULL_EVERY.get(arch, 0)
    total = 0.0
    for layer, kv_heads in enumerate(_per_layer(header, "attention.head_count_kv", layers, heads)):
        is_local = bool(window and every and not full_window and (layer + 1) % every)
        tokens = min(n_ctx, window + DEFAULT_BATCH) if is_local else n_ctx
        total += kv_heads * (key + value) * (-(-tokens // CELLS) * CELLS) * KV_BYTES[kv_type]
    if _is_recurrent(header) and f"{arch}.attention.head_count_kv" not in header.metadata:
        return 0
    return int(total)


def _is_recurrent(header: GgufHeader) -> bool:
    return bool(header.number(f"{header.architecture}.ssm.state_size"))


def state_bytes(header: GgufHeader) -> int:
    """Size of the states of recurrent layers (Mamba and its hybrids), in 32-bit numbers; 0 for attention models."""
    if not _is_recurrent(header):
        return 0
    arch, layers = header.architecture, _layers(header)
    inner, state = header.number(f"{arch}.ssm.inner_size"), header.number(f"{arch}.ssm.state_size")
    groups, kernel = header.number(f"{arch}.ssm.group_count"), header.number(f"{arch}.ssm.conv_kernel")
    recurrent = sum(n == 0 for n in _per_layer(header, "attention.head_count_kv", layers, 0))
    a_layer = max(0, kernel - 1) * (inner + 2 * groups * state) + state * inner
    return recurrent * a_layer * 4


def compute_bytes(header: GgufHeader, n_ctx: int, n_batch: int) -> int:
    """Estimate of the intermediate values of one batch, in 32-bit numbers.

    The wider of: the feed-forward layer (two products beside its input), and the attention with its mask. The values of
    the output layer are kept for one token only: a chat asks for no more.
    """
    arch = header.architecture
    width = header.number(f"{arch}.embedding_length")
    inner = max(_per_layer(header, "feed_forward_length", max(1, _layers(header)), 0), default=0)
    vocabulary = max(
        (t.shape[1] for t in header.tensors if t.name == "token_embd.weight" and len(t.shape) > 1), default=0
    )
    values = n_batch * (4 * width + 2 * inner) + 2 * vocabulary
    mask = n_batch * (-(-n_ctx // CELLS) * CELLS) * 6  # in 32 bits, and again in 16 for flash attention
    return values * 4 + mask


def gpu_layers(memory: Memory, vram: int) -> int:
    """Layers that fit into the GPU's free memory; the compute buffer lies there too."""
    room = vram * HEADROOM - memory.compute
    per_layer = (memory.weights + memory.cache) / (memory.n_layers + 1)
    return max(0, min(memory.n_layers + 1, int(room / per_layer))) if vram and per_layer else 0
