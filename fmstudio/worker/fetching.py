"""Files that the user named by address, for imports. What may be fetched, and how: `fmstudio.core.web`.

``hf:owner/name[@revision]`` names a dataset on the Hugging Face hub: its Parquet files are fetched, by default those the
hub itself makes of every public dataset (revision ``refs/convert/parquet``).
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urljoin

from fmstudio.api import ImportReport, TaskContext, UserError
from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.core.web import LOOPBACK, Network, TooLarge, WebClient, file_name, safe_name

__all__ = ["LOOPBACK", "PART_SUFFIX", "Network", "TooLarge", "fetch"]

_PARQUET_REVISION = "refs/convert/parquet"
_HUB_NAME = re.compile(r"hf:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?")
PART_SUFFIX = ".part"
_SUFFIXES = {
    "application/json": ".json", "application/x-ndjson": ".jsonl", "application/jsonl": ".jsonl", "text/csv": ".csv",
    "text/tab-separated-values": ".tsv", "text/html": ".html", "application/xhtml+xml": ".html", "text/plain": ".txt",
    "text/markdown": ".md", "application/pdf": ".pdf", "application/zip": ".zip", "application/gzip": ".gz",
    "application/x-tar": ".tar", "application/yaml": ".yaml", "application/vnd.apache.parquet": ".parquet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx", "message/rfc822": ".eml",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx", "image/png": ".png",
    "image/jpeg": ".jpg", "image/webp": ".webp",
}  # fmt: skip


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
    network.require_allowed(name)
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
        inside = folder.joinpath(*(safe_name(part) for part in PurePosixPath(place).parts[:-1]))
        inside.mkdir(parents=True, exist_ok=True)
        paths.append(client.download(url, inside))
    count = f"{len(paths)} of {len(files)}" if len(paths) < len(files) else str(len(paths))
    report.note(f"Fetched {count} Parquet {'file' if len(files) == 1 else 'files'} of {dataset}, revision {revision}.")
    return paths


class _Client(WebClient):
    """Downloads that go on where they stopped, and the hub's listings."""

    def download(self, url: str, folder: Path) -> Path:
        """Fetch one file, going on where an earlier try stopped."""
        stem = file_name(url)
        part, facts_file = folder / f"{stem}{PART_SUFFIX}", folder / f"{stem}{PART_SUFFIX}.json"
        facts = read_json(facts_file, {})
        if (whole := folder / str(facts.get("whole", ""))).is_file():
            return whole
        have = part.stat().st_size if part.exists() and facts.get("tag") else 0
        headers = {"Range": f"bytes={have}-", "If-Range": str(facts["tag"])} if have else {}
        with self.get(url, headers) as response:
            have = have if response.status == http.client.PARTIAL_CONTENT else 0
            tag = response.headers.get("ETag", "")
            write_json(facts_file, {"tag": "" if tag.startswith("W/") else tag})
            self.save(response, part, have)
        target = folder / _with_suffix(stem, response)
        part.replace(target)
        write_json(facts_file, {"whole": target.name})
        return target

    def listing(self, url: str) -> list[str]:
        """Paths of the files in a dataset of the hub, over all pages."""
        places: list[str] = []
        next_url: str | None = url
        while next_url:
            answer = self.read(next_url)
            entries = json.loads(answer.body)
            if not isinstance(entries, list):
                raise ValueError("the hub's answer is no list of files")
            places += [
                str(entry["path"]) for entry in entries if isinstance(entry, dict) and entry.get("type") == "file"
            ]
            link = re.search(r'<([^>]+)>;\s*rel="next"', answer.headers.get("Link", ""))
            next_url = urljoin(next_url, link[1]) if link else None
        return places


def _with_suffix(name: str, response: http.client.HTTPResponse) -> str:
    """The file's name, with a suffix that tells its content where the address has none."""
    kind = response.headers.get_content_type()
    suffix = _SUFFIXES.get(kind, "")
    has_own = len(PurePosixPath(name).suffix) in range(2, 9) and kind not in ("text/html", "application/xhtml+xml")
    return name if has_own or not suffix or name.lower().endswith((suffix, ".htm")) else f"{name}{suffix}"
