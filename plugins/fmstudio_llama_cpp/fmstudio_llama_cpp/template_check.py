"""`TemplateCheck`: a chat template rendered on a sample conversation and held against the model's own tokenizer.

It asks what makes a served model ramble or never stop: are the marks the template writes single tokens, and does an
answer end with a token that ends generation? Only the vocabulary is opened, no weights.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from fmstudio.api import Evaluator, Field, Message, Params, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio.api.chat_template import LONGEST_TEMPLATE, PLAIN_TEMPLATE
from fmstudio.api.gguf_header import read_gguf_header
from fmstudio_llama_cpp.native import open_vocabulary
from fmstudio_llama_cpp.template import ChatTemplate
from fmstudio_llama_cpp.vocabulary import Vocabulary

LONGEST_TEXT: Final = 100_000
_MARK: Final = re.compile(
    r"<\|[^<>|\s]{1,40}\|>|<(?:start|end)_of_turn>|\[/?INST\]|<\|[^<>\s]{1,40}>|</?s>|<bos>|<eos>"
)
_ANSWER: Final = "Paris"


class TemplateParams(Params):
    """What to render."""

    template: str = Field(
        default="", max_length=LONGEST_TEMPLATE, title="Template", description="Jinja text; empty = the model's own."
    )
    system: str = Field(default="You are a helpful assistant.", title="System prompt", description="Empty = none.")


class TemplateCheck(Evaluator):
    """Renders and checks a chat template.

    Figures: ``template`` (the text that was used), ``template_hash``, ``is_plain`` (the model has none), ``rendered`` (the
    sample, ready for the next answer), ``n_tokens``, ``problems`` (sentences), ``notes`` (sentences), ``stop`` (texts that
    end an answer).
    """

    Params = TemplateParams

    def evaluate(
        self, base_model: Path, adapter: Path | None, reference: Path, params: AnyParams, ctx: TaskContext
    ) -> dict[str, Any]:
        """See `Evaluator.evaluate`; `adapter` and `reference` are not used.

        Raises:
            UserError: The file is unusable, or the template cannot be read or refuses the sample.
        """
        chosen = params if isinstance(params, TemplateParams) else TemplateParams.model_validate(params.model_dump())
        own = read_gguf_header(base_model).text("tokenizer.chat_template")
        source = chosen.template or own
        with open_vocabulary(base_model) as vocabulary:
            template = ChatTemplate(
                source, bos=vocabulary.special_text(vocabulary.bos), eos=vocabulary.special_text(vocabulary.eos)
            )
            rendered, notes = _render(template, chosen.system)
            tokens = vocabulary.tokenize(rendered, add_special=False, parse_special=True)
            problems = [] if template.is_plain else _problems_of(template, rendered, vocabulary)
            return {
                "template": source or PLAIN_TEMPLATE,
                "template_hash": template.hash,
                "is_plain": template.is_plain,
                "rendered": rendered[:LONGEST_TEXT],
                "n_tokens": len(tokens),
                "problems": problems,
                "notes": notes,
                "stop": _stop(template, vocabulary),
            }


def _sample(*, with_answer_last: bool = False) -> list[Message]:
    messages: list[Message] = [{"role": "user", "content": "What is the capital of France?"}]
    messages.append({"role": "assistant", "content": _ANSWER})
    if not with_answer_last:
        messages.append({"role": "user", "content": "And of Italy?"})
    return messages


def _render(template: ChatTemplate, system: str) -> tuple[str, list[str]]:
    """Render with the system prompt, or without where the template refuses one, and say so."""
    turns = _sample()
    if not system:
        return template.render(turns), []
    first: Message = {"role": "system", "content": system}
    try:
        return template.render([first, *turns]), []
    except UserError as error:
        return template.render(turns), [f"It takes no system prompt: {error.message}"]


def template_problems(template: ChatTemplate, vocabulary: Vocabulary) -> list[str]:
    """Hold a template against a tokenizer; gives sentences, none when all is well.

    Raises:
        UserError: It refuses a plain conversation.
    """
    return _problems_of(template, template.render(_sample()), vocabulary)


def closing_text(template: ChatTemplate, vocabulary: Vocabulary) -> str:
    """The mark a template closes an answer with, where no token of the model ends generation there; else empty.

    Raises:
        UserError: It refuses a plain conversation.
    """
    text = template.render(_sample(with_answer_last=True), add_generation_prompt=False)
    mark = _MARK.match(text.rpartition(_ANSWER)[2].lstrip())
    if mark is None:
        return ""
    tokens = vocabulary.tokenize(mark[0], add_special=False, parse_special=True)
    return "" if tokens and vocabulary.is_end(tokens[0]) else mark[0]


def _problems_of(template: ChatTemplate, rendered: str, vocabulary: Vocabulary) -> list[str]:
    found = []
    for mark in dict.fromkeys(_MARK.findall(rendered)):
        pieces = vocabulary.tokenize(mark, add_special=False, parse_special=True)
        if len(pieces) != 1:
            found.append(f"“{mark}” is not a token of this model: it would be read as {len(pieces)} pieces of text.")
    if "Italy" not in rendered or "France" not in rendered:
        found.append("It leaves out what the user says.")
    if _ANSWER not in rendered:
        found.append("It leaves out what the assistant said before.")
    else:
        found += _unended(template, vocabulary)
    if template.render(_sample()) == template.render(_sample(), add_generation_prompt=False):
        found.append("It does not mark where the answer begins (add_generation_prompt has no effect).")
    return found


def _unended(template: ChatTemplate, vocabulary: Vocabulary) -> list[str]:
    text = template.render(_sample(with_answer_last=True), add_generation_prompt=False)
    after = text.rpartition(_ANSWER)[2]
    tokens = vocabulary.tokenize(after.lstrip(), add_special=False, parse_special=True)
    if tokens and vocabulary.is_end(tokens[0]):
        return []
    if not after.strip():
        return ["An answer is not closed by an end token: the model may not know where to stop."]
    return [f"An answer is closed by “{after.strip()[:40]}”, which does not end generation in this model."]


def _stop(template: ChatTemplate, vocabulary: Vocabulary) -> list[str]:
    """Texts an engine should stop at: those of the end tokens the template writes, or the plain template's."""
    if template.is_plain:
        return list(template.stop)
    ends = [vocabulary.special_text(vocabulary.eos)]
    text = template.render(_sample())
    for mark in dict.fromkeys(_MARK.findall(text)):
        tokens = vocabulary.tokenize(mark, add_special=False, parse_special=True)
        if len(tokens) == 1 and vocabulary.is_end(tokens[0]):
            ends.append(mark)
    return [text for text in dict.fromkeys(ends) if text]
