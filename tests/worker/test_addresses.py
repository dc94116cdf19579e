"""Imports from addresses, from the command line to the rows, over a web server on this machine; and the ledger."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeContext, FakeReport
from fmstudio.core.addresses import name_of, title_of
from fmstudio.core.connections import connections, forget_connections, note_end, note_opening
from fmstudio.core.settings import Settings
from fmstudio.project import Project
from fmstudio.worker import fetched
from fmstudio.worker.fetching import LOOPBACK
from tests.helpers import fmstudio, fmstudio_json

GOOD = b'{"text": "one"}\n{"text": "two"}\n{"text": "three"}\n'


def parquet(*texts: str) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": list(texts)}), sink)
    return sink.getvalue()


class Site(BaseHTTPRequestHandler):
    """Files, and a hub with one dataset of two files."""

    asked: list[str]
    files: dict[str, bytes]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        body = self.files.get(self.path.partition("?")[0])
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that the workers may fetch from, once the settings allow it."""
    tree = [{"type": "file", "path": f"default/train/{n:04}.parquet"} for n in range(2)]
    at = "/datasets/owner/birds/resolve/refs%2Fconvert%2Fparquet/default/train"
    Site.asked = []
    Site.files = {
        "/data/birds.jsonl": GOOD,
        "/api/datasets/owner/birds/tree/refs%2Fconvert%2Fparquet": json.dumps(tree).encode(),
        f"{at}/0000.parquet": parquet("wren", "robin"),
        f"{at}/0001.parquet": parquet("owl"),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv(LOOPBACK, address)
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def project(tmp_path: Path) -> str:
    Project.create(tmp_path / "project").close()
    return str(tmp_path / "project")


def allow() -> None:
    Settings(allow_network=True).save()


def test_a_refused_fetch_says_how_to_allow_it_and_asks_nobody(site: str, project: str) -> None:
    for command in (["import", f"{site}/data/birds.jsonl", "--project", project], ["inspect", "hf:owner/birds"]):
        done = fmstudio(*command)
        assert done.returncode == 2
        assert "fmstudio network on" in done.stderr and "Settings" in done.stderr
        assert "Traceback" not in done.stderr
    assert Site.asked == [] and connections() == []


def test_an_address_is_looked_at_then_imported_and_fetched_once(site: str, project: str) -> None:
    assert fmstudio_json("network", "on")["allowed"] is True
    address = f"{site}/data/birds.jsonl"
    seen = fmstudio_json("inspect", address, "--project", project)["files"][0]
    assert [row["text"] for row in seen["rows"]] == ["one", "two", "three"]
    assert any(note.startswith(f"Fetched {address}") for note in seen["notes"])
    made = fmstudio_json("import", address, "--project", project)
    assert (made["dataset"]["name"], made["rows"]) == ("birds", 3)
    assert Site.asked == ["/data/birds.jsonl"], "the import uses what the look has fetched"
    assert made["dataset"]["source"]["files"][0]["path"] == address
    again = fmstudio_json("inspect", address, "--project", project)["files"][0]
    assert again["imported_as"] == ["birds"]
    told = fmstudio_json("network")["connections"]
    assert [(one["address"], one["bytes"], one["purpose"]) for one in told] == [
        (address, len(GOOD), "Preview of an import")
    ]
    assert fmstudio_json("network", "clear")["connections"] == []
    opened = Project.open(Path(project))
    graph = opened.lineage_graph.of_row(made["dataset"]["id"], 0)
    opened.close()
    assert [node.facts["path"] for node in graph.nodes if node.kind == "file"] == [address]


def test_a_dataset_of_the_hub_is_looked_at_by_its_first_file_and_imported_whole(site: str, project: str) -> None:
    allow()
    seen = fmstudio_json("inspect", "hf:owner/birds")["files"][0]
    assert [row["text"] for row in seen["rows"]] == ["wren", "robin"]
    assert any("1 of 2 Parquet files of owner/birds" in note for note in seen["notes"])
    made = fmstudio_json("import", "hf:owner/birds", "--project", project)
    assert (made["dataset"]["name"], made["rows"]) == ("birds", 3)
    assert sum("0000.parquet" in path for path in Site.asked) == 1
    assert [one.purpose for one in connections()] == [*["Import"] * 2, *["Preview of an import"] * 2]


def test_an_address_that_changed_becomes_the_next_version(site: str, project: str) -> None:
    allow()
    address = f"{site}/data/birds.jsonl?key=secret"
    fmstudio_json("import", address, "--project", project)
    Site.files["/data/birds.jsonl"] = GOOD + b'{"text": "four"}\n'
    made = fmstudio_json("import", address, "--project", project, "--update", "birds")
    assert (made["update"]["added"], made["update"]["unchanged"], made["dataset"]["version"]) == (1, 3, 2)
    assert all(one.address.endswith("birds.jsonl?…") for one in connections()), "keys do not go into the ledger"
    assert len(connections()) == 2


def test_what_is_too_large_for_a_look_is_named_and_can_be_imported(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow()
    monkeypatch.setattr(fetched, "PREVIEW_BYTES", 1 << 20)
    Site.files["/big.txt"] = b"x" * (2 << 20)
    with pytest.raises(UserError, match="larger than 1 MiB"):
        fetched.fetch_for_look(f"{site}/big.txt", FakeReport(), FakeContext())


def test_a_look_grows_old(site: str) -> None:
    allow()
    address = f"{site}/data/birds.jsonl"
    first = fetched.fetch_for_look(address, FakeReport(), FakeContext())
    assert fetched.fetch_for_look(address, FakeReport(), FakeContext()) == first and len(Site.asked) == 1
    old = time.time() - 2 * fetched.FRESH_S
    for file in first[0].parent.parent.rglob("*"):
        os.utime(file, (old, old))
    Site.files["/data/birds.jsonl"] = b'{"text": "new"}\n'
    assert fetched.fetch_for_look(address, FakeReport(), FakeContext())[0].read_bytes() == b'{"text": "new"}\n'


def test_the_ledger_keeps_what_a_kill_cut_off() -> None:
    note_end(note_opening("https://a.org/x", "Import"), 12)
    note_opening("https://b.org/y", "Import")
    assert [(one.address, one.bytes) for one in connections()] == [("https://b.org/y", None), ("https://a.org/x", 12)]
    forget_connections()
    assert connections() == []


@pytest.mark.parametrize(
    ("address", "name", "title"),
    [
        ("https://x.org/data/train.jsonl?download=true", "train.jsonl", "train"),
        ("https://x.org/a%20b.csv", "a b.csv", "a b"),
        ("https://x.org", "x.org", "x.org"),
        ("hf:owner/birds@main", "birds", "birds"),
        ("hf:imdb", "imdb", "imdb"),
    ],
)
def test_an_address_has_a_name(address: str, name: str, title: str) -> None:
    assert (name_of(address), title_of(address)) == (name, title)
