"""Files from the network, only where the user allowed it: https, public addresses, a limit on size, resumable.

Each name is resolved once and the connection goes to that address, so that no second answer of a name server can lead
into the local network. ``hf:owner/name[@revision]`` names a dataset on the Hugging Face hub: its Parquet files are
fetched, by default those the hub itself makes of every public dataset (revision ``refs/convert/parquet``).
Each connection stands in the ledger (`fmstudio.core.connections`) before it is opened.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from fmstudio.api import ImportReport, TaskContext, UserError
from fmstudio.core.connections import note_end, note_opening
from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.core.settings import Settings

HUB = "https://huggingface.co"
_PARQUET_REVISION = "refs/convert/parquet"
_HUB_NAME = re.compile(r"hf:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?")
MOST_BYTES = 50 << 30
"""Largest download in all."""
LOOPBACK = "FMSTUDIO_LOOPBACK_HUB"
"""Variable with the address of a hub on this very machine; then this machine may be fetched from, without TLS (tests)."""
PART_SUFFIX = ".part"
_PIECE = 1 << 20
_TIMEOUT_S = 30
_MOST_HOPS = 5
_HEADERS = {"User-Agent": "fmstudio", "Accept-Encoding": "identity", "Connection": "close"}
_MOST_LISTING = 64 << 20
_REDIRECTS = (301, 302, 303, 307, 308)
_SUFFIXES = {
    "application/json": ".json", "application/x-ndjson": ".jsonl", "application/jsonl": ".jsonl", "text/csv": ".csv",
    "text/tab-separated-values": ".tsv", "text/html": ".html", "application/xhtml+xml": ".html", "text/plain": ".txt",
    "text/markdown": ".md", "application/pdf": ".pdf", "application/zip": ".zip", "application/gzip": ".gz",
    "application/x-tar": ".tar", "application/yaml": ".yaml", "application/vnd.apache.parquet": ".parquet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx", "message/rfc822": ".eml",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx", "image/png": ".png",
    "image/jpeg": ".jpg", "image/webp": ".webp",
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """What may be fetched.

    Attributes:
        is_allowed: The user's setting.
        most_bytes: Largest download in all.
        hub: Where ``hf:`` names lead.
        loopback: Allow plain http to this machine alone (tests, and nothing else).
        purpose: What the ledger says the connections are for.
    """

    is_allowed: bool
    most_bytes: int = MOST_BYTES
    hub: str = HUB
    loopback: bool = False
    purpose: str = "Import"

    @classmethod
    def of_settings(cls, purpose: str, most_bytes: int = MOST_BYTES) -> Network:
        """What the user's settings allow."""
        hub = os.environ.get(LOOPBACK, "")
        return cls(Settings.load().allow_network, most_bytes, hub or HUB, bool(hub), purpose)


class TooLarge(UserError):
    """A download is larger than what is allowed here."""


def fetch(
    name: str, folder: Path, network: Network, report: ImportReport, ctx: TaskContext, *, most_files: int | None = None
) -> list[Path]:
    """Download what an address names.

    Args:
        name: An https address, or ``hf:owner/name[@revision]``.
        folder: Where the files go; what is whole there already is not fetched again, what is begun is gone on with.
        network: What is allowed.
        report: Takes a note of what was fetched.
        ctx: For progress and cancelling.
        most_files: Fetch only the first files of a dataset; None = all.

    Raises:
        TooLarge: It is larger than allowed.
        UserError: The network is switched off, the address is not allowed, or the download failed.
    """
    if not network.is_allowed:
        raise UserError(
            f"{name} is on the network, and FM Studio does not use it.",
            remedy="Switch the network on in Settings (or: fmstudio network on), or download the file yourself.",
            can_retry=True,
        )
    own = folder / hashlib.sha256(name.encode()).hexdigest()[:12]
    own.mkdir(parents=True, exist_ok=True)
    client = _Client(network, ctx)
    try:
        if name.lower().startswith("hf:"):
            return _dataset(name, own, client, report, most_files)
        path = client.download(name, own)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UserError(
            f"{name} could not be fetched: {error}.",
            remedy="Check the connection and try again; it goes on from here.",
            can_retry=True,
        ) from error
    report.note(f"Fetched {name} ({path.stat().st_size:,} bytes).")
    return [path]


