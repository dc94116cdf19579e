"""A Jinja chat template as what it writes around each role's words, for programs that use another template language.

Found by rendering with marks for the words, and believed only when it renders many conversations to the same text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class TurnFormat:
    """Text before and after each role's words, and what opens the answer."""

    around: dict[str, tuple[str, str]]
    opening: str
    takes_system: bool

    def render(self, messages: list[dict[str, str]]) -> str:
        """Write a conversation, ready for its answer."""
        turns = (f"{self.around[m['role']][0]}{m['content']}{self.around[m['role']][1]}" for m in messages)
        return "".join(turns) + self.opening

    def go_template(self) -> str:
        """The same in Go's template language, as Ollama reads it."""
        parts: list[str] = []
        for role in _ROLES:
            if role == "system" and not self.takes_system:
                continue
            before, after = self.around[role]
            test = f'{{{{ if eq .Role "{role}" }}}}' if not parts else f'{{{{ else if eq .Role "{role}" }}}}'
            parts.append(f"{test}{_go(before)}{{{{ .Content }}}}{_go(after)}")
        return f"{{{{ range .Messages }}}}{''.join(parts)}{{{{ end }}}}{{{{ end }}}}{_go(self.opening)}"


def _go(text: str) -> str:
    """Text with braces that Go's templates would read as theirs."""
    return text.replace("{{", '{{ "{{" }}')


def turn_format(template: str, *, eos: str) -> TurnFormat | None:
    """Find the format of a template; None when it is not as simple as that (tools, merged roles, trimmed words)."""
    from jinja2 import TemplateError

    try:
        return _turn_format(template, eos)
    except (TemplateError, _RefusedError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError):
        return None


def _turn_format(template: str, eos: str) -> TurnFormat | None:
    compiled = _environment().from_string(template)

    def render(messages: list[dict[str, str]], ready: bool = True) -> str:
        return str(
            compiled.render(
                messages=messages, add_generation_prompt=ready, bos_token="", eos_token=eos, tools=None,
                documents=None, raise_exception=_refuse, strftime_now=lambda layout: datetime.now().strftime(layout),
            )
        )  # fmt: skip

    user, answer, second = (
        {"role": r, "content": c} for r, c in (("user", "AAQ"), ("assistant", "BBQ"), ("user", "CCQ"))
    )
    one, ready = render([user], False), render([user])
    if not ready.startswith(one) or "AAQ" not in one:
        return None
    opening, before_user = ready[len(one) :], one.partition("AAQ")[0]
    after_user = one.partition("AAQ")[2]
    whole = render([user, answer, second], False)
    if not whole.startswith(one) or not whole.endswith(before_user + "CCQ" + after_user):
        return None
    middle = whole[len(one) : len(whole) - len(before_user + "CCQ" + after_user)]
    around = {"user": (before_user, after_user), "assistant": (middle.partition("BBQ")[0], middle.partition("BBQ")[2])}
    around["system"], takes_system = _system_part(render, one)
    found = TurnFormat(around, opening, takes_system)
    return found if _holds(found, render) else None


def _system_part(render: Any, one: str) -> tuple[tuple[str, str], bool]:
    try:
        text = render([{"role": "system", "content": "SSQ"}, {"role": "user", "content": "AAQ"}], False)
    except _RefusedError:
        return ("", ""), False
    before, mark, after = text.partition("SSQ")
    if not mark or not after.endswith(one):
        return ("", ""), False
    return (before, after[: len(after) - len(one)]), True


def _holds(found: TurnFormat, render: Any) -> bool:
    words = ["Hello", "Two words.\n\nAnd a paragraph", "1 < 2 {x}", "Grüße", "q"]
    for length in (1, 3, 5):
        for system in (False, True) if found.takes_system else (False,):
            turns = [{"role": "system", "content": "Be brief."}] if system else []
            turns += [{"role": ("user", "assistant")[i % 2], "content": words[i]} for i in range(length)]
            if found.render(turns) != render(turns):
                return False
    return True


class _RefusedError(Exception):
    """A template called ``raise_exception``."""


def _refuse(reason: str) -> None:
    raise _RefusedError(reason)


def _environment() -> Any:
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    return environment
