"""Folders and archives: what comes in, what stays out and why."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fmstudio.api import Cancelled, UserError
from fmstudio.api.testing import FakeContext, FakeReport
from fmstudio.core.addresses import is_remote
from fmstudio.core.parquet import read_batches
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.fetching import Network, fetch
from fmstudio.worker.refusing import refusal
from fmstudio.worker.requests import inspect_file
from fmstudio.worker.tasks import import_dataset
from fmstudio.worker.unpacking import Budget, kind_of, unpack
from tests.helpers import write_jsonl
from tests.nasty import GOOD, member


def run(folder: Path, *files: Path | str, **params: Any) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
    """Import; give the result, the rows and the reasons of all rejects."""
    ctx: Any = FakeContext(folder / "work")
    result = import_dataset.run({"files": [str(f) for f in files], **params}, ctx, PluginManager())
    rows = [r for b in read_batches([ctx.out_dir / name for name in result["files"]]) for r in b.to_pylist()]
    rejects = ctx.out_dir / "rejects.jsonl"
    lines = rejects.read_text("utf-8").splitlines() if rejects.exists() else []
    assert not (ctx.workdir / "unpacked").exists(), "what was unpacked is removed"
    return result, rows, [json.loads(line)["reason"] for line in lines]


def inspect(folder: Path, path: Path, **params: Any) -> dict[str, Any]:
    answer = inspect_file.handle({"path": str(path), **params}, {}, PluginManager(), FakeContext(folder / "look"))
    json.dumps(answer, allow_nan=False)
    return answer


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def unpacked(archive: Path, target: Path, **budget: Any) -> tuple[dict[str, bytes], list[str]]:
    """Unpack; give what is there, and the reasons of what is not."""
    target.mkdir()
    report = FakeReport()
    unpack(archive, archive.name, target, report, Budget(**budget), FakeContext())
    there = {p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    return there, [reject.reason for reject in report.rejects]


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [("gz", None), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", None), ("tar", None)],
)
def test_every_compression_of_a_tar_is_opened(suffix: str, pack: Any, tmp_path: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name in ("in/a.jsonl", "in/b.jsonl"):
            info = member(name)
            info.size = len(GOOD)
            archive.addfile(info, io.BytesIO(GOOD))
    data = plain.getvalue()
    if suffix == "gz":
        import gzip

        data = gzip.compress(data)
    elif suffix == "zst":
        from backports import zstd

        data = zstd.compress(data)
    elif pack:
        data = pack(data)
    path = tmp_path / ("x.tar" if suffix == "tar" else f"x.tar.{suffix}")
    path.write_bytes(data)
    there, reasons = unpacked(path, tmp_path / "out")
    assert there == {"in/a.jsonl": GOOD, "in/b.jsonl": GOOD} and reasons == []


def test_nothing_leaves_the_folder(tmp_path: Path) -> None:
    names = ["../up.txt", "a/../../up.txt", "/abs.txt", "C:\\evil.txt", "C:/evil.txt", "..\\up.txt", "ok/fine.txt"]
    archive = make_zip(tmp_path / "x.zip", dict.fromkeys(names, b"x"))
    there, reasons = unpacked(archive, tmp_path / "out")
    assert there == {"ok/fine.txt": b"x"}
    assert len(reasons) == 6 and all("out of the folder" in reason for reason in reasons)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "x.zip"]


def test_limits_on_bytes_files_and_ratio(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {f"{i}.txt": b"x" * 1000 for i in range(10)})
    there, reasons = unpacked(archive, tmp_path / "bytes", total=5_500)
    assert len(there) == 5 and "more than may be unpacked" in reasons[0]
    there, reasons = unpacked(archive, tmp_path / "files", files=3)
    assert len(there) == 3 and "too many files" in reasons[0]
    bomb = make_zip(tmp_path / "bomb.zip", {"good.txt": b"good", "zeros.txt": b"\0" * (60 << 20), "late.txt": b"late"})
    there, reasons = unpacked(bomb, tmp_path / "ratio")
    assert there == {"good.txt": b"good"} and "200 times its size" in reasons[0]


def test_a_preview_unpacks_the_beginning_and_says_so(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {f"{i}.txt": b"x" * 1000 for i in range(10)})
    (tmp_path / "out").mkdir()
    report = FakeReport()
    unpack(archive, "x.zip", tmp_path / "out", report, Budget(5_500, 100, is_preview=True), FakeContext())
    assert report.rejects == [] and report.notes == ["The preview unpacks only the beginning of x.zip."]


def test_a_damaged_member_is_left_out_and_the_others_come(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a.jsonl": GOOD, "b.jsonl": GOOD * 9, "c.jsonl": GOOD})
    data = bytearray(archive.read_bytes())
    at = data.index(b"b.jsonl") + 12
    data[at : at + 8] = b"\xff" * 8
    archive.write_bytes(bytes(data))
    there, reasons = unpacked(archive, tmp_path / "out")
    assert sorted(there) == ["a.jsonl", "c.jsonl"] and "damaged inside the archive" in reasons[0]


class _Pipe(io.RawIOBase):
    """Takes bytes as a pipe does: a program that writes there puts sizes after the content."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.data += data
        return len(data)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize("is_piped", [False, True])
