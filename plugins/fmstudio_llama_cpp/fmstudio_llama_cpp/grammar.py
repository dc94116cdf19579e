"""A GBNF grammar beside the sampler chain, tried before it is used: the library crashes on what it cannot parse."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from fmstudio.api import UserError
from fmstudio_llama_cpp import native_log
from fmstudio_llama_cpp.vocabulary import Vocabulary

MAX_GRAMMAR = 256 * 1024


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
        self._one = (lib.llama_token_data * 1)()
        self._array = lib.llama_token_data_array(self._one, 1, -1, False)

    def allows(self, token: int) -> bool:
        """Whether the token may come next."""
        entry = self._one[0]
        entry.id, entry.logit, entry.p = token, 1.0, 0.0
        self._array.size, self._array.selected, self._array.sorted = 1, -1, False
        self._lib.llama_sampler_apply(self._sampler, ctypes.byref(self._array))
        return bool(self._one[0].logit > 0)

    def apply(self, candidates: Any) -> None:
        """Rule out (minus infinity) what may not come next."""
        self._lib.llama_sampler_apply(self._sampler, ctypes.byref(candidates))

    def accept(self, token: int) -> None:
        """Go on by a token that is allowed."""
        self._lib.llama_sampler_accept(self._sampler, token)

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
