"""Downloads of models by the command line, with real workers and a hub on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fmstudio.core.connections import connections
from fmstudio.core.settings import Settings
from fmstudio.models.inspect import fingerprint
from fmstudio.project import Project
from tests.helpers import ROOT, fmstudio, fmstudio_json, wait_until
from tests.hub_server import COMMIT, Hub, running_hub
from tests.ui.chat_kit import write_tiny_gguf, write_tiny_lora

WIDE = 2048
"""Width of the tiny model: its one tensor then takes 16 MB."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with running_hub() as made:
        content = write_tiny_gguf(tmp_path / "bird.gguf", width=WIDE).read_bytes()
        made.models["owner/bird"] = {"bird-F32.gguf": content, "README.md": b"# bird"}
        made.cards["owner/bird"] = {"cardData": {"license": "cc-by-4.0"}}
        Settings(allow_network=True, hub=made.address).save()
        yield made


@pytest.fixture
def project(tmp_path: Path) -> str:
    Project.create(tmp_path / "project").close()
    return str(tmp_path / "project")


def parts(project: str) -> list[Path]:
    return list(Path(project).glob("jobs/*/**/*.part"))


def test_a_model_is_downloaded_checked_and_registered(hub: Hub, project: str, tmp_path: Path) -> None:
    told = fmstudio("models", "get", "owner/bird", "--yes", "--project", project)
    assert told.returncode == 0, told.stderr
    assert "licence: cc-by-4.0" in told.stderr and "its checksum is right" in told.stdout
    made = next(m for m in fmstudio_json("models", "--project", project)["models"] if m["name"] == "bird-F32")
    assert (made["kind"], made["format"], made["facts"]["license"]) == ("base", "gguf", "apache-2.0")
    assert (made["facts"]["hub_name"], made["facts"]["revision"]) == ("owner/bird", COMMIT)
    path = Path(made["path"])
    assert path.read_bytes() == hub.models["owner/bird"]["bird-F32.gguf"]
    assert made["facts"]["fingerprint"] == fingerprint(path)
    assert path.stat().st_nlink == 1, "the download's own copy is gone"
    ledger = connections()
    assert {one.purpose for one in ledger} == {"Look at a model", "Download of a model"}
    assert max(one.bytes or 0 for one in ledger) == path.stat().st_size
    assert not any("signature" in one.address for one in ledger), "signatures do not go into the ledger"


def test_nothing_is_fetched_while_the_network_is_off(hub: Hub, project: str) -> None:
    Settings(hub=hub.address).save()
    done = fmstudio("models", "get", "owner/bird", "--yes", "--project", project)
    assert done.returncode == 2 and "fmstudio network on" in done.stderr and not hub.seen


def test_nobody_is_taken_to_have_agreed(hub: Hub, project: str) -> None:
    done = fmstudio("models", "get", "owner/bird", "--project", project)
    assert done.returncode == 2 and "--yes" in done.stderr
    assert [path for path, _, _ in hub.seen] == ["/api/models/owner/bird/revision/main"]


def test_a_cut_connection_goes_on_where_it_ended(hub: Hub, project: str) -> None:
    whole = len(hub.models["owner/bird"]["bird-F32.gguf"])
    hub.cut_after = whole // 2
    failed = fmstudio("models", "get", "owner/bird", "--yes", "--project", project)
    assert failed.returncode == 2 and "goes on from here" in failed.stderr
    have = parts(project)[0].stat().st_size
    assert 0 < have <= whole // 2
    made = fmstudio_json("models", "get", "owner/bird", "--yes", "--project", project)
    assert made["verified"] == 1
    assert [asked for path, asked, _ in hub.seen if path.startswith("/cdn/")] == ["", f"bytes={have}-"]
    assert len(fmstudio_json("jobs", "--project", project)["jobs"]) == 1, "the same job went on"


def test_a_killed_download_goes_on(hub: Hub, project: str) -> None:
    whole = len(hub.models["owner/bird"]["bird-F32.gguf"])
    hub.cut_after, hub.hangs = whole // 2, True
    argv = [sys.executable, "-m", "fmstudio", "models", "get", "owner/bird", "--yes", "--project", project]
    begun = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
    wait_until(lambda: any(part.stat().st_size >= whole // 2 - (1 << 20) for part in parts(project)), timeout=120)
    for process in (*psutil.Process(begun.pid).children(recursive=True), psutil.Process(begun.pid)):
        process.kill()
    begun.wait()
    hub.released.set()
    hub.hangs = False
    made = fmstudio_json("models", "get", "owner/bird", "--yes", "--project", project)
    assert Path(made["model"]["path"]).stat().st_size == whole and made["verified"] == 1
    asked = [asked for path, asked, _ in hub.seen if path.startswith("/cdn/")]
    assert len(asked) == 2 and asked[1].startswith("bytes=")


def test_other_bytes_than_were_published_are_not_kept(hub: Hub, project: str) -> None:
    hub.falsify = True
    done = fmstudio("models", "get", "owner/bird", "--yes", "--project", project)
    assert done.returncode == 2 and "checksum differs" in done.stderr
    assert not parts(project), "it begins anew the next time"
    assert not [m for m in fmstudio_json("models", "--project", project)["models"] if m["name"] == "bird-F32"]
    hub.falsify = False
    assert fmstudio_json("models", "get", "owner/bird", "--yes", "--project", project)["verified"] == 1


def test_what_is_no_model_is_refused_after_the_download(hub: Hub, project: str) -> None:
    hub.models["owner/noise"] = {"noise.gguf": b"GGUF" + b"\0" * 20_000}
    done = fmstudio("models", "get", "owner/noise", "--yes", "--project", project)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert not [m for m in fmstudio_json("models", "--project", project)["models"] if m["name"] == "noise"]


def test_an_adapter_folder_and_a_file_by_its_address(hub: Hub, project: str, tmp_path: Path) -> None:
    lora = write_tiny_lora(tmp_path / "tuned.gguf", width=WIDE)
    hub.models["owner/tuned"] = {"tuned.gguf": lora.read_bytes()}
    fmstudio_json("models", "get", "owner/bird", "--yes", "--project", project)
    address = f"{hub.address}/cdn/owner/tuned/{COMMIT}/tuned.gguf"
    made = fmstudio_json("models", "get", address, "--yes", "--project", project)["model"]
    assert (made["kind"], made["facts"]["source"]) == ("adapter", address)


def test_a_gated_download_uses_the_token_on_the_hub_only(
    hub: Hub, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secret"
    done = fmstudio("models", "get", "owner/bird", "--yes", "--project", project)
    assert done.returncode == 2 and "token" in done.stderr
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert fmstudio_json("models", "get", "owner/bird", "--yes", "--project", project)["verified"] == 1
    told = {path.partition("/owner")[0]: key for path, _, key in hub.seen}
    assert told["/api/models"] == "Bearer hf_secret" and told["/cdn"] == "", (
        "it does not go on to where the hub redirects"
    )
