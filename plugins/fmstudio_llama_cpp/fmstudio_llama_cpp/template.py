"""Messages → prompt text, by the model's own Jinja template in a sandbox, or by a plain one that is stated as such.

A template comes with a file from somewhere: it is run immutably sandboxed and within bounds (`template_limits`), and
its length is bounded by the reader of the file. Names given to it are those of the transformers library, so that both render the same text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fmstudio.api import Message, UserError
from fmstudio.api.chat_template import LONGEST_TEMPLATE, PLAIN_TEMPLATE, template_hash

PLAIN_STOP = ("\nUser:", "\nSystem:")


class ChatTemplate:
    """A compiled chat template.

    Args:
        source: Jinja text from the model file, or an edited copy; empty for the plain template.
        bos, eos: How the model writes its start and end token.

    Attributes:
        stop: Texts that end an answer, beside the model's own end tokens.
        hash: See `template_hash`.

    Raises:
        UserError: The template is not valid Jinja.
    """

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        from jinja2 import TemplateError

        if len(source) > LONGEST_TEMPLATE:
            raise UserError(
                f"The model's chat template has {len(source):,} characters, which is more than any needs.",
                remedy="Use another file of this model.",
            )
        self.is_plain = not source.strip() or source == PLAIN_TEMPLATE
        self.source = source
        self.hash = template_hash(source)
        self.stop: tuple[str, ...] = PLAIN_STOP if self.is_plain else ()
        self._bos, self._eos = bos, eos
        try:
            self._template = _environment().from_string(PLAIN_TEMPLATE if self.is_plain else source)
        except (TemplateError, RecursionError, SyntaxError, MemoryError) as error:
            raise UserError(
                f"The model's chat template cannot be read: {str(error) or type(error).__name__}.",
                remedy="Use another file of this model, or convert it again.",
                details=source[:4000],
            ) from error

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True, **options: Any) -> str:
        """Write the conversation as the model expects it, ready for its answer.

        Args:
            options: ``tools``, ``enable_thinking`` and other names a template may ask for.

        Raises:
            UserError: There are no messages, or the template refuses them (many demand alternating roles).
        """
        from jinja2 import TemplateError

        from fmstudio_llama_cpp.template_limits import TemplateLimitError, hard_limit

        if not messages:
            raise UserError("There is no message to answer.", remedy="Write something first.")
        try:
            self._template.environment.begin()
            with hard_limit():
                text: str = self._template.render(
                    {
                        "tools": None,
                        "documents": None,
                        **options,
                        "messages": [dict(message) for message in messages],
                        "add_generation_prompt": add_generation_prompt,
                        "bos_token": self._bos,
                        "eos_token": self._eos,
                        "raise_exception": _refuse,
                        "strftime_now": _strftime_now,
                    }
                )
            return text
        except (TemplateLimitError, RecursionError, MemoryError) as error:
            raise UserError(
                f"The model's chat template is not usable: {str(error) or 'it is nested without end'}.",
                remedy="The file may be hostile: use another file of this model.",
                details=self.source[:4000],
            ) from error
        except _RefusedError as error:
            raise UserError(
                f"The model's chat template refuses this conversation: {error}", remedy="Change the order of the turns."
            ) from error
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
            raise UserError(
                f"The model's chat template failed: {error}.", remedy="Try without a system prompt."
            ) from error


class _RefusedError(Exception):
    """A template called ``raise_exception``."""


def _refuse(reason: str) -> None:
    raise _RefusedError(reason)


def _strftime_now(layout: str) -> str:
    return datetime.now().strftime(layout)


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=bool(options.get("ensure_ascii")), indent=indent)


def _environment() -> Any:
    from fmstudio_llama_cpp.template_limits import BoundedEnvironment

    environment = BoundedEnvironment()
    environment.filters["tojson"] = environment.bounded("tojson", _to_json)
    return environment
