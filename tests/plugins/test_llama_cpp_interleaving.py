"""Many answers in turn on one context, in random order, stopped at random: each says what it says alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import AdapterScale, Chunk, GenerateRequest
from tests.plugins.llama_kit import LlamaCppBackend, loaded
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_llama import build_tiny_llama

N_CTX = 256


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("interleaving")
    return build_tiny_llama(folder)[1], build_tiny_adapter(folder / "one.gguf", seed=1)


def requests(adapter: Path) -> list[GenerateRequest]:
    """Short and long ones, some with a common start, some with the adapter; all greedy."""
    r = random.Random(5)
    common = [r.randrange(3, 440) for _ in range(60)]
    made = []
    for number in range(10):
        own = [r.randrange(3, 440) for _ in range(r.choice([3, 20, 90, 150]))]
        tokens = common[: r.choice([0, 0, 30, 60])] + own
        adapters = (AdapterScale(adapter, 1.0),) if number % 3 == 2 else ()
        options: dict[str, Any] = {"max_tokens": r.choice([3, 12, 30]), "temperature": 0.0, "adapters": adapters}
        made.append(GenerateRequest(tokens=tokens, conversation=f"c{number % 4}", **options))
    return made


def said(chunks: list[Chunk]) -> tuple[list[int], str]:
    return [token for chunk in chunks for token in chunk.token_ids], str(chunks[-1].finish_reason)


class Asked:
    """An answer under way."""

    def __init__(self, backend: LlamaCppBackend, number: int, request: GenerateRequest, stop_after: int) -> None:
        self.number, self._left = number, stop_after
        self.chunks: list[Chunk] = []
        self.is_cancelled = False
        self.steps: Iterator[Chunk] = backend.generate(request, self._cancelled)

    def _cancelled(self) -> bool:
        self._left -= 1
        self.is_cancelled = self.is_cancelled or self._left < 0
        return self.is_cancelled


@pytest.mark.parametrize("state_mb", [0, 1, 64])
def test_answers_in_turn_say_what_they_say_alone(files: tuple[Path, Path], state_mb: int) -> None:
    model, adapter = files
    asked = requests(adapter)
    with loaded(model, n_ctx=N_CTX, n_batch=32, n_threads=1) as alone:
        expected = []
        for request in asked:
            alone.context.clear()
            alone.context.saved.clear()
            expected.append(said(list(alone.generate(request, lambda: False))))
    r = random.Random(state_mb)
    with loaded(model, n_ctx=N_CTX, n_batch=32, n_threads=1, state_mb=state_mb) as backend:
        active: list[Asked] = []
        done = 0
        while done < 60:
            if len(active) < 4 and r.random() < 0.5:
                number = r.randrange(len(asked))
                stop_after = r.choice([10**9, 10**9, r.randrange(40)])
                active.append(Asked(backend, number, asked[number], stop_after))
            if r.random() < 0.05:
                view = r.choice(asked)
                backend.token_view(
                    GenerateRequest(tokens=view.tokens, forced_prefix=(5, 6, 7), logprobs=2), lambda: False
                )
            if not active:
                continue
            turn = r.choice(active)
            for _ in range(r.randrange(1, 6)):
                chunk = next(turn.steps, None)
                assert chunk is not None
                turn.chunks.append(chunk)
                if chunk.finish_reason:
                    break
            if turn.chunks and turn.chunks[-1].finish_reason:
                active.remove(turn)
                done += 1
                tokens, reason = said(turn.chunks)
                wanted, end = expected[turn.number]
                if turn.is_cancelled:
                    assert tokens == wanted[: len(tokens)], turn.number
                else:
                    assert (tokens, reason) == (wanted, end), (turn.number, done)
