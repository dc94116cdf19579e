"""What is asked of the hub before a download, over a hub on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from fmstudio.api.errors import UserError
from fmstudio.core.addresses import hub_address
from fmstudio.core.connections import connections
from fmstudio.core.settings import Settings
from fmstudio.core.web import Network
from fmstudio.models.hub import hub_token, is_hub_name, look
from fmstudio.project.model_fetching import choose
from tests.hub_server import COMMIT, LARGE, Hub, running_hub

SMALL, MEDIUM = b"GGUF" + b"s" * LARGE, b"GGUF" + b"m" * 2 * LARGE


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with running_hub() as made:
        made.models["owner/bird"] = {
            "README.md": b"# bird", "config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"w" * LARGE,
            "consolidated.safetensors": b"w" * LARGE, "pytorch_model.bin": b"p" * LARGE,
            "bird-Q8_0.gguf": MEDIUM, "bird-Q4_0.gguf": SMALL, "mmproj-bird.gguf": SMALL,
            "big/bird-00001-of-00002.gguf": MEDIUM, "big/bird-00002-of-00002.gguf": MEDIUM, "../evil.gguf": SMALL,
        }  # fmt: skip
        made.cards["owner/bird"] = {"cardData": {"license": "apache-2.0"}, "tags": ["license:mit"]}
        Settings(allow_network=True, hub=made.address).save()
        yield made


def test_a_model_is_looked_at_without_fetching_weights(hub: Hub) -> None:
    found = look("owner/bird")
    assert (found.name, found.revision, found.license, found.is_gated) == ("owner/bird", COMMIT, "apache-2.0", False)
    assert [(choice.title, choice.kind, choice.bytes) for choice in found.choices] == [
        ("bird-Q4_0.gguf", "gguf", len(SMALL)),
        ("bird-Q8_0.gguf", "gguf", len(MEDIUM)),
        ("big/bird.gguf", "gguf", 2 * len(MEDIUM)),
        ("folder", "hf", 6 + 2 + 2 + LARGE),
    ]
    assert [path for path, _, _ in hub.seen] == ["/api/models/owner/bird/revision/main"]
    folder = found.choices[-1]
    assert {file.path for file in folder.files} == {"README.md", "config.json", "tokenizer.json", "model.safetensors"}
    assert all(file.sha256 or file.git_sha1 for file in folder.files)
    assert [(one.purpose, one.address) for one in connections()] == [
        ("Look at a model", f"{hub.address}/api/models/owner/bird/revision/main?…")
    ]


def test_a_name_may_say_which_file_and_revision(hub: Hub) -> None:
    assert look("hf:owner/bird@v1:Q8_0").wanted == 1
    assert hub.seen[-1][0] == "/api/models/owner/bird/revision/v1"
    assert look(f"{hub.address}/owner/bird/resolve/main/bird-Q4_0.gguf").wanted == 0
    assert look(f"{hub.address}/owner/bird").wanted == -1
    with pytest.raises(UserError, match="no single “Q9”"):
        look("owner/bird:Q9")
    with pytest.raises(UserError, match="several models"):
        choose(look("owner/bird"))
    assert choose(look("owner/bird"), "q4_0").title == "bird-Q4_0.gguf"


def test_nothing_is_asked_while_the_network_is_off(hub: Hub) -> None:
    Settings(hub=hub.address).save()
    with pytest.raises(UserError, match="does not use it") as refused:
        look("owner/bird")
    assert "Settings" in refused.value.remedy and not hub.seen and not connections()


@pytest.mark.parametrize(
    ("name", "told"),
    [("owner/none", "There is no owner/none"), ("no name", "neither a model's name"), ("", "neither a model's name"),
     ("ftp://x.org/m.gguf", "neither a model's name")],
)  # fmt: skip
def test_what_is_not_there_is_said_in_words(hub: Hub, name: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        look(name)


def test_pickles_are_refused_with_the_reason(hub: Hub) -> None:
    hub.models["owner/old"] = {"config.json": b"{}", "pytorch_model.bin": b"p" * LARGE}
    with pytest.raises(UserError, match=r"pickles only \(pytorch_model.bin\), which can run any code"):
        look("owner/old")
    hub.models["owner/data"] = {"README.md": b"x"}
    with pytest.raises(UserError, match="no GGUF file and no safetensors"):
        look("owner/data")


def test_a_gated_model_wants_the_users_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_secret"
    with pytest.raises(UserError, match="does not show owner/bird to everyone"):
        look("owner/bird")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert hub_token() == "hf_secret"
    assert look("owner/bird").choices
    assert hub.seen[-1][2] == "Bearer hf_secret"


def test_a_single_file_at_an_address(hub: Hub) -> None:
    found = look(f"{hub.address}/cdn/owner/bird/{COMMIT}/bird-Q4_0.gguf")
    file = found.choices[0].files[0]
    assert (found.name, found.license, found.wanted, file.bytes) == ("bird-Q4_0.gguf", "", 0, len(SMALL))
    assert len(file.sha256) == 64
    with pytest.raises(UserError, match="no GGUF file by its name"):
        look(f"{hub.address}/cdn/owner/bird/{COMMIT}/README.md")


def test_a_silent_hub_is_given_up(hub: Hub) -> None:
    hub.pause_s = 5.0
    started = time.monotonic()
    with pytest.raises(UserError, match="could not be looked at"):
        look("owner/bird", Network(True, hub=hub.address, loopback=True, timeout_s=0.3))
    assert time.monotonic() - started < 4


def test_an_answer_that_is_nonsense_is_no_crash(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for nonsense in ([1], "text", {"siblings": {"a": 1}}, {"siblings": [None, {"rfilename": 5}], "tags": [3]}):
        monkeypatch.setattr(hub, "info", lambda name, nonsense=nonsense: nonsense)
        with pytest.raises(UserError):
            look("owner/bird")


def test_names_and_addresses() -> None:
    assert all(is_hub_name(name) for name in ("a/b", "hf:a/b", "a/b@v1", "a/b:Q4_K_M", "a/b@v1:x/y-Q8_0.gguf"))
    assert not any(is_hub_name(name) for name in ("a", "https://x.org/a/b", "/a/b", "a b/c"))
    assert hub_address("https://hub.example.org/") == "https://hub.example.org"
    assert (hub_address(""), hub_address("http://127.0.0.1:8")) == ("", "http://127.0.0.1:8")
    for wrong in ("http://hub.example.org", "hub", "https://me:pw@x.org", "https://x.org?q=1", "https://x.org:99999"):
        with pytest.raises(UserError):
            hub_address(wrong)
