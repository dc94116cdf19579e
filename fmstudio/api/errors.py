"""The three ways a task can end badly: a user's mistake, a cancel, and everything else (a bug)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class UserError(Exception):
    """Something the user can understand and mend; shown as it is, without a traceback.

    Args:
        message: One plain sentence: what happened, with the place (file, line, name).
        remedy: One plain sentence: what to do now. Empty when the message says it.
        details: Text for *Copy details*: native log lines, raw input. Never shown first.
        remedy_action: The remedy for a machine: parameters to change, e.g. ``{"n_ctx": 2048}``. Empty = none.
        can_retry: Whether the very same may succeed the next time: a disk was full, a connection broke.
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        details: str = "",
        remedy_action: Mapping[str, Any] | None = None,
        can_retry: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details = details
        self.remedy_action = dict(remedy_action or {})
        self.can_retry = can_retry

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class Cancelled(Exception):
    """The user asked a task to stop. Silent: nobody is told what they already know."""
