"""How an engine failed → what to change, for one click."""

from __future__ import annotations

from typing import Any

import pytest

from fmstudio.jobs.engine_remedy import with_action
from fmstudio.jobs.outcome import Problem, ProcessOutcome

NO_ROOM = Problem("llama.cpp could not make room for a context of 32,768 tokens: failed to allocate buffer.")


@pytest.mark.parametrize(
    ("problem", "params", "signal", "action"),
    [
        (NO_ROOM, {"n_ctx": 32768}, "", {"n_ctx": 16384}),
        (NO_ROOM, {}, "", {"n_ctx": 2048}),
        (NO_ROOM, {"n_ctx": 1024}, "", {"kv_type": "q8_0"}),
        (NO_ROOM, {"n_ctx": 1024, "kv_type": "q8_0"}, "", {}),
        (NO_ROOM, {"n_ctx": 1024, "flash_attention": "off"}, "", {}),
        (Problem("It crashed.", details="ggml_cuda: out of memory"), {"n_ctx": 8192}, "", {"n_gpu_layers": 0}),
        (Problem("No room.", details="vulkan: out of memory"), {"n_gpu_layers": 24}, "", {"n_gpu_layers": 12}),
        (Problem("No room.", details="vulkan: out of memory"), {"n_gpu_layers": 1}, "", {"n_gpu_layers": 0}),
        (Problem("It crashed.", details="ggml_vulkan"), {"n_gpu_layers": 24}, "SIGSEGV", {"n_gpu_layers": 0}),
        (Problem("llama.cpp could not load “x”: unable to allocate CPU buffer."), {"n_ctx": 8192}, "", {}),
        (Problem("It crashed.", details="terminate: std::bad_alloc"), {"n_ctx": 8192}, "SIGABRT", {"n_ctx": 4096}),
        (Problem("It crashed.", details="CUDA error: out of memory"), {"n_gpu_layers": 0}, "", {"n_ctx": 2048}),
        (Problem("The cache precision q8_0 needs flash attention, which is off."), {}, "", {"flash_attention": "auto"}),
        (ProcessOutcome.from_returncode(-9).problem("The model engine"), {}, "SIGKILL", {"n_ctx": 2048}),
        (Problem("“x.gguf” is not a GGUF file."), {}, "", {}),
        (ProcessOutcome.from_returncode(-4).problem("The model engine"), {}, "SIGILL", {}),
    ],
)
def test_each_failure_has_its_action(
    problem: Problem, params: dict[str, Any], signal: str, action: dict[str, Any]
) -> None:
    mended = with_action(problem, params, signal=signal)
    assert mended.remedy_action == action
    assert (mended.message, mended.remedy) == (problem.message, problem.remedy)