def test_a_cut_zip_gives_the_whole_files_before_the_cut(packing: int, is_piped: bool, tmp_path: Path) -> None:
    target: Any = _Pipe() if is_piped else io.BytesIO()
    random = Random(1)
    files = {f"d/{i}.bin": random.randbytes(300_000) + b"\0" * 9_000_000 * (i == 0) for i in range(4)} | {"e.txt": b""}
    with zipfile.ZipFile(target, "w", packing) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    data = bytes(target.data) if is_piped else target.getvalue()
    path = tmp_path / "x.zip"
    for number, (end, whole) in enumerate(((len(data) - 30, 5), (len(data) - 450_000, 2))):
        path.write_bytes(data[:end])
        there, reasons = unpacked(path, tmp_path / f"out{number}")
        if is_piped and packing == zipfile.ZIP_STORED:  # nothing says where a file ends
            assert there == {} and "d/0.bin is encrypted, or packed in a way" in reasons[0]
        else:
            assert there == dict(list(files.items())[:whole])
        assert "x.zip is cut: its end, which lists what is in it, is missing." in reasons[-1]


def test_a_cut_zip_with_a_damaged_file_gives_the_others(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a.jsonl": GOOD, "b.jsonl": GOOD * 9, "../c": GOOD, "d.jsonl": GOOD})
    data = bytearray(archive.read_bytes()[:-100])
    at = data.index(b"b.jsonl") + 12
    data[at : at + 8] = b"\xff" * 8
    archive.write_bytes(bytes(data))
    there, reasons = unpacked(archive, tmp_path / "out")
    assert sorted(there) == ["a.jsonl", "d.jsonl"]
    assert "damaged inside" in reasons[0] and "leads out of the folder" in reasons[1] and "is cut" in reasons[2]


def test_an_archive_of_which_nothing_is_left_says_so(tmp_path: Path) -> None:
    lines = b"".join(b'{"a": "%s"}\n' % Random(i).randbytes(20).hex().encode() for i in range(2_000))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = member("a.jsonl")
        info.size = len(lines)
        archive.addfile(info, io.BytesIO(lines))
    cut = {"x.zip": make_zip(tmp_path / "w.zip", {"a.jsonl": lines}).read_bytes()[:2_000]}
    cut["x.tar.gz"] = packed.getvalue()[:-600]
    for name, data in cut.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"{name} holds no file") as caught:
            run(tmp_path, tmp_path / name)
        assert "cut" in caught.value.remedy or "ends within it" in caught.value.remedy


