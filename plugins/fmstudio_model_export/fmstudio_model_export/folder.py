"""`ModelFolder`: a folder that Ollama, llama-server and vLLM accept, from a GGUF model and an adapter, or a HF folder.

One chat template goes to all of them: as Jinja for llama-server and vLLM, and in Go's language for Ollama where its turns
can be told for certain.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fmstudio.api import Exporter, Field, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio.api.gguf_header import read_gguf_header, require_chat_model, require_matching_adapter
from fmstudio_model_export.turns import TurnFormat, turn_format

CHUNK_BYTES = 4 << 20
HF_FILES = (".safetensors", ".json", ".jinja", ".txt", ".model", ".md")


class FolderParams(AnyParams):
    """Settings of the export."""

    target: str = Field(default="", title="Folder", description="Where to write it; it must not exist or be empty.")
    name: str = Field(default="", max_length=200, title="Name", description="What the model is called.")
    adapter: str = Field(default="", title="Adapter", description="A GGUF adapter to go along; empty = none.")
    template: str = Field(default="", title="Chat template", description="Jinja; empty = the model's own.")
    context: int = Field(default=4096, ge=128, title="Context length", description="Written into the Modelfile.")
    copy_files: bool = Field(default=False, title="Copy", description="Copy the weights instead of linking them.")


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the written files say of the model."""

    name: str
    architecture: str
    license: str
    template: str
    own_template: bool
    stop: list[str]
    turns: TurnFormat | None
    has_adapter: bool
    context: int