def _dataset(
    name: str, folder: Path, client: _Client, report: ImportReport, most_files: int | None = None
) -> list[Path]:
    match = _HUB_NAME.fullmatch(name)
    if not match:
        raise UserError(f"“{name}” is no dataset on the hub.", remedy="Write hf:owner/name or hf:owner/name@revision.")
    dataset, revision = match["name"], match["revision"] or _PARQUET_REVISION
    at = quote(revision, safe="")
    places = client.listing(f"{client.network.hub}/api/datasets/{dataset}/tree/{at}?recursive=true")
    files = sorted(place for place in places if place.lower().endswith(".parquet"))
    if not files:
        raise UserError(
            f"{dataset} has no Parquet files in revision {revision}.", remedy="Name a revision that has them."
        )
    paths = []
    for place in files[:most_files]:
        url = f"{client.network.hub}/datasets/{dataset}/resolve/{at}/{quote(place)}"
        inside = folder.joinpath(*(_safe(part) for part in PurePosixPath(place).parts[:-1]))
        inside.mkdir(parents=True, exist_ok=True)
        paths.append(client.download(url, inside))
    count = f"{len(paths)} of {len(files)}" if len(paths) < len(files) else str(len(paths))
    report.note(f"Fetched {count} Parquet {'file' if len(files) == 1 else 'files'} of {dataset}, revision {revision}.")
    return paths


