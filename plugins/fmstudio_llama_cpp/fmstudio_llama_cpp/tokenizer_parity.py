"""`TokenizerParity`: the proof of a conversion's vocabulary. The engine must read texts as the original tokenizer does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fmstudio.api import Evaluator, Params, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_llama_cpp.native import open_vocabulary

TEXTS: Final = (
    "Hello, world! It's 2024; I'd pay $1,234.56.",
    "  two spaces   three\n\nparagraph\t\ttabs \n mixed \r\n end ",
    "def f(x):\n    return x ** 2  # comment\n        deeper",
    "Grüße aus Köln, très bien, ça va? naïve façade",
    "日本語の文章です。中文也在这里。한국어 텍스트",
    "Привет, мир! Γειά σου Κόσμε. שלום עולם مرحبا",
    "👩‍👩‍👧 🇫🇷 ✓ → ∑ ½ x² H₂O",
    "1234567890 12 345 6.789e-10 0x1F",
    "ALLCAPS MixedCase don't DON'T we'Ve I'M",
    "a" * 70 + " " * 20 + "!?!?..." + "\n" * 5,
    "https://example.org/a/b?c=d&e=f#g <tag attr=\"v\">text</tag> {'k': [1, 2]}",
    "\u00a0\u200bzero\u200dwidth\ufeff end\u2028line",
)


class TokenizerParity(Evaluator):
    """Compares token ids of texts in many scripts. Figures: ``same_tokens`` (share of texts), ``n_texts``."""

    Params = Params

    def evaluate(
        self, base_model: Path, adapter: Path | None, reference: Path, params: AnyParams, ctx: TaskContext
    ) -> dict[str, Any]:
        """See `Evaluator.evaluate`.

        Args:
            base_model: The Hugging Face folder.
            adapter: Not used.
            reference: The GGUF made of it.
            params: None.
            ctx: Not used.

        Raises:
            UserError: A text is read otherwise: the file would talk nonsense and is not kept.
        """
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(base_model / "tokenizer.json"))
        with open_vocabulary(reference) as vocabulary:
            for text in TEXTS:
                wanted = tokenizer.encode(text, add_special_tokens=False).ids
                found = vocabulary.tokenize(text, add_special=False, parse_special=True)
                if wanted != found:
                    raise UserError(
                        f"llama.cpp would read text otherwise than the tokenizer of {base_model.name}.",
                        remedy="It was not kept. Ask for the model's GGUF file.",
                        details=f"{text!r}\ntokenizer: {wanted}\nllama.cpp: {found}",
                    )
        return {"same_tokens": 1.0, "n_texts": len(TEXTS)}
