"""What an answer can be asked for, against an engine in a process of its own."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from fmstudio.api import UserError
from fmstudio.jobs.engine import Engine, stream_chat
from fmstudio.jobs.launcher import SubprocessLauncher
from fmstudio.jobs.sse import ChatEvent
from fmstudio.worker.serve.turns import SLICE_S
from tests import tiny_llama
from tests.tiny_llama import HIDDEN, build_tiny_llama

CELLS = 4096
ASK: list[dict[str, str]] = [{"role": "user", "content": "Where is the river?"}]

TURNS = [{"role": ("user", "assistant")[n % 2], "content": f"{n} Where is the printer now? " * 3} for n in range(31)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("features")
    made = Engine(SubprocessLauncher(), log_path=folder / "engine.log", python=sys.executable)
    made.start(build_tiny_llama(folder)[1])
    made.wait_ready(120)
    yield made
    made.stop()


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """With room for an answer that takes longer than a turn's share of the model."""
    monkeypatch.setattr(tiny_llama, "CONTEXT", CELLS)
    made = Engine(SubprocessLauncher(), log_path=tmp_path / "engine.log", python=sys.executable)
    made.start(build_tiny_llama(tmp_path)[1])
    made.wait_ready(120)
    yield made
    made.stop()


def body(**fields: Any) -> dict[str, Any]:
    return {"messages": ASK, "temperature": 0, "max_tokens": 40, **fields}


def text(engine: Engine, **fields: Any) -> str:
    return "".join(event.text for event in stream_chat(engine, body(**fields)))


def tokens(events: Iterable[ChatEvent]) -> list[int]:
    """Ids, of an answer that was asked for with ``logprobs``."""
    return [entry["id"] for event in events for entry in event.logprobs]


def post(engine: Engine, **fields: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {engine.key}"}
    return httpx.post(f"{engine.base_url}/chat/completions", json=body(**fields), headers=headers, timeout=60)


class TestStops:
    def test_several_stops_streamed_and_in_one_piece(self, engine: Engine) -> None:
        whole = text(engine)
        stops = [whole[12:15], whole[6:8]]
        expected = whole[: min(whole.index(stop) for stop in stops)]
        assert text(engine, stop=stops) == expected
        choice = post(engine, stop=stops).json()["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == (expected, "stop")

    def test_a_stop_that_never_comes_holds_nothing_back(self, engine: Engine) -> None:
        assert text(engine, stop=["\u2603 never"]) == text(engine)


class TestShapes:
    def test_reasoning_is_split_off_streamed_and_whole_or_left_in(self, engine: Engine) -> None:
        grammar = {"grammar": 'root ::= "<think>\\nlet me see</think>\\n\\nYes."'}
        events = list(stream_chat(engine, body(**grammar)))
        assert "".join(e.reasoning for e in events) == "let me see" and "".join(e.text for e in events) == "Yes."
        message = post(engine, **grammar).json()["choices"][0]["message"]
        assert (message["reasoning_content"], message["content"]) == ("let me see", "Yes.")
        left = post(engine, **grammar, reasoning_format="none").json()["choices"][0]["message"]
        assert left["content"].startswith("<think>") and "reasoning_content" not in left

    def test_a_strict_schema_is_obeyed_at_any_temperature(self, engine: Engine) -> None:
        schema = {
            "type": "object",
            "properties": {
                "state": {"enum": ["on", "off"]},
                "parts": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "maxItems": 3},
                "note": {"type": ["string", "null"], "maxLength": 5},
            },
            "required": ["state", "parts", "note"],
            "additionalProperties": False,
        }
        shape = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}}
        for seed in range(6):
            made = post(engine, response_format=shape, temperature=2, seed=seed, max_tokens=200).json()["choices"][0]
            assert made["finish_reason"] == "stop"
            value = json.loads(made["message"]["content"])
            assert list(value) == ["state", "parts", "note"] and value["state"] in ("on", "off")
            assert len(value["parts"]) <= 3 and all(0 <= part <= 9 for part in value["parts"])
            assert value["note"] is None or len(value["note"]) <= 5

    @pytest.mark.parametrize(
        ("schema", "word"),
        [
            ({"type": "string", "pattern": "^a"}, "pattern"),
            ({"type": "object", "patternProperties": {"a": {}}}, "patternProperties"),
            ({"not": {"type": "string"}}, "not"),
            ({"$ref": "https://example.org/schema"}, "ref"),
            ({"type": "array", "contains": {"type": "null"}}, "contains"),
        ],
    )
    def test_what_cannot_be_enforced_is_refused_by_name(self, engine: Engine, schema: Any, word: str) -> None:
        shape = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}}
        refused = post(engine, response_format=shape)
        assert refused.status_code == 400 and word in refused.json()["error"]["message"]
        assert text(engine)


