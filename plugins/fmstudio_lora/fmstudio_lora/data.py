"""Dataset rows → token ids with a mark on every token that is learned.

Only assistant answers are learned, each with its end-of-turn token. The marks are set by position while the text is put
together, never by comparing token ids: many models pad with their end-of-turn token. This module does not batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmstudio.api import UserError
from fmstudio.api.chat_template import PLAIN_TEMPLATE, template_hash

END_OF_TURN = ("<|im_end|>", "<end_of_turn>", "<|eot_id|>", "<|end|>")
"""End-of-turn tokens of ChatML, Gemma, Llama 3 and Phi 3, which are not always the tokenizer's end token."""


@dataclass(frozen=True, slots=True)
class Example:
    """One row, rendered.

    Attributes:
        tokens: Token ids of the whole row.
        learned: One flag per token: whether it is learned (predicted with loss).
        prompt: The last user turn, for display.
        split: Where the last answer starts in `tokens`.
    """

    tokens: list[int]
    learned: list[bool]
    prompt: str
    split: int

    @property
    def n_learned(self) -> int:
        return sum(self.learned)


@dataclass(slots=True)
class Loaded:
    """Examples and what became of the other rows: counts by reason."""

    examples: list[Example] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)


class Renderer:
    """Turns rows into `Example`s with one tokenizer.

    Args:
        tokenizer: A transformers tokenizer; its chat template is used, or a plain one when it has none.
        max_length: Longest example in tokens; what is over is cut off at the end.
        template: Jinja text to use instead of the tokenizer's template; empty = that one.

    Attributes:
        template: The text in use.
        template_hash: Its name; the engine calls the same template the same.
    """

    def __init__(self, tokenizer: Any, max_length: int, template: str = "") -> None:
        if tokenizer.eos_token_id is None:
            raise UserError(
                "The model's tokenizer has no end-of-turn token, so a tuned model could never stop.",
                remedy="Choose another copy of this model.",
            )
        self.tokenizer = tokenizer
        self.max_length = max_length
        own = str(tokenizer.chat_template or "")
        self.is_edited = bool(template.strip()) and template != own
        self.template = (template if self.is_edited else own) or PLAIN_TEMPLATE
        self.is_plain = self.template == PLAIN_TEMPLATE
        self.template_hash = template_hash(self.template)
        others = (self._id(token) for token in END_OF_TURN)
        self.ends: list[int] = [tokenizer.eos_token_id, *(i for i in others if i not in (None, tokenizer.eos_token_id))]

    def render_messages(self, messages: Sequence[dict[str, str]]) -> Example | str:
        """Give the example, or the reason why there is none."""
        turns = [{"role": m["role"], "content": m.get("content") or ""} for m in messages if m.get("role")]
        while turns and not _is_answer(turns[-1]):
            turns.pop()
        answers = [i for i, turn in enumerate(turns) if i > 0 and _is_answer(turn)]
        if not answers:
            return "without an answer to a question"
        segments = self._segments(turns, answers)
        tokens: list[int] = []
        learned: list[bool] = []
        split = 0
        for text, is_answer in segments:
            ids = self._encode(text, is_first=not tokens)
            if is_answer:
                split = len(tokens)
                ids, n = self._end_of_turn(ids, text)
                learned += [i < n for i in range(len(ids))]
            else:
                learned += [False] * len(ids)
            tokens += ids
        while tokens and not learned[-1]:  # nothing is learned from what follows the last end-of-turn
            tokens.pop()
            learned.pop()
        prompt = next((m["content"] for m in reversed(turns) if m["role"] == "user"), "")
        return self._cut(Example(tokens, learned, prompt, split))

    def render_text(self, text: str) -> Example | str:
        """Running text: every token but the first is learned, with an end token."""
        if not text.strip():
            return "empty"
        tokens = self._encode(text, is_first=True)
        if tokens[-1] != self.tokenizer.eos_token_id:
            tokens = [*tokens, self.tokenizer.eos_token_id]
        return self._cut(Example(tokens, [False] + [True] * (len(tokens) - 1), text[:200], 1))

    def _segments(self, turns: list[dict[str, str]], answers: list[int]) -> list[tuple[str, bool]]:
        """Split the rendered conversation into (text, is answer); cut where the model would begin to write."""
        segments: list[tuple[str, bool]] = []
        done = ""
        for i in answers:
            before = self._apply(turns[:i], generate=True)
            after = self._apply(turns[: i + 1], generate=False)
            if not before.startswith(done) or not after.startswith(before):
                # The template rewrites earlier turns (drops reasoning, for example): learn the last answer alone.
                last = len(turns) - 1
                return [(self._apply(turns[:last], generate=True), False), (turns[last]["content"], True)]
            segments += [(before[len(done) :], False), (after[len(before) :], True)]
            done = after
        return segments

    def _apply(self, turns: list[dict[str, str]], *, generate: bool) -> str:
        from jinja2 import TemplateError

        try:
            text: str = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=generate, chat_template=self.template
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise TemplateRefusal(str(error)) from error
        return text

    def _encode(self, text: str, *, is_first: bool) -> list[int]:
        # A model's own template writes its start token itself; the plain one cannot.
        ids: list[int] = self.tokenizer(text, add_special_tokens=is_first and self.is_plain).input_ids
        return ids

    def _end_of_turn(self, ids: list[int], text: str) -> tuple[list[int], int]:
        """Give the segment with its end-of-turn token, and how many of its tokens are learned."""
        eos = self.tokenizer.eos_token_id
        for i, token in enumerate(ids):
            if token in self.ends:
                return ids, i + 1
        bare = self._encode(text.rstrip(), is_first=False)
        return [*bare, eos, *self._encode(text[len(text.rstrip()) :], is_first=False)], len(bare) + 1

    def _id(self, token: str) -> int | None:
        index = self.tokenizer.convert_tokens_to_ids(token)
        return index if index is not None and index != self.tokenizer.unk_token_id else None

    def _cut(self, example: Example) -> Example | str:
        limit = self.max_length
        if not any(example.learned[1:limit]):
            return f"whose answer starts after {limit} tokens"
        if len(example.tokens) <= limit:
            return example
        return Example(example.tokens[:limit], example.learned[:limit], example.prompt, example.split)


