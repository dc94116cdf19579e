"""The engine's HTTP side on the tiny llama and on scripted backends: OpenAI's client, refusals, guards, queue, cancel."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from fmstudio.api import AdapterScale, ChatBackend, Chunk, GenerateRequest, Message, ModelInfo, Params, UserError
from fmstudio.core.paths import first_party_plugins
from fmstudio.jobs.sse import post_chat
from fmstudio.worker.serve import run_server
from fmstudio.worker.serve.direct import DirectWriter
from tests.helpers import wait_until
from tests.tiny_adapter import build_tiny_adapter
from tests.tiny_llama import build_tiny_llama

KEY = "secret-key"
ASK: list[Any] = [{"role": "user", "content": "What is your name?"}]
INFO = ModelInfo(n_ctx=512, n_ctx_train=512, has_chat_template=True, n_params=1, description="scripted")


class Server:
    """A running server and the ways to talk to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.headers = {"Authorization": f"Bearer {KEY}"}

    def client(self, key: str = KEY) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, headers={**self.headers, **options.pop("headers", {})}, **options)

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return httpx.post(self.url + path, json=body, headers=headers, timeout=30, **options)

    def chat(self, **fields: Any) -> httpx.Response:
        return self.post("/v1/chat/completions", {"messages": ASK, "temperature": 0, "max_tokens": 16, **fields})

    def answer(self, **fields: Any) -> str:
        response = self.chat(**fields)
        assert response.status_code == 200, response.text
        return str(response.json()["choices"][0]["message"]["content"])


@contextmanager
def serving(
    backend: Callable[[], tuple[ChatBackend, ModelInfo]], adapters: Sequence[AdapterScale] = ()
) -> Iterator[Server]:
    """Serve in a thread that owns the model from its loading to its end."""
    stop, ports, failures = threading.Event(), list[int](), list[BaseException]()

    def work() -> None:
        try:
            made, info = backend()
            run_server(
                made,
                info,
                port=0,
                key=KEY,
                on_ready=ports.append,
                model_id="tiny",
                adapters=adapters,
                stop=stop,
            )
            made.close()
        except BaseException as error:  # noqa: BLE001 - shown in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_until(lambda: ports or failures)
        assert not failures, failures
        yield Server(ports[0])
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    build_tiny_llama(folder)
    build_tiny_adapter(folder / "one.gguf", seed=1)
    build_tiny_adapter(folder / "wide.gguf", hidden=96)
    return folder


@pytest.fixture(scope="module")
def server(files: Path) -> Iterator[Server]:
    sys.path.insert(0, str(first_party_plugins() / "fmstudio_llama_cpp"))
    from fmstudio_llama_cpp.backend import LlamaCppBackend
    from fmstudio_llama_cpp.params import LlamaCppParams

    def load() -> tuple[ChatBackend, ModelInfo]:
        backend = LlamaCppBackend()
        return backend, backend.load(files / "tiny-llama-f32.gguf", LlamaCppParams(), {"use_extra_bufts": False})

    with serving(load) as running:
        yield running


class ScriptedBackend(ChatBackend):
    """Says numbers, one every few milliseconds, and notes what happens to it."""

    def __init__(self, pause: float = 0.005) -> None:
        self.pause = pause
        self.order: list[str] = []
        self.threads: set[int] = set()
        self.cancelled_after: float | None = None
        self.started = threading.Event()

    def load(self, model: Path, params: Params, settings: dict[str, Any]) -> ModelInfo:
        return INFO

    def set_adapters(self, adapters: Sequence[AdapterScale]) -> None:
        self.threads.add(threading.get_ident())

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(messages)

    def generate(self, request: GenerateRequest, cancelled: Callable[[], bool]) -> Iterator[Chunk]:
        self.threads.add(threading.get_ident())
        content = (request.messages or [{"role": "user", "content": ""}])[-1]["content"]
        self.order.append(content)
        self.started.set()
        if content == "fail":
            raise UserError("It does not fit.", remedy="Make it shorter.")
        if content == "break":
            raise RuntimeError("a bug")
        for number in range(request.max_tokens or 10):
            if cancelled():
                self.cancelled_after = time.monotonic()
                yield Chunk(finish_reason="cancelled")
                return
            if content == "break later" and number == 3:
                raise RuntimeError("a late bug")
            time.sleep(self.pause)
            yield Chunk(text=f"{number} ", token_ids=(number,))
        yield Chunk(finish_reason="stop", usage={"prompt_tokens": 3, "completion_tokens": 10})


