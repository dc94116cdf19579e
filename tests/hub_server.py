"""A model hub on this machine, speaking as the Hugging Face hub does: model info, resolve with redirect, ETag, Range.

Also misbehaves on demand: cuts connections, serves other bytes than were published, wants a token, is slow.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 10_000
"""Files from this size are kept by hash (LFS); smaller ones lie in git."""


class Hub:
    """What the hub holds and does.

    Attributes:
        models: ``owner/name`` → path → content.
        cards: ``owner/name`` → what its info says beside the files.
        cut_after: Bytes of the next large file after which the connection is cut; 0 = never. Counts down to one cut.
        hangs: Instead of cutting there, say nothing more until `released` is set.
        falsify: Serve large files with their last byte changed.
        token: Needed for everything when not empty.
        pause_s: Waited before each answer.
        seen: (path, Range header, Authorization header) of every request.
        address, cdn: Where it listens, and where large files lie.
    """

    def __init__(self) -> None:
        self.models: dict[str, dict[str, bytes]] = {}
        self.cards: dict[str, dict[str, Any]] = {}
        self.cut_after = 0
        self.hangs = False
        self.released = threading.Event()
        self.falsify = False
        self.token = ""
        self.pause_s = 0.0
        self.seen: list[tuple[str, str, str]] = []
        self.address = self.cdn = ""

    def info(self, name: str) -> dict[str, Any]:
        """As ``/api/models/<name>?blobs=true`` answers."""
        siblings = []
        for path, content in self.models[name].items():
            one: dict[str, Any] = {"rfilename": path, "size": len(content)}
            if len(content) >= LARGE:
                one["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            else:
                one["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            siblings.append(one)
        return {"id": name, "sha": COMMIT, "gated": False, "siblings": siblings, **self.cards.get(name, {})}


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        hub, path = self.hub, self.path.partition("?")[0]
        hub.seen.append((path, self.headers.get("Range", ""), self.headers.get("Authorization", "")))
        time.sleep(hub.pause_s)
        if hub.token and not path.startswith("/cdn/") and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._send(401, b"", with_body)
        elif path.startswith("/api/models/"):
            name = path.removeprefix("/api/models/").partition("/revision/")[0]
            known = name in hub.models
            self._send(200 if known else 404, json.dumps(hub.info(name)).encode() if known else b"{}", with_body)
        elif "/resolve/" in path:
            name, _, rest = path.strip("/").partition("/resolve/")
            self._resolve(hub.models.get(name, {}).get(rest.partition("/")[2]), f"/cdn/{name}/{rest}", with_body)
        elif path.startswith("/cdn/"):
            name, _, rest = path.removeprefix("/cdn/").partition(f"/{COMMIT}/")
            self._file(hub.models[name][rest], with_body)
        else:
            self._send(404, b"", with_body)

    def _resolve(self, content: bytes | None, place: str, with_body: bool) -> None:
        if content is None:
            self._send(404, b"", with_body)
        elif len(content) < LARGE:
            self._send(200, content, with_body)
        else:  # large files lie elsewhere, at an address with a signature
            self._send(302, b"", with_body, {"Location": f"{self.hub.cdn}{place}?signature=secret"})

    def _file(self, content: bytes, with_body: bool) -> None:
        if self.hub.falsify:
            content = content[:-1] + bytes([content[-1] ^ 1])
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if "Range" in self.headers else 0
        if start >= len(content):
            self._send(416, b"", with_body)
        elif start:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, content[start:], with_body, {"Content-Range": span, "ETag": tag})
        else:
            self._send(200, content, with_body, {"ETag": tag})

    def _send(self, status: int, body: bytes, with_body: bool, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not with_body:
            return
        cut, self.hub.cut_after = (self.hub.cut_after, 0) if len(body) >= LARGE else (0, self.hub.cut_after)
        self.wfile.write(body[:cut] if cut else body)
        if cut:
            self.wfile.flush()
            if self.hub.hangs:
                self.hub.released.wait(60)
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub that answers while the block runs."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    threads = [threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01}) for one in servers]
    for server, thread in zip(servers, threads, strict=True):
        server.daemon_threads = True
        thread.start()
    hub.address, hub.cdn = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    try:
        yield hub
    finally:
        hub.released.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
