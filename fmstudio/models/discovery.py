"""Finds models that other programs already hold on this computer. Reads only, and never leaves their folders.

Known: llama.cpp's cache, LM Studio, Jan, Ollama (manifests and blobs), the Hugging Face cache. The home folder and the
environment are arguments, so that tests make their own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fmstudio.api.errors import UserError
from fmstudio.api.gguf_header import peek_gguf_kind
from fmstudio.models.json_object import read_json_object, text_of

MOST_ENTRIES: Final = 50_000
MOST_DEPTH: Final = 6
SMALLEST: Final = 1 << 16
"""Smaller GGUF files are vocabularies and test files."""
_SPLIT: Final = re.compile(r"-(\d{5})-of-\d{5}\.gguf$", re.IGNORECASE)
_DIGEST: Final = re.compile(r"^sha256[:-]([0-9a-f]{64})$")
_OLLAMA_MODEL: Final = "application/vnd.ollama.image.model"


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model another program holds.

    Attributes:
        name: As that program calls it.
        owners: Programs that hold this very file (by links, or by content where it is known from the name).
        path: File or folder to add.
        format: ``gguf`` or ``hf``.
        detail: Architecture or other words, may be empty.
    """

    name: str
    owners: tuple[str, ...]
    path: Path
    bytes: int
    format: str
    detail: str = ""
    digest: str = ""
    identity: tuple[int, int] = (0, 0)


def discover(home: Path, environ: Mapping[str, str]) -> list[FoundModel]:
    """All models that other programs hold for this user, shared copies once, the largest first.

    Args:
        home: The user's home folder.
        environ: Environment variables: ``LLAMA_CACHE``, ``OLLAMA_MODELS``, ``HF_HOME``, ``HF_HUB_CACHE``, ``XDG_CACHE_HOME``,
            ``XDG_DATA_HOME``, ``APPDATA``, ``LOCALAPPDATA``.
    """
    found: list[FoundModel] = []
    for owner, places in _places(home, environ).items():
        for place in dict.fromkeys(places):
            if owner == "Ollama":
                found += _ollama(place)
            elif owner == "Hugging Face":
                found += _hugging_face(place)
            else:
                found += _tree(owner, place)
    return sorted(_shared_once(found), key=lambda one: (-one.bytes, one.name))


def _places(home: Path, environ: Mapping[str, str]) -> dict[str, list[Path]]:
    def named(*variables: str, below: str = "") -> list[Path]:
        return [Path(environ[name]) / below for name in variables if environ.get(name)]

    cache = named("XDG_CACHE_HOME") or [home / ".cache"]
    data = named("XDG_DATA_HOME") or [home / ".local" / "share"]
    return {
        "llama.cpp": [*named("LLAMA_CACHE"), *[c / "llama.cpp" for c in cache], home / "Library" / "Caches" / "llama.cpp",
                      *named("LOCALAPPDATA", below="llama.cpp")],
        "LM Studio": [home / ".lmstudio" / "models", *[c / "lm-studio" / "models" for c in cache]],
        "Jan": [home / "jan" / "models", *[d / "Jan" / "data" for d in data], home / ".config" / "Jan" / "data",
                home / "Library" / "Application Support" / "Jan" / "data", *named("APPDATA", below="Jan/data")],
        "Ollama": [*named("OLLAMA_MODELS"), home / ".ollama" / "models"],
        "Hugging Face": [*named("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"), *named("HF_HOME", below="hub"),
                         *[c / "huggingface" / "hub" for c in cache]],
    }  # fmt: skip


def _tree(owner: str, root: Path) -> Iterator[FoundModel]:
    """GGUF files below a folder; of a split model the first part."""
    for path in _walk(root):
        if path.suffix.lower() != ".gguf" or path.name.lower().startswith("mmproj"):
            continue
        split = _SPLIT.search(path.name)
        if split and split[1] != "00001":
            continue
        name = path.stem
        if name == "model" and path.parent != root:  # Jan keeps models/<name>/model.gguf
            name = path.parent.name
        yield from _one(name, owner, path, root)