def _is_answer(turn: dict[str, str]) -> bool:
    return turn["role"] == "assistant" and bool(turn["content"].strip())


class TemplateRefusal(Exception):
    """The model's chat template does not accept a conversation."""


def load_examples(files: Sequence[Path], renderer: Renderer) -> Loaded:
    """Render every row of Parquet files.

    Raises:
        UserError: A file has none of the columns messages; prompt and completion; text, or cannot be read.
    """
    loaded = Loaded()
    for row in _rows(files):
        try:
            example = _render(row, renderer)
        except TemplateRefusal as refusal:
            loaded.notes[f"refused by the chat template ({str(refusal)[:120]})"] += 1
            continue
        if isinstance(example, str):
            loaded.notes[example] += 1
            continue
        if len(example.tokens) == renderer.max_length and not _ends(example, renderer):
            loaded.notes[f"cut to {renderer.max_length} tokens"] += 1
        loaded.examples.append(example)
    return loaded


def _ends(example: Example, renderer: Renderer) -> bool:
    return bool(example.tokens[-1] == renderer.tokenizer.eos_token_id)


def _rows(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in files:
        try:
            with pq.ParquetFile(file) as parquet:
                columns = _columns(parquet.schema_arrow.names, file)
                for batch in parquet.iter_batches(columns=columns):
                    yield from batch.to_pylist()
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"The rows in {file.name} cannot be read: {error}.") from error


def _columns(names: list[str], file: Path) -> list[str]:
    for wanted in (["messages"], ["prompt", "completion"], ["text"]):
        if all(name in names for name in wanted):
            return wanted
    raise UserError(
        f"There is nothing to learn in {file.name}: it has the columns {', '.join(names)}.",
        remedy="Map its columns to messages, to prompt and completion, or to text, when importing.",
    )


def _render(row: dict[str, Any], renderer: Renderer) -> Example | str:
    if "messages" in row:
        return renderer.render_messages(row["messages"] or [])
    if "text" in row:
        return renderer.render_text(row["text"] or "")
    question, answer = row["prompt"], row["completion"]
    before = question if isinstance(question, list) else [{"role": "user", "content": str(question or "")}]
    after = answer if isinstance(answer, list) else [{"role": "assistant", "content": str(answer or "")}]
    return renderer.render_messages([*before, *after])