class TestLongConversations:
    def test_they_are_refused_with_numbers_and_a_remedy(self, engine: Engine) -> None:
        refused = post(engine, messages=TURNS).json()["error"]
        assert "the context holds 512" in refused["message"] and refused["remedy"]
        with pytest.raises(UserError, match="context holds"):
            text(engine, messages=TURNS)

    def test_or_lose_their_oldest_turns_which_are_named(self, engine: Engine) -> None:
        done = post(engine, messages=TURNS, context_policy="drop_oldest").json()
        dropped = done["context"]["dropped_messages"]
        assert dropped == list(range(len(dropped))) and len(dropped) % 2 == 0
        kept = post(engine, messages=TURNS[len(dropped) :]).json()
        assert kept["choices"][0]["message"]["content"] == done["choices"][0]["message"]["content"]

    def test_an_answer_ends_where_the_context_does(self, engine: Engine) -> None:
        done = post(engine, max_tokens=None, logit_bias={"2": -100, "0": -100}).json()
        assert done["choices"][0]["finish_reason"] == "length"
        assert done["usage"]["total_tokens"] in (512, 513)


class TestControlVectors:
    def test_they_act_by_their_scale_and_leave_no_trace(self, engine: Engine, tmp_path: Path) -> None:
        path = _vector(tmp_path / "tone.gguf", HIDDEN)
        plain = text(engine)
        strong = text(engine, control_vectors=[{"path": str(path), "scale": 3}])
        assert strong != plain
        assert text(engine, control_vectors=[{"path": str(path), "scale": 0}]) == plain
        assert text(engine, control_vectors=[{"path": str(path), "scale": 3}]) == strong
        assert text(engine) == plain

    def test_one_of_another_width_is_refused(self, engine: Engine, tmp_path: Path) -> None:
        path = _vector(tmp_path / "wide.gguf", HIDDEN * 2)
        refused = post(engine, control_vectors=[{"path": str(path)}])
        assert refused.status_code == 400 and "another model" in refused.json()["error"]["message"]


def _vector(path: Path, width: int) -> Path:
    import gguf

    writer = gguf.GGUFWriter(str(path), "controlvector")
    writer.add_tensor("direction.1", np.random.default_rng(3).normal(size=width).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class TestTurns:
    def test_four_conversations_at_once_say_what_each_says_alone(self, engine: Engine) -> None:
        questions = [[{"role": "user", "content": f"{n} {'Where is it? ' * n}"}] for n in range(1, 5)]
        options: dict[str, Any] = {"max_tokens": 200, "logit_bias": {"2": -100}}
        alone = [text(engine, messages=question, **options) for question in questions]
        together: dict[int, str] = {}
        threads = [
            threading.Thread(target=lambda n=n: together.update({n: text(engine, messages=questions[n], **options)}))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [together[n] for n in range(4)] == alone

    def test_a_short_question_is_answered_in_the_middle_of_a_long_answer_and_neither_is_changed(
        self, patient: Engine
    ) -> None:
        drawn: dict[str, Any] = {"temperature": 0.8, "logprobs": True, "logit_bias": {"2": -100}}
        short = {**drawn, "messages": [{"role": "user", "content": "And now?"}], "max_tokens": 8, "seed": 4}
        long = {**drawn, "max_tokens": 200, "seed": 3}
        began = time.monotonic()
        tokens(stream_chat(patient, body(**long)))
        a_token = (time.monotonic() - began) / 200
        # Four slices as fast as it went just now: it may go faster, where other work ended meanwhile.
        long["max_tokens"] = min(CELLS - 100, max(1000, int(4 * SLICE_S / a_token)))
        alone = {
            name: tokens(stream_chat(patient, body(**fields))) for name, fields in (("long", long), ("short", short))
        }
        assert (len(alone["long"]), len(alone["short"])) == (long["max_tokens"], 8)
        heard: list[str] = []
        answers: dict[str, list[int]] = {}
        is_under_way = threading.Event()

        def listen(name: str, fields: dict[str, Any]) -> None:
            events = []
            for event in stream_chat(patient, body(**fields)):
                events.append(event)
                if event.logprobs:
                    heard.append(name)
                    is_under_way.set()
            answers[name] = tokens(events)

        first = threading.Thread(target=listen, args=("long", long))
        first.start()
        assert is_under_way.wait(60)
        listen("short", short)
        first.join(60)
        assert heard[0] == "long" and "long" in heard[heard.index("short") :], "it did not wait for the long one"
        assert answers == alone


def test_openai_s_client_lists_the_model_with_what_it_can_do(engine: Engine) -> None:
    model = openai.OpenAI(base_url=engine.base_url, api_key=engine.key).models.list().data[0]
    meta = (model.model_extra or {})["meta"]
    assert (meta["can_chat"], meta["can_see"], meta["n_embd"], meta["pooling"]) == (True, False, HIDDEN, "mean")
