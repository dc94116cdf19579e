"""Reading a JSON body field by field: each is checked, what is left over is refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# Asked for by many clients without changing an answer: accepted, and without effect.
_HARMLESS = frozenset(
    {"model", "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
     "prompt_cache_retention", "cache_prompt", "id_slot"}
)  # fmt: skip
# Known, with the values that ask for nothing.
_IDLE_VALUES: dict[str, tuple[Any, ...]] = {
    "n": (1,), "best_of": (1,), "tools": ([],), "functions": ([],), "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"), "modalities": (["text"],), "echo": (False,), "suffix": ("",),
}  # fmt: skip
_UNSUPPORTED = frozenset({"reasoning_effort", "audio", "prediction", "json_schema"})


class BadRequestError(Exception):
    """The body asks for something wrong or impossible; `param` names the field."""

    def __init__(self, message: str, param: str = "") -> None:
        super().__init__(message)
        self.param = param


class Fields:
    """A body that remembers what has been read, so that the rest can be refused."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._left = {key: value for key, value in body.items() if value is not None}

    def take(self, name: str) -> Any:
        """Give a field as it is, None where there is none."""
        return self._left.pop(name, None)

    def flag(self, name: str, default: bool = False) -> bool:
        """Give true or false."""
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise BadRequestError(f"{name} must be true or false.", name)
        return default if value is None else bool(value)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """Give a finite number within bounds."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadRequestError(f"{name} must be a number.", name)
        if not least <= value <= most:
            raise BadRequestError(f"{name} must be between {least:g} and {most:g}; it is {value:g}.", name)
        return float(value)

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Give a whole number within bounds."""
        value = self.take(name)
        if value is None:
            return default
        if type(value) is not int or not least <= value <= most:
            raise BadRequestError(f"{name} must be a whole number between {least} and {most}.", name)
        return value

    def text(self, name: str, default: str, most: int) -> str:
        """Give a text of bounded length."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, str) or len(value) > most:
            raise BadRequestError(f"{name} must be a text of at most {most:,} characters.", name)
        return value

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        """Give one of several words."""
        value = self.take(name)
        if value is not None and value not in allowed:
            raise BadRequestError(f"{name} must be one of {', '.join(allowed)}.", name)
        return default if value is None else str(value)

    def texts(self, name: str, default: tuple[str, ...], most: int, longest: int) -> tuple[str, ...]:
        """Give a text or a list of texts."""
        value = self.take(name)
        if value is None:
            return default
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(text, str) for text in items):
            raise BadRequestError(f"{name} must be a text or a list of texts.", name)
        if len(items) > most or any(len(text) > longest for text in items):
            raise BadRequestError(f"{name} may hold at most {most} texts of up to {longest} characters.", name)
        return tuple(text for text in items if text)

    def refuse_rest(self) -> None:
        """Refuse what has not been read.

        Raises:
            BadRequestError: Names the first such field.
        """
        for name, value in self._left.items():
            if name in _HARMLESS or value in _IDLE_VALUES.get(name, ()):
                continue
            known = name in _IDLE_VALUES or name in _UNSUPPORTED
            said = "is not supported by this engine yet" if known else "is not known to this engine"
            raise BadRequestError(f"{name} {said}; leave it out.", name)