class ModelFolder(Exporter):
    """Writes ``model.gguf``, ``adapter.gguf``, ``Modelfile``, ``chat_template.jinja`` and ``README.md``."""

    Params: ClassVar[type[AnyParams]] = FolderParams

    def export(self, source: Path, base_model: Path, out_dir: Path, params: AnyParams, ctx: TaskContext) -> Path:
        """See `Exporter.export`; `base_model` is not used. Written to ``params.target`` where one is given.

        Raises:
            UserError: The folder is not empty, the adapter does not belong to the model, or the disk is full.
        """
        assert isinstance(params, FolderParams)
        target = Path(params.target) if params.target else out_dir / (params.name or source.stem)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{target} is not empty.", remedy="Choose a new folder.")
        part = target.with_name(f".{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            (_write_hf if source.is_dir() else _write_gguf)(source, part, params, ctx)
            if target.exists():
                target.rmdir()
            os.replace(part, target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return target


def _write_gguf(source: Path, folder: Path, params: FolderParams, ctx: TaskContext) -> None:
    header = read_gguf_header(source)
    require_chat_model(header)
    if header.is_split:
        raise UserError(f"“{source.name}” is one part of a split model.", remedy="Join its parts first.")
    files = [(source, "model.gguf")]
    if params.adapter:
        require_matching_adapter(read_gguf_header(Path(params.adapter)), header)
        files.append((Path(params.adapter), "adapter.gguf"))
    own = header.text("tokenizer.chat_template")
    template = params.template or own
    eos = _token(source, header.number("tokenizer.ggml.eos_token_id"))
    turns = turn_format(template, eos=eos) if template.strip() else None
    facts = _Facts(
        name=params.name or header.name,
        architecture=header.architecture,
        license=header.license,
        template=template,
        own_template=template == own,
        stop=_stops(eos, turns),
        turns=turns,
        has_adapter=bool(params.adapter),
        context=min(params.context, header.context_length or params.context),
    )
    for file, name in files:
        _bring(file, folder / name, params.copy_files, ctx)
    (folder / "Modelfile").write_text(_modelfile(facts), "utf-8")
    if template.strip():
        (folder / "chat_template.jinja").write_text(template, "utf-8")
    (folder / "README.md").write_text(_readme(facts), "utf-8")
    if template.strip() and turns is None:
        ctx.log(
            "The template is too involved for Ollama's language: its Modelfile leaves the choice to Ollama.", "warning"
        )


def _write_hf(source: Path, folder: Path, params: FolderParams, ctx: TaskContext) -> None:
    if params.adapter:
        raise UserError("A folder for training takes no adapter along.", remedy="Merge the adapter first.")
    files = [f for f in sorted(source.iterdir()) if f.is_file() and f.suffix in HF_FILES and f.name != "README.md"]
    if not any(f.suffix == ".safetensors" for f in files):
        raise UserError(f"{source.name} holds no safetensors weights.", remedy="Choose another model.")
    for file in files:
        _bring(file, folder / file.name, params.copy_files or file.suffix != ".safetensors", ctx)
    if params.template:
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        (folder / "chat_template.jinja").write_text(params.template, "utf-8")
    name = params.name or source.name
    text = f"# {name}\n\n## vLLM\n\n```\nvllm serve . --served-model-name {_slug(name)}\n```\n"
    (folder / "README.md").write_text(text, "utf-8")


def _bring(source: Path, target: Path, copy: bool, ctx: TaskContext) -> None:
    """Hard-link a file; copy it where that was asked for or the disk cannot link."""
    if not copy:
        try:
            os.link(source.resolve(), target)
            return
        except OSError:
            ctx.log(f"{source.name} is copied: a link is not possible there.")
    size, done = source.stat().st_size, 0
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise UserError(f"{source.name} takes {size / 1e9:.1f} GB; {free / 1e9:.1f} GB are free.", remedy="Free some.")
    with source.open("rb") as read, target.open("xb") as written:
        while chunk := read.read(CHUNK_BYTES):
            ctx.check_cancelled()
            written.write(chunk)
            done += len(chunk)
            ctx.progress(done / 1e6, size / 1e6, f"MB of {target.name} copied")
        written.flush()
        os.fsync(written.fileno())


def _token(path: Path, number: int) -> str:
    """How a token is written; empty when the file does not say."""
    import gguf

    tokens = gguf.GGUFReader(path).get_field("tokenizer.ggml.tokens")
    return str(tokens.contents(number)) if tokens is not None and 0 <= number < len(tokens.data) else ""


def _stops(eos: str, turns: TurnFormat | None) -> list[str]:
    found = [eos, turns.around["assistant"][1].strip() if turns else ""]
    return [text for text in dict.fromkeys(found) if text]


def _modelfile(facts: _Facts) -> str:
    lines = ["FROM ./model.gguf"]
    if facts.has_adapter:
        lines.append("ADAPTER ./adapter.gguf")
    if facts.turns is not None:
        lines.append(f'TEMPLATE """{facts.turns.go_template()}"""')
    lines += [f'PARAMETER stop "{_quoted(text)}"' for text in facts.stop]
    lines.append(f"PARAMETER num_ctx {facts.context}")
    if facts.license:
        lines.append(f'LICENSE "{_quoted(facts.license)}"')
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name.lower()).strip("-.") or "model"


def _readme(facts: _Facts) -> str:
    slug = _slug(facts.name)
    adapter = " --lora adapter.gguf" if facts.has_adapter else ""
    has_template = bool(facts.template.strip())
    server = f"llama-server -m model.gguf{adapter} -c {facts.context} --jinja --alias {slug}"
    if has_template and not facts.own_template:
        server += " --chat-template-file chat_template.jinja"
    vllm = f"vllm serve ./model.gguf --served-model-name {slug}"
    vllm += " --chat-template chat_template.jinja" if has_template else ""
    lines = [f"# {facts.name}", "", f"Architecture {facts.architecture}; licence: {facts.license or 'not stated'}."]
    if facts.stop:
        lines.append(f"An answer ends at: {', '.join(f'`{text}`' for text in facts.stop)}.")
    lines += ["", "Run the commands in this folder.", "", "## Ollama", "", "```"]
    lines += [f"ollama create {slug} -f Modelfile", f"ollama run {slug}", "```", ""]
    if has_template and facts.turns is None:
        lines += ["The chat template is too involved for a Modelfile: Ollama takes its own for this family.", ""]
    lines += ["## llama-server", "", "```", server, "```", "", "## vLLM", "", "```", vllm, "```", ""]
    if facts.has_adapter:
        lines += ["vLLM loads no GGUF adapter: merge the adapter into the model for it.", ""]
    return "\n".join(lines)
