"""What a request asks to be evaluated: its messages through the template, made to fit the context where asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from fmstudio.api import GenerateRequest, Message, UserError
from fmstudio.api.pictures import images_of
from fmstudio_llama_cpp.projector import PicturePiece, Projector
from fmstudio_llama_cpp.template import ChatTemplate
from fmstudio_llama_cpp.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens to evaluate before the answer goes on.

    Attributes:
        tokens: All of them, the forced beginning of the answer included.
        forced: That beginning alone; may be empty.
        dropped: Indexes of the messages that were left out.
        text: What the template wrote, or empty.
        pictures: Where pictures stand among `tokens` (see `projector`), by their first place.
    """

    tokens: list[int]
    forced: list[int]
    dropped: tuple[int, ...] = ()
    text: str = ""
    pictures: Mapping[int, PicturePiece] = field(default_factory=dict)

    @property
    def n_cells(self) -> int:
        """Places it takes in a context: with some models a picture takes more than it has positions."""
        return len(self.tokens) + sum(piece.n_cells - len(piece.ids) for piece in self.pictures.values())


class PromptBuilder:
    """Makes prompts for one loaded model."""

    def __init__(
        self, vocabulary: Vocabulary, template: ChatTemplate, projector: Projector, n_ctx: int, n_ctx_train: int
    ) -> None:
        self._vocabulary, self._template, self._projector = vocabulary, template, projector
        self._n_ctx, self._n_ctx_train = n_ctx, n_ctx_train

    def build(self, request: GenerateRequest) -> Prompt:
        """Give the prompt of a request.

        Raises:
            UserError: It does not fit, is empty, or holds tokens the model does not know.
        """
        if request.messages is None:
            forced = self._forced(request, "")
            tokens = self._plain_tokens(request)
            return self._checked(Prompt([*tokens, *forced], forced))
        messages, started = _split_unfinished(request)
        forced = self._forced(request, started)
        prompt = self._fitted(messages, request, forced)
        return self._checked(prompt)

    def render(self, messages: Sequence[Message], options: dict[str, Any] | None = None) -> Prompt:
        """Give text, tokens and pictures of a conversation, ready for its answer."""
        text = self._template.render([_without_images(m) for m in messages], **(options or {}))
        images = [image for message in messages for image in images_of(message)]
        is_plain = self._template.is_plain  # a model's own template writes its start token itself, as in training
        if not images:
            return Prompt(self._vocabulary.tokenize(text, add_special=is_plain, parse_special=True), [], (), text)
        tokens: list[int] = []
        pictures: dict[int, PicturePiece] = {}
        for piece in self._projector.pieces(text, images, add_special=is_plain):
            if isinstance(piece, PicturePiece):
                pictures[len(tokens)] = piece
            tokens += piece.ids if isinstance(piece, PicturePiece) else piece
        return Prompt(tokens, [], (), text, pictures)

    def _plain_tokens(self, request: GenerateRequest) -> list[int]:
        if request.prompt is not None:
            tokens = self._vocabulary.tokenize(request.prompt, add_special=True, parse_special=True)
        else:
            tokens = list(request.tokens or ())
        if not tokens:
            raise UserError("The prompt is empty.", remedy="Write something first.")
        return tokens

    def _forced(self, request: GenerateRequest, started: str) -> list[int]:
        given = request.forced_prefix
        tail = (
            self._vocabulary.tokenize(given, add_special=False, parse_special=False)
            if isinstance(given, str)
            else list(given)
        )
        if not started:
            return tail
        return [*self._vocabulary.tokenize(started, add_special=False, parse_special=False), *tail]

    def _fitted(self, messages: Sequence[Message], request: GenerateRequest, forced: list[int]) -> Prompt:
        options = {**request.template_options}
        if request.tools and request.tool_choice != "none":
            options["tools"] = list(request.tools)

        def attempt(drop: int) -> Prompt:
            kept, dropped = _without_oldest(messages, drop)
            made = self.render(kept, options)
            return replace(made, tokens=[*made.tokens, *forced], forced=forced, dropped=dropped)

        whole = attempt(0)
        reserve = min(request.max_tokens or self._n_ctx // 4, self._n_ctx // 2)
        limit = self._n_ctx - reserve
        if request.context_policy == "refuse" or whole.n_cells <= limit:
            return whole
        # In steps of a quarter, so that the cut stays in its place, and what is cached of use, for several turns.
        step = max(1, limit // 4)
        least = math.ceil((whole.n_cells - limit) / step) * step
        low, high = 1, len(_turn_starts(messages)) - 1
        if high < 1:
            return whole
        while low < high:
            middle = (low + high) // 2
            if whole.n_cells - attempt(middle).n_cells >= least:
                high = middle
            else:
                low = middle + 1
        return attempt(low)

    def _checked(self, prompt: Prompt) -> Prompt:
        shown = {place for first, piece in prompt.pictures.items() for place in range(first, first + len(piece.ids))}
        for place, token in enumerate(prompt.tokens):
            if not self._vocabulary.contains(token) and place not in shown:
                raise UserError(
                    f"The token {token} is not in this model's vocabulary of {self._vocabulary.n_tokens:,}."
                )
        if prompt.tokens and prompt.tokens[-1] < 0:
            raise UserError(
                "Nothing follows the picture.", remedy="Use a chat template that marks where answers begin."
            )
        if not prompt.tokens:
            raise UserError(
                "The prompt comes to no tokens: the model's template or tokenizer makes nothing of it.",
                remedy="Choose another file of this model.",
            )
        n_prompt, n_ctx = prompt.n_cells, self._n_ctx
        if n_prompt < n_ctx:
            return prompt
        more = "Start a new conversation or shorten this one"
        action: dict[str, Any] = {}
        if n_ctx < self._n_ctx_train:
            more += f", or load the model with a longer context (it was trained for {self._n_ctx_train:,} tokens)"
            if n_prompt < self._n_ctx_train:
                action = {"n_ctx": min(self._n_ctx_train, 1 << math.ceil(math.log2(n_prompt * 1.25)))}
        raise UserError(
            f"The prompt is {n_prompt:,} tokens long; the context holds {n_ctx:,}.",
            remedy=f"{more}.",
            remedy_action=action,
        )


def _without_images(message: Message) -> Message:
    return cast(Message, {key: value for key, value in message.items() if key != "images"})


def _split_unfinished(request: GenerateRequest) -> tuple[Sequence[Message], str]:
    messages = request.messages or ()
    if not request.continue_final:
        return messages, ""
    if len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise UserError(
            "There is no unfinished answer to go on from.", remedy="Let the last message be the assistant's."
        )
    return messages[:-1], messages[-1]["content"]


def _turn_starts(messages: Sequence[Message]) -> list[int]:
    """Where turns begin: at each message of the user that follows something else."""
    return [i for i, m in enumerate(messages) if m["role"] == "user" and (i == 0 or messages[i - 1]["role"] != "user")]


def _without_oldest(messages: Sequence[Message], drop: int) -> tuple[list[Message], tuple[int, ...]]:
    """Leave out the `drop` oldest turns; system messages stay."""
    if not drop:
        return list(messages), ()
    cut = _turn_starts(messages)[drop]
    gone = tuple(i for i in range(cut) if messages[i]["role"] != "system")
    return [m for i, m in enumerate(messages) if i not in set(gone)], gone