@pytest.fixture
def scripted() -> Iterator[tuple[Server, ScriptedBackend]]:
    backend = ScriptedBackend()
    with serving(lambda: (backend, INFO)) as running:
        yield running, backend


def say(content: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **fields}


class TestOpenAiClient:
    def test_models(self, server: Server) -> None:
        client = server.client()
        assert [model.id for model in client.models.list()] == ["tiny"]
        assert client.models.retrieve("tiny").id == "tiny"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("other")

    def test_chat_in_one_piece_and_streamed_say_the_same(self, server: Server) -> None:
        client = server.client()
        options: dict[str, Any] = {"model": "any", "messages": ASK, "temperature": 0, "max_tokens": 20}
        whole = client.chat.completions.create(**options)
        stream = list(client.chat.completions.create(**options, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        assert text == whole.choices[0].message.content
        assert stream[0].choices[0].delta.role == "assistant"
        assert stream[-1].choices[0].finish_reason == whole.choices[0].finish_reason
        assert whole.usage is not None and whole.usage.completion_tokens <= 20
        assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

    def test_usage_comes_in_a_last_chunk_without_choices_when_asked_for(self, server: Server) -> None:
        client = server.client()
        options: dict[str, Any] = {"model": "any", "messages": ASK, "max_tokens": 5, "stream": True}
        plain = list(client.chat.completions.create(**options))
        assert all(chunk.usage is None for chunk in plain)
        chunks = list(client.chat.completions.create(**options, stream_options={"include_usage": True}))
        assert chunks[-1].choices == [] and chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens <= 5
        assert all(chunk.usage is None for chunk in chunks[:-1])

    def test_stop_seed_and_max_completion_tokens(self, server: Server) -> None:
        client = server.client()
        whole = server.answer(max_tokens=40)
        stop = whole[5:8]
        cut = client.chat.completions.create(model="x", messages=ASK, temperature=0, max_tokens=40, stop=stop)
        assert cut.choices[0].message.content == whole[: whole.index(stop)]
        assert cut.choices[0].finish_reason == "stop"
        short = client.chat.completions.create(model="x", messages=ASK, max_completion_tokens=3, temperature=0)
        assert short.usage is not None and short.usage.completion_tokens <= 3
        one, same, other = (server.answer(temperature=1.5, top_k=0, seed=seed) for seed in (5, 5, 6))
        assert one == same != other

    def test_without_a_seed_answers_differ(self, server: Server) -> None:
        assert len({server.answer(temperature=1.5, top_k=0, top_p=1, min_p=0) for _ in range(4)}) > 1

    def test_logprobs(self, server: Server) -> None:
        client = server.client()
        options: dict[str, Any] = {"model": "x", "messages": ASK, "temperature": 0, "max_tokens": 4, "logprobs": True}
        whole = client.chat.completions.create(**options, top_logprobs=3).choices[0].logprobs
        assert whole is not None and whole.content is not None
        assert all(len(item.top_logprobs) == 3 and item.logprob <= 0 for item in whole.content)
        streamed = [
            item
            for chunk in client.chat.completions.create(**options, stream=True)
            if chunk.choices[0].logprobs
            for item in chunk.choices[0].logprobs.content or []
        ]
        assert [item.token for item in streamed] == [item.token for item in whole.content]
        assert streamed[0].top_logprobs == []

    def test_completions_from_text_and_from_tokens(self, server: Server) -> None:
        client = server.client()
        one = client.completions.create(model="x", prompt="The printer", temperature=0, max_tokens=6)
        assert one.choices[0].text
        two = client.completions.create(model="x", prompt=[5, 6, 7], temperature=0, max_tokens=6, stream=True)
        assert "".join(chunk.choices[0].text for chunk in two if chunk.choices)

    def test_a_wrong_key_is_401(self, server: Server) -> None:
        with pytest.raises(openai.AuthenticationError):
            server.client("wrong").models.list()

    def test_a_backend_that_does_not_embed_says_so(self, scripted: Any) -> None:
        with pytest.raises(openai.BadRequestError, match="does not embed"):
            scripted[0].client().embeddings.create(model="x", input="text")


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"messages": []}, "messages"),
            ({"messages": "hello"}, "messages"),
            ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0]"),
            ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0]"),
            ({"temperature": -1}, "temperature"),
            ({"temperature": "hot"}, "temperature"),
            ({"top_p": 2}, "top_p"),
            ({"top_k": 1.5}, "top_k"),
            ({"max_tokens": "many"}, "max_tokens"),
            ({"stop": 7}, "stop"),
            ({"stop": ["x"] * 99}, "stop"),
            ({"seed": 1.5}, "seed"),
            ({"stream": "yes"}, "stream"),
            ({"n": 2}, "n"),
            ({"tools": [{"type": "function"}]}, "tools"),
            ({"tool_choice": "required"}, "tool_choice"),
            ({"response_format": {"type": "json_schema"}}, "response_format"),
            ({"response_format": {"type": "xml"}}, "response_format"),
            ({"logit_bias": {"five": 1}}, "logit_bias"),
            ({"logit_bias": [[5]]}, "logit_bias"),
            ({"presence_penalty": 3}, "presence_penalty"),
            ({"typical_p": 2}, "typical_p"),
            ({"mirostat": 3}, "mirostat"),
            ({"xtc_probability": -1}, "xtc_probability"),
            ({"dry_multiplier": "x"}, "dry_multiplier"),
            ({"samplers": ["top_k", "magic"]}, "samplers"),
            ({"samplers": ["top_k", "top_k"]}, "samplers"),
            ({"forced_prefix": 5}, "forced_prefix"),
            ({"context_policy": "guess"}, "context_policy"),
            ({"control_vectors": [{"path": "/absent"}]}, "control_vectors"),
            ({"tools": [{"type": "function", "function": {}}]}, "tools"),
            ({"top_logprobs": 3}, "top_logprobs"),
            ({"lora": "one"}, "lora"),
            ({"lora": [{"id": 99}]}, "id"),
            ({"lora": [{"path": "relative.gguf"}]}, "path"),
            ({"temprature": 1}, "temprature"),
        ],
    )
    def test_what_cannot_be_done_is_refused_by_name(self, server: Server, fields: dict[str, Any], param: str) -> None:
        response = server.chat(**fields)
        assert response.status_code == 400
        error = response.json()["error"]
        assert error["param"] == param and error["type"] == "invalid_request_error" and error["message"]

    def test_values_that_ask_for_nothing_are_accepted(self, server: Server) -> None:
        nothing: dict[str, Any] = {
            "n": 1, "tools": [], "tool_choice": "auto", "response_format": {"type": "text"}, "logit_bias": {},
            "presence_penalty": 0, "frequency_penalty": 0.0, "user": "me", "stop": None, "store": False,
        }  # fmt: skip
        assert server.chat(**nothing).status_code == 200

    def test_a_prompt_too_long_is_400_with_numbers_and_remedy_streamed_or_not(self, server: Server) -> None:
        long = [{"role": "user", "content": "word " * 3000}]
        for stream in (False, True):
            response = server.chat(messages=long, stream=stream)
            assert response.status_code == 400
            assert "the context holds 512" in response.json()["error"]["message"]
            assert response.json()["error"]["remedy"]

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000])
    def test_broken_bodies_are_400(self, server: Server, body: bytes) -> None:
        response = httpx.post(f"{server.url}/v1/chat/completions", content=body, headers=server.headers)
        assert response.status_code == 400 and response.json()["error"]["message"]

    def test_a_body_too_large_is_413_and_unknown_paths_are_404_in_the_same_shape(self, server: Server) -> None:
        response = httpx.post(f"{server.url}/v1/chat/completions", content=b" " * (9 << 20), headers=server.headers)
        assert response.status_code == 413 and "8 MiB" in response.json()["error"]["message"]
        assert server.get("/v1/nothing").json()["error"]["type"] == "invalid_request_error"
        assert server.get("/v1/chat/completions").status_code == 405


