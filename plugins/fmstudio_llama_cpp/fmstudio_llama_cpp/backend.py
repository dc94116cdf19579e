"""`LlamaCppBackend`: the chat backend. One model, one context, several conversations in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from fmstudio.api import (
    AdapterScale,
    ChatBackend,
    Chunk,
    ControlVector,
    EmbedRequest,
    GenerateRequest,
    HeldConversation,
    Message,
    ModelInfo,
    TokenLogprob,
    UserError,
)
from fmstudio.api import Params as AnyParams
from fmstudio.api.gguf_header import read_gguf_header
from fmstudio_llama_cpp.adapters import AdapterShelf
from fmstudio_llama_cpp.answer_text import AnswerText
from fmstudio_llama_cpp.context import TokenContext
from fmstudio_llama_cpp.control_vectors import VectorShelf
from fmstudio_llama_cpp.cores import physical_cores
from fmstudio_llama_cpp.embedding import TextEmbedder
from fmstudio_llama_cpp.grammar import Grammar
from fmstudio_llama_cpp.guessing import Guessing
from fmstudio_llama_cpp.identity import ActingNames, model_digest
from fmstudio_llama_cpp.native import (
    NativeModel,
    library_version,
    open_embedding_model,
    open_model,
    open_vocabulary,
)
from fmstudio_llama_cpp.params import LlamaCppParams
from fmstudio_llama_cpp.projector import Projector, find_projector
from fmstudio_llama_cpp.prompts import Prompt, PromptBuilder
from fmstudio_llama_cpp.sampling import Sampler, token_logprob
from fmstudio_llama_cpp.state_files import StateFiles
from fmstudio_llama_cpp.states import state_bound
from fmstudio_llama_cpp.template import ChatTemplate
from fmstudio_llama_cpp.template_check import closing_text, template_problems
from fmstudio_llama_cpp.tooling import Tooling
from fmstudio_llama_cpp.turn import Turn
from fmstudio_llama_cpp.vocabulary import Vocabulary

_VIEW_ROWS = 32
_LAST_WRITE_S = 3.0


class LlamaCppBackend(ChatBackend):
    """Chat with a GGUF model through llama.cpp.

    Example:
        >>> backend = LlamaCppBackend()
        >>> backend.load(Path("model.gguf"), LlamaCppParams(), {})
        >>> request = GenerateRequest(messages=[{"role": "user", "content": "Hello"}], max_tokens=16)
        >>> text = "".join(chunk.text for chunk in backend.generate(request, lambda: False))
    """

    Params = LlamaCppParams
    takes_turns: ClassVar[bool] = True

    @classmethod
    def probe_settings(cls) -> list[dict[str, Any]]:
        """From fastest to safest.

        Repacked weight buffers (``use_extra_bufts``) crash the CPU backend on processors with AMX in some builds;
        graphics drivers come next, then flash attention and memory mapping.
        """
        without_repack: dict[str, Any] = {"use_extra_bufts": False}
        cpu_only = {**without_repack, "n_gpu_layers": 0}
        return [{}, without_repack, cpu_only, {**cpu_only, "flash_attention": "off", "use_mmap": False}]

    @classmethod
    def count_texts(cls, model: Path, texts: Sequence[str]) -> list[int]:
        """See `ChatBackend.count_texts`."""
        with open_vocabulary(model) as vocabulary:
            return [len(vocabulary.tokenize(text, add_special=False, parse_special=False)) for text in texts]

    def load(self, model: Path, params: AnyParams, settings: dict[str, Any]) -> ModelInfo:
        """See `ChatBackend.load`."""
        chosen = params if isinstance(params, LlamaCppParams) else LlamaCppParams.model_validate(params.model_dump())
        self.can_chat = not read_gguf_header(model).is_embedding_only
        self.native: NativeModel = (open_model if self.can_chat else open_embedding_model)(model, chosen, settings)
        self.vocabulary = Vocabulary(self.native.lib, self.native.model)
        threads = chosen.n_threads or physical_cores()
        self._embedder = TextEmbedder(self.native, self.vocabulary, self.native.n_ctx, threads)
        if self.can_chat:
            self._open_chat(chosen, settings)
        return self._info()

    def _open_chat(self, chosen: LlamaCppParams, settings: dict[str, Any]) -> None:
        self.context = TokenContext(self.native, state_bound(chosen.state_mb))
        self._guessing = Guessing(self.native, self.vocabulary, self.context, chosen, settings)
        self._shelf = AdapterShelf(self.native)
        self._vectors = VectorShelf(self.native)
        self._template, self._problems = self._open_template(chosen.chat_template)
        path = find_projector(self.native.header, chosen.projector)
        self.context.projector = self._projector = Projector(self.native, path, chosen.n_threads or physical_cores())
        self._prompts = PromptBuilder(
            self.vocabulary, self._template, self._projector, self.native.n_ctx, self.native.n_ctx_train
        )

    def _info(self) -> ModelInfo:
        header, embedder = self.native.header, self._embedder
        weights = int(self.native.lib.llama_model_n_params(self.native.model))
        info = ModelInfo(
            n_ctx=self.native.n_ctx,
            n_ctx_train=self.native.n_ctx_train,
            has_chat_template=False,
            n_params=weights,
            description=f"{header.architecture} {_short(weights)} {header.file_type}",
            vram=self.native.vram,
            notes=self.native.notes,
            can_chat=self.can_chat,
            embedding_size=0 if embedder.pooling == "rank" else embedder.size,
            pooling=embedder.pooling,
            embedding_note=embedder.note,
        )
        if not self.can_chat:
            return info
        return replace(
            info,
            has_chat_template=not self._template.is_plain,
            template_hash=self._template.hash,
            template_problems=tuple(self._problems),
            chat_template=self._template.source,
            can_see=self._projector.path is not None,
        )

    def _open_template(self, edited: str) -> tuple[ChatTemplate, list[str]]:
        """The model's own template, or an edited copy with what the tokenizer says against it."""
        template = ChatTemplate(
            edited if edited.strip() else self.native.header.text("tokenizer.chat_template"),
            bos=self.vocabulary.special_text(self.vocabulary.bos),
            eos=self.vocabulary.special_text(self.vocabulary.eos),
        )
        if not edited.strip():
            return template, []
        problems = template_problems(template, self.vocabulary)
        closing = closing_text(template, self.vocabulary)
        template.stop = (closing,) if closing else ()
        return template, problems

    def set_adapters(self, adapters: Sequence[AdapterScale]) -> None:
        """See `ChatBackend.set_adapters`."""
        if not self.can_chat:
            if adapters:
                raise self._no_chat()
            return
        self._make_effective(adapters, self._vectors.in_force)

    def _make_effective(self, adapters: Sequence[AdapterScale] | None, vectors: Sequence[ControlVector]) -> None:
        if adapters is not None:
            self._shelf.apply(adapters)
        self._vectors.apply(vectors)
        self.context.change_key((self._shelf.key, self._vectors.key))

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `ChatBackend.count_tokens`."""
        if not self.can_chat:
            raise self._no_chat()
        return self._prompts.render(messages).n_cells

    def tokenize(self, text: str) -> list[int]:
        """See `ChatBackend.tokenize`."""
        return self.vocabulary.tokenize(text, add_special=False, parse_special=True)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `ChatBackend.detokenize`."""
        wrong = next((token for token in tokens if not self.vocabulary.contains(token)), None)
        if wrong is not None:
            raise UserError(f"The token {wrong} is not in this model's vocabulary of {self.vocabulary.n_tokens:,}.")
        return self.vocabulary.text(list(tokens), special=True)

    def held(self) -> list[HeldConversation]:
        """See `ChatBackend.held`."""
        return self.context.held() if self.can_chat else []

    def keep_conversations(self, folder: Path, most_bytes: int) -> None:
        """See `ChatBackend.keep_conversations`."""
        if not self.can_chat or most_bytes <= 0:
            return
        native, lib = self.native, self.native.lib
        identity = (
            f"llama-cpp-python {library_version()}", model_digest(native.header), native.layout,
            f"n_ctx {native.n_ctx}", f"slice {self.context.slice}",
        )  # fmt: skip
        self.context.files = StateFiles(
            folder,
            most_bytes,
            identity,
            ActingNames(),
            is_whole_only=bool(lib.llama_model_is_recurrent(native.model) or lib.llama_model_is_hybrid(native.model)),
            n_ctx=native.n_ctx,
        )

    def idle(self) -> None:
        """See `ChatBackend.idle`."""
        if self.can_chat:
            self.context.keep_on_disk()

    def forget(self, conversation: str) -> None:
        """See `ChatBackend.forget`."""
        if self.can_chat:
            self.context.forget(conversation)

    def embed(self, request: EmbedRequest, cancelled: Callable[[], bool]) -> Iterator[Chunk]:
        """See `ChatBackend.embed`; adapters and control vectors do not act on vectors."""
        return self._embedder.embed(request, cancelled)

    def _no_chat(self) -> UserError:
        return UserError(
            f"“{self.native.header.path.name}” embeds text; it does not write any.",
            remedy="Load a chat model, or ask for embeddings.",
        )

    def generate(self, request: GenerateRequest, cancelled: Callable[[], bool]) -> Iterator[Chunk]:
        """See `ChatBackend.generate`."""
        if not self.can_chat:
            raise self._no_chat()
        tooling = Tooling(self._template, request)
        prompt = self._prompts.build(tooling.request)
        adapters = self._shelf.in_force if request.adapters is None else tuple(request.adapters)
        turn = Turn(
            request,
            prompt,
            self.context,
            self.vocabulary,
            cancelled,
            lambda: self._make_effective(adapters, request.control_vectors),
            self._guessing.speculator(request),
        )
        stop = (*request.stop, *(self._template.stop if request.messages is not None else ()))
        begun = b"".join(self.vocabulary.piece(token) for token in prompt.forced)
        answer = AnswerText(self.vocabulary, stop, tooling.parser(prompt.text), begun)
        return turn.run(lambda: self._sampler(request, prompt, tooling), answer)

    def _sampler(self, request: GenerateRequest, prompt: Prompt, tooling: Tooling) -> Sampler:
        lib = self.native.lib
        source, trigger = tooling.grammar(prompt.text)
        grammar = Grammar(lib, self.vocabulary, source, trigger) if source else None
        try:
            if grammar is not None:
                grammar.accept_all(prompt.forced)
            return Sampler(
                lib,
                self.vocabulary,
                request,
                [token for token in prompt.tokens if token >= 0],  # pictures are no words to look back at
                context=self.native.context,
                n_ctx=self.native.n_ctx,
                grammar=grammar,
            )
        except UserError:
            if grammar is not None:
                grammar.close()
            raise

    def token_view(self, request: GenerateRequest, cancelled: Callable[[], bool]) -> list[TokenLogprob]:
        """See `ChatBackend.token_view`."""
        if not self.can_chat:
            raise self._no_chat()
        prompt = self._prompts.build(request)
        if not prompt.forced:
            return []
        self._make_effective(request.adapters, request.control_vectors)
        first = len(prompt.tokens) - len(prompt.forced)
        self.context.begin(prompt.tokens[:first])
        # At most so many rows of logits at once: a row is a megabyte with a large vocabulary.
        rows = self.context.score_rest(prompt.tokens, first, _VIEW_ROWS, cancelled)
        return [
            token_logprob(row, token, request.logprobs, self.vocabulary)
            for row, token in zip(rows, prompt.forced, strict=False)
        ]

    def close(self) -> None:
        """See `ChatBackend.close`."""
        if hasattr(self, "_projector"):
            self._projector.close()
        if hasattr(self, "_embedder"):
            self._embedder.close()
        if hasattr(self, "_guessing"):
            self._guessing.close()
        if hasattr(self, "context"):
            self.context.keep_on_disk()
            if self.context.files is not None:
                self.context.files.close(_LAST_WRITE_S)
            self.context.close()
        if hasattr(self, "native"):
            self.native.close()


def _short(count: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)
