"""Guessing what rows are: every reading that fits, the best first, each with its evidence and how sure it is.

The vocabulary is TRL's ("Dataset formats and types"); names of columns are those met in public datasets. Looks at column
names and a sample of rows as plain Python values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass, replace
from typing import Any, Literal

from fmstudio.core.canonical_nested import reached
from fmstudio.core.detection_conversation import conversation_readings, is_history, system_column
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
_BATCH_ANSWERS = (
    "response.body.choices.0.message.content",
    "response.body.output.0.content.0.text",
    "result.message.content.0.text",
)
"""Where the results of OpenAI's (chat, responses) and Anthropic's batches hold the answer."""
_OPTIONAL = ("system", "tools", "history", "input")
"""Targets that a row may lack."""
_TEXTS = ("text", "content", "body", "document", "passage", "article", "paragraph", "sentence", "message")
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
        preference_readings, thumbs_readings, _chats, _images, _pairs, _texts, _nested, _table,
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
    system, history = system_column(sample), sample.named("history")
    pair = _pair(sample)
    has_system = bool(system)
    has_history = bool(history) and sample.share(history, is_history) > 0.5
    if readings or pair is None or not (has_system or has_history):
        return readings
    columns, notes = _about(sample, *pair)
    more = {"system": system} if has_system else {}
    more |= {"history": history} if has_history else {}
    names = ", ".join(f"“{name}”" for name in (*more.values(), pair[0]))
    what = [
        word for word, is_there in (("a system prompt", has_system), ("earlier exchanges", has_history)) if is_there
    ]
    said = f"{names} and “{pair[1]}” hold {' and '.join(what)}, a question and its answer."
    return [(Mapping("conversation", more | columns, notes=notes), "sure", (said,))]


def _about(sample: Sample, prompt: str, completion: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Give the columns of a question and its answer, with what the question is about where a column holds it."""
    columns = {"prompt": prompt, "completion": completion}
    # Alpaca calls it input, Dolly context; beside other names of a question these may be anything.
    extra = sample.named("input", "context") if prompt.lower().strip() == "instruction" else ""
    if not extra or extra == completion or not sample.is_text(extra):
        return columns, ()
    return columns | {"input": extra}, (f"The {extra} is joined to the instruction, after an empty line.",)


def _pairs(sample: Sample) -> list[Reading]:
    pair = _pair(sample)
    if pair is None:
        return []
    prompt, completion = pair
    columns, notes = _about(sample, prompt, completion)
    said = [f"“{prompt}” and “{completion}” hold texts in {sample.count(prompt, completion)} of {sample.size} rows."]
    if columns.get("input", "").lower().strip() == "input":
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
    captions = (name for name in map(sample.named, _CAPTIONS) if name and sample.is_text(name))
    # A folder of pictures without captions has the column, too, empty.
    caption = next((name for name in captions if any(sample.values(name))), "")
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


def _nested(sample: Sample) -> list[Reading]:
    """Read what is in objects: ``body.messages``, ``data.text``. Names there are less telling, so none is sure."""
    found: list[Reading] = []
    for place, inside in sample.objects():
        for read in (preference_readings, thumbs_readings, _chats, _pairs, _texts):
            for mapping, certainty, said in read(inside):
                needed = [source for target, source in mapping.columns.items() if target not in _OPTIONAL]
                if certainty == "guess" or inside.count(*needed) < sample.size:
                    continue
                columns = {target: f"{place}.{source}" for target, source in mapping.columns.items()}
                notes = (*mapping.notes, f"These are fields of “{place}”, which stays as it is, too.")
                fits: Certainty = "likely" if certainty == "sure" else "guess"
                found.append(
                    (replace(mapping, columns=columns, notes=notes), fits, (f"In “{place}”: {said[0]}", *said[1:]))
                )
    return found or _batch_answers(sample)


def _batch_answers(sample: Sample) -> list[Reading]:
    """Read what a provider's batch gave back: the first answer to each request. The requests are in another file."""
    for path in _BATCH_ANSWERS:
        steps = path.split(".")
        if sample.rows and all(isinstance(reached(row, steps), str) for row in sample.rows):
            said = f"“{path}” holds the answers of a batch of requests."
            note = "What was asked is not in this file; “custom_id” says which request an answer belongs to."
            return [(Mapping("text", {"text": path}, notes=(note,)), "likely", (said,))]
    return []


def _table(sample: Sample) -> list[Reading]:
    return [(Mapping("table"), "likely", ("Every table can be kept with the columns it has.",))]