class TestGuard:
    @pytest.mark.parametrize("key", [None, "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", KEY])
    def test_every_route_wants_the_key_but_health(self, server: Server, key: str | None) -> None:
        headers = {"Authorization": key} if key else {}
        for path in ("/v1/models", "/lora-adapters", "/metrics", "/props", "/nothing"):
            response = httpx.get(server.url + path, headers=headers)
            assert response.status_code == 401
            assert response.json()["error"]["code"] == "invalid_api_key"
        assert httpx.get(f"{server.url}/health", headers=headers).json() == {"status": "ok"}

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""])
    def test_a_foreign_host_is_403_also_with_the_key(self, server: Server, host: str) -> None:
        response = server.get("/v1/models", headers={"Host": host.format(port=server.port)})
        assert response.status_code == 403

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "file://", "http://127.0.0.1.evil.example", "http://["]
    )
    def test_a_foreign_origin_is_403_also_with_the_key(self, server: Server, origin: str) -> None:
        assert server.get("/v1/models", headers={"Origin": origin}).status_code == 403

    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
    def test_names_of_this_machine_pass(self, server: Server, name: str) -> None:
        headers = {"Host": f"{name}:{server.port}", "Origin": f"http://{name}:8080"}
        assert server.get("/v1/models", headers=headers).status_code == 200

    def test_a_key_is_needed_to_serve_at_all(self) -> None:
        with pytest.raises(UserError, match="needs a key"):
            run_server(ScriptedBackend(), INFO, port=0, key="", on_ready=lambda port: None)

    def test_a_taken_port_is_a_clear_error(self, server: Server) -> None:
        with pytest.raises(UserError, match=f"Port {server.port} cannot be used"):
            run_server(ScriptedBackend(), INFO, port=server.port, key="k", on_ready=lambda port: None)

    def test_it_listens_on_loopback_only(self, server: Server) -> None:
        with socket.socket() as probe:
            probe.settimeout(0.3)
            assert probe.connect_ex(("127.0.0.2", server.port)) != 0

    def test_a_request_head_that_never_ends_is_cut_off(self, scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fmstudio.worker.serve.listener.HEADER_TIMEOUT_S", 0.3)
        running, _ = scripted
        for first in (b"", b"GET /health HTTP/1.1\r\nHo"):
            with socket.create_connection(("127.0.0.1", running.port)) as slow:
                slow.settimeout(5)
                slow.sendall(first)
                assert slow.recv(100) == b""

    def test_the_head_of_a_second_request_on_a_connection_is_timed_too(
        self, scripted: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fmstudio.worker.serve.listener.HEADER_TIMEOUT_S", 0.5)
        running, _ = scripted
        with socket.create_connection(("127.0.0.1", running.port)) as slow:
            slow.settimeout(5)
            slow.sendall(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):
                answer += slow.recv(4000)
            slow.sendall(b"GET /hea")
            assert slow.recv(100) == b""

    def test_a_body_that_never_ends_is_408(self, scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fmstudio.worker.serve.routes.BODY_TIMEOUT_S", 0.3)
        running, _ = scripted
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("Authorization", f"Bearer {KEY}")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b'{"messages":')
        assert connection.getresponse().status == 408
        connection.close()


class TestAdapters:
    def test_by_id_by_path_and_per_request(self, server: Server, files: Path) -> None:
        path = str(files / "one.gguf")
        base = server.answer()
        listed = server.post("/lora-adapters", [{"path": path, "scale": 1.0}]).json()
        assert listed == [{"id": 0, "path": path, "scale": 1.0}]
        tuned = server.answer()
        assert tuned != base
        assert server.answer(lora=[{"id": 0, "scale": 0.0}]) == base
        assert server.answer(lora=[]) == base
        assert server.answer() == tuned
        assert server.post("/lora-adapters", []).json()[0]["scale"] == 0.0
        assert server.answer() == base
        assert server.answer(lora=[{"path": path, "scale": 1.0}]) == tuned
        assert server.get("/lora-adapters").json()[0]["scale"] == 0.0

    def test_a_refused_adapter_is_400_and_changes_nothing(self, server: Server, files: Path) -> None:
        base = server.answer()
        response = server.post("/lora-adapters", [{"path": str(files / "wide.gguf")}])
        assert response.status_code == 400 and "does not belong" in response.json()["error"]["message"]
        assert server.answer() == base
        assert all(item["scale"] == 0.0 for item in server.get("/lora-adapters").json())


class TestExtras:
    def test_timings_and_progress(self, server: Server) -> None:
        messages = [{"role": "user", "content": "How do I restart the printer? " * 8}]
        body = {"messages": messages, "max_tokens": 4, "return_progress": True, "lora": []}
        events = list(post_chat(server.port, KEY, body))
        progress = [event.progress for event in events if event.progress]
        assert progress[-1]["processed"] == progress[-1]["total"] > 0
        assert events[-1].timings["predicted_n"] <= 4 and events[-1].timings["prompt_ms"] > 0
        again = list(post_chat(server.port, KEY, {**body, "return_progress": False}))
        assert not any(event.progress for event in again)

    def test_timings_come_on_the_way_when_asked_for(self, server: Server) -> None:
        body = {"messages": ASK, "max_tokens": 64, "temperature": 1.5, "seed": 3, "lora": []}
        plain = [event.timings for event in post_chat(server.port, KEY, body) if event.text]
        assert not any(plain)
        timed = [e.timings for e in post_chat(server.port, KEY, {**body, "timings_per_token": True}) if e.text]
        counts = [timings["predicted_n"] for timings in timed]
        assert counts == sorted(counts) and counts[0] >= 1
        assert all(timings["predicted_per_second"] >= 0 for timings in timed)

    def test_guessing_ahead_is_counted_in_the_reply_and_for_scrapers(self, server: Server) -> None:
        messages = [{"role": "user", "content": "the river is near, the river is far, " * 6}]
        body = {"messages": messages, "max_tokens": 100, "temperature": 0, "lora": []}
        plain = list(post_chat(server.port, KEY, body))
        assert not plain[-1].speculation and "draft_n" not in plain[-1].timings
        found = list(post_chat(server.port, KEY, {**body, "speculation": "lookup", "speculative.n_max": 5}))
        assert "".join(e.text for e in found) == "".join(e.text for e in plain)
        said, timings = found[-1].speculation, found[-1].timings
        assert said["method"] == "lookup" and said["drafted"] == timings["draft_n"] > 0
        assert said["accepted"] == timings["draft_n_accepted"] <= timings["draft_n"]
        lines = server.get("/metrics").text.splitlines()
        assert any(line.split()[1:] == [str(timings["draft_n"])] for line in lines if "draft_tokens_total " in line)
        whole = server.chat(**{**body, "speculation": "lookup"}).json()
        assert whole["speculation"]["method"] == "lookup" and "draft_n" in whole["timings"]

    def test_guessing_ahead_with_a_model_that_is_not_there_is_refused(self, server: Server) -> None:
        response = server.chat(speculation="draft")
        assert response.status_code == 400 and response.json()["error"]["remedy_action"] == {"speculation": "lookup"}
        assert server.chat(speculation="maybe").json()["error"]["param"] == "speculation"

    def test_tokenize_counts_the_prompt(self, server: Server) -> None:
        count = server.post("/tokenize", {"messages": ASK}).json()
        usage = server.chat().json()["usage"]
        assert count == {"count": usage["prompt_tokens"], "n_ctx": 512}

    def test_metrics_count(self, server: Server) -> None:
        def figure(name: str) -> float:
            lines = server.get("/metrics").text.splitlines()
            return float(next(line.split()[1] for line in lines if line.startswith(f"fmstudio_{name} ")))

        before = figure("tokens_predicted_total")
        used = server.chat().json()["usage"]["completion_tokens"]
        assert figure("tokens_predicted_total") == before + used
        assert figure("requests_processing") == 0

    def test_stream_events_are_valid_json_for_any_text(self) -> None:
        from fmstudio.worker.serve.replies import Reply
        from fmstudio.worker.serve.requests import read_chat

        nasty = 'quote " slash \\ line \n\r\u2028 emoji 😀 nul \0 </script>'
        asked = read_chat({"messages": ASK, "stream": True}, lambda items: ())
        data = Reply('a "model"', asked, is_chat=True).events([Chunk(text=nasty, token_ids=(1,))])
        events = [json.loads(part[6:]) for part in data.decode().split("\n\n") if part]
        assert events[-1]["choices"][0]["delta"]["content"] == nasty
        assert events[-1]["model"] == 'a "model"'


class TestTurn:
    """What one answer can be asked for beyond OpenAI's fields."""

    def test_the_seed_is_reported_and_repeats_the_answer(self, server: Server) -> None:
        free = {"temperature": 1.5, "top_k": 0, "lora": []}
        first = server.chat(**free).json()
        assert server.answer(**free, seed=first["seed"]) == first["choices"][0]["message"]["content"]
        events = list(post_chat(server.port, KEY, {"messages": ASK, "max_tokens": 3, **free}))
        assert events[-1].seed is not None and events[-1].seed != first["seed"]

    def test_tokens_and_ids_lead_to_a_branch(self, server: Server) -> None:
        body = {"logprobs": True, "top_logprobs": 2, "return_tokens": True, "lora": []}
        choice = server.chat(**body).json()["choices"][0]
        entries = choice["logprobs"]["content"]
        assert [entry["id"] for entry in entries] == choice["tokens"]
        other = entries[1]["top_logprobs"][1]
        branch = server.chat(lora=[], forced_prefix=[choice["tokens"][0], other["id"]], return_tokens=True)
        assert branch.status_code == 200 and branch.json()["choices"][0]["tokens"] != choice["tokens"][2:]
        streamed = list(server.client().chat.completions.create(
            model="x", messages=ASK, temperature=0, max_tokens=16, stream=True,
            extra_body={"return_tokens": True, "lora": []},
        ))  # fmt: skip
        tokens = [t for c in streamed if c.model_extra for t in c.model_extra.get("tokens", [])]
        assert tokens == choice["tokens"]

    def test_the_view_of_an_answer_and_tokens_of_text(self, server: Server) -> None:
        answer = {"role": "assistant", "content": "Sam and I"}
        view = server.post("/token-view", {"messages": [*ASK, answer], "top_logprobs": 3, "lora": []})
        content = view.json()["content"]
        assert "".join(entry["token"] for entry in content) == "Sam and I"
        assert all(len(entry["top_logprobs"]) == 3 for entry in content)
        tokens = server.post("/tokenize", {"content": "Sam and I"}).json()["tokens"]
        assert tokens == [entry["id"] for entry in content]
        assert server.post("/detokenize", {"tokens": tokens}).json() == {"content": "Sam and I"}
        assert server.post("/token-view", {"messages": ASK}).status_code == 400
        assert server.post("/detokenize", {"tokens": ["x"]}).status_code == 400

    def test_a_schema_is_obeyed_or_refused_through_openais_client(self, server: Server) -> None:
        schema = {
            "type": "object",
            "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}},
            "required": ["n"],
        }
        shape: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
        done = server.client().chat.completions.create(model="x", messages=ASK, response_format=shape)
        assert 1 <= json.loads(done.choices[0].message.content or "")["n"] <= 9
        shape["json_schema"]["schema"] = {"type": "string", "pattern": "x"}
        with pytest.raises(openai.BadRequestError, match="pattern"):
            server.client().chat.completions.create(model="x", messages=ASK, response_format=shape)

    @pytest.mark.parametrize("stream", [True, False])
    def test_a_tool_is_called_through_openais_client(self, server: Server, stream: bool) -> None:
        parameters = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
        tools: Any = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
        options: Any = {"model": "x", "messages": [{"role": "user", "content": "?"}], "tools": tools, "max_tokens": 200}
        options |= {"tool_choice": "required", "parallel_tool_calls": False, "logit_bias": {}}
        done = server.client().chat.completions.create(**options, stream=stream)
        if stream:
            chunks = [chunk.choices[0] for chunk in done]
            calls = [call for choice in chunks for call in choice.delta.tool_calls or []]
            reason = chunks[-1].finish_reason
        else:
            calls, reason = done.choices[0].message.tool_calls, done.choices[0].finish_reason
        (call,) = calls
        assert (
            reason == "tool_calls" and call.function.name == "f" and json.loads(call.function.arguments)["n"] in (1, 2)
        )

    def test_oldest_turns_are_dropped_on_request_and_named(self, server: Server) -> None:
        turns = [
            {"role": ("user", "assistant")[i % 2], "content": f"{i} Where is the printer? " * 3} for i in range(31)
        ]
        assert server.chat(messages=turns).status_code == 400
        done = server.chat(messages=turns, context_policy="drop_oldest", lora=[])
        assert done.json()["context"]["dropped_messages"][0] == 0
        events = list(
            post_chat(server.port, KEY, {"messages": turns, "context_policy": "drop_oldest", "max_tokens": 2})
        )
        assert events[-1].dropped_messages

    def test_held_conversations_are_listed(self, server: Server) -> None:
        server.chat(conversation_id="c-1", lora=[])
        slots = server.get("/slots").json()
        assert slots[0]["conversation_id"] == "c-1" and slots[0]["n_tokens"] > 5 and not slots[0]["is_processing"]


class SharingBackend(ScriptedBackend):
    """As its base, and allows several answers at once."""

    takes_turns = True


class TestSharing:
    def test_a_short_question_does_not_wait_for_a_long_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fmstudio.worker.serve.turns.SLICE_S", 0.05)
        backend = SharingBackend()
        with serving(lambda: (backend, INFO)) as running:
            long = post_chat(running.port, KEY, say("long", max_tokens=100_000))
            next(long)
            assert running.post("/v1/chat/completions", say("short", max_tokens=20)).status_code == 200
            assert running.post("/tokenize", say("count")).json()["count"] == 1
            texts = {next(long).text for _ in range(3)}
            assert texts and backend.cancelled_after is None
            long.close()  # type: ignore[attr-defined]
            wait_until(lambda: backend.cancelled_after is not None)

    def test_no_more_than_a_few_are_under_way_and_all_are_served(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fmstudio.worker.serve.turns.SLICE_S", 0.02)
        backend = SharingBackend(0.001)
        answers: list[int] = []
        with serving(lambda: (backend, INFO)) as running:

            def ask(number: int) -> None:
                answers.append(running.post("/v1/chat/completions", say(f"{number}", max_tokens=60)).status_code)

            threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert answers == [200] * 8 and len(backend.threads) == 1


class TestQueue:
    def test_one_thread_serves_all_in_order(self, scripted: Any) -> None:
        running, backend = scripted
        threads = []
        for name in ("first", "second", "third"):
            body = say(name, max_tokens=5 if threads else 500)  # the first is still at work when the others come
            threads.append(threading.Thread(target=running.post, args=("/v1/chat/completions", body)))
            threads[-1].start()
            # Each must be at the server before the next is sent: the first at work, the others waiting.
            wait_until(backend.started.is_set if len(threads) == 1 else partial(_waits, running, len(threads) - 1))
        for thread in threads:
            thread.join()
        assert backend.order == ["first", "second", "third"]
        running.post("/lora-adapters", [])
        assert len(backend.threads) == 1

    def test_a_full_queue_is_429(self, scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fmstudio.worker.serve.turns.MAX_WAITING", 1)
        backend = ScriptedBackend()
        with serving(lambda: (backend, INFO)) as running:
            streams = [post_chat(running.port, KEY, say("long", max_tokens=2000))]
            next(streams[0])
            waiting = threading.Thread(target=running.post, args=("/v1/chat/completions", say("waits", max_tokens=1)))
            waiting.start()
            wait_until(lambda: _waiting(running) == 1)
            response = running.post("/v1/chat/completions", say("too many"))
            assert response.status_code == 429 and response.headers["retry-after"]
            streams[0].close()  # type: ignore[attr-defined]
            waiting.join()

    def test_errors_have_their_own_status_and_the_next_request_works(self, scripted: Any) -> None:
        running, _ = scripted
        for stream in (False, True):
            refused = running.post("/v1/chat/completions", say("fail", stream=stream))
            assert refused.status_code == 400 and refused.json()["error"]["remedy"] == "Make it shorter."
        assert running.post("/v1/chat/completions", say("break")).status_code == 500
        assert running.post("/v1/chat/completions", say("well")).status_code == 200

    def test_a_failure_in_the_middle_of_a_stream_reaches_the_client(self, scripted: Any) -> None:
        running, _ = scripted
        with pytest.raises(UserError, match="a late bug"):
            list(post_chat(running.port, KEY, say("break later")))

    @pytest.mark.parametrize("stream", [True, False])
    def test_a_client_that_goes_away_cancels_its_answer_within_300_ms(self, scripted: Any, stream: bool) -> None:
        running, backend = scripted
        connection = http.client.HTTPConnection("127.0.0.1", running.port)
        body = json.dumps(say("long", max_tokens=100_000, stream=stream))
        connection.request("POST", "/v1/chat/completions", body, running.headers)
        if stream:
            connection.getresponse().read(50)
        backend.started.wait(5)
        time.sleep(0.1)
        left = time.monotonic()
        assert connection.sock is not None
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        wait_until(lambda: backend.cancelled_after, 5)
        assert backend.cancelled_after - left < 0.3

    def test_news_are_written_between_two_tokens_past_the_event_loop(
        self, scripted: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running, backend = scripted
        threads: list[int] = []
        write = DirectWriter.write

        def noted(writer: DirectWriter, data: bytes) -> bool:
            threads.append(threading.get_ident())
            return write(writer, data)

        monkeypatch.setattr(DirectWriter, "write", noted)
        events = list(post_chat(running.port, KEY, say("long", max_tokens=60)))
        assert "".join(event.text for event in events) == "".join(f"{n} " for n in range(60))
        assert len(threads) >= 3 and set(threads) == backend.threads

    def test_a_client_that_does_not_keep_up_gets_all_of_it_in_order(self) -> None:
        class Torrent(ScriptedBackend):
            def generate(self, request: GenerateRequest, cancelled: Callable[[], bool]) -> Iterator[Chunk]:
                for number in range(40):
                    time.sleep(0.03)
                    yield Chunk(text=f"{number} " + "x" * 500_000, token_ids=(number,))
                yield Chunk(finish_reason="stop")

        with serving(lambda: (Torrent(), INFO)) as running:
            stream = post_chat(running.port, KEY, say("all of it"))
            texts = [next(stream).text]
            time.sleep(1.5)
            texts.extend(event.text for event in stream)
        assert "".join(texts).replace("x", "") == "".join(f"{n} " for n in range(40))
        assert len("".join(texts)) > 40 * 500_000

    def test_an_old_client_gets_a_body_without_parts(self, scripted: Any) -> None:
        running, _ = scripted
        body = json.dumps({**say("old", max_tokens=30), "stream": True}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.0\r\nHost: 127.0.0.1:{running.port}\r\nAuthorization: Bearer {KEY}\r\n"
        )
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as raw:
            raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            data = b"".join(iter(lambda: raw.recv(65536), b""))
        lines = data.split(b"\r\n\r\n", 1)[1].split(b"\n\n")
        assert all(line.startswith(b"data: ") for line in lines if line) and lines[-2] == b"data: [DONE]"

    def test_a_client_that_gave_up_while_waiting_is_never_served(self, scripted: Any) -> None:
        running, backend = scripted
        stream = post_chat(running.port, KEY, say("long", max_tokens=5000))
        next(stream)
        connection = http.client.HTTPConnection("127.0.0.1", running.port)
        connection.request("POST", "/v1/chat/completions", json.dumps(say("impatient")), running.headers)
        wait_until(lambda: _waiting(running) == 1)
        assert connection.sock is not None
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        time.sleep(0.2)
        stream.close()  # type: ignore[attr-defined]
        running.post("/v1/chat/completions", say("next", max_tokens=1))
        assert backend.order == ["long", "next"]

    def test_stopping_the_server_ends_a_running_answer(self) -> None:
        backend = ScriptedBackend()
        start = time.monotonic()
        with serving(lambda: (backend, INFO)) as running:
            stream = post_chat(running.port, KEY, say("long", max_tokens=100_000))
            next(stream)
        assert time.monotonic() - start < 10
        with pytest.raises((UserError, OSError)):  # and never as if it were whole
            list(stream)


def _waits(running: Server, count: int) -> bool:
    return _waiting(running) == count


def _waiting(running: Server) -> int:
    lines = running.get("/metrics").text.splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("fmstudio_requests_deferred ")))
