"""Models that other programs hold: found in made-up homes, shared copies once, nothing outside their folders."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path

from fmstudio.models.discovery import FoundModel, discover


def gguf(path: Path, seed: int = 0) -> Path:
    """A file that begins as a GGUF does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    key = b"general.architecture"
    head += struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, 5) + b"llama"
    path.write_bytes(head + bytes([seed]) * 70_000)
    return path


def ollama(home: Path, name: str, tag: str, seed: int) -> Path:
    root = home / ".ollama" / "models"
    blob = gguf(root / "blobs" / "new", seed)
    digest = hashlib.sha256(blob.read_bytes()).hexdigest()
    blob = blob.rename(blob.with_name(f"sha256-{digest}"))
    manifest = root / "manifests" / "registry.ollama.ai" / "library" / name / tag
    manifest.parent.mkdir(parents=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"},
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "0" * 64},
    ]
    manifest.write_text(json.dumps({"layers": layers}))
    return blob


def hub(home: Path, repository: str, files: dict[str, bytes]) -> Path:
    root = home / ".cache" / "huggingface" / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (root / "blobs").mkdir()
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    for name, data in files.items():
        blob = root / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / name).symlink_to(blob)
    return snapshot


def named(found: list[FoundModel]) -> dict[str, tuple[str, ...]]:
    return {one.name: one.owners for one in found}


def test_an_empty_home_holds_nothing(tmp_path: Path) -> None:
    assert discover(tmp_path, {}) == []


def test_every_program_s_models_are_found(tmp_path: Path) -> None:
    gguf(tmp_path / ".cache" / "llama.cpp" / "owner_cached-Q4_K_M.gguf", 1)
    gguf(tmp_path / ".lmstudio" / "models" / "maker" / "repo" / "studio-Q4.gguf", 2)
    gguf(tmp_path / ".lmstudio" / "models" / "maker" / "repo" / "mmproj-studio.gguf", 9)
    gguf(tmp_path / ".local" / "share" / "Jan" / "data" / "llamacpp" / "models" / "jan-nano" / "model.gguf", 3)
    ollama(tmp_path, "smol", "1b", 4)
    hub(tmp_path, "owner/folder", {"config.json": b'{"model_type": "llama"}', "model.safetensors": b"weights"})
    hub(tmp_path, "owner/file", {"hub-Q8_0.gguf": gguf(tmp_path / "x", 5).read_bytes()})
    found = discover(tmp_path, {})
    assert named(found) == {
        "owner_cached-Q4_K_M": ("llama.cpp",),
        "studio-Q4": ("LM Studio",),
        "jan-nano": ("Jan",),
        "smol:1b": ("Ollama",),
        "hub-Q8_0": ("Hugging Face",),
        "owner/folder": ("Hugging Face",),
    }
    folder = next(one for one in found if one.format == "hf")
    assert (folder.detail, folder.bytes) == ("llama", 23 + 7)
    assert next(one for one in found if one.name == "smol:1b").detail == "llama"


def test_variables_move_the_folders(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    gguf(other / "llama" / "a.gguf", 1)
    hub(other, "owner/b", {"b.gguf": gguf(tmp_path / "x", 2).read_bytes()})
    ollama(other, "c", "latest", 3)
    environ = {
        "LLAMA_CACHE": str(other / "llama"),
        "HF_HOME": str(other / ".cache" / "huggingface"),
        "OLLAMA_MODELS": str(other / ".ollama" / "models"),
    }
    assert set(named(discover(home, environ))) == {"a", "b", "c:latest"}


def test_shared_copies_are_shown_once(tmp_path: Path) -> None:
    first = gguf(tmp_path / ".lmstudio" / "models" / "m" / "r" / "linked.gguf", 1)
    (tmp_path / ".cache" / "llama.cpp").mkdir(parents=True)
    os.link(first, tmp_path / ".cache" / "llama.cpp" / "linked.gguf")
    blob = ollama(tmp_path, "same", "1", 2)
    hub(tmp_path, "owner/same", {"same.gguf": blob.read_bytes()})
    found = discover(tmp_path, {})
    assert sorted(one.owners for one in found) == [("Ollama", "Hugging Face"), ("llama.cpp", "LM Studio")]


def test_split_models_are_one(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        gguf(tmp_path / ".cache" / "llama.cpp" / f"big-0000{number}-of-00003.gguf", number)
    assert [one.name for one in discover(tmp_path, {})] == ["big-00001-of-00003"]


def test_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    home, secret = tmp_path / "home", tmp_path / "secret"
    outside = gguf(secret / "private.gguf")
    models = home / ".lmstudio" / "models"
    models.mkdir(parents=True)
    (models / "file.gguf").symlink_to(outside)
    (models / "folder").symlink_to(secret)
    (models / "self").symlink_to(models)
    manifest = home / ".ollama" / "models" / "manifests" / "r" / "library" / "evil" / "1"
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256-../../../../secret/private.gguf"}
    manifest.write_text(json.dumps({"layers": [layer, 3, {"digest": 5}]}))
    hub(home, "owner/out", {})
    snapshot = home / ".cache" / "huggingface" / "hub" / "models--owner--out" / "snapshots" / "abc"
    (snapshot / "out.gguf").symlink_to(outside)
    assert discover(home, {}) == []


def test_damaged_places_do_no_harm(tmp_path: Path) -> None:
    root = tmp_path / ".ollama" / "models" / "manifests" / "r" / "library" / "m"
    root.mkdir(parents=True)
    (root / "deep").write_bytes(b"[" * 100_000)
    (root / "text").write_bytes(b"\xff\xfe")
    os.mkfifo(root / "pipe")
    (tmp_path / ".cache" / "llama.cpp").mkdir(parents=True)
    (tmp_path / ".cache" / "llama.cpp" / "not.gguf").write_bytes(b"<html>" * 20_000)
    os.mkfifo(tmp_path / ".cache" / "llama.cpp" / "pipe.gguf")
    hub(tmp_path, "owner/broken", {"config.json": b"{", "model.safetensors": b""})
    assert discover(tmp_path, {}) == []
