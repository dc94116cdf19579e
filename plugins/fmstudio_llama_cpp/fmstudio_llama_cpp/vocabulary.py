"""Text ↔ tokens over the native vocabulary, with buffers that grow: no piece is ever cut."""

from __future__ import annotations

import ctypes
from typing import Any

from fmstudio_llama_cpp.reply_parser import MARKERS


class Vocabulary:
    """The tokenizer of a loaded model.

    Attributes:
        handle: The native vocabulary.
        bos, eos: Start and end token, -1 without one.
    """

    def __init__(self, lib: Any, model: Any) -> None:
        self._lib = lib
        self.handle = lib.llama_model_get_vocab(model)
        self.n_tokens: int = lib.llama_vocab_n_tokens(self.handle)
        self.bos: int = lib.llama_vocab_bos(self.handle)
        self.eos: int = lib.llama_vocab_eos(self.handle)
        self.adds_bos: bool = lib.llama_vocab_get_add_bos(self.handle)
        self.begins_text: Any = None  # kept here for grammars, which come and go with answers
        self._pieces: dict[int, bytes] = {}
        self._special_pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Turn text into token ids.

        Args:
            add_special: Let the model add its own start token.
            parse_special: Read ``<|im_start|>`` and the like as tokens, not as text.
        """
        data = text.encode("utf-8", "surrogatepass")
        room = len(data) + 8
        while True:
            buffer = (self._lib.llama_token * room)()
            count = self._lib.llama_tokenize(self.handle, data, len(data), buffer, room, add_special, parse_special)
            if count >= 0:
                return list(buffer[:count])
            room = -count

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Bytes a token stands for; control tokens are empty unless `special`."""
        known = self._special_pieces if special else self._pieces
        data = known.get(token)
        if data is None:
            data = known[token] = self._piece(token, special)
        return data

    def marked_piece(self, token: int) -> bytes:
        """As `piece`, but markers of reasoning and tool calls are text, also where they are control tokens."""
        data = self.piece(token)
        if not data:
            marker = self.piece(token, special=True)
            return marker if marker.decode("utf-8", "replace") in MARKERS else b""
        return data

    def _piece(self, token: int, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = self._lib.llama_token_to_piece(self.handle, token, buffer, room, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            room = -count

    def written(self, token: int) -> bytes:
        """The token as the vocabulary's own file writes it."""
        return bytes(self._lib.llama_vocab_get_text(self.handle, token))

    def text(self, tokens: list[int], *, special: bool = False) -> str:
        """Text of whole tokens; broken characters read as U+FFFD."""
        return b"".join(self.piece(t, special=special) for t in tokens).decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        """Whether the token ends an answer (end of turn, end of text)."""
        known = self._ends.get(token)
        if known is None:
            known = self._ends[token] = bool(self._lib.llama_vocab_is_eog(self.handle, token))
        return known

    def contains(self, token: int) -> bool:
        """Whether the id is one of this vocabulary: the native code would abort on another."""
        return 0 <= token < self.n_tokens

    def special_text(self, token: int) -> str:
        """How a special token is written, e.g. ``<|im_end|>``; empty when the model has none."""
        return self.piece(token, special=True).decode("utf-8", "replace") if self.contains(token) else ""
