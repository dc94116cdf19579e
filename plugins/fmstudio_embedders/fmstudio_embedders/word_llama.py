"""WordLlama: 256-dimensional static vectors, the mean of token vectors. No torch and no word order, but fast.

Reads the weights and the tokenizer out of the `wordllama` package without importing it: its own loader looks for the
tokenizer in a wrong folder and would then ask a hub, and it pads texts, which costs gigabytes on long ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fmstudio.api import Embedder, Params, UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_DIM = 256
_WEIGHTS = ("weights", f"l2_supercat_{_DIM}.safetensors")
_TOKENIZER = ("tokenizers", "l2_supercat_tokenizer_config.json")
_AT_ONCE = 256
_TOKENS = 65_536


class WordLlamaEmbedder(Embedder):
    """The model that lies in the `wordllama` package."""

    Params = Params

    def setup(self) -> None:
        """See `Embedder.setup`."""
        folder = _package_folder()
        try:
            import numpy as np
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer

            self._vectors = load_file(folder.joinpath(*_WEIGHTS))["embedding.weight"].astype(np.float32)
            self._tokenizer = Tokenizer.from_file(str(folder.joinpath(*_TOKENIZER)))
        except ImportError as error:
            raise UserError(f"WordLlama needs more packages: {error}.", remedy="Run: pip install wordllama") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """See `Embedder.embed`; a text without any token gives zeros, too."""
        import numpy as np

        vectors = np.zeros((len(texts), _DIM), np.float32)
        for start in range(0, len(texts), _AT_ONCE):
            part = [text if text.strip() else "" for text in texts[start : start + _AT_ONCE]]
            for index, encoded in enumerate(self._tokenizer.encode_batch(part, add_special_tokens=False), start):
                vectors[index] = self._sum(np.asarray(encoded.ids, np.int64))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False)

    def _sum(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Add up token vectors; its direction is the mean's. In pieces, so that a long text needs little memory."""
        import numpy as np

        total: npt.NDArray[np.float32] = np.zeros(_DIM, np.float32)
        for start in range(0, len(ids), _TOKENS):
            piece = ids[start : start + _TOKENS]
            total += self._vectors[np.minimum(piece, len(self._vectors) - 1)].sum(axis=0)
        return total


def _package_folder() -> Path:
    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise UserError("The WordLlama embedder needs the package wordllama.", remedy="Run: pip install wordllama")
    folder = Path(spec.origin).parent
    missing = [Path(*part) for part in (_WEIGHTS, _TOKENIZER) if not folder.joinpath(*part).is_file()]
    if missing:
        raise UserError(
            f"The wordllama package lacks {missing[0]}.", remedy="Run: pip install --force-reinstall wordllama"
        )
    return folder