class _Client:
    """Requests under the rules of a `Network`."""

    def __init__(self, network: Network, ctx: TaskContext) -> None:
        self.network, self._ctx = network, ctx
        self._left = network.most_bytes
        self._received = 0

    def download(self, url: str, folder: Path) -> Path:
        """Fetch one file, going on where an earlier try stopped."""
        stem = _file_name(url)
        part, facts_file = folder / f"{stem}{PART_SUFFIX}", folder / f"{stem}{PART_SUFFIX}.json"
        facts = read_json(facts_file, {})
        if (whole := folder / str(facts.get("whole", ""))).is_file():
            return whole
        have = part.stat().st_size if part.exists() and facts.get("tag") else 0
        headers = {"Range": f"bytes={have}-", "If-Range": str(facts["tag"])} if have else {}
        with self._get(url, headers) as response:
            have = have if response.status == http.client.PARTIAL_CONTENT else 0
            tag = response.headers.get("ETag", "")
            write_json(facts_file, {"tag": "" if tag.startswith("W/") else tag})
            self._save(response, part, have)
        target = folder / _with_suffix(stem, response)
        part.replace(target)
        write_json(facts_file, {"whole": target.name})
        return target

    def listing(self, url: str) -> list[str]:
        """Paths of the files in a dataset of the hub, over all pages."""
        places: list[str] = []
        next_url: str | None = url
        while next_url:
            with self._get(next_url, {}) as response:
                text = response.read(_MOST_LISTING)
                self._received += len(text)
            entries = json.loads(text)
            if not isinstance(entries, list):
                raise ValueError("the hub's answer is no list of files")
            places += [
                str(entry["path"]) for entry in entries if isinstance(entry, dict) and entry.get("type") == "file"
            ]
            link = re.search(r'<([^>]+)>;\s*rel="next"', response.headers.get("Link", ""))
            next_url = urljoin(next_url, link[1]) if link else None
        return places

    def _save(self, response: http.client.HTTPResponse, part: Path, have: int) -> None:
        total = have + int(response.headers.get("Content-Length") or 0)
        self._check_left(total - have)
        done = have
        with part.open("ab" if have else "wb") as file:
            while piece := response.read(_PIECE):
                self._ctx.check_cancelled()
                self._left -= len(piece)
                self._received += len(piece)
                self._check_left(0)
                file.write(piece)
                done += len(piece)
                self._ctx.progress(done, total or None, "bytes fetched")
        if total and done < total:
            raise OSError(f"the connection ended after {done:,} of {total:,} bytes")

    def _check_left(self, size: int) -> None:
        if size > self._left or self._left < 0:
            raise TooLarge(
                f"The download is larger than {self.network.most_bytes >> 20:,} MiB.", remedy="Download it yourself."
            )

    @contextmanager
    def _get(self, url: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        """The answer to a request, after redirections; all connections stand in the ledger."""
        for _ in range(_MOST_HOPS):
            with self._connected(url, headers) as response:
                target = response.headers.get("Location")
                if response.status in _REDIRECTS and target:
                    url = urljoin(url, target)
                    continue
                if response.status not in (http.client.OK, http.client.PARTIAL_CONTENT):
                    raise OSError(f"the server answered {response.status} {response.reason}")
                yield response
                return
        raise OSError(f"the server answered {response.status} {_MOST_HOPS} times over")

    @contextmanager
    def _connected(self, url: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection(url)
        parts = urlsplit(url)
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{parts.query}" if parts.query else "")
        before = self._received
        # Queries hold keys and signatures, which belong into no list.
        number = note_opening(f"{url.partition('?')[0]}{'?…' if parts.query else ''}", self.network.purpose)
        try:
            connection.request("GET", path, headers={**_HEADERS, **headers})
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()
            note_end(number, self._received - before)

    def _connection(self, url: str) -> _Connection:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_plain = parts.scheme == "http" and self.network.loopback
        if parts.scheme != "https" and not is_plain:
            raise UserError(f"{url} is not fetched: only https is.", remedy="Use the address that begins with https.")
        return _Connection(host, parts.port or (80 if is_plain else 443), self.network, is_plain=is_plain)


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was looked at, under the name it belongs to."""

    def __init__(self, host: str, port: int, network: Network, *, is_plain: bool) -> None:
        super().__init__(host, port, timeout=_TIMEOUT_S)
        self._network, self._is_plain = network, is_plain

    def connect(self) -> None:
        """Look the name up and open the socket; with TLS unless plain."""
        address = _public_address(self.host, self.port, self._network, is_plain=self._is_plain)
        raw = socket.create_connection((address, self.port), _TIMEOUT_S)
        self.sock = raw if self._is_plain else ssl.create_default_context().wrap_socket(raw, server_hostname=self.host)


def _public_address(host: str, port: int, network: Network, *, is_plain: bool) -> str:
    """Resolve a name to an address that is not of a local network.

    Raises:
        UserError: All its addresses are, or one is.
    """
    found: list[Any] = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        ip = ipaddress.ip_address(address)
        is_own = network.loopback and ip.is_loopback
        if not (ip.is_global and not ip.is_multicast) and not is_own:
            raise UserError(
                f"{host} is not fetched from: {address} belongs to a local network.", remedy="Use a public address."
            )
        if is_plain and not is_own:
            raise UserError(f"{host} is not fetched from: only https is.", remedy="Use https.")
    return str(found[0])


def _file_name(url: str) -> str:
    name = unquote(PurePosixPath(urlsplit(url).path).name)
    return _safe(name) or _safe(urlsplit(url).hostname or "") or "download"


def _safe(name: str) -> str:
    return re.sub(r"[^\w.\- ]", "_", name).strip(". ")[-150:]


def _with_suffix(name: str, response: http.client.HTTPResponse) -> str:
    """The file's name, with a suffix that tells its content where the address has none."""
    kind = response.headers.get_content_type()
    suffix = _SUFFIXES.get(kind, "")
    has_own = len(PurePosixPath(name).suffix) in range(2, 9) and kind not in ("text/html", "application/xhtml+xml")
    return name if has_own or not suffix or name.lower().endswith((suffix, ".htm")) else f"{name}{suffix}"
