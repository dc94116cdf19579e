"""The engine's samplers, log-probabilities, forced beginnings and the token view, on the tiny llama."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import AdapterScale, GenerateRequest, Message, UserError
from fmstudio.api.testing import check_chat_backend
from tests.plugins.llama_kit import ASK, LlamaCppBackend, ask, loaded, text_of, tokens_of
from tests.tiny_llama import build_tiny_llama

FREE: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 5, "max_tokens": 60}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCppBackend]:
    folder = tmp_path_factory.mktemp("tiny")
    with loaded(build_tiny_llama(folder)[1]) as made:
        yield made


class TestSamplers:
    @pytest.mark.parametrize(
        "settings",
        [
            {"top_k": 1},
            {"top_p": 0.05},
            {"min_p": 0.9},
            {"typical_p": 0.1},
            {"top_n_sigma": 0.2},
            {"xtc_probability": 1.0, "xtc_threshold": 0.005},
            {"dynatemp_range": 0.9, "dynatemp_exponent": 2.0},
            {"repeat_penalty": 3.0},
            {"presence_penalty": 2.0, "repeat_last_n": -1},
            {"frequency_penalty": 2.0},
            {"dry_multiplier": 5.0, "dry_allowed_length": 0, "dry_base": 3.0},
            {"mirostat": 1, "mirostat_tau": 1.0},
            {"mirostat": 2, "mirostat_tau": 1.0},
            {"logit_bias": ((70, 8.0),)},
            {"temperature": 0.2},
        ],
        ids=lambda s: next(iter(s)),
    )
    def test_each_changes_the_draw_and_repeats_with_its_seed(
        self, backend: LlamaCppBackend, settings: dict[str, Any]
    ) -> None:
        plain = tokens_of(ask(backend, **FREE))
        changed = tokens_of(ask(backend, **{**FREE, **settings}))
        assert changed != plain
        assert tokens_of(ask(backend, **{**FREE, **settings})) == changed

    def test_one_candidate_left_is_the_greedy_choice(self, backend: LlamaCppBackend) -> None:
        greedy = tokens_of(ask(backend))
        assert tokens_of(ask(backend, **{**FREE, "top_k": 1, "max_tokens": 24})) == greedy

    def test_what_the_order_leaves_out_does_not_act(self, backend: LlamaCppBackend) -> None:
        assert tokens_of(ask(backend, **{**FREE, "top_k": 1, "samplers": ("temperature",)})) == tokens_of(
            ask(backend, **FREE)
        )

    def test_the_order_matters(self, backend: LlamaCppBackend) -> None:
        hot = {**FREE, "temperature": 5.0, "min_p": 0.3}
        first = tokens_of(ask(backend, **hot, samplers=("min_p", "temperature")))
        assert tokens_of(ask(backend, **hot, samplers=("temperature", "min_p"))) != first

    def test_a_bias_forbids_and_forces_tokens_by_id_and_text(self, backend: LlamaCppBackend) -> None:
        taken = tokens_of(ask(backend))[0]
        assert tokens_of(ask(backend, logit_bias=((taken, float("-inf")),)))[0] != taken
        assert set(text_of(ask(backend, logit_bias=(("Q", 100.0),), max_tokens=5))) == {"Q"}
        with pytest.raises(UserError, match="logit_bias"):
            ask(backend, logit_bias=((10**6, 1.0),))

    def test_a_penalty_of_presence_stops_a_loop(self, backend: LlamaCppBackend) -> None:
        loop = tokens_of(ask(backend, logit_bias=((70, 12.0), (71, 10.0)), max_tokens=6))
        assert set(loop) == {70}
        freed = tokens_of(ask(backend, logit_bias=((70, 12.0), (71, 10.0)), presence_penalty=30.0, max_tokens=6))
        assert freed[0] == 70 and 71 in freed


class TestTokenView:
    def test_alternatives_carry_ids_and_bytes(self, backend: LlamaCppBackend) -> None:
        (item,) = next(chunk.logprobs for chunk in ask(backend, logprobs=5) if chunk.logprobs)
        assert item.id == item.top[0].id and item.data == backend.vocabulary.piece(item.id, special=True)
        assert len({other.id for other in item.top}) == 5

    def test_a_branch_goes_on_from_the_chosen_token(self, backend: LlamaCppBackend) -> None:
        first = ask(backend, logprobs=3)
        tokens = tokens_of(first)
        third = [chunk.logprobs[0] for chunk in first if chunk.logprobs][2]
        other = third.top[1].id
        branch = tokens_of(ask(backend, forced_prefix=[*tokens[:2], other]))
        prompt = backend._prompts.render(ASK).tokens
        assert branch == tokens_of(ask(backend, tokens=[*prompt, *tokens[:2], other]))
        assert tokens_of(ask(backend, forced_prefix=tokens[:5]))[:10] == tokens[5:15]

    def test_an_unfinished_answer_goes_on_as_if_it_had_been_forced(self, backend: LlamaCppBackend) -> None:
        started: list[Message] = [*ASK, {"role": "assistant", "content": "My name is"}]
        assert text_of(ask(backend, messages=started, continue_final=True)) == text_of(
            ask(backend, forced_prefix="My name is")
        )
        with pytest.raises(UserError, match="unfinished"):
            ask(backend, continue_final=True)

    def test_half_a_character_in_the_beginning_is_completed(self, backend: LlamaCppBackend) -> None:
        whole = backend.tokenize("é")
        assert len(whole) == 2
        bias = ((whole[1], 100.0),)
        assert text_of(ask(backend, forced_prefix=whole[:1], logit_bias=bias, max_tokens=1)) == "é"

    def test_the_view_of_an_old_answer_says_what_generating_said(self, backend: LlamaCppBackend) -> None:
        chunks = ask(backend, logprobs=4, max_tokens=12)
        said = [lp for chunk in chunks for lp in chunk.logprobs]
        request = GenerateRequest(messages=ASK, forced_prefix=tokens_of(chunks), logprobs=4)
        seen = backend.token_view(request, lambda: False)
        assert [item.id for item in seen] == [item.id for item in said]
        for one, other in zip(seen, said, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
            assert [o.id for o in one.top] == [o.id for o in other.top]

    def test_text_and_tokens(self, backend: LlamaCppBackend) -> None:
        assert backend.detokenize(backend.tokenize("Hello <|im_end|> you")) == "Hello <|im_end|> you"
        with pytest.raises(UserError, match="vocabulary"):
            backend.detokenize([10**7])


def test_a_missing_adapter_is_refused_before_the_prompt(backend: LlamaCppBackend, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        ask(backend, adapters=[AdapterScale(tmp_path / "absent.gguf")])


def test_the_backend_keeps_the_contract(backend: LlamaCppBackend) -> None:
    assert check_chat_backend(backend, ASK)
