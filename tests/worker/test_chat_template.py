"""An edited chat template, from the model library to the engine's prompts, a training run and what is made of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from fmstudio.api import UserError
from fmstudio.api.chat_template import PLAIN_TEMPLATE, template_hash
from fmstudio.jobs.engine import Engine, stream_chat
from fmstudio.jobs.launcher import SubprocessLauncher
from fmstudio.project import Project
from fmstudio.project.specs import TrainRun
from tests.helpers import fmstudio, fmstudio_json
from tests.tiny_llama import CHATML, build_tiny_llama
from tests.unit.edit_kit import leave_out_packaged_models

EDITED = CHATML.replace("<|im_start|>assistant", "<|im_start|>question please answer")
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Where is the river?"}], "temperature": 0, "max_tokens": 12
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("template"))[1]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(SubprocessLauncher(), log_path=tmp_path / "engine.log", python=sys.executable)
    yield made
    made.stop()


def start(engine: Engine, model: Path, template: str) -> None:
    engine.start(model, params={"chat_template": template} if template else {})
    engine.wait_ready(120)


def post(engine: Engine, path: str, body: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {engine.key}"}
    url = f"http://127.0.0.1:{engine.port}{path}"
    response = httpx.post(url, json=body, headers=headers, timeout=60) if body else httpx.get(url, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


class TestTheEngine:
    def test_prompts_counts_and_reports_are_those_of_the_edited_copy(self, engine: Engine, tiny: Path) -> None:
        start(engine, tiny, EDITED)
        assert engine.info["template_hash"] == template_hash(EDITED)
        reply = post(engine, "/v1/chat/completions", ASK)
        text = "<|im_start|>user\nWhere is the river?<|im_end|>\n<|im_start|>question please answer\n"
        by_hand = {"prompt": text, "temperature": 0, "max_tokens": 12}
        same = post(engine, "/v1/completions", by_hand)
        assert reply["choices"][0]["message"]["content"] == same["choices"][0]["text"]
        assert reply["template_hash"] == template_hash(EDITED) and "template_hash" not in same
        tokens = post(engine, "/tokenize", {"content": text})["tokens"]
        assert post(engine, "/tokenize", {"messages": ASK["messages"]})["count"] == len(tokens)
        assert reply["usage"]["prompt_tokens"] == len(tokens)
        assert [e.template_hash for e in stream_chat(engine, ASK) if e.finish_reason] == [template_hash(EDITED)]
        props = post(engine, "/props", {})
        assert (props["chat_template"], props["template_hash"]) == (EDITED, template_hash(EDITED))

    def test_without_one_the_model_s_own_is_named(self, engine: Engine, tiny: Path) -> None:
        start(engine, tiny, "")
        assert engine.info["template_hash"] == template_hash(CHATML) and "chat_template" not in engine.info

    def test_a_template_longer_than_a_command_line_arrives(self, engine: Engine, tiny: Path) -> None:
        long = "{# " + "é" * 180_000 + " #}" + EDITED
        start(engine, tiny, long)
        assert engine.info["template_hash"] == template_hash(long)
        assert post(engine, "/v1/chat/completions", ASK)["choices"][0]["message"]["content"]

    def test_what_the_tokenizer_says_against_it_is_told(self, engine: Engine, tiny: Path) -> None:
        start(engine, tiny, CHATML.replace("<|im_end|>", "<|eot|>"))
        told = " ".join(engine.info["template_problems"])
        assert "“<|eot|>” is not a token" in told and "does not end generation" in told

    @pytest.mark.parametrize(
        ("template", "words"),
        [
            ("{% for", "cannot be read"),
            ("{{ raise_exception('no users') }}", "no users"),
            ("x" * 200_001, "chat_template"),
        ],
    )
    def test_one_that_cannot_be_used_is_refused_in_words(
        self, engine: Engine, tiny: Path, template: str, words: str
    ) -> None:
        engine.start(tiny, params={"chat_template": template})
        with pytest.raises(UserError, match=words) as caught:
            engine.wait_ready(120)
        assert caught.value.remedy


class TestTheThread:
    """One template from the library through training to what is exported."""

    @pytest.fixture
    def project(self, tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        leave_out_packaged_models(monkeypatch)
        made = Project.create(tmp_path / "project")
        entry = made.models.add(tiny, "tiny")
        made.models.note(entry.id, chat_template=EDITED)
        made.close()
        yield tmp_path / "project"

    def test_the_command_line_uses_what_the_library_keeps_and_what_it_is_told(
        self, project: Path, tmp_path: Path
    ) -> None:
        arguments = ("chat", "--model", "tiny", "--max-tokens", "4", "--project", str(project))
        assert fmstudio_json(*arguments, "hello")["template_hash"] == template_hash(EDITED)
        file = tmp_path / "other.jinja"
        file.write_text(PLAIN_TEMPLATE)
        told = fmstudio_json(*arguments, "--chat-template", str(file), "hello")
        assert told["template_hash"] == template_hash("")
        failed = fmstudio(*arguments, "--chat-template", str(tmp_path / "none"), "hello")
        assert failed.returncode == 2 and "cannot be read" in failed.stderr

    def test_training_merging_and_exporting_keep_it(self, project: Path, tmp_path: Path) -> None:
        rows = [
            {"messages": [{"role": "user", "content": f"Number {n}?"}, {"role": "assistant", "content": f"It is {n}."}]}
            for n in range(8)
        ]
        source = tmp_path / "rows.jsonl"
        source.write_text("\n".join(json.dumps(row) for row in rows))
        fmstudio_json("import", str(source), "--project", str(project))
        run = {"name": "tuned", "dataset": "rows", "base": "tiny", "params": {"max_steps": 1, "max_eval_records": 2}}
        assert TrainRun.parse(run)
        file = tmp_path / "run.yaml"
        file.write_text(json.dumps(run))
        trained = fmstudio_json("train", str(file), "--project", str(project))
        assert trained["template_hash"] == template_hash(EDITED)
        assert trained["top1_agreement"] == 1.0  # the engine evaluated the very prompts
        # The base goes back to its own template: the adapter still belongs to the edited one.
        with closing(Project.open(project)) as opened:
            opened.models.note(opened.models.get("tiny").id, chat_template=None)
            adapters = [m for m in opened.models.all() if m.kind == "adapter"]
            assert {(m.facts["template_hash"], m.chat_template) for m in adapters} == {(template_hash(EDITED), EDITED)}
            peft = next(m for m in adapters if m.format == "peft")
            assert (peft.path / "chat_template.jinja").read_text() == EDITED
            gguf = next(m for m in adapters if m.format == "gguf").id
        asked = ("--model", "tiny", "--adapter", gguf, "--max-tokens", "4", "--project", str(project), "hello")
        assert fmstudio_json("chat", *asked)["template_hash"] == template_hash(EDITED)
        target = tmp_path / "exported"
        fmstudio_json("export-model", "tiny", str(target), "--adapter", gguf, "--project", str(project))
        assert (target / "chat_template.jinja").read_text() == EDITED
        merged = fmstudio_json("merge", gguf, "--to", "F32", "--project", str(project))
        assert merged["model"]["facts"]["chat_template"] == EDITED
