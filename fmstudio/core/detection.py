"""Guessing what rows are: every reading that fits, the best first, each with its evidence and how sure it is.

The vocabulary is TRL's ("Dataset formats and types"); names of columns are those met in public datasets. Looks at column
names and a sample of rows as plain Python values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass
from typing import Any, Literal

from fmstudio.core.detection_conversation import conversation_readings
from fmstudio.core.detection_preference import preference_readings, thumbs_readings
from fmstudio.core.sampling import Sample
from fmstudio.core.schemas import Mapping
from fmstudio.core.words import plural

Certainty = Literal["sure", "likely", "guess"]

Reading = tuple[Mapping, Certainty, tuple[str, ...]]

_PAIRS = (
    ("prompt", "completion"), ("prompt", "response"), ("prompt", "answer"), ("prompt", "output"),
    ("instruction", "output"), ("instruction", "response"), ("instruction", "completion"),
    ("question", "answer"), ("question", "response"), ("query", "response"), ("query", "answer"),
    ("q", "a"), ("user", "assistant"), ("human", "assistant"), ("human", "gpt"), ("input", "output"), ("source", "target"),
)  # fmt: skip
_TEXTS = ("text", "content", "body", "document", "passage", "article", "paragraph", "sentence", "message")
_SYSTEMS = ("system", "system_prompt", "system_message")
_IMAGES = (
    "image",
    "images",
    "img",
    "picture",
    "photo",
    "image_path",
    "image_url",
    "image_file",
    "file_name",
    "filename",
)
_CAPTIONS = ("caption", "captions", "text", "description", "alt_text", "alt", "title", "sentence", "label_text")
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif")
_IMAGE_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")


@dataclass(frozen=True)
class Detection:
    """One way to read the rows.

    Attributes:
        certainty: ``sure`` (usual names, and every sampled row fits), ``likely``, or ``guess``.
        evidence: Which columns and values speak for it, in words for the user.
    """

    mapping: Mapping
    certainty: Certainty
    evidence: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain JSON data."""
        return {"mapping": self.mapping.to_dict(), "certainty": self.certainty, "evidence": list(self.evidence)}


def detect(columns: Sequence[str], sample_rows: Sequence[Dict[str, Any]]) -> Mapping:
    """Guess the mapping from column names and a few rows; a table when nothing else fits."""
    return detections(columns, sample_rows)[0].mapping


def detections(
    columns: Sequence[str], sample_rows: Sequence[Dict[str, Any]], roles: Dict[str, str] | None = None
) -> list[Detection]:
    """Give every reading that fits, the best first; a table is always among them.

    Args:
        roles: Who speaks, as far as the user has said so: it is no guess then, and helps to guess the other side.
    """
    sample = Sample(columns, sample_rows, roles)
    readers: tuple[Callable[[Sample], list[Reading]], ...] = (
        preference_readings, _chats, thumbs_readings, _images, _pairs, _texts, _table,
    )  # fmt: skip
    found = [Detection(*reading) for read in readers for reading in read(sample)]
    # A stable sort: among equals the more specific kind, which was looked for first, wins. A guess is offered after
    # the table, which loses nothing: only the user can say that it is right.
    order = {"sure": 0, "likely": 1, "guess": 3}
    return _distinct(sorted(found, key=lambda one: 2 if one.mapping.kind == "table" else order[one.certainty]))


def _distinct(found: list[Detection]) -> list[Detection]:
    kept: list[Detection] = []
    for one in found:
        key = (one.mapping.kind, one.mapping.columns)
        if key not in [(other.mapping.kind, other.mapping.columns) for other in kept]:
            kept.append(one)
    return kept


def _chats(sample: Sample) -> list[Reading]:
    readings: list[Reading] = list(conversation_readings(sample))
    system = sample.named(*_SYSTEMS)
    pair = _pair(sample)
    if not readings and system and pair and sample.is_text(system):
        columns = {"system": system, "prompt": pair[0], "completion": pair[1]}
        said = (f"“{system}”, “{pair[0]}” and “{pair[1]}” hold texts: a system prompt, a question and its answer.",)
        readings.append((Mapping("conversation", columns), "sure", said))
    return readings


def _pairs(sample: Sample) -> list[Reading]:
    pair = _pair(sample)
    if pair is None:
        return []
    prompt, completion = pair
    columns = {"prompt": prompt, "completion": completion}
    said = [f"“{prompt}” and “{completion}” hold texts in {sample.count(prompt, completion)} of {sample.size} rows."]
    notes: tuple[str, ...] = ()
    if prompt.lower().strip() == "instruction" and (extra := sample.named("input")):
        columns["input"] = extra
        notes = ("The input is joined to the instruction, after an empty line.",)
        said.append("“instruction”, “input” and “output” are Alpaca's names.")
    is_usual = prompt.lower() in ("prompt", "instruction", "question")
    return [(Mapping("prompt_completion", columns, notes=notes), "sure" if is_usual else "likely", tuple(said))]


def _pair(sample: Sample) -> tuple[str, str] | None:
    for one, other in _PAIRS:
        prompt, completion = sample.named(one), sample.named(other)
        if prompt and completion and sample.is_text(prompt) and sample.is_text(completion):
            return prompt, completion
    return None


def _texts(sample: Sample) -> list[Reading]:
    strings = [name for name in sample.columns if any(isinstance(value, str) for value in sample.values(name))]
    for usual in _TEXTS:
        name = sample.named(usual)
        if name in strings:
            said = f"“{name}” holds text, about {_length(sample, name)} a row."
            return [(Mapping("text", {"text": name}), "sure" if usual == "text" else "likely", (said,))]
    long = [name for name in strings if sample.mean_length(name) >= 40]
    if len(long) != 1:
        return []
    said = f"“{long[0]}” is the only column with long text, about {_length(sample, long[0])} a row."
    return [(Mapping("text", {"text": long[0]}), "likely" if len(strings) == 1 else "guess", (said,))]


def _length(sample: Sample, name: str) -> str:
    return plural(round(sample.mean_length(name)), "character")


def _images(sample: Sample) -> list[Reading]:
    image = next((name for name in map(sample.named, _IMAGES) if name and sample.share(name, is_image) > 0.5), "")
    caption = next((name for name in map(sample.named, _CAPTIONS) if name and sample.is_text(name)), "")
    if not image or not caption or image == caption:
        return []
    said = f"“{image}” names pictures in {sample.share(image, is_image):.0%} of the rows, “{caption}” holds their captions."
    return [(Mapping("image_caption", {"image": image, "caption": caption}), "likely", (said,))]


def is_image(value: Any) -> bool:
    """Whether a cell is a picture: its path or address, its bytes, or the ``{bytes, path}`` of Hugging Face."""
    if isinstance(value, dict):
        return isinstance(value.get("bytes"), bytes) or is_image(value.get("path"))
    if isinstance(value, bytes):
        return value.startswith(_IMAGE_MAGIC)
    if not isinstance(value, str):
        return False
    return value.startswith("data:image/") or value.split("?")[0].lower().endswith(_IMAGE_SUFFIXES)


def _table(sample: Sample) -> list[Reading]:
    return [(Mapping("table"), "likely", ("Every table can be kept with the columns it has.",))]
