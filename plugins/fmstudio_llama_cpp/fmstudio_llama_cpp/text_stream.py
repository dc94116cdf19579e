"""From bytes of tokens to text a user may see: whole characters only, and never a piece of a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Joins token bytes into text; holds back what may yet become a character or a stop string.

    Work per token depends on the length of the stop strings, not on the length of the answer.

    Attributes:
        is_stopped: A stop string has been met; no more text will come.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = [text for text in stop if text]
        self._held = ""
        self.is_stopped = False

    def begin(self, data: bytes) -> None:
        """Take bytes that the reader has already; only a character left unfinished by them matters."""
        self._decoder.decode(data)

    def push(self, data: bytes) -> str:
        """Take a token's bytes, give the text that is now certain."""
        return self._release(self._decoder.decode(data))

    def finish(self) -> str:
        """Give what is still held back, at the end of the answer."""
        text = self._release(self._decoder.decode(b"", True))
        rest, self._held = self._held, ""
        return text if self.is_stopped else text + rest

    def _release(self, new: str) -> str:
        if self.is_stopped:
            return ""
        if not self._stop:
            return new
        text = self._held + new
        found = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.is_stopped = True
            self._held = ""
            return text[: min(found)]
        keep = max(_overlap(text, stop) for stop in self._stop)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` starts with (shorter than the whole of it)."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
