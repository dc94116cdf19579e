"""From how an engine failed to what to change: parameters a window applies with one click, or a command it copies."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fmstudio.api.gguf_context import LEAST_CONTEXT
from fmstudio.jobs.outcome import Problem

LEAST_CTX = 1024
_GRAPHICS = ("cuda", "vulkan", "metal", "rocm", "hip error", "sycl", "device memory", "vk_", "gpu")
_NO_MEMORY = ("out of memory", "not enough memory", "failed to allocate", "unable to allocate", "bad_alloc", "alloc")
_NO_WEIGHTS = "could not load"  # the weights alone are too large: no shorter context helps
_CONTEXT_SAID = re.compile(r"make room for a context of ([\d,]+) tokens")
_NO_CONTEXT = ("make room for a context", "kv cache", "kv buffer", "failed to initialize the context", "compute buffer")


def with_action(problem: Problem, params: Mapping[str, Any], *, signal: str = "", loaded_ctx: int = 0) -> Problem:
    """Add the remedy a machine can apply, where there is one; the message and remedy stay, and so does one it came with.

    Args:
        params: What the model was loaded with, in the names of the llama.cpp backend.
        signal: Name of the signal that ended the process, if one did.
        loaded_ctx: Tokens of the context that the engine had allocated; 0 = it was still loading.
    """
    if problem.remedy_action:
        return problem
    text = f"{problem.message}\n{problem.details}".lower()
    return replace(problem, remedy_action=_action(text, params, signal, loaded_ctx))


def with_build(problem: Problem, python: str, library: str) -> Problem:
    """Say that the engine's library must be built for this processor, after it used an instruction this one lacks.

    Args:
        python: The interpreter that runs the engine.
        library: What the settings were tried with, as ``"llama-cpp-python 0.3.36, numpy 2.3.1"``: the first is built.
    """
    command = build_command(python, library)
    if not command:
        return problem
    remedy = (
        "Its library was built for another processor. Build it for this one: run the command in a terminal (it needs the "
        "network, a C++ compiler and some minutes), then try again."
    )
    return replace(problem, remedy=remedy, remedy_command=command)


def build_command(python: str, library: str) -> str:
    """The command that builds the installed version of a library anew on this machine; empty if none is known.

    Nothing is taken from a cache or a ready-made wheel, and no other package is touched.
    """
    name, _, version = library.partition(",")[0].partition(" ")
    if not version or not version[0].isdigit():  # unknown, or "missing"
        return ""
    words = [python, "-m", "pip", "install", f"{name}=={version}", "--no-binary", name]
    words += ["--force-reinstall", "--no-deps", "--no-cache-dir"]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def _action(text: str, params: Mapping[str, Any], signal: str, loaded_ctx: int) -> dict[str, Any]:
    """Cheapest change first: less on the graphics card, a shorter context, then a coarser cache."""
    if "needs flash attention" in text:
        return {"flash_attention": "auto"}
    if "does not divide" in text and params.get("kv_type", "f16") != "f16":  # heads too narrow for blocks of 32 values
        return {"kv_type": "f16"}
    lacks_memory = signal == "SIGKILL" or any(word in text for word in (*_NO_MEMORY, *_NO_CONTEXT))
    is_graphics = any(word in text for word in _GRAPHICS)
    layers = int(params.get("n_gpu_layers", -1))
    if is_graphics and layers != 0 and (lacks_memory or signal):
        # How many there are in all (-1) is not known here; memory that is too little for half of some is tried again.
        return {"n_gpu_layers": layers // 2 if layers > 1 and not signal else 0}
    if not lacks_memory or _NO_WEIGHTS in text:
        return {}
    n_ctx = loaded_ctx or _wanted(text) or int(params.get("n_ctx") or 0)
    if not n_ctx:  # the engine chose by itself and ended before it could say what: no choice of its own is shorter
        return {"n_ctx": LEAST_CONTEXT}
    if n_ctx > LEAST_CTX:
        return {"n_ctx": max(LEAST_CTX, n_ctx // 2)}
    if signal:  # others take the memory: half of so short a cache is next to nothing
        return {}
    if params.get("kv_type", "f16") == "f16" and params.get("flash_attention", "auto") != "off":
        return {"kv_type": "q8_0"}
    return {}


def _wanted(text: str) -> int:
    """Tokens of the context there was no room for, as the engine named them; 0 = it did not."""
    found = _CONTEXT_SAID.search(text)
    return int(found[1].replace(",", "")) if found else 0
