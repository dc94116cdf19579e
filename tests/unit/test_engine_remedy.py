"""How an engine failed → what to change, for one click."""

from __future__ import annotations

from typing import Any

import pytest

from fmstudio.jobs.engine_remedy import build_command, with_action, with_build
from fmstudio.jobs.outcome import Problem, ProcessOutcome

NO_ROOM = Problem("llama.cpp could not make room for a context of 32,768 tokens: failed to allocate buffer.")

NARROW = Problem("K cache type q8_0 with block size 32 does not divide n_embd_head_k=16.")
LEAST_ROOM = Problem("llama.cpp could not make room for a context of 1,024 tokens: failed to allocate buffer.")


@pytest.mark.parametrize(
    ("problem", "params", "signal", "action"),
    [
        (NO_ROOM, {"n_ctx": 32768}, "", {"n_ctx": 16384}),
        (NO_ROOM, {}, "", {"n_ctx": 16384}),
        (NO_ROOM, {"n_ctx": 1_000_000}, "", {"n_ctx": 16384}),
        (LEAST_ROOM, {"n_ctx": 1024}, "", {"kv_type": "q8_0"}),
        (LEAST_ROOM, {"n_ctx": 1024, "kv_type": "q8_0"}, "", {}),
        (NARROW, {"n_ctx": 1024, "kv_type": "q8_0"}, "", {"kv_type": "f16"}),
        (LEAST_ROOM, {"n_ctx": 1024, "flash_attention": "off"}, "", {}),
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


def test_a_smaller_context_starts_from_the_one_that_was_loaded() -> None:
    killed = ProcessOutcome.from_returncode(-9).problem("The model engine")
    found = [
        with_action(killed, params, signal="SIGKILL", loaded_ctx=n).remedy_action
        for params, n in (({}, 32_768), ({}, 8192), ({"n_ctx": 1_000_000}, 4096), ({}, 1024), ({}, 0))
    ]
    assert found == [{"n_ctx": 16_384}, {"n_ctx": 4096}, {"n_ctx": 2048}, {}, {"n_ctx": 2048}]


def test_a_remedy_the_engine_named_itself_stays() -> None:
    refused = Problem("“x.gguf” cannot draft for this model.", remedy_action={"draft_model": "", "speculation": "off"})
    assert with_action(refused, {"n_ctx": 8192}, signal="SIGKILL") == refused


def test_the_library_is_built_in_the_version_that_is_installed() -> None:
    command = build_command("/a folder/python", "llama-cpp-python 0.3.36, numpy 2.3.1")
    assert "llama-cpp-python==0.3.36 --no-binary llama-cpp-python" in command and "numpy" not in command
    assert "'/a folder/python'" in command or '"/a folder/python"' in command


@pytest.mark.parametrize("library", ["", "llama-cpp-python missing", "llama-cpp-python"])
def test_nothing_is_built_that_is_not_known(library: str) -> None:
    problem = Problem("It crashed.", "Choose another.")
    assert build_command("python", library) == "" and with_build(problem, "python", library) == problem


@pytest.mark.parametrize("outcome", [ProcessOutcome(0xC000001D), ProcessOutcome(-1073741795), ProcessOutcome(None, 4)])
def test_an_illegal_instruction_is_known_on_each_system(outcome: ProcessOutcome) -> None:
    assert outcome.is_illegal_instruction or (outcome.signal and outcome.signal_name != "SIGILL")
    assert not ProcessOutcome(1).is_illegal_instruction and not ProcessOutcome(None, 11).is_illegal_instruction
