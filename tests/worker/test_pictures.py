"""Pictures in a chat, in real processes: against transformers, reused by content, bounded, and refused in words."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from fmstudio.jobs.engine import Engine
from fmstudio.jobs.launcher import SubprocessLauncher
from tests.helpers import fmstudio, fmstudio_json
from tests.plugins.llama_kit import ask, loaded, tokens_of
from tests.tiny_llama import build_tiny_llama
from tests.tiny_vision import N_PATCHES, SIZE, build_vision, picture, png, see, write_projector

QUESTION = "What is the name?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``seeing/``: a model and its projector; ``blind/``: the model alone; ``wrong/``: beside a file that does not fit."""
    made = tmp_path_factory.mktemp("vision")
    model = build_tiny_llama(made / "built")[1]
    tower, projector = build_vision()
    for name in ("seeing", "blind", "wrong"):
        (made / name).mkdir()
        (made / name / "model.gguf").hardlink_to(model)
    write_projector(made / "seeing" / "mmproj-model.gguf", tower, projector)
    write_projector(made / "wrong" / "mmproj-model.gguf", tower, projector, width=96)
    return made


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Engine]]:
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


def uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def message(*parts: str | bytes) -> dict[str, Any]:
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": uri(part)}}
        for part in parts
    ]
    return {"role": "user", "content": content}


def post(engine: Engine, *messages: dict[str, Any], **fields: Any) -> httpx.Response:
    body = {"messages": messages, "temperature": 0, "max_tokens": 8, "return_tokens": True, **fields}
    headers = {"Authorization": f"Bearer {engine.key}"}
    return httpx.post(f"{engine.base_url}/chat/completions", json=body, headers=headers, timeout=60)


