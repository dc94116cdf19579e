"""Opening a base model, GGUF or Hugging Face folder, as something that can be trained.

Only safetensors and GGUF weights are read: pickled weights can run code, and code from a model folder is never run.
A GGUF is dequantised once per job and kept as safetensors in the job's folder, because reading it takes far longer.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmstudio.api import TaskContext, UserError
from fmstudio.api.gguf_header import read_gguf_header, require_chat_model
from fmstudio_lora.quick_gguf import read_once

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text", "phi3")
"""Model types whose layers the packed attention and the exporter know."""

_CACHE_VERSION = "1"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model on disk in a form transformers opens quickly.

    Attributes:
        folder: Hugging Face folder with safetensors weights and tokenizer.
        sha256: Hash of the GGUF file, or of the names and hashes of the folder's weight and config files.
        model_type: transformers' name of the architecture.
    """

    folder: Path
    sha256: str
    model_type: str

    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)

    def load(self, dtype: Any, device: Any) -> Any:
        """Open the weights in `dtype`, all frozen."""
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(
            self.folder, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
        model.requires_grad_(False)
        model.config.use_cache = False
        return model.to(device).eval()


def open_base(path: Path, ctx: TaskContext) -> BaseModel:
    """Check the model and bring it into a form that opens quickly.

    Raises:
        UserError: Not a model, damaged, of an unsupported architecture, or with pickled weights only.
    """
    if path.is_dir():
        return _open_folder(path)
    if path.suffix.lower() in {".bin", ".pt", ".pth", ".ckpt"}:
        raise _pickle_refused(path.name)
    if not path.is_file():
        raise UserError(f"There is no model at {path}.", remedy="Choose a GGUF file or a Hugging Face folder.")
    return _open_gguf(path, ctx)


def _open_folder(folder: Path) -> BaseModel:
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise UserError(
            f"The folder {folder.name} is no Hugging Face model: it has no config.json.",
            remedy="Choose the folder that holds config.json and model.safetensors.",
        )
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        if any(folder.glob("*.bin")):
            raise _pickle_refused(f"The folder {folder.name}")
        raise UserError(f"The folder {folder.name} has no model.safetensors.", remedy="Download the model again.")
    try:
        model_type = str(json.loads(config_file.read_text("utf-8")).get("model_type", ""))
    except ValueError as error:
        raise UserError(f"{config_file} is damaged: {error}.", remedy="Download the model again.") from error
    _check_architecture(model_type)
    digest = hashlib.sha256()
    for file in [config_file, *weights]:
        digest.update(f"{file.name} {file_sha256(file)}\n".encode())
    return BaseModel(folder, digest.hexdigest(), model_type)


def _pickle_refused(what: str) -> UserError:
    return UserError(
        f"{what} holds its weights as pickled Python objects, which can run code when opened.",
        remedy="Choose a copy of the model with safetensors or GGUF weights.",
    )


def _open_gguf(path: Path, ctx: TaskContext) -> BaseModel:
    require_chat_model(read_gguf_header(path))
    sha256 = file_sha256(path)
    folder = ctx.workdir / f"base-{sha256[:16]}-{_CACHE_VERSION}"
    if not (folder / "config.json").is_file():
        _convert(path, folder, ctx)
    model_type = str(json.loads((folder / "config.json").read_text("utf-8"))["model_type"])
    return BaseModel(folder, sha256, model_type)


def _convert(path: Path, folder: Path, ctx: TaskContext) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ctx.progress(0, None, f"reading {path.name}")
    options: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True, "trust_remote_code": False}
    try:
        with read_once():
            model: Any = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **options)
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **options)
    except (ValueError, KeyError, IndexError, OSError, RuntimeError, NotImplementedError, TypeError) as error:
        raise UserError(
            f"{path.name} cannot be opened for training: {str(error).splitlines()[0][:300] if str(error) else 'damaged'}",
            remedy="Choose a whole GGUF file of a text model, or its Hugging Face folder.",
            details=repr(error),
        ) from error
    _check_architecture(model.config.model_type)
    _forget_quantisation(model)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part, safe_serialization=True)
    tokenizer.save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)


def _forget_quantisation(model: Any) -> None:
    """The weights are plain numbers now; marks of the file's quantisation would make saving refuse."""
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        if name in vars(model):
            delattr(model, name)


def _check_architecture(model_type: str) -> None:
    if model_type not in ARCHITECTURES:
        raise UserError(
            f"Models of the kind “{model_type}” cannot be trained here.",
            remedy=f"Choose a model of one of these kinds: {', '.join(ARCHITECTURES)}.",
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
