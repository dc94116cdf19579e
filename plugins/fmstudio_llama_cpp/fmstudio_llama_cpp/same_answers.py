"""`SameAnswers`: the proof of a merge or an export. Two ways to hold a model, asked the same, must say the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fmstudio.api import AdapterScale, Evaluator, Field, Params, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio.api.gguf_header import read_gguf_header
from fmstudio_llama_cpp.adapters import AdapterShelf
from fmstudio_llama_cpp.context import EvaluationCancelled, TokenContext
from fmstudio_llama_cpp.native import NativeModel, open_model
from fmstudio_llama_cpp.params import LlamaCppParams
from fmstudio_llama_cpp.template import ChatTemplate
from fmstudio_llama_cpp.vocabulary import Vocabulary

QUESTIONS: Final = (
    "What is the capital of France?",
    "How do I restart the printer?",
    "Write a short greeting.",
    "Name three planets.",
    "Explain what a computer does.",
    "What should I do when the light is red?",
)
CONTEXT: Final = 1024
TEMPLATE_FILE: Final = "chat_template.jinja"


class SameParams(Params):
    """What to ask, and how each side is held."""

    questions: list[str] = Field(default_factory=list, title="Questions", description="Empty = six built-in ones.")
    answer_tokens: int = Field(default=32, ge=1, le=256, title="Tokens of an answer")
    template: str = Field(default="", title="Chat template of the original", description="Empty = the file's own.")
    scale: float = Field(default=1.0, title="Strength of the adapter")
    must_agree: bool = Field(default=True, title="Refuse a difference")
    native_settings: dict[str, Any] = Field(
        default_factory=lambda: {"use_extra_bufts": False, "n_gpu_layers": 0},
        title="Engine settings",
        description="Native settings that work on this computer. The default is the safest, not the fastest.",
    )


class SameAnswers(Evaluator):
    """Asks the original (with its adapter) and what was made of it the same questions, greedily.

    `reference` is a GGUF file, or an exported folder with ``model.gguf`` and perhaps ``adapter.gguf`` and
    ``chat_template.jinja``. Figures: ``same_prompts`` and ``same_answers`` (shares of questions), ``n_questions``,
    ``differences`` (question, expected and found answer).
    """

    Params = SameParams

    def evaluate(
        self, base_model: Path, adapter: Path | None, reference: Path, params: AnyParams, ctx: TaskContext
    ) -> dict[str, Any]:
        """See `Evaluator.evaluate`.

        Raises:
            UserError: A file cannot be loaded; or, where `must_agree`, an answer differs.
        """
        chosen = params if isinstance(params, SameParams) else SameParams.model_validate(params.model_dump())
        questions = chosen.questions or list(QUESTIONS)
        asked = [(adapter, chosen.scale)] if adapter else []
        expected = _ask(base_model, asked, chosen.template, questions, chosen, ctx, 0)
        model, held, template = _parts(reference)
        found = _ask(model, held, template or chosen.template, questions, chosen, ctx, len(questions))
        differences = [
            {"question": q, "expected": e[2], "found": f[2]}
            for q, e, f in zip(questions, expected, found, strict=True)
            if e[:2] != f[:2]
        ]
        n = len(questions)
        figures = {
            "same_prompts": sum(e[0] == f[0] for e, f in zip(expected, found, strict=True)) / n,
            "same_answers": sum(e[1] == f[1] for e, f in zip(expected, found, strict=True)) / n,
            "n_questions": n,
            "differences": differences,
        }
        if differences and chosen.must_agree:
            first = differences[0]
            raise UserError(
                f"What was written answers {len(differences)} of {n} questions otherwise than the original, for example "
                f"“{first['question']}”.",
                remedy="It was not kept. Report this with the details: it should not happen.",
                details="\n".join(str(difference) for difference in differences),
            )
        return figures


def _parts(reference: Path) -> tuple[Path, list[tuple[Path, float]], str]:
    if reference.is_file():
        return reference, [], ""
    adapter, template = reference / "adapter.gguf", reference / TEMPLATE_FILE
    text = template.read_text("utf-8") if template.is_file() else ""
    return reference / "model.gguf", [(adapter, 1.0)] if adapter.is_file() else [], text


Answer = tuple[list[int], list[int], str]


def _ask(
    model: Path,
    adapters: Sequence[tuple[Path, float]],
    template: str,
    questions: Sequence[str],
    chosen: SameParams,
    ctx: TaskContext,
    done: int,
) -> list[Answer]:
    """Prompt tokens, answer tokens and answer text of each question."""
    source = template or read_gguf_header(model).text("tokenizer.chat_template")
    answers: list[Answer] = []
    with _opened(model, adapters, chosen) as (native, context):
        vocabulary = Vocabulary(native.lib, native.model)
        jinja = ChatTemplate(
            source, bos=vocabulary.special_text(vocabulary.bos), eos=vocabulary.special_text(vocabulary.eos)
        )
        for number, question in enumerate(questions):
            ctx.check_cancelled()
            text = jinja.render([{"role": "user", "content": question}])
            prompt = vocabulary.tokenize(text, add_special=jinja.is_plain, parse_special=True)
            answer = _greedy(context, vocabulary, prompt[: CONTEXT - chosen.answer_tokens - 1], chosen, ctx)
            answers.append((prompt, answer, vocabulary.text(answer)))
            ctx.progress(done + number + 1, 2 * len(questions), "questions asked")
    return answers


@contextmanager
def _opened(
    model: Path, adapters: Sequence[tuple[Path, float]], chosen: SameParams
) -> Iterator[tuple[NativeModel, TokenContext]]:
    native = open_model(model, LlamaCppParams(n_ctx=CONTEXT), chosen.native_settings)
    try:
        AdapterShelf(native).apply([AdapterScale(path, scale) for path, scale in adapters])
        yield native, TokenContext(native)
    finally:
        native.close()


def _greedy(
    context: TokenContext, vocabulary: Vocabulary, prompt: Sequence[int], chosen: SameParams, ctx: TaskContext
) -> list[int]:
    context.clear()
    try:
        for _ in context.prefill(prompt, lambda: ctx.cancelled):
            pass
    except EvaluationCancelled:
        ctx.check_cancelled()
        raise
    answer = [int(context.logits().argmax())]
    while len(answer) < chosen.answer_tokens and not vocabulary.is_end(answer[-1]):
        context.step(answer[-1])
        answer.append(int(context.logits().argmax()))
    return answer
