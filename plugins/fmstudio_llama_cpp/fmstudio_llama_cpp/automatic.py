"""What is chosen where the user left the choice open: context, layers on the GPU, threads; each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fmstudio.api.gguf_context import automatic_context, trained_context
from fmstudio.api.gguf_header import GgufHeader
from fmstudio.api.gguf_memory import Memory, gpu_layers, memory_of
from fmstudio_llama_cpp.cores import physical_cores
from fmstudio_llama_cpp.params import LlamaCppParams

_GPU = 1  # ggml_backend_dev_type (ggml-backend.h); integrated GPUs use the computer's own memory


@dataclass(frozen=True, slots=True)
class Chosen:
    """The settings to load with.

    Attributes:
        n_gpu_layers: As llama.cpp takes it; -1 = all.
        notes: What was chosen and why, a sentence each.
    """

    n_ctx: int
    n_gpu_layers: int
    n_threads: int
    notes: tuple[str, ...]


def choose(header: GgufHeader, params: LlamaCppParams, settings: dict[str, Any], *, free: int, vram: int) -> Chosen:
    """Choose for a model and this computer.

    Args:
        settings: What the probe found to work here; a number of GPU layers in it wins.
        free: Free memory, bytes. vram: free memory of GPUs, 0 without one.
    """
    n_train = trained_context(header)
    wanted_layers = int(settings.get("n_gpu_layers", params.n_gpu_layers))
    on_gpu = vram if wanted_layers else 0
    n_ctx, why = _context(header, params, n_train, free, on_gpu)
    memory = memory_of(header, n_ctx=n_ctx, kv_type=params.kv_type, n_batch=params.n_batch)
    n_threads = params.n_threads or physical_cores()
    threads = "as set" if params.n_threads else "one for each physical core this program may use"
    notes = [f"Context: {n_ctx:,} tokens, {why}.", f"Threads: {n_threads}, {threads}."]
    layers = wanted_layers
    if on_gpu:
        if layers < 0 and (fitting := gpu_layers(memory, vram)) <= memory.n_layers:
            layers = fitting
        notes.append(f"GPU: {_said(layers, memory)}; {_size(vram)} of its memory is free.")
    return Chosen(n_ctx, layers, n_threads, tuple(notes))


def _said(layers: int, memory: Memory) -> str:
    return "all layers" if layers < 0 else f"{layers} of {memory.n_layers + 1} layers"


def _context(header: GgufHeader, params: LlamaCppParams, n_train: int, free: int, vram: int) -> tuple[int, str]:
    if params.n_ctx:
        return min(params.n_ctx, n_train), "as set" if params.n_ctx <= n_train else "all the model was trained for"
    found = automatic_context(header, vram or free, kv_type=params.kv_type, n_batch=params.n_batch)
    where = "GPU memory" if vram else "memory"
    room, takes = _size(vram or free), _size(found.takes)
    why = {
        "trained": f"all the model was trained for; it takes {takes} of {room} free {where}",
        "most": f"the most that is chosen by itself; it takes {takes} of {room} free {where}",
        "share": f"the longest that a quarter of the {_size(found.beside)} beside the weights holds",
        "least": f"the least that is of use; only {room} of {where} are free",
    }
    return found.n_ctx, why[found.reason]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def free_gpu_memory(lib: Any) -> int:
    """Free bytes of all GPUs that the library can use; 0 without one, or where it does not say."""
    import ctypes

    if not lib.llama_supports_gpu_offload():
        return 0
    native = lib._lib
    try:
        count, get, kind = native.ggml_backend_dev_count, native.ggml_backend_dev_get, native.ggml_backend_dev_type
        memory = native.ggml_backend_dev_memory
    except AttributeError:  # a system whose loader does not look into the libraries beside
        return 0
    count.restype, get.restype, get.argtypes = ctypes.c_size_t, ctypes.c_void_p, [ctypes.c_size_t]
    kind.restype, kind.argtypes = ctypes.c_int, [ctypes.c_void_p]
    memory.restype, memory.argtypes = None, [ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_size_t)] * 2]
    free, total, found = ctypes.c_size_t(), ctypes.c_size_t(), 0
    for device in map(get, range(count())):
        if kind(device) == _GPU:
            memory(device, ctypes.byref(free), ctypes.byref(total))
            found += free.value
    return found
