"""The model library: adding without reading weights, adapters and their bases, templates, servers."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import UserError
from fmstudio.api.gguf_header import read_gguf_header
from fmstudio.api.gguf_memory import cache_bytes, gpu_layers, memory_of, state_bytes
from fmstudio.core import keyring_store
from fmstudio.core.addresses import checked_url, is_loopback
from fmstudio.jobs.endpoint_check import ask_models
from fmstudio.models.fit import suggest
from fmstudio.project import Project
from tests.ui.chat_kit import write_tiny_gguf, write_tiny_lora
from tests.unit.test_gguf_header import gguf_bytes


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project.create(tmp_path / "project")
    for packaged in made.models.all():
        made.models.remove(packaged.id)
    yield made
    made.close()


# ---- adding ------------------------------------------------------------------------------------------------------


def test_an_entry_is_ready_before_its_file_is_read(project: Project, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    entry = project.models.register(project.models.check(path))
    assert "fingerprint" not in entry.facts
    filled = project.models.with_fingerprint(entry)
    assert filled.facts["fingerprint"].startswith("sha256:")
    assert filled.facts["architecture"] == "llama"
    assert project.models.with_fingerprint(entry, lambda: True).facts.get("fingerprint")


def test_a_cancelled_hash_leaves_the_entry_as_it_was(project: Project, tmp_path: Path) -> None:
    entry = project.models.register(project.models.check(write_tiny_gguf(tmp_path / "tiny.gguf")))
    assert "fingerprint" not in project.models.with_fingerprint(entry, lambda: True).facts


def test_an_adapter_gets_its_one_base(project: Project, tmp_path: Path) -> None:
    base = project.models.add(write_tiny_gguf(tmp_path / "base.gguf", width=32))
    project.models.add(write_tiny_gguf(tmp_path / "other.gguf", width=64))
    assert project.models.add(write_tiny_lora(tmp_path / "a.gguf", width=32)).base_id == base.id


def test_of_several_bases_the_user_chooses(project: Project, tmp_path: Path) -> None:
    first = project.models.add(write_tiny_gguf(tmp_path / "first.gguf", width=32))
    second = project.models.add(write_tiny_gguf(tmp_path / "second.gguf", width=32))
    wrong = project.models.add(write_tiny_gguf(tmp_path / "wrong.gguf", width=64))
    adapter = project.models.add(write_tiny_lora(tmp_path / "a.gguf", width=32))
    assert adapter.base_id == ""
    assert set(project.models.check(adapter.path).bases) == {first.id, second.id}
    project.models.choose_base(adapter.id, second.id)
    assert project.models.get(adapter.id).base_id == second.id
    assert [m.id for m in project.models.adapters_of(first)] == [adapter.id]
    assert project.models.adapters_of(wrong) == []
    with pytest.raises(UserError, match="does not belong"):
        project.models.choose_base(adapter.id, wrong.id)


def test_a_copy_lies_in_the_project(project: Project, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    copy = project.models.copy_in(path, project.folder / "models" / "copy-1")
    assert copy.is_relative_to(project.folder) and copy.read_bytes() == path.read_bytes()
    assert not copy.samefile(path)


def test_facts_are_noted_and_forgotten(project: Project, tmp_path: Path) -> None:
    entry = project.models.add(write_tiny_gguf(tmp_path / "tiny.gguf"))
    project.models.note(entry.id, chat_template="{{ messages }}")
    assert project.models.get(entry.id).facts["chat_template"] == "{{ messages }}"
    project.models.note(entry.id, chat_template=None)
    assert "chat_template" not in project.models.get(entry.id).facts
    assert project.models.get(entry.id).facts["architecture"] == "llama"


# ---- what fits ---------------------------------------------------------------------------------------------------


def header(path: Path, keys: dict[str, Any]) -> Any:
    path.write_bytes(gguf_bytes(keys, [("token_embd.weight", (64, 100), 0)]))
    return read_gguf_header(path)


LLAMA = {
    "general.architecture": "llama", "llama.context_length": 131072, "llama.block_count": 32, "llama.embedding_length": 4096,
    "llama.attention.head_count": 32, "llama.attention.head_count_kv": 8, "llama.feed_forward_length": 14336,
}  # fmt: skip


def test_the_cache_follows_heads_types_and_context(tmp_path: Path) -> None:
    head = header(tmp_path / "m.gguf", LLAMA)
    whole = cache_bytes(head, 8192)
    assert whole == 1 << 30  # Llama 3 8B: 1 GiB for 8 192 tokens in f16
    assert cache_bytes(head, 8192, "q8_0") == whole * 34 // 64
    assert cache_bytes(head, 8193) == cache_bytes(head, 8448)  # in steps of 256
    many = header(tmp_path / "n.gguf", {**LLAMA, "llama.attention.head_count_kv": 32})
    assert cache_bytes(many, 8192) == 4 * whole
    wide = header(
        tmp_path / "w.gguf", {**LLAMA, "llama.attention.key_length": 256, "llama.attention.value_length": 256}
    )
    assert cache_bytes(wide, 8192) == 2 * whole


def test_sliding_windows_and_recurrent_layers_take_less(tmp_path: Path) -> None:
    gemma = {key.replace("llama", "gemma3"): value for key, value in LLAMA.items()}
    head = header(
        tmp_path / "g.gguf", {**gemma, "general.architecture": "gemma3", "gemma3.attention.sliding_window": 512}
    )
    assert cache_bytes(head, 32768, full_window=False) < cache_bytes(head, 32768) / 4
    mamba = header(
        tmp_path / "s.gguf",
        {"general.architecture": "mamba", "mamba.context_length": 9999, "mamba.block_count": 24, "mamba.embedding_length": 768,
         "mamba.ssm.state_size": 16, "mamba.ssm.inner_size": 1536, "mamba.ssm.conv_kernel": 4},
    )  # fmt: skip
    assert cache_bytes(mamba, 4096) == 0
    assert state_bytes(mamba) == 24 * (3 * 1536 + 16 * 1536) * 4


def test_settings_are_suggested_for_what_is_free(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    header(path, LLAMA)
    roomy = suggest(path, free=64 << 30)
    assert (roomy.fits, roomy.reason, roomy.settings) == (True, "whole", {"n_ctx": 32_768, "kv_type": "f16"})
    tight = suggest(path, free=6_000_000_000)
    assert (tight.fits, tight.reason, tight.settings) == (True, "share", {"n_ctx": 8192, "kv_type": "f16"})
    small = suggest(path, free=400_000_000)
    assert (small.fits, small.reason, small.settings) == (True, "compressed", {"n_ctx": 2048, "kv_type": "q8_0"})
    tiny = suggest(path, free=300_000_000)
    assert tiny.fits and tiny.memory.n_ctx < tiny.automatic == 2048
    none = suggest(path, free=100_000_000)
    assert (none.fits, none.reason) == (False, "too-large")
    gpu = suggest(path, free=1_000_000_000, vram=24 << 30)
    assert gpu.n_gpu_layers == 33 and gpu.fits and gpu.reason == "whole" and gpu.memory.n_ctx == 32_768
    assert 0 < gpu_layers(memory_of(read_gguf_header(path)), 500_000_000) < 33


# ---- servers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_allowed = self.headers.get("Authorization") == "Bearer secret"
            self.send_response(200 if is_allowed else 401)
            self.end_headers()
            names = {"data": [{"id": "one"}, {"id": "two"}]} if self.path == "/v1/models" else {"hello": 1}
            self.wfile.write(json.dumps(names).encode())

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_server_is_asked_for_its_models(server: str) -> None:
    assert ask_models(checked_url(server), "secret").models == ("one", "two")
    with pytest.raises(UserError, match="refuses the key"):
        ask_models(checked_url(server), "wrong")
    with pytest.raises(UserError, match="does not speak"):
        ask_models(f"{server}/other", "secret")
    with pytest.raises(UserError, match="No server answers"):
        ask_models("http://127.0.0.1:1/v1")


def test_an_endpoint_is_a_model_like_any_other(project: Project) -> None:
    _, entry_id = project.endpoints.add("http://localhost:8080", "llama", has_key=True)
    entry = project.models.get(entry_id)
    assert (entry.kind, entry.format, entry.is_missing) == ("endpoint", "endpoint", False)
    assert entry.facts == {"url": "http://localhost:8080/v1", "model": "llama", "has_key": True}
    project.models.remove(entry_id)
    assert project.models.all() == []


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x/v1", "http://", "http://example.org/v1", "https://me:pw@example.org/v1", "http://127.0.0.1:0", "http://[::1",
     "https://example.org/v1?key=1", "http://127.0.0.1.example.org/v1"],
)  # fmt: skip
def test_what_is_no_safe_address_is_refused(url: str) -> None:
    with pytest.raises(UserError):
        checked_url(url)


def test_loopback_is_told_without_a_lookup() -> None:
    assert all(is_loopback(url) for url in ("http://localhost:1", "http://127.8.8.8/v1", "http://[::1]:80"))
    assert not any(is_loopback(url) for url in ("http://10.0.0.1", "https://localhost.example.org", "nonsense"))


def test_without_a_safe_keyring_a_key_is_known_until_the_program_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_store, "_backend", lambda: None)
    assert not keyring_store.is_available()
    assert not keyring_store.keep_key("x", "secret")
    assert keyring_store.read_key("x") == "secret"
    keyring_store.forget_key("x")
    assert keyring_store.read_key("x") == ""


def test_keys_lie_in_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 5  # type: ignore[assignment]
        held: dict[tuple[str, str], str] = {}  # noqa: RUF012 - one keyring a process

        def set_password(self, service: str, username: str, password: str) -> None:
            self.held[service, username] = password

        def get_password(self, service: str, username: str) -> str | None:
            return self.held.get((service, username))

        def delete_password(self, service: str, username: str) -> None:
            del self.held[service, username]

    monkeypatch.setattr("keyring.get_keyring", Memory)
    assert keyring_store.keep_key("e-1", "secret")
    assert keyring_store.read_key("e-1") == "secret"
    keyring_store.forget_key("e-1")
    assert keyring_store.read_key("e-1") == ""


def test_a_folder_of_sentence_transformers_is_an_embedding_model(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "mini"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    assert project.models.check(folder).facts.kind == "base"
    (folder / "modules.json").write_text("[]")
    assert project.models.add(folder).kind == "embedding"


def test_a_projector_is_no_model_by_itself(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "vision-part.gguf"
    file.write_bytes(gguf_bytes({"general.architecture": "clip"}, [("v.patch_embd.weight", (8, 8), 0)]))
    with pytest.raises(UserError, match="reads pictures") as caught:
        project.models.add(file)
    assert "folder of its model" in caught.value.remedy