def _ollama(root: Path) -> Iterator[FoundModel]:
    """Models that the manifests name: ``manifests/<registry>/<owner>/<name>/<tag>`` → ``blobs/sha256-…``."""
    manifests = root / "manifests"
    for file in _walk(manifests):
        try:
            manifest = read_json_object(file, 1 << 20)
        except UserError:
            continue  # another program's half-written file is not this one's business
        layers = manifest.get("layers")
        for layer in layers if isinstance(layers, list) else []:
            entry = layer if isinstance(layer, dict) else {}
            digest = _DIGEST.match(text_of(entry.get("digest")))
            if digest and entry.get("mediaType") == _OLLAMA_MODEL:
                parts = file.relative_to(manifests).parts[1:]
                name = ":".join(("/".join(part for part in parts[:-1] if part != "library"), parts[-1]))
                yield from _one(name, "Ollama", root / "blobs" / f"sha256-{digest[1]}", root, digest[1])


def _hugging_face(root: Path) -> Iterator[FoundModel]:
    """Repositories ``models--owner--name``: the snapshot that ``refs/main`` names, or the newest."""
    for repository in _children(root):
        if not repository.name.startswith("models--") or repository.is_symlink():
            continue
        snapshot = _snapshot(repository)
        if snapshot is None:
            continue
        name = repository.name[len("models--") :].replace("--", "/")
        files = [f for f in _children(snapshot) if f.is_file() and _is_below(f, root)]
        for file in files:
            if file.suffix.lower() == ".gguf" and not file.name.lower().startswith("mmproj"):
                split = _SPLIT.search(file.name)
                if not split or split[1] == "00001":
                    yield from _one(file.stem, "Hugging Face", file, root, _blob_digest(file))
        names = {file.name for file in files}
        if "config.json" in names and any(n.startswith("model") and n.endswith(".safetensors") for n in names):
            size = sum(file.stat().st_size for file in files)
            kind = ""
            try:
                kind = text_of(read_json_object(snapshot / "config.json").get("model_type"), 50)
            except UserError:
                continue
            stat = snapshot.stat()
            yield FoundModel(name, ("Hugging Face",), snapshot, size, "hf", kind, "", (stat.st_dev, stat.st_ino))


def _snapshot(repository: Path) -> Path | None:
    try:
        revision = (repository / "refs" / "main").read_text("utf-8").strip()[:100]
    except (OSError, UnicodeDecodeError):
        revision = ""
    snapshots = {path.name: path for path in _children(repository / "snapshots") if path.is_dir()}
    if revision in snapshots:
        return snapshots[revision]
    return max(snapshots.values(), key=lambda path: path.stat().st_mtime, default=None)


def _blob_digest(file: Path) -> str:
    """In the cache a large file is a link to ``blobs/<sha256>``."""
    name = file.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else ""


def _one(name: str, owner: str, path: Path, root: Path, digest: str = "") -> Iterator[FoundModel]:
    try:
        if not path.is_file() or not _is_below(path, root):
            return
        stat = path.stat()
        with path.open("rb") as stream:
            is_gguf = stream.read(4) == b"GGUF"
    except OSError:
        return
    if is_gguf and stat.st_size >= SMALLEST:
        detail = peek_gguf_kind(path).partition(" ")[0]
        yield FoundModel(name[:200], (owner,), path, stat.st_size, "gguf", detail, digest, (stat.st_dev, stat.st_ino))


def _is_below(path: Path, root: Path) -> bool:
    """Whether the file that a link leads to is still the program's own."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return False


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry, _ in zip(entries, range(MOST_ENTRIES), strict=False))
    except OSError:
        return []


def _walk(root: Path) -> Iterator[Path]:
    """Files below a folder, not through links to folders, bounded in number and depth."""
    left = MOST_ENTRIES
    waiting = [(root, 0)]
    while waiting and left > 0:
        folder, depth = waiting.pop()
        for path in _children(folder):
            left -= 1
            if path.is_dir() and not path.is_symlink():
                if depth < MOST_DEPTH:
                    waiting.append((path, depth + 1))
            elif path.is_file():
                yield path


def _shared_once(found: list[FoundModel]) -> Iterator[FoundModel]:
    """Join entries of the same file (device and inode) or the same content (digest)."""
    groups: dict[object, list[FoundModel]] = {}
    for one in found:
        group = groups.get(one.identity) or (groups.get(one.digest) if one.digest else None)
        if group is None:
            group = []
        group.append(one)
        groups[one.identity] = group
        if one.digest:
            groups[one.digest] = group
    for group in {id(group): group for group in groups.values()}.values():
        first = group[0]
        owners = tuple(dict.fromkeys(owner for one in group for owner in one.owners))
        yield FoundModel(
            first.name, owners, first.path, first.bytes, first.format, first.detail,
            next((one.digest for one in group if one.digest), ""), first.identity,
        )  # fmt: skip