def test_unpacking_can_be_cancelled(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a.txt": b"x"})
    (tmp_path / "out").mkdir()
    context = FakeContext(cancel_after=0)
    with pytest.raises(Cancelled):
        unpack(archive, "x.zip", tmp_path / "out", FakeReport(), Budget(), context)


def test_files_of_one_shape_become_one_dataset_and_say_where_from(tmp_path: Path) -> None:
    archive = make_zip(
        tmp_path / "data.zip",
        {
            "train/a.jsonl": GOOD,
            "train/b.jsonl": GOOD,
            "extra.csv": b"text,n\nfrom csv,9\n",
            "users.csv": b"name,age\nx,1\n",
        },
    )
    result, rows, rejects = run(tmp_path, archive)
    assert [(r["text"], r["source_file"]) for r in rows][-1] == ("row 2", "data.zip/train/b.jsonl")
    assert {r["source_file"] for r in rows} == {
        "data.zip/extra.csv",
        "data.zip/train/a.jsonl",
        "data.zip/train/b.jsonl",
    }
    assert rejects == [] and [n for n in result["notes"] if "another shape" in n and "data.zip/users.csv" in n]
    assert result["sources"][0]["path"] == str(archive) and len(result["sources"]) == 1


def test_files_of_another_shape_are_tables_to_choose_from(tmp_path: Path) -> None:
    files = {"ok.csv": b"text,n\na,1\nb,2\n", "sub/b.jsonl": b'{"name": "a name that takes more bytes", "age": 1}\n'}
    archive = make_zip(tmp_path / "mix.zip", files)
    found = inspect(tmp_path, archive)
    assert [(part["id"], part["detail"]) for part in found["parts"]] == [
        ("sub/b.jsonl", "columns age, name"),
        ("ok.csv", "columns n, text"),
    ]
    assert found["part"] == "sub/b.jsonl" and any("Choose it among the tables" in note for note in found["notes"])
    other = inspect(tmp_path, archive, part="ok.csv")
    assert [row["text"] for row in other["rows"]] == ["a", "b"] and other["part"] == "ok.csv"
    assert len(other["parts"]) == 2 and not any("Left out" in note for note in other["notes"])
    result, rows, rejects = run(tmp_path, archive, parts=["ok.csv"])
    assert [row["text"] for row in rows] == ["a", "b"] and rejects == []
    assert not any("Left out" in note for note in result["notes"])


def test_a_table_with_a_source_file_of_its_own_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in "ab":
        write_jsonl(folder / f"{name}.jsonl", [{"text": name, "source_file": f"crawl {name}"}])
    _, rows, _ = run(tmp_path, folder)
    assert [r["source_file"] for r in rows] == ["crawl a", "crawl b"]


def test_documents_of_many_kinds_in_a_folder_are_one_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    (folder / "old").mkdir(parents=True)
    (folder / "a.html").write_text("<title>A</title><p>From a page</p>")
    (folder / "b.txt").write_text("From a text")
    (folder / "old" / "c.eml").write_text("Subject: C\n\nFrom a mail\n")
    result, rows, _ = run(tmp_path, folder)
    assert [(r["text"], r["source_file"]) for r in rows] == [
        ("From a page", "papers/a.html"), ("From a text", "papers/b.txt"), ("From a mail", "papers/old/c.eml"),
    ]  # fmt: skip
    assert result["kind"] == "text" and result["sources"][0]["bytes"] > 0


def test_the_hash_of_a_folder_tells_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", [{"text": "one"}])
    first = run(tmp_path, folder)[0]["sources"][0]["sha256"]
    assert run(tmp_path, folder)[0]["sources"][0]["sha256"] == first
    write_jsonl(folder / "a.jsonl", [{"text": "two"}])
    assert run(tmp_path, folder)[0]["sources"][0]["sha256"] != first


def test_links_out_of_a_folder_and_empty_files_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", [{"text": "one"}])
    (folder / "empty.jsonl").touch()
    (folder / "up").symlink_to(tmp_path)
    _, rows, rejects = run(tmp_path, folder)
    assert len(rows) == 1 and sorted(rejects) == [
        "data/empty.jsonl is empty (0 bytes).", "data/up is a link to a folder, which is not followed.",
    ]  # fmt: skip


def test_a_folder_of_pictures_in_an_archive_keeps_the_bytes(tmp_path: Path) -> None:
    from PIL import Image

    picture = io.BytesIO()
    Image.new("RGB", (8, 4), "red").save(picture, "PNG")
    archive = make_zip(tmp_path / "cats.zip", {"cats/1.png": picture.getvalue(), "cats/1.txt": b"a red cat"})
    result, rows, _ = run(tmp_path, archive, importer_params={"small_mb": 0.001})
    assert result["importer"] == "images" and [(r["caption"], r["image"]) for r in rows] == [
        ("a red cat", picture.getvalue())
    ]


def test_large_and_small_pictures_of_a_folder_all_come_in(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, size in (("large", 200), ("small", 4)):
        Image.new("RGB", (size, size), "red").save(folder / f"{name}.bmp")
        (folder / f"{name}.txt").write_text(f"a {name} square")
    result, rows, rejects = run(tmp_path, folder, importer_params={"small_mb": 0.01})
    assert (result["kind"], rejects) == ("image_caption", [])
    assert [(r["image"] is None, r["image_path"], r["caption"]) for r in rows] == [
        (True, str(folder / "large.bmp"), "a large square"), (False, None, "a small square"),
    ]  # fmt: skip


def test_the_importer_chosen_for_a_folder_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("one\ntwo\n")
    (folder / "b.csv").write_text("text\nthree\n")
    result, rows, _ = run(tmp_path, folder, importer="text", importer_params={"rows": "line"})
    assert result["importer"] == "text" and [r["text"] for r in rows] == ["one", "two"]


def test_the_preview_of_an_archive_offers_how_to_read_it(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "data.zip", {"a.jsonl": GOOD, "b.jsonl": GOOD})
    answer = inspect(tmp_path, archive)
    assert answer["importer"] == "each" and answer["importers"][0]["id"] == "each"
    assert {"code", "images"} <= {choice["id"] for choice in answer["importers"]}
    assert len(answer["rows"]) == 6 and answer["rows"][0]["source_file"] == "data.zip/a.jsonl"
    assert not [p for p in (tmp_path / "look").rglob("*") if p.is_file()], "what was unpacked is removed"
    again, rows, _ = run(tmp_path, archive, importer=answer["importer"])
    assert again["rows"] == len(rows) == 6


def test_one_file_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    good, bad = write_jsonl(tmp_path / "a.jsonl", [{"text": "one"}]), tmp_path / "b.parquet"
    bad.write_bytes(b"PAR1 and nothing more PAR1")
    _, rows, rejects = run(tmp_path, good, bad)
    assert [r["text"] for r in rows] == ["one"] and len(rejects) == 1 and "b.parquet" in rejects[0]


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("x.pkl", b"anything", "pickle"),
        ("x.jsonl", b"\x80\x04\x95\x05\x00.", "pickle"),
        ("x.csv", b"\x7fELF\x02", "program"),
        ("x.dll", b"text", "program"),
        ("x.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}", "objects"),
        ("x.7z", b"7z\xbc\xaf\x27\x1c\x00", "7-Zip archive"),
        ("x.rar", b"Rar!\x1a\x07\x00", "RAR archive"),
        ("x.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'}", "array of NumPy"),
        ("x.sav", b"$FL2@(#) SPSS\x00", "SPSS"),
        ("x.sav", b"anything", "pickle"),
        ("x.dat", b"GGUF\x03\x00", "model"),
        ("x.safetensors", b'\x10\x00\x00\x00\x00\x00\x00\x00{"a"', "weights"),
        ("x.dat", b'\x10\x00\x00\x00\x00\x00\x00\x00{"a"', ""),
        ("x.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", "old Office"),
        ("x.pptx", b"PK\x03\x04\x14\x00", "presentation"),
        ("x.zip", b"PK\x03\x04\x14\x00", ""),
        ("x.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", "Outlook"),
        ("x.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", ""),
        ("x.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", ""),
        ("x.txt", b"Rar! and GGUF are the first words of formats", ""),
        ("x.txt", b"GGUF is how this text begins", ""),
        ("x.txt", b"MZ is how this text begins", ""),
        ("x.txt", "\u0480 in UTF-8 is no pickle.".encode(), ""),
    ],
)
def test_what_is_refused_by_name_and_content(name: str, data: bytes, word: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert (word in refusal(path)) if word else refusal(path) == ""


def test_a_file_that_no_importer_reads_is_called_what_it_is_with_a_way_on(tmp_path: Path) -> None:
    (tmp_path / "x.7z").write_bytes(b"7z\xbc\xaf\x27\x1c\x00")
    with pytest.raises(UserError, match="is a 7-Zip archive") as raised:
        inspect(tmp_path, tmp_path / "x.7z")
    assert raised.value.remedy == "Unpack it and import the folder."


def test_kinds_are_told_by_content_not_by_name(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.dat", {"a": b"b"})
    assert kind_of(path) == "zip"
    path.write_bytes(b"plain")
    assert kind_of(path) == ""


# ---- the network -------------------------------------------------------------------------------------------------

FILES = {"/data.jsonl": GOOD, "/page": b"<p>Hello from a page</p>", "/big": b"x" * 200_000}


class Server(BaseHTTPRequestHandler):
    """A small web server: files, ranges, redirects, the hub's listing."""

    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        type(self).asked.append((self.path, self.headers.get("Range", "")))
        if self.path == "/away":
            self._answer(302, b"", {"Location": "http://10.0.0.1/secret"})
        elif self.path == "/moved":
            self._answer(302, b"", {"Location": "/data.jsonl"})
        elif self.path == "/loop":
            self._answer(302, b"", {"Location": "/loop"})
        elif self.path == "/broken" and not self.headers.get("Range"):
            self._answer(200, FILES["/big"][:100_000], {"Content-Length": "200000", "ETag": '"v1"'})
        elif self.path == "/broken":
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            self._answer(206, FILES["/big"][start:], {"ETag": '"v1"'})
        elif self.path.startswith("/api/datasets/owner/name/tree/refs%2Fconvert%2Fparquet"):
            entries = [{"type": "directory", "path": "default"}, {"type": "file", "path": "default/train/0000.parquet"}]
            self._answer(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})
        elif self.path.startswith("/datasets/owner/name/resolve/"):
            self._answer(200, b"PAR1 the file", {"Content-Type": "application/octet-stream"})
        elif self.path in FILES:
            self._answer(200, FILES[self.path], {"Content-Type": "text/html" if self.path == "/page" else "text/plain"})
        else:
            self._answer(404, b"", {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    Server.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def get(name: str, folder: Path, site: str = "", **network: Any) -> list[Path]:
    allowed = Network(**{"is_allowed": True, "loopback": True, "hub": site, **network})
    return fetch(name, folder, allowed, FakeReport(), FakeContext())


def test_the_network_is_off_unless_allowed(tmp_path: Path, site: str) -> None:
    with pytest.raises(UserError, match="does not use it"):
        get(f"{site}/data.jsonl", tmp_path, is_allowed=False)
    with pytest.raises(UserError, match="does not use it"):
        run(tmp_path, "https://example.com/x.jsonl")
    assert Server.asked == []


def test_only_https_and_only_public_addresses(tmp_path: Path, site: str) -> None:
    with pytest.raises(UserError, match="only https"):
        get(f"{site}/data.jsonl", tmp_path, loopback=False)
    for address in ("127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "[::1]", "0.0.0.0"):
        with pytest.raises(UserError, match="local network"):
            get(f"https://{address}/x", tmp_path, loopback=False)
    with pytest.raises(UserError, match="local network"):
        get(f"{site}/away", tmp_path)


def test_a_file_is_fetched_once_and_named_after_its_content(tmp_path: Path, site: str) -> None:
    assert get(f"{site}/moved", tmp_path)[0].read_bytes() == GOOD
    page = get(f"{site}/page", tmp_path)[0]
    assert page.name == "page.html"
    asked = len(Server.asked)
    assert get(f"{site}/page", tmp_path) == [page] and len(Server.asked) == asked


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, site: str) -> None:
    with pytest.raises(UserError, match="could not be fetched"):
        get(f"{site}/broken", tmp_path)
    assert get(f"{site}/broken", tmp_path)[0].read_bytes() == FILES["/big"]
    assert Server.asked[-1] == ("/broken", "bytes=100000-")


def test_too_large_missing_and_circular(tmp_path: Path, site: str) -> None:
    with pytest.raises(UserError, match="larger than"):
        get(f"{site}/big", tmp_path, most_bytes=1000)
    with pytest.raises(UserError, match="404"):
        get(f"{site}/nothing", tmp_path)
    with pytest.raises(UserError, match="redirected 5 times"):
        get(f"{site}/loop", tmp_path)


def test_a_dataset_of_the_hub_is_its_parquet_files(tmp_path: Path, site: str) -> None:
    paths = get("hf:owner/name", tmp_path, site)
    assert [p.relative_to(tmp_path).as_posix().partition("/")[2] for p in paths] == ["default/train/0000.parquet"]
    with pytest.raises(UserError, match="no dataset on the hub"):
        get("hf:a/b/c", tmp_path, site)


def test_what_is_an_address() -> None:
    assert all(map(is_remote, ("https://x.org/a", "HTTP://x", "hf:owner/name")))
    assert not any(map(is_remote, ("/home/x/https.csv", "hf.csv", "C:\\data.csv")))
