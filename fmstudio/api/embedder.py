"""Embedders: text → unit vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from fmstudio.api.params import Params

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Embedder(ABC):
    """Turns texts into vectors. Runs in a worker; one instance lives as long as its worker.

    Manifest facts: ``dim`` (vector length), ``contextual`` (whether word order counts), ``requires`` (packages).
    """

    Params: ClassVar[type[Params]] = Params

    def __init__(self, params: Any) -> None:
        self.params = params

    @abstractmethod
    def setup(self) -> None:
        """Import libraries and load the model; called once.

        Raises:
            UserError: The model is not on this machine; the remedy says the exact install line.
        """

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Give one unit-length vector per text: shape ``(len(texts), dim)``; empty text gives zeros."""
