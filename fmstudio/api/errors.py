"""The three ways a task can end badly: a user's mistake, a cancel, and everything else (a bug)."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can understand and mend; shown as it is, without a traceback.

    Args:
        message: One plain sentence: what happened, with the place (file, line, name).
        remedy: One plain sentence: what to do now. Empty when the message says it.
        details: Text for *Copy details*: native log lines, raw input. Never shown first.
    """

    def __init__(self, message: str, *, remedy: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class Cancelled(Exception):
    """The user asked a task to stop. Silent: nobody is told what they already know."""