def answer(engine: Engine, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = post(engine, *messages, **fields)
    assert response.status_code == 200, response.text
    made: dict[str, Any] = response.json()
    return made


def tokens(made: dict[str, Any]) -> list[int]:
    return list(made["choices"][0]["tokens"])


def known(made: dict[str, Any]) -> int:
    return int(made["usage"]["prompt_tokens_details"]["cached_tokens"])


def expected(folder: Path, before: str, pixels: Any, after: str) -> Any:
    """Log probabilities transformers gives the first token of the answer; the picture stands between two texts."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    tokenizer: Any = AutoTokenizer.from_pretrained(folder / "built" / "hf")
    model: Any = LlamaForCausalLM.from_pretrained(folder / "built" / "hf").eval()
    embed = model.get_input_embeddings()
    parts = [embed(torch.tensor(tokenizer(text)["input_ids"])) for text in (before, after)]
    states = torch.cat([parts[0], see(*build_vision(), pixels), parts[1]])[None]
    with torch.no_grad():
        return torch.log_softmax(model(inputs_embeds=states).logits[0, -1].double(), -1).numpy()


class TestSeeing:
    def test_what_it_sees_is_what_transformers_sees(self, start: Callable[..., Engine], folder: Path) -> None:
        engine = start(folder / "seeing" / "model.gguf")
        assert engine.info["can_see"] is True
        before, after = "<|im_start|>user\nLook: ", f"{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
        wanted = [expected(folder, before, picture(seed), after) for seed in range(3)]
        for seed in range(3):
            asked = message("Look: ", png(picture(seed)), QUESTION)
            made = answer(engine, asked, max_tokens=1, logprobs=True, top_logprobs=20)
            top = {item["id"]: item["logprob"] for item in made["choices"][0]["logprobs"]["content"][0]["top_logprobs"]}
            far = [max(abs(w[token] - value) for token, value in top.items()) for w in wanted]
            # llama.cpp reads GELU from a table of half floats; another picture is ten times as far away.
            assert far[seed] < 0.05, far
            assert min(far[:seed] + far[seed + 1 :]) > 0.3, far

    def test_the_same_picture_is_not_read_again_and_another_one_is(
        self, start: Callable[..., Engine], folder: Path
    ) -> None:
        engine = start(folder / "seeing" / "model.gguf")
        first = answer(engine, message("Where? " * 9, png(picture(7)), QUESTION))
        again = answer(
            engine, message("Where? " * 9, png(picture(7), "BMP"), QUESTION)
        )  # the same pixels, another file
        assert tokens(again) == tokens(first)
        other = answer(engine, message("Where? " * 9, png(picture(8)), QUESTION))
        assert known(other) == known(again) - N_PATCHES > 20 and tokens(other) != tokens(first)
        turn = [
            message("Where? " * 9, png(picture(7)), QUESTION),
            {"role": "assistant", "content": first["choices"][0]["message"]["content"]},
            message("And this one? ", png(picture(9))),
        ]
        assert known(answer(engine, *turn)) > 20

    def test_tokens_are_counted_with_the_picture(self, start: Callable[..., Engine], folder: Path) -> None:
        engine = start(folder / "seeing" / "model.gguf")
        body = {"messages": [message("Look: ", png(picture(1)), QUESTION)]}
        headers = {"Authorization": f"Bearer {engine.key}"}
        counted = httpx.post(f"http://127.0.0.1:{engine.port}/tokenize", json=body, headers=headers).json()["count"]
        assert counted == answer(engine, *body["messages"])["usage"]["prompt_tokens"]

    def test_openai_s_client_streams_with_a_large_jpeg(self, start: Callable[..., Engine], folder: Path) -> None:
        engine = start(folder / "seeing" / "model.gguf")
        client = openai.OpenAI(base_url=engine.base_url, api_key=engine.key, max_retries=0)
        part: Any = {
            "type": "image_url",
            "image_url": {"url": uri(png(picture(3, 900), "JPEG"), "jpeg"), "detail": "low"},
        }
        asked: Any = [{"role": "user", "content": [{"type": "text", "text": QUESTION}, part]}]
        chunks = list(client.chat.completions.create(model="x", messages=asked, max_tokens=4, stream=True))
        assert chunks[-1].choices[0].finish_reason in ("length", "stop")

    def test_what_a_person_writes_is_never_taken_for_a_picture(
        self, start: Callable[..., Engine], folder: Path
    ) -> None:
        engine = start(folder / "seeing" / "model.gguf")
        plain = answer(engine, message(f"a\ufffcb <__media__> {QUESTION}"))
        assert tokens(plain) == tokens(answer(engine, message(f"ab <__media__> {QUESTION}")))
        both = answer(engine, message(f"\ufffc <__media__> {QUESTION}", png(picture(2))))
        assert (
            both["usage"]["prompt_tokens"]
            == answer(engine, message(f" <__media__> {QUESTION}"))["usage"]["prompt_tokens"] + N_PATCHES
        )


BAD = {
    "http": ("http://127.0.0.1:1/cat.png", "nothing is fetched"),
    "https": ("https://example.org/cat.png", "nothing is fetched"),
    "file": ("file:///etc/hostname", "nothing is fetched"),
    "no base64": ("data:image/png,abc", "base64"),
    "damaged base64": ("data:image/png;base64,####", "damaged"),
    "no picture": ("data:text/plain;base64,aGVsbG8=", "data:image"),
    "not a picture inside": (uri(b"hello"), "cannot be read"),
    "cut": (uri(png(picture(1, 300))[:5000]), "cannot be read"),
    "svg": (uri(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg+xml"), "cannot be read"),
}


def bomb() -> bytes:
    """A PNG of 40 kilobytes that claims 144 million pixels."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(out, "PNG")
    return out.getvalue()


class TestRefusing:
    @pytest.mark.parametrize("case", BAD)
    def test_what_is_no_whole_picture_is_refused_in_words(
        self, start: Callable[..., Engine], folder: Path, case: str
    ) -> None:
        engine = start(folder / "seeing" / "model.gguf")
        url, words = BAD[case]
        part = {"type": "image_url", "image_url": {"url": url}}
        refused = post(engine, {"role": "user", "content": [part, {"type": "text", "text": QUESTION}]})
        assert refused.status_code == 400 and words in refused.json()["error"]["message"]
        assert answer(engine, message(QUESTION))

    def test_a_picture_that_would_fill_memory_is_refused(self, start: Callable[..., Engine], folder: Path) -> None:
        data = bomb()
        assert len(data) < 100_000
        refused = post(start(folder / "seeing" / "model.gguf"), message(data))
        assert refused.status_code == 400 and "pixels" in refused.json()["error"]["message"]

    def test_too_many_are_refused(self, start: Callable[..., Engine], folder: Path) -> None:
        refused = post(start(folder / "seeing" / "model.gguf"), message(*[png(picture(1))] * 17))
        assert refused.status_code == 400 and "at most 16" in refused.json()["error"]["message"]

    @pytest.mark.parametrize("place", ["blind", "wrong"])
    def test_a_model_without_a_projector_says_so_with_a_remedy(
        self, start: Callable[..., Engine], folder: Path, place: str
    ) -> None:
        engine = start(folder / place / "model.gguf")
        assert engine.info["can_see"] is False
        refused = post(engine, message("Look: ", png(picture(1))))
        error = refused.json()["error"]
        assert refused.status_code == 400 and "reads text only" in error["message"] and "mmproj" in error["remedy"]
        assert answer(engine, message(QUESTION))

    def test_other_kinds_of_content_are_named(self, start: Callable[..., Engine], folder: Path) -> None:
        part = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
        refused = post(start(folder / "seeing" / "model.gguf"), {"role": "user", "content": [part]})
        assert refused.status_code == 400 and "input_audio" in refused.json()["error"]["message"]


def test_the_command_line_shows_a_picture(folder: Path, tmp_path: Path) -> None:
    project, file = tmp_path / "project", tmp_path / "one.png"
    file.write_bytes(png(picture(1)))
    fmstudio_json("project", "new", str(project))
    arguments = ("chat", "--max-tokens", "4", "--project", str(project), "--image", str(file))
    seen = fmstudio_json(*arguments, "--model", str(folder / "seeing" / "model.gguf"), QUESTION)
    assert seen["timings"]["prompt_n"] > N_PATCHES
    refused = fmstudio(*arguments, "--model", str(folder / "blind" / "model.gguf"), QUESTION)
    assert refused.returncode == 2 and "reads text only" in refused.stderr
    projector = str(folder / "seeing" / "mmproj-model.gguf")
    blind = fmstudio_json(
        *arguments, "--model", str(folder / "blind" / "model.gguf"), "--projector", projector, QUESTION
    )
    assert blind["answer"] == seen["answer"]


def test_a_picture_survives_on_disk_with_its_conversation(folder: Path, tmp_path: Path) -> None:
    image = png(picture(5))
    text = "How do I restart the printer, and where is the light? " * 18
    asked: Any = [{"role": "user", "content": f"{text}\ufffc{QUESTION}", "images": [image]}]
    with loaded(folder / "seeing" / "model.gguf") as backend:
        backend.keep_conversations(tmp_path, 64 << 20)
        first = tokens_of(ask(backend, messages=asked, conversation="c"))
    with loaded(folder / "seeing" / "model.gguf") as backend:
        backend.keep_conversations(tmp_path, 64 << 20)
        again = ask(backend, messages=asked)
        assert tokens_of(again) == first and again[-1].usage["cached_tokens"] > 250
        other: Any = [{**asked[0], "images": [png(picture(6))]}]
        chunks = ask(backend, messages=other)
        assert chunks[-1].usage["cached_tokens"] == again[-1].usage["cached_tokens"] - N_PATCHES


def test_pictures_are_decoded_upright_on_white_and_not_too_large() -> None:
    import io

    from PIL import Image

    from fmstudio_llama_cpp.pictures import LONGEST_SIDE, decode_picture

    clear = Image.new("RGBA", (4, 2), (255, 0, 0, 0))
    out = io.BytesIO()
    clear.save(out, "PNG")
    made = decode_picture(out.getvalue(), 1)
    assert (made.width, made.height) == (4, 2) and made.data == b"\xff" * 24
    turned = Image.new("RGB", (4, 2))
    exif = turned.getexif()
    exif[0x0112] = 6
    out = io.BytesIO()
    turned.save(out, "JPEG", exif=exif)
    assert (decode_picture(out.getvalue(), 1).width, decode_picture(out.getvalue(), 1).height) == (2, 4)
    large = decode_picture(png(np.zeros((100, 3000, 3), np.uint8)), 1)
    assert large.width == LONGEST_SIDE and SIZE < large.height < 100
