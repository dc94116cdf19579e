"""How a process ended, in words for the person in front of the screen."""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """What is shown on one card: what happened, what to do now, and text for *Copy details*.

    `is_user_error` tells a mistake the user can mend from a fault (exit code 2 or 1 on the command line). `can_retry`
    says of such an error that the very same may succeed the next time: the disk was full, a connection broke.
    `remedy_action` is the remedy for a machine: parameters to change, e.g. ``{"n_ctx": 2048}``. `remedy_command` is one
    that a terminal runs, where the app itself must not: the card copies it.
    """

    message: str
    remedy: str = ""
    details: str = ""
    is_user_error: bool = False
    can_retry: bool = False
    remedy_action: dict[str, Any] = field(default_factory=dict, hash=False)
    remedy_command: str = ""

    @property
    def remedy_told(self) -> str:
        """What to do, for a reader without buttons."""
        return f"{self.remedy} {self.remedy_command}".strip()

    def __str__(self) -> str:
        return f"{self.message} {self.remedy_told}".strip()


_MEANING = {
    "SIGKILL": (
        "was ended from outside (SIGKILL): by the system because memory ran out, or by someone's kill command",
        "Close other programs or choose smaller settings, then try again.",
    ),
    "SIGTERM": ("was asked to end from outside (SIGTERM)", "Try again."),
    "SIGSEGV": (
        "crashed in native code (SIGSEGV, a fault in a library)",
        "Try again; if it happens again, copy the details and report it.",
    ),
    "SIGILL": (
        "used an instruction this processor does not have (SIGILL)",
        "Install a build of the library made for this processor.",
    ),
    "SIGABRT": ("gave up on an internal check of a library (SIGABRT)", "See the details for the library's own words."),
    "SIGBUS": (
        "could not read a file that was mapped into memory (SIGBUS): it was cut short or its drive went away",
        "Check that the file is whole, its drive connected and the disk not full, then try again.",
    ),
    "SIGXFSZ": ("tried to write a file larger than allowed (SIGXFSZ)", "Free some disk space, then try again."),
}


# Windows has no signals: an illegal instruction is this exit code, as it comes with and without a sign.
_ILLEGAL_CODES = frozenset({0xC000001D, 0xC000001D - (1 << 32)})

_TIMED_OUT = "Timeout (0:"
"""How `faulthandler.dump_traceback_later` begins its report before it ends the process."""


@dataclass(frozen=True, slots=True)
class ProcessOutcome:
    """Exit of a process.

    Attributes:
        exit_code: Code it returned, or None when a signal ended it.
        signal: Number of the signal that ended it, or None.
        log_tail: The last lines of its log.
    """

    exit_code: int | None
    signal: int | None = None
    log_tail: str = ""

    @classmethod
    def from_returncode(cls, returncode: int, log_tail: str = "") -> ProcessOutcome:
        """From `subprocess`'s convention: a negative code is a signal."""
        if returncode < 0:
            return cls(None, -returncode, log_tail)
        return cls(returncode, None, log_tail)

    @property
    def is_clean(self) -> bool:
        """Whether it returned 0."""
        return self.exit_code == 0

    @property
    def signal_name(self) -> str:
        """Name of the signal, or empty."""
        if self.signal is None:
            return ""
        try:
            return signals.Signals(self.signal).name
        except ValueError:
            return f"signal {self.signal}"

    @property
    def is_illegal_instruction(self) -> bool:
        """Whether it used an instruction that this processor does not have."""
        return self.signal_name == "SIGILL" or self.exit_code in _ILLEGAL_CODES

    def problem(self, what: str) -> Problem:
        """Explain an end nobody asked for.

        Args:
            what: The subject of the sentence, e.g. ``"The import worker"``.
        """
        name = self.signal_name
        if name:
            meaning, remedy = _MEANING.get(name, (f"was ended by {name}", "Try again."))
            return Problem(f"{what} {meaning}.", f"{remedy} Earlier data is intact.", self.log_tail)
        if self.exit_code == 0:
            return Problem(f"{what} ended before it was finished.", "Try again.", self.log_tail)
        if _TIMED_OUT in self.log_tail:
            return Problem(f"{what} ended itself: something took far longer than it may.", "Try again.", self.log_tail)
        lines = [line for line in self.log_tail.splitlines() if line.strip()]
        last = f" Its last words: {lines[-1][:300]}" if lines else ""
        return Problem(f"{what} ended with exit code {self.exit_code}.{last}", "Try again.", self.log_tail)
