"""A GBNF grammar beside the sampler chain, tried before it is used: the library crashes on what it cannot parse."""

from __future__ import annotations

import codecs
import ctypes
from collections.abc import Sequence
from typing import Any

from fmstudio.api import UserError
from fmstudio_llama_cpp import native_log
from fmstudio_llama_cpp.vocabulary import Vocabulary

MAX_GRAMMAR = 256 * 1024


_FORBIDDEN = -1e30


def _unfinished(data: bytes) -> bytes | None:
    """The character that is begun at the end of UTF-8, empty when all are whole; None where it is broken."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        decoder.decode(data)
    except UnicodeDecodeError:
        return None
    return decoder.getstate()[0]


class Grammar:
    """What an answer may be made of; free it with `close`.

    Args:
        source: GBNF with a rule ``root``.
        trigger: A regular expression over the whole answer so far; the grammar holds from its first group on. Empty =
            from the start.

    Raises:
        UserError: The grammar cannot be parsed.
    """

    def __init__(self, lib: Any, vocabulary: Vocabulary, source: str, trigger: str = "") -> None:
        if len(source) > MAX_GRAMMAR or "\0" in source:
            raise UserError("The grammar is too long, or holds a zero byte.", remedy="Make the schema smaller.")
        self._lib = lib
        native_log.clear()
        text = source.encode()
        self._sampler = lib.llama_sampler_init_grammar(vocabulary.handle, text, b"root")
        if self._sampler and trigger:  # parsed well: the lazy one, which does not check, can be made of it
            lib.llama_sampler_free(self._sampler)
            patterns = (ctypes.c_char_p * 1)(trigger.encode())
            self._sampler = lib.llama_sampler_init_grammar_lazy_patterns(
                vocabulary.handle, text, b"root", patterns, 1, (lib.llama_token * 1)(), 0
            )
        if not self._sampler:
            raise UserError(
                f"The grammar cannot be used: {native_log.cause() or 'llama.cpp gave no reason'}.",
                remedy="Correct the grammar or the schema.",
                details=f"{native_log.tail()}\n\n{source[:4000]}",
            )
        # llama.cpp counts broken characters as characters: a text of five could then read as one of eight.
        self._vocabulary = None if trigger else vocabulary
        self._pending = b""
        self._one = (lib.llama_token_data * 1)()
        self._array = lib.llama_token_data_array(self._one, 1, -1, False)

    def allows(self, token: int) -> bool:
        """Whether the token may come next."""
        entry = self._one[0]
        entry.id, entry.logit, entry.p = token, 1.0, 0.0
        self._array.size, self._array.selected, self._array.sorted = 1, -1, False
        self._lib.llama_sampler_apply(self._sampler, ctypes.byref(self._array))
        return bool(self._one[0].logit > 0) and self._is_text(token)

    def apply(self, candidates: Any) -> None:
        """Rule out (minus infinity) what may not come next."""
        self._lib.llama_sampler_apply(self._sampler, ctypes.byref(candidates))
        if self._vocabulary is None:
            return
        import numpy as np

        place = ctypes.cast(candidates.data, ctypes.POINTER(ctypes.c_uint8))
        kind = [("id", np.int32), ("logit", np.float32), ("p", np.float32)]
        entries = np.ctypeslib.as_array(place, (candidates.size * 12,)).view(kind)
        if self._pending:
            possible = np.flatnonzero(entries["logit"] > _FORBIDDEN)
            broken = [index for index in possible if not self._is_text(int(entries["id"][index]))]
            entries["logit"][broken] = -np.inf
        else:
            entries["logit"][~self._begins_text()[entries["id"]]] = -np.inf

    def _begins_text(self) -> Any:
        """For each token, whether it may stand after whole characters; made once for a vocabulary, at first need."""
        vocabulary = self._vocabulary
        assert vocabulary is not None
        if vocabulary.begins_text is None:
            import numpy as np

            vocabulary.begins_text = np.array([self._is_text(token) for token in range(vocabulary.n_tokens)])
        return vocabulary.begins_text

    def accept(self, token: int) -> None:
        """Go on by a token that is allowed."""
        self._lib.llama_sampler_accept(self._sampler, token)
        if self._vocabulary is not None:
            self._pending = _unfinished(self._pending + self._vocabulary.piece(token)) or b""

    def _is_text(self, token: int) -> bool:
        """Whether the characters stay whole, or may yet become so, with this token."""
        vocabulary = self._vocabulary
        if vocabulary is None:
            return True
        piece = vocabulary.piece(token)
        if not piece:  # the end of the answer, or nothing
            return not self._pending
        return (not self._pending and piece.isascii()) or _unfinished(self._pending + piece) is not None

    def accept_all(self, tokens: Sequence[int]) -> None:
        """Go on by the beginning that an answer was given.

        Raises:
            UserError: The grammar forbids it.
        """
        for token in tokens:
            if not self.allows(token):
                raise UserError(
                    "The beginning given for the answer breaks the schema or grammar.",
                    remedy="Choose another beginning, or leave the schema out.",
                )
            self.accept(token)

    def close(self) -> None:
        """Free it; calling it twice does nothing."""
        if self._sampler:
            self._lib.llama_sampler_free(self._sampler)
            self._sampler = None
