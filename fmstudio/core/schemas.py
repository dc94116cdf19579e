"""What raw columns mean: the `Mapping` from a file's columns to the canonical ones, its targets, rules and roles.

`fmstudio.core.detection` guesses a mapping, `fmstudio.core.canonical` carries it out.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, get_args

from fmstudio.api import SchemaKind, UserError
from fmstudio.core.canonical_nested import top_of

ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user", "customer": "user", "client": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "model": "assistant", "ai": "assistant",
    "chatgpt": "assistant", "chatbot": "assistant", "agent": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "function_response": "tool", "tool_response": "tool",
    "function_call": "assistant",
}  # fmt: skip
"""Role names met in public datasets (lower case) → the four canonical roles. ``function_call`` is ShareGPT's name for a
turn in which the assistant calls a tool."""

CANONICAL_ROLES: Final = ("system", "user", "assistant", "tool")

TARGETS: Final[dict[SchemaKind, tuple[str, ...]]] = {
    "conversation": ("messages", "system", "tools", "history", "prompt", "input", "completion"),
    "prompt_completion": ("prompt", "input", "completion"),
    "text": ("text",),
    "preference": (
        "prompt", "input", "chosen", "rejected", "answers", "scores", "ranks", "answer_a", "answer_b", "winner",
    ),
    "unpaired_preference": ("messages", "prompt", "input", "completion", "label"),
    "image_caption": ("image", "caption"),
    "table": (),
}  # fmt: skip
"""Kind → what its columns can be mapped to."""

NEEDS: Final[dict[SchemaKind, tuple[tuple[str, ...], ...]]] = {
    "conversation": (("messages",), ("prompt", "completion")),
    "prompt_completion": (("prompt", "completion"),),
    "text": (("text",),),
    "preference": (
        ("chosen", "rejected"), ("answer_a", "answer_b", "winner"), ("answers", "scores"), ("answers", "ranks"),
        ("answers",),
    ),
    "unpaired_preference": (("prompt", "completion", "label"), ("messages", "label")),
    "image_caption": (("image", "caption"),),
    "table": ((),),
}  # fmt: skip
"""Kind → the sets of targets of which one must be complete, the usual one first."""

OPTIONS: Final[dict[str, tuple[str, tuple[tuple[str, str], ...]]]] = {
    "pairs": (
        "Pairs from ranked answers",
        (
            ("best_worst", "The best against the worst"),
            ("adjacent", "Each against the next"),
            ("all", "Each against all worse"),
        ),
    ),
    "winner": (
        "What the winner's number means",
        (("0=a", "0 = first, 1 = second"), ("1=a", "1 = first, 2 = second"), ("flag", "1 = first, 0 = second")),
    ),
    "good_from": ("Good from", ()),
}
"""Rules of a mapping → title and choices (value, title); ``good_from`` is the lowest number that counts as good."""


@dataclass(frozen=True)
class Mapping:
    """How raw columns become canonical ones.

    Attributes:
        kind: What the rows are.
        columns: Target → source column, or a field of it (``body.messages``). Conversation: ``messages``, or ``prompt``
            and ``completion`` to build them from; ``system`` (put first as a system message), ``history`` (earlier
            exchanges), ``tools`` (kept as JSON text). ``input`` is joined to the prompt after an empty line, whatever the
            kind. Preference: ``chosen`` and ``rejected``, or ``answers`` with ``scores`` (high is good) or ``ranks`` (1 is
            best), or two answers and the ``winner``. A verdict: prompt and completion, or ``messages`` of which the last
            is the answer, and the ``label``. See `TARGETS`.
        roles: Role name in the file (lower case) → canonical role, for names beyond the canonical four.
        notes: What was noticed, in words for the user.
        options: Rules, see `OPTIONS`.
    """

    kind: SchemaKind
    columns: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, pairs: Sequence[str]) -> Mapping:
        """Read ``["prompt=question", "completion=answer", "kind=prompt_completion", "role.bot=assistant", "pairs=all"]``.

        Raises:
            UserError: See `said_in`; or a target is missing.
        """
        return cls.of(said_in(pairs))

    @classmethod
    def of(cls, data: Dict[str, Any]) -> Mapping:
        """Read what `to_dict` gave; the kind follows from the targets when it is empty.

        Raises:
            UserError: Targets of two kinds are mixed, one is missing, or a role or rule is unknown.
        """
        columns = {str(target): str(source) for target, source in dict(data.get("columns") or {}).items()}
        for target in columns:
            _known(target, _all_targets(), "mapping target")
        kind = _kind_of(str(data.get("kind") or ""), columns)
        lacking = missing_targets(kind, columns)
        if lacking:
            raise UserError(f"The mapping lacks {' and '.join(lacking)}.", remedy=f"Add {lacking[0]}=COLUMN.")
        return cls(kind, columns, _roles(data), tuple(data.get("notes") or ()), _options(data))

    def to_dict(self) -> dict[str, Any]:
        """Give the mapping as plain JSON data."""
        return {
            "kind": self.kind,
            "columns": self.columns,
            "roles": self.roles,
            "notes": list(self.notes),
            "options": self.options,
        }

    def told(self) -> str:
        """Say it in the words of the command line: ``conversation, messages=turns role.bing=assistant``."""
        words = [f"{target}={source}" for target, source in self.columns.items()]
        words += [f"role.{name}={role}" for name, role in self.roles.items() if ROLES.get(name) != role]
        return ", ".join(filter(None, (self.kind.replace("_", " "), " ".join(words))))

    def check(self, columns: Sequence[str]) -> None:
        """Make sure that every source column exists; of a field in an object, that the object does.

        Raises:
            UserError: One does not; the message lists what is there and the nearest name.
        """
        for source in self.columns.values():
            if not top_of(source, columns):
                _known(source, list(columns), "column")


def said_in(pairs: Sequence[str]) -> dict[str, Any]:
    """Read what `Mapping.parse` reads, but let it stay incomplete; as plain data for `Mapping.of` or `completed`.

    Raises:
        UserError: A part is not ``target=source``, or a target, kind, role or rule is unknown.
    """
    columns: dict[str, str] = {}
    roles: dict[str, str] = {}
    options: dict[str, str] = {}
    kind = ""
    for pair in pairs:
        target, sign, source = pair.partition("=")
        if not sign or not source:
            raise UserError(f"“{pair}” is not a mapping.", remedy="Write target=column, e.g. prompt=question.")
        if target == "kind":
            kind = _known(source, get_args(SchemaKind), "kind of data")
        elif target.startswith("role."):
            roles[target[5:]] = source
        elif target.startswith("rule."):
            options[target[5:]] = source
        else:
            columns[_known(target, _all_targets(), "mapping target")] = source
    return {
        "kind": kind,
        "columns": columns,
        "roles": _roles({"roles": roles}),
        "options": _options({"options": options}),
    }


def is_partial(data: Dict[str, Any]) -> bool:
    """Whether a mapping as plain data names no columns though rows of its kind have some: they are to be detected."""
    return not data.get("columns") and data.get("kind") != "table"


def completed(said: Dict[str, Any], readings: Sequence[Mapping]) -> Mapping:
    """Put what a partial mapping says (kind, roles, rules) into the first reading that has a place for all of it.

    Raises:
        UserError: None has.
    """
    kind, roles, options = str(said.get("kind") or ""), _roles(said), _options(said)
    for one in readings:
        has_rules = set(options) <= set(used_options(one.kind, one.columns))
        if kind in ("", one.kind) and has_rules and (not roles or one.kind in _SPOKEN):
            notes = () if options else one.notes  # those of ranked answers tell of the rule that was detected
            return replace(one, roles=one.roles | roles, options=one.options | options, notes=notes)
    words = [f"kind={kind}"] * bool(kind) + [f"role.{n}={r}" for n, r in roles.items()]
    words += [f"rule.{name}={value}" for name, value in options.items()]
    raise UserError(
        f"{' '.join(words)} does not fit: these rows can be read as {', '.join(r.kind for r in readings)}.",
        remedy="Name the columns, too, e.g. messages=COLUMN or answers=COLUMN.",
    )


_SPOKEN = ("conversation", "preference", "unpaired_preference")
"""Kinds whose columns may hold messages, so that roles matter."""


def missing_targets(kind: SchemaKind, columns: Dict[str, str]) -> list[str]:
    """Give the targets that a mapping of this kind still needs; none when it is complete."""
    lacks = [[target for target in need if target not in columns] for need in NEEDS[kind]]
    return min(lacks, key=len)


def used_options(kind: SchemaKind, columns: Dict[str, str]) -> list[str]:
    """Name the rules that matter for a mapping."""
    if kind == "unpaired_preference":
        return ["good_from"]
    if kind != "preference" or "chosen" in columns:
        return []
    return ["pairs"] if "answers" in columns else ["winner"] if "winner" in columns else []


def _kind_of(kind: str, columns: Dict[str, str]) -> SchemaKind:
    if kind:
        found: SchemaKind = _known(kind, get_args(SchemaKind), "kind of data")  # type: ignore[assignment]
        fitting = [found] if set(columns) <= set(TARGETS[found]) else []
    else:
        order: tuple[SchemaKind, ...] = (
            "prompt_completion", "text", "conversation", "preference", "unpaired_preference", "image_caption",
        )  # fmt: skip
        fitting = [k for k in order if set(columns) <= set(TARGETS[k])] if columns else ["table"]
    if not fitting:
        raise UserError(f"The mapping mixes targets of different kinds: {', '.join(sorted(columns))}.")
    return next((k for k in fitting if not missing_targets(k, columns)), fitting[0])


def _roles(data: Dict[str, Any]) -> dict[str, str]:
    given = dict(data.get("roles") or {})
    return {str(name).lower(): _known(str(role), CANONICAL_ROLES, "role") for name, role in given.items()}


def _options(data: Dict[str, Any]) -> dict[str, str]:
    return {name: _option(name, str(value)) for name, value in dict(data.get("options") or {}).items()}


def _option(name: str, value: str) -> str:
    _known(name, list(OPTIONS), "rule")
    if name != "good_from":
        return _known(value, [choice for choice, _ in OPTIONS[name][1]], f"choice for “{name}”:")
    try:
        float(value)
    except ValueError as error:
        raise UserError(f"“{value}” is no number.", remedy="Write e.g. rule.good_from=4.") from error
    return value


def _all_targets() -> list[str]:
    return list(dict.fromkeys(target for targets in TARGETS.values() for target in targets))


def _known(name: str, names: Sequence[str], what: str) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean “{near[0]}”?" if near else f"There are: {', '.join(names)}."
    raise UserError(f"There is no {what} “{name}”.", remedy=hint)
