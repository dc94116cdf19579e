"""Conversations held in memory: reuse over turns, branches and adapters; several answers in turn; dropping turns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import AdapterScale, Chunk, ControlVector, GenerateRequest, Message, UserError
from tests.plugins.llama_kit import LlamaCppBackend, ask, loaded, text_of, tokens_of
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_llama import HIDDEN, build_tiny_llama

LONG = " ".join(["How do I restart the printer?"] * 6)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    build_tiny_llama(folder)
    for seed in range(4):
        build_tiny_adapter(folder / f"{seed}.gguf", seed=seed)
    return folder


@pytest.fixture
def backend(files: Path) -> Iterator[LlamaCppBackend]:
    with loaded(files / "tiny-llama-f32.gguf") as made:
        yield made


def say(*texts: str) -> list[Message]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def cached(chunks: list[Chunk]) -> int:
    return chunks[-1].usage["cached_tokens"]


class TestReuse:
    def test_two_conversations_by_turns_keep_both(self, backend: LlamaCppBackend) -> None:
        one, two = say(f"{LONG} one"), say(f"Thanks. {LONG}")
        first = [tokens_of(ask(backend, messages=m)) for m in (one, two)]
        again = [ask(backend, messages=m) for m in (one, two, one)]
        assert [tokens_of(chunks) for chunks in again] == [first[0], first[1], first[0]]
        assert all(cached(chunks) == 0 or cached(chunks) > 20 for chunks in again)
        turn = [*one, {"role": "assistant", "content": text_of(again[0])}, {"role": "user", "content": "Why?"}]
        ask(backend, messages=two)
        assert cached(ask(backend, messages=turn)) >= backend.count_tokens(one)  # type: ignore[arg-type]

    def test_going_back_to_a_branch_does_not_evaluate_it_again(self, backend: LlamaCppBackend) -> None:
        base = say(LONG, "Hold the button.")
        left, right = [*base, *say(f"{LONG} left")], [*base, *say(f"Where is {LONG}?")]
        before = tokens_of(ask(backend, messages=left))
        ask(backend, messages=right)
        longer = [*left, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Go on"}]
        assert cached(ask(backend, messages=longer)) >= backend.count_tokens(left)
        backend.context.saved.clear()
        backend.context.clear()
        assert tokens_of(ask(backend, messages=left)) == before

    def test_an_adapter_has_its_own_states_and_never_anothers(self, files: Path, backend: LlamaCppBackend) -> None:
        one, two = ([AdapterScale(files / f"{n}.gguf")] for n in (1, 2))
        messages = say(LONG)
        more = [
            *messages,
            *say("x")[0:0],
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "And?"},
        ]
        cold = {}
        for name, adapters in (("one", one), ("two", two), ("base", [])):
            backend.context.saved.clear()
            backend.context.clear()
            cold[name] = tokens_of(ask(backend, messages=more, adapters=adapters))
        backend.context.saved.clear()
        backend.context.clear()
        for adapters in (one, two, []):
            assert cached(ask(backend, messages=messages, adapters=adapters)) == 0
        for name, adapters in (("one", one), ("two", two), ("base", [])):
            warm = ask(backend, messages=more, adapters=adapters)
            assert cached(warm) > 50 and tokens_of(warm) == cold[name]

    def test_memory_is_bounded_and_the_oldest_goes_first(self, files: Path) -> None:
        with loaded(files / "tiny-llama-f32.gguf") as made:
            made.context.saved.most_bytes = 100_000
            for number in range(12):
                ask(made, messages=say(f"{number} {LONG}"), conversation=f"c{number}")
            held = made.held()
            assert sum(each.bytes for each in held) <= 100_000
            names = [each.conversation for each in held]
            assert names[0] == "c11" and "c0" not in names and "c10" in names

    def test_no_memory_given_means_none_used(self, files: Path) -> None:
        with loaded(files / "tiny-llama-f32.gguf", state_mb=0) as made:
            for number in (1, 2, 1):
                chunks = ask(made, messages=say(f"{number} {LONG}"))
            assert cached(chunks) < 10 and len(made.held()) == 1


class TestTakingTurns:
    def test_answers_by_turns_are_those_given_alone(self, files: Path, backend: LlamaCppBackend) -> None:
        asked: list[dict[str, Any]] = [
            {"messages": say(f"one {LONG * 2}"), "temperature": 1.0, "seed": 1},
            {"messages": say("two"), "adapters": [AdapterScale(files / "1.gguf")], "logprobs": 1},
            {"messages": say(f"three {LONG}"), "temperature": 0.8, "seed": 3, "presence_penalty": 0.4},
        ]
        requests = [GenerateRequest(**{"max_tokens": 20, "adapters": (), **fields}) for fields in asked]
        alone = [tokens_of(list(backend.generate(request, lambda: False))) for request in requests]
        backend.context.saved.clear()
        backend.context.clear()
        running = [(backend.generate(request, lambda: False), list[Chunk]()) for request in requests]
        going = list(running)
        while going:
            for pair in list(going):
                chunk = next(pair[0], None)
                if chunk is None:
                    going.remove(pair)
                else:
                    pair[1].append(chunk)
                    backend.count_tokens(say("between"))
        assert [tokens_of(chunks) for _, chunks in running] == alone

    def test_an_answer_left_for_good_holds_nothing(self, backend: LlamaCppBackend) -> None:
        abandoned = backend.generate(GenerateRequest(messages=say(LONG), max_tokens=50), lambda: False)
        for _ in range(6):
            next(abandoned)
        ask(backend, messages=say("Another"))
        abandoned.close()  # type: ignore[attr-defined]
        assert all(state.ticket is None for state in backend.context.saved)

    def test_the_view_of_tokens_between_two_chunks_disturbs_nothing(self, backend: LlamaCppBackend) -> None:
        request = GenerateRequest(messages=say(LONG), temperature=1.0, seed=9, max_tokens=20)
        alone = tokens_of(list(backend.generate(request, lambda: False)))
        chunks = []
        for chunk in backend.generate(request, lambda: False):
            chunks.append(chunk)
            backend.token_view(GenerateRequest(messages=say("q"), forced_prefix="abc", logprobs=1), lambda: False)
        assert tokens_of(chunks) == alone


class TestContextFull:
    def conversation(self, turns: int) -> list[Message]:
        texts = [text for n in range(turns) for text in (f"{n} {LONG}", f"answer {n}")]
        return [{"role": "system", "content": "Be brief."}, *say(*texts, "last?")]

    def test_it_is_refused_unless_asked_otherwise_with_an_action(self, files: Path) -> None:
        with loaded(files / "tiny-llama-f32.gguf", n_ctx=256) as made, pytest.raises(UserError) as caught:
            ask(made, messages=self.conversation(6))
        assert "the context holds 256" in caught.value.message

    def test_oldest_turns_go_whole_and_are_named(self, backend: LlamaCppBackend) -> None:
        messages = self.conversation(12)
        chunks = ask(backend, messages=messages, context_policy="drop_oldest")
        dropped = chunks[-1].dropped_messages
        assert dropped and dropped == tuple(range(1, dropped[-1] + 1)) and len(dropped) % 2 == 0
        kept = [m for i, m in enumerate(messages) if i not in dropped]
        assert kept[0]["role"] == "system" and kept[1]["role"] == "user" and kept[-1]["content"] == "last?"
        assert tokens_of(chunks) == tokens_of(ask(backend, messages=kept))

    def test_the_cut_stays_for_a_few_turns_so_that_the_cache_helps(self, backend: LlamaCppBackend) -> None:
        short = [t for n in range(40) for t in (f"{n} Where is it?", "Near.")]
        cuts = []
        for turns in range(24, 40):
            messages = say(*short[: 2 * turns], "last?")
            cuts.append(
                len(ask(backend, messages=messages, context_policy="drop_oldest", max_tokens=2)[-1].dropped_messages)
            )
        assert cuts == sorted(cuts) and len(set(cuts)) <= len(cuts) // 2

    def test_a_last_turn_too_long_by_itself_is_refused(self, backend: LlamaCppBackend) -> None:
        with pytest.raises(UserError, match="context holds"):
            ask(backend, messages=say("a", "b", LONG * 30), context_policy="drop_oldest")


class TestControlVectors:
    def make(self, path: Path, width: int = HIDDEN, kind: str = "controlvector") -> Path:
        import gguf
        import numpy as np

        writer = gguf.GGUFWriter(str(path), kind)
        writer.add_tensor("direction.1", np.random.default_rng(1).normal(0, 1, width).astype(np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def test_they_act_by_scale_and_stop_acting(self, backend: LlamaCppBackend, tmp_path: Path) -> None:
        path = self.make(tmp_path / "v.gguf")
        base = tokens_of(ask(backend, messages=say(LONG)))
        acting = ask(backend, messages=say(LONG), control_vectors=[ControlVector(path, 3.0)])
        assert tokens_of(acting) != base and cached(acting) == 0
        assert tokens_of(ask(backend, messages=say(LONG), control_vectors=[ControlVector(path, 0.0)])) == base
        assert tokens_of(ask(backend, messages=say(LONG), control_vectors=[ControlVector(path, -3.0)])) != base
        assert tokens_of(ask(backend, messages=say(LONG))) == base

    def test_wrong_files_are_refused(self, backend: LlamaCppBackend, tmp_path: Path, files: Path) -> None:
        with pytest.raises(UserError, match="another model"):
            ask(backend, control_vectors=[ControlVector(self.make(tmp_path / "w.gguf", width=32))])
        with pytest.raises(UserError, match="not a control vector"):
            ask(backend, control_vectors=[ControlVector(files / "1.gguf")])
        assert tokens_of(ask(backend))


def test_four_adapters_blend(files: Path, backend: LlamaCppBackend) -> None:
    all_four = [AdapterScale(files / f"{n}.gguf", 0.1 * (n + 1)) for n in range(4)]
    seen = {tuple(tokens_of(ask(backend, adapters=all_four[:n]))) for n in range(5)}
    assert len(seen) == 5
