"""From tokens to what a client gets: the answer, the reasoning before it, and calls of tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fmstudio.api import Chunk, TokenLogprob, ToolCall
from fmstudio_llama_cpp.reply_parser import ReplyParser
from fmstudio_llama_cpp.text_stream import TextStream
from fmstudio_llama_cpp.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Rest:
    """What was still held back at the end."""

    text: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]


class AnswerText:
    """Reads one answer, token by token.

    Args:
        parser: Splits reasoning and calls off; None when neither was asked for.
        begun: Bytes of the forced beginning, whose last character may be unfinished.

    Attributes:
        piece_of: Gives the bytes of a token. Markers of reasoning and calls count as text while they are looked for.
    """

    def __init__(
        self, vocabulary: Vocabulary, stop: Sequence[str], parser: ReplyParser | None, begun: bytes = b""
    ) -> None:
        self._stream = TextStream(stop)
        self._parser = parser
        self.piece_of: Callable[[int], bytes] = vocabulary.piece if parser is None else vocabulary.marked_piece
        if begun:
            self._stream.begin(begun)
            if parser is not None:
                parser.push(begun.decode("utf-8", "replace"))

    @property
    def is_over(self) -> bool:
        """A stop text has come."""
        return self._stream.is_stopped

    @property
    def has_calls(self) -> bool:
        """Whether tools were called."""
        return self._parser is not None and self._parser.has_calls

    def push(self, data: bytes, token: int, logprobs: tuple[TokenLogprob, ...]) -> Chunk:
        """Take a token, give the news."""
        text = self._stream.push(data)
        if self._parser is None or not text:
            return Chunk(text=text, token_ids=(token,), logprobs=logprobs)
        answer, reasoning, calls = self._parser.push(text)
        return Chunk(text=answer, token_ids=(token,), logprobs=logprobs, reasoning=reasoning, tool_calls=calls)

    def finish(self) -> Rest:
        """Give what is still held back."""
        text = self._stream.finish()
        if self._parser is None:
            return Rest(text, "", ())
        first, last = self._parser.push(text), self._parser.finish()
        return Rest(first[0] + last[0], first[1] + last[1], (*first[2], *last[2]))
