"""Task ``fetch_model``: the files of a model from the hub or an address, each checked against its published hash.

What is whole is not fetched again; what is begun is gone on with (HTTP ranges), also after a kill.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.core.web import Network, Refused, WebClient, safe_name
from fmstudio.models.hub import HubFile, hub_token
from fmstudio.models.inspect import inspect_model
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.context import StepContext
from fmstudio.worker.run import clear_out

PART = ".part"
_PIECE = 4 << 20
_SPARE = 1 << 26
"""Room that stays free beside the model, in bytes."""


def run(params: dict[str, Any], ctx: StepContext, plugins: PluginManager) -> dict[str, Any]:
    """Download, check, look at the result.

    Args:
        params: ``name``, ``files`` (see `HubFile`), ``kind`` (``gguf``, ``hf`` or ``peft``).
        ctx: Its workdir holds what has come so far.
        plugins: Not used.

    Returns:
        ``path`` (file or folder in the output), ``bytes``, ``verified`` (files whose hash was published and is right),
        ``sha256`` (of a single file).

    Raises:
        UserError: The network is off, the disk is too small, a hash is wrong, or what came is no model.
    """
    network = Network.of_settings("Download of a model")
    network.require_allowed(params["name"])
    files = [HubFile(**one) for one in params["files"]]
    _check_room(files, ctx.workdir)
    download = _Download(files, ctx, WebClient(network, _InMegabytes(ctx), hub_token()))
    try:
        hashes = [download.file(file) for file in files]
    except (OSError, http.client.HTTPException) as error:
        raise _failed(params["name"], error) from error
    path = _place(files, params, ctx)
    inspect_model(path)
    return {
        "path": str(path),
        "bytes": sum(f.stat().st_size for f in ([path] if path.is_file() else path.iterdir())),
        "verified": sum(bool(file.sha256 or file.git_sha1) for file in files),
        "sha256": hashes[0] if len(files) == 1 else "",
    }


class _InMegabytes:
    """Tells how far a download is in millions of bytes: nobody reads ten digits."""

    def __init__(self, ctx: StepContext) -> None:
        self._ctx = ctx

    @property
    def cancelled(self) -> bool:
        """See `TaskContext.cancelled`."""
        return self._ctx.cancelled

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """See `TaskContext.progress`."""
        self._ctx.progress(done / 1e6, total / 1e6 if total else None, "MB fetched")


class _Download:
    """Files of one model, with progress over all of them."""

    def __init__(self, files: list[HubFile], ctx: StepContext, client: WebClient) -> None:
        self._ctx, self._client = ctx, client
        self._total = sum(file.bytes for file in files) or None
        self._before = 0

    def file(self, file: HubFile) -> str:
        """Fetch one, unless it is whole already; give its SHA-256."""
        target = _held(self._ctx.workdir, file)
        noted = read_json(target.with_name(f"{target.name}.json"), {})
        if target.is_file() and noted.get("sha256"):
            self._before += target.stat().st_size
            return str(noted["sha256"])
        part = target.with_name(f"{target.name}{PART}")
        self._fetch(file, part)
        sha256 = self._checked(file, part)
        part.replace(target)
        write_json(target.with_name(f"{target.name}.json"), {"sha256": sha256})
        self._before += target.stat().st_size
        return sha256

    def _fetch(self, file: HubFile, part: Path) -> None:
        facts_file = part.with_name(f"{part.name}.json")
        have, tag = (part.stat().st_size, str(read_json(facts_file, {}).get("tag", ""))) if part.exists() else (0, "")
        if file.bytes and have >= file.bytes:
            return  # all of it came before the kill; the hash tells whether it is right
        # The hub's files are named by commit, so a part always goes on; elsewhere the tag says whether it is the same.
        is_fixed = bool(file.sha256 or file.git_sha1)
        can_go_on = have and (is_fixed or tag)
        headers = {"Range": f"bytes={have}-"} if can_go_on else {}
        if can_go_on and tag and not is_fixed:
            headers["If-Range"] = tag
        try:
            self._receive(file, part, facts_file, headers, have)
        except Refused as error:
            if error.status != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            part.unlink()  # it is as long as the file there, or longer: begin anew
            self._receive(file, part, facts_file, {}, 0)

    def _receive(self, file: HubFile, part: Path, facts_file: Path, headers: dict[str, str], have: int) -> None:
        with self._client.get(file.url, headers) as response:
            have = have if response.status == http.client.PARTIAL_CONTENT else 0
            found = response.headers.get("ETag", "")
            write_json(facts_file, {"tag": "" if found.startswith("W/") else found})
            if have:
                self._ctx.log(f"{file.path}: going on after {have / 1e6:,.0f} MB")
            self._client.save(response, part, have, before=self._before, total=self._total)

    def _checked(self, file: HubFile, part: Path) -> str:
        """The file's SHA-256; a wrong hash deletes it, so that the next try begins anew."""
        size = part.stat().st_size
        sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        done = 0
        with part.open("rb", buffering=0) as stream:
            while piece := stream.read(_PIECE):
                self._ctx.check_cancelled()
                sha256.update(piece)
                if file.git_sha1:
                    git.update(piece)
                done += len(piece)
                self._ctx.progress(done / 1e6, size / 1e6, f"MB of {file.path} checked")
        found = sha256.hexdigest()
        wrong = (file.sha256 and found != file.sha256) or (file.git_sha1 and git.hexdigest() != file.git_sha1)
        if wrong or (file.bytes and size != file.bytes):
            part.unlink()
            raise UserError(
                f"“{file.path}” is not what was published: its checksum differs.",
                remedy="Try again: it was deleted and is fetched anew.",
                details=f"expected {file.sha256 or file.git_sha1} ({file.bytes} bytes), got {found} ({size} bytes)",
                can_retry=True,
            )
        return found


def _held(folder: Path, file: HubFile) -> Path:
    """Where a file waits until all have come."""
    return folder.joinpath("files", *(safe_name(part) for part in PurePosixPath(file.path).parts[-1:]))


def _check_room(files: list[HubFile], folder: Path) -> None:
    (folder / "files").mkdir(parents=True, exist_ok=True)
    there = sum(f.stat().st_size for f in (folder / "files").iterdir())
    need, free = sum(file.bytes for file in files) - there + _SPARE, shutil.disk_usage(folder).free
    if need > free:
        raise UserError(
            f"The download takes {need / 1e9:.1f} GB; {free / 1e9:.1f} GB are free.",
            remedy="Free some disk space, or choose a smaller file.",
            can_retry=True,
        )


def _place(files: list[HubFile], params: dict[str, Any], ctx: StepContext) -> Path:
    """Put the files into the output: alone, or as a folder of the model's name."""
    clear_out(ctx.out_dir)
    held = [_held(ctx.workdir, file) for file in files]
    if params["kind"] == "gguf":
        for path in held:
            _bring(path, ctx.out_dir / path.name)
        return ctx.out_dir / held[0].name
    folder = ctx.out_dir / (safe_name(str(params["name"]).rpartition("/")[2]) or "model")
    folder.mkdir()
    for path in held:
        _bring(path, folder / path.name)
    return folder


def _bring(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def _failed(name: str, error: Exception) -> UserError:
    if isinstance(error, Refused) and error.status in (401, 403):
        return UserError(
            f"The hub does not give out {name} to everyone (code {error.status}).",
            remedy="Accept its terms on the hub, and set your token: fmstudio network token.",
        )
    return UserError(
        f"{name} could not be downloaded: {error}.",
        remedy="Check the connection and try again; it goes on from here.",
        can_retry=True,
    )
