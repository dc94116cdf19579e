"""Opening a model and its context through llama.cpp's C interface, with causes out of the native log.

Everything that a file says of itself is checked before native code sees it, and every number is clamped: an assertion
in native code would end the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.api import UserError
from fmstudio.api.gguf_context import MAX_CONTEXT, free_memory
from fmstudio.api.gguf_header import GgufHeader, read_gguf_header, require_chat_model
from fmstudio.api.gguf_soundness import require_sound_model
from fmstudio_llama_cpp import automatic, native_log
from fmstudio_llama_cpp.automatic import Chosen
from fmstudio_llama_cpp.params import LlamaCppParams
from fmstudio_llama_cpp.vocabulary import Vocabulary

EMBEDDING_CTX = 4096
_KV_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}
_FLASH = {"auto": -1, "off": 0, "on": 1}
_MMAP, _NO_MMAP = 1, 0
SPIN_COUNT = "500"


@dataclass(slots=True)
class NativeModel:
    """An open model with one context.

    Attributes:
        lib: The module of C functions.
        n_ctx: Tokens the context holds.
        n_batch: Most tokens in one evaluation.
        layout: Says how the context holds its values, for saved ones fit no other.
        vram: Memory of GPUs that was free before loading, bytes.
        notes: What was chosen by itself, and why.
    """

    lib: Any
    header: GgufHeader
    model: Any
    context: Any
    n_ctx: int
    n_ctx_train: int
    n_batch: int
    layout: str = ""
    vram: int = 0
    notes: tuple[str, ...] = ()

    def close(self) -> None:
        """Free context and model, in this order; calling it twice does nothing."""
        if self.context is not None:
            self.lib.llama_free(self.context)
            self.context = None
        if self.model is not None:
            self.lib.llama_model_free(self.model)
            self.model = None


def open_model(
    path: Path, params: LlamaCppParams, settings: dict[str, Any], *, on_evaluation: Any = None
) -> NativeModel:
    """Check, load and give a context.

    Args:
        on_evaluation: Native callback for each step of an evaluation (see `tensors`); kept alive by the caller.
        settings: What the probe found to work here: ``use_extra_bufts``, ``n_gpu_layers``, ``use_mmap``,
            ``flash_attention``; they win over `params`.

    Raises:
        UserError: The file is unusable, or the library refuses it; the native log is in the details.
    """
    header = read_gguf_header(path)
    require_chat_model(header)
    require_sound_model(header)
    _refuse_contradictions(params)
    lib = _library()
    vram = automatic.free_gpu_memory(lib)
    chosen = automatic.choose(header, params, settings, free=free_memory(), vram=vram)
    model = _open_weights(lib, path, chosen.n_gpu_layers, settings)
    try:
        opened = _open_context(lib, model, header, params, settings, chosen, on_evaluation)
        opened.vram, opened.notes = vram, chosen.notes
        return opened
    except BaseException:
        lib.llama_model_free(model)
        raise


def open_embedding_model(path: Path, params: LlamaCppParams, settings: dict[str, Any]) -> NativeModel:
    """Check and load a model that only embeds; it has no context yet (see `embedding`).

    Raises:
        UserError: See `open_model`.
    """
    header = read_gguf_header(path)
    if header.architecture == "clip":
        raise UserError(
            f"“{path.name}” is a projector for images, not a model.", remedy="Load the model that it belongs to."
        )
    require_sound_model(header)
    lib = _library()
    layers = int(settings.get("n_gpu_layers", params.n_gpu_layers))
    model = _open_weights(lib, path, layers, settings)
    n_train = int(lib.llama_model_n_ctx_train(model))
    if n_train <= 0:
        lib.llama_model_free(model)
        raise UserError(f"“{path.name}” does not say how long its context is.", remedy="Choose another file of it.")
    return NativeModel(lib, header, model, None, min(params.n_ctx or EMBEDDING_CTX, n_train, MAX_CONTEXT), n_train, 0)


def _refuse_contradictions(params: LlamaCppParams) -> None:
    if params.kv_type != "f16" and params.flash_attention == "off":
        raise UserError(
            f"The cache precision {params.kv_type} needs flash attention, which is off.",
            remedy="Set flash attention to auto, or the cache precision to f16.",
        )


def _open_weights(lib: Any, path: Path, n_gpu_layers: int, settings: dict[str, Any]) -> Any:
    native_log.clear()
    model = lib.llama_model_load_from_file(str(path).encode(), _model_params(lib, n_gpu_layers, settings))
    if not model:
        raise _load_failed(path)
    return model


@contextmanager
def open_vocabulary(path: Path) -> Iterator[Vocabulary]:
    """Open a GGUF file for its vocabulary alone; no weights are read.

    Raises:
        UserError: The file is unusable, or the library refuses it; the native log is in the details.
    """
    require_sound_model(read_gguf_header(path))
    lib = _library()
    native_log.clear()
    settings = lib.llama_model_default_params()
    settings.vocab_only = True
    model = lib.llama_model_load_from_file(str(path).encode(), settings)
    if not model:
        raise _load_failed(path)
    try:
        yield Vocabulary(lib, model)
    finally:
        lib.llama_model_free(model)


def _library() -> Any:
    # GNU OpenMP lets idle threads spin for milliseconds at every barrier. When another program wants the cores too
    # (a training run, say), each token then waits for time slices: 4 instead of 74 tokens a second were measured.
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    # Before it aborts, ggml would fork a debugger and wait for it: the engine then hangs in place of ending.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    from llama_cpp import llama_cpp as lib

    native_log.install()
    lib.llama_backend_init()
    return lib


def library_version() -> str:
    """Version of the bindings, without importing them."""
    from importlib.metadata import version

    return version("llama-cpp-python")


def _model_params(lib: Any, n_gpu_layers: int, settings: dict[str, Any]) -> Any:
    native = lib.llama_model_default_params()
    native.n_gpu_layers = n_gpu_layers
    native.use_extra_bufts = bool(settings.get("use_extra_bufts", True))
    native.load_mode = _MMAP if settings.get("use_mmap", True) else _NO_MMAP
    return native


def _open_context(
    lib: Any,
    model: Any,
    header: GgufHeader,
    params: LlamaCppParams,
    settings: dict[str, Any],
    chosen: Chosen,
    on_evaluation: Any,
) -> NativeModel:
    n_train = int(lib.llama_model_n_ctx_train(model))
    if n_train <= 0 or not lib.llama_model_has_decoder(model) or lib.llama_model_has_encoder(model):
        raise UserError(
            f"“{header.path.name}” ({header.architecture}) cannot be used for chat: it is no text generator.",
            remedy="Choose a model made for chat or text generation.",
        )
    n_ctx = min(chosen.n_ctx, n_train)
    native = lib.llama_context_default_params()
    native.n_ctx = n_ctx
    native.n_batch = native.n_ubatch = max(1, min(params.n_batch, n_ctx))
    native.n_threads = native.n_threads_batch = chosen.n_threads
    native.type_k = native.type_v = _KV_TYPES[params.kv_type]
    native.flash_attn_type = _FLASH[str(settings.get("flash_attention", params.flash_attention))]
    native.no_perf = True
    if on_evaluation is not None:
        native.cb_eval = on_evaluation
    context = lib.llama_init_from_model(model, native)
    if not context:
        cause = native_log.cause() or "no reason given"
        raise UserError(
            f"llama.cpp could not make room for a context of {n_ctx:,} tokens: {cause}.",
            remedy="Choose a shorter context, or a smaller model.",
            details=native_log.tail(),
        )
    held = min(n_ctx, int(lib.llama_n_ctx(context)))
    layout = f"{params.kv_type}, flash attention {native.flash_attn_type}"
    return NativeModel(lib, header, model, context, held, n_train, int(native.n_batch), layout)


def _load_failed(path: Path) -> UserError:
    cause = native_log.cause() or "it gave no reason"
    log = native_log.tail()
    remedy = "Copy or download the file again; if it fails again, the model may need another version of llama.cpp."
    if "unknown model architecture" in log or "unknown architecture" in log:
        remedy = "This llama.cpp does not know this kind of model: update it, or choose another model."
    elif "alloc" in log.lower() and "fail" in log.lower():
        remedy = "There is too little memory: close other programs, or choose a smaller model."
    return UserError(f"llama.cpp could not load “{path.name}”: {cause}.", remedy=remedy, details=log)
