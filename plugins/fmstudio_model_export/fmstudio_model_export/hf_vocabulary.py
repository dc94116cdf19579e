"""A Hugging Face ``tokenizer.json`` in llama.cpp's terms: byte-level BPE (``gpt2``) or SentencePiece BPE (``llama``)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmstudio.api import UserError

# Token types of llama.cpp (llama_token_type).
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

_LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_SPLITS = {_LLAMA3: "llama-bpe", _QWEN2: "qwen2"}
"""Pattern of the pre-tokenizer → llama.cpp's name of it (llama-vocab.cpp)."""
_SPACE = "▁"


@dataclass(slots=True)
class HfVocabulary:
    """What a GGUF needs of a tokenizer.

    Attributes:
        model: ``gpt2`` or ``llama``. pre: llama.cpp's name of the pre-tokenizer (``gpt2`` only).
        special: ``bos``, ``eos``, ``unk``, ``pad`` → id, as far as there are.
    """

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    scores: list[float]
    special: dict[str, int]
    adds_bos: bool
    adds_eos: bool
    adds_space: bool
    chat_template: str = ""
    notes: list[str] = field(default_factory=list)

    def add_to(self, writer: Any) -> None:
        """Add it to a `gguf.GGUFWriter`."""
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre or "default")
        writer.add_token_list(self.tokens)
        if self.model == "llama":
            writer.add_token_scores(self.scores)
            writer.add_add_space_prefix(self.adds_space)
        else:
            writer.add_token_merges(self.merges)
        writer.add_token_types(self.types)
        for name, token in self.special.items():
            getattr(writer, f"add_{name}_token_id")(token)
        writer.add_add_bos_token(self.adds_bos)
        writer.add_add_eos_token(self.adds_eos)
        if self.chat_template:
            writer.add_chat_template(self.chat_template)


def read_vocabulary(folder: Path, size: int, config: dict[str, Any]) -> HfVocabulary:
    """Read the tokenizer of a model folder.

    Args:
        size: Rows of the embedding: unused ids are filled up.
        config: The model's ``config.json``, for the ids of special tokens.

    Raises:
        UserError: There is no ``tokenizer.json``, or it is of a kind llama.cpp cannot express.
    """
    spec = _json(folder / "tokenizer.json")
    settings = _json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    model = spec.get("model") or {}
    if model.get("type") != "BPE":
        raise UserError(
            f"The tokenizer of {folder.name} is of the kind {model.get('type')}; BPE can be converted.",
            remedy="Ask for the model's GGUF file.",
        )
    is_bytes = not model.get("byte_fallback")
    tokens, types = _tokens(spec, model, size, is_bytes)
    ids = {token: number for number, token in enumerate(tokens)}
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model.get("merges", [])]
    adds_bos, adds_eos = _adds(spec, settings)
    return HfVocabulary(
        model="gpt2" if is_bytes else "llama",
        pre=_pre(spec, folder) if is_bytes else "",
        tokens=tokens,
        types=types,
        merges=merges,
        scores=[] if is_bytes else _scores(tokens, merges),
        special=_special(settings, config, ids),
        adds_bos=adds_bos,
        adds_eos=adds_eos,
        adds_space=_SPACE in json.dumps([spec.get("normalizer"), spec.get("pre_tokenizer")], ensure_ascii=False)
        and '"prepend_scheme": "never"' not in json.dumps(spec.get("pre_tokenizer")),
        chat_template=_template(folder, settings),
    )


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"There is no {path.name} in {path.parent.name}.", remedy="Copy the whole folder.")
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {str(error)[:200]}.", remedy="Copy the folder again.") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it is no JSON object.", remedy="Copy the folder again.")
    return value


def _tokens(spec: dict[str, Any], model: dict[str, Any], size: int, is_bytes: bool) -> tuple[list[str], list[int]]:
    by_id = {number: (token, _type(token, is_bytes)) for token, number in (model.get("vocab") or {}).items()}
    for added in spec.get("added_tokens") or []:
        kind = CONTROL if added.get("special") else USER_DEFINED
        if not is_bytes and added["content"] == model.get("unk_token"):
            kind = UNKNOWN
        by_id[added["id"]] = (added["content"], kind)
    most = max(by_id, default=-1) + 1
    if most > size:
        raise UserError(
            f"The tokenizer has {most:,} tokens, the model's embedding {size:,} rows.", remedy="Copy the folder again."
        )
    pairs = [by_id.get(number, (f"[PAD{number}]", UNUSED)) for number in range(size)]
    return [token for token, _ in pairs], [kind for _, kind in pairs]


def _type(token: str, is_bytes: bool) -> int:
    is_byte = not is_bytes and len(token) == 6 and token.startswith("<0x") and token.endswith(">")
    return BYTE if is_byte else NORMAL


def _scores(tokens: list[str], merges: list[str]) -> list[float]:
    """SentencePiece joins the pair whose product scores highest: so an earlier merge scores higher."""
    rank: dict[str, int] = {}
    for number, merge in enumerate(merges):
        rank.setdefault(merge.replace(" ", "", 1), number)
    return [-float(rank.get(token, len(merges))) for token in tokens]


def _pre(spec: dict[str, Any], folder: Path) -> str:
    """llama.cpp's name of the way text is split before merging."""
    top = spec.get("pre_tokenizer") or {}
    parts: list[dict[str, Any]] = top.get("pretokenizers") or [] if top.get("type") == "Sequence" else [top]
    kinds = [part.get("type") for part in parts]
    if kinds == ["ByteLevel"] and parts[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"]:
        pattern = (parts[0].get("pattern") or {}).get("Regex", "")
        if pattern in _SPLITS:
            return _SPLITS[pattern]
    raise UserError(
        f"The tokenizer of {folder.name} splits text in a way that cannot be converted ({', '.join(map(str, kinds))}).",
        remedy="Ask for the model's GGUF file.",
        details=json.dumps(top, ensure_ascii=False)[:2000],
    )


def _adds(spec: dict[str, Any], settings: dict[str, Any]) -> tuple[bool, bool]:
    """Whether a start and an end token are put around each text: as the post-processor does it."""
    processor = spec.get("post_processor") or {}
    parts = processor.get("processors") if processor.get("type") == "Sequence" else [processor]
    for part in parts or []:
        if part.get("type") == "TemplateProcessing":
            single = [next(iter(item)) for item in part.get("single", [])]
            return single[:1] == ["SpecialToken"], single[-1:] == ["SpecialToken"] and len(single) > 1
    return bool(settings.get("add_bos_token")), bool(settings.get("add_eos_token"))


def _special(settings: dict[str, Any], config: dict[str, Any], ids: dict[str, int]) -> dict[str, int]:
    found = {}
    for name in ("bos", "eos", "unk", "pad"):
        token = settings.get(f"{name}_token")
        text = token.get("content") if isinstance(token, dict) else token
        number = config.get(f"{name}_token_id")
        number = number[0] if isinstance(number, list) and number else number
        if isinstance(text, str) and text in ids:
            found[name] = ids[text]
        elif isinstance(number, int) and 0 <= number < len(ids):
            found[name] = number
    return found


def _template(folder: Path, settings: dict[str, Any]) -> str:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text("utf-8")
    template = settings.get("chat_template")
    if isinstance(template, list):
        named = {str(one.get("name")): one.get("template") for one in template if isinstance(one, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else ""
