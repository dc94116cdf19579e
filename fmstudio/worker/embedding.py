"""What embedding and searching share: open an embedder, choose the text columns, read vectors back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import CANONICAL_COLUMNS, ROW_ID, Embedder, UserError
from fmstudio.core.checking import make_params
from fmstudio.core.parquet import count_rows, read_batches
from fmstudio.plugin_manager import PluginManager

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

VECTOR = "vector"


def open_embedder(embedder_id: str, values: dict[str, Any] | None, plugins: PluginManager) -> Embedder:
    """Make an embedder and load its model.

    Raises:
        UserError: It is unknown, its model is not installed, or a parameter is wrong.
    """
    contribution = plugins.contribution("embedder", embedder_id)
    kind = contribution.load()
    embedder: Embedder = kind(make_params(kind, values or {}, contribution.title))
    embedder.setup()
    return embedder


def kept_embedder(
    embedder_id: str, values: dict[str, Any] | None, plugins: PluginManager, state: dict[str, Any]
) -> Embedder:
    """Open an embedder once for the life of a session."""
    key = f"embedder {embedder_id} {sorted((values or {}).items())}"
    if key not in state:
        state[key] = open_embedder(embedder_id, values, plugins)
    return state[key]  # type: ignore[no-any-return]


def columns_to_read(names: Sequence[str], column: str) -> list[str] | None:
    """Columns that `text_array` needs; None = all."""
    if column:
        if column not in names:
            there = ", ".join(name for name in names if name != ROW_ID)
            raise UserError(f"There is no column “{column}” here.", remedy=f"The columns are: {there}.")
        return [ROW_ID, column]
    for canonical in CANONICAL_COLUMNS.values():
        if canonical and all(name in names for name in canonical):
            return [ROW_ID, *canonical]
    return None


def read_vectors(files: Sequence[Path]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Read embedding files: ``row_id`` of shape (rows,) and unit vectors of shape (rows, dim)."""
    import numpy as np

    rows = count_rows(files)
    ids = np.empty(rows, np.int64)
    matrix: npt.NDArray[np.float32] | None = None
    done = 0
    for batch in read_batches(files, [ROW_ID, VECTOR], 65_536):
        part = vectors_of(batch)
        matrix = np.empty((rows, part.shape[1]), np.float32) if matrix is None else matrix
        end = done + batch.num_rows
        ids[done:end], matrix[done:end] = batch.column(ROW_ID).to_numpy(), part
        done = end
    return ids, np.empty((0, 0), np.float32) if matrix is None else matrix


def vectors_of(batch: Any) -> npt.NDArray[np.float32]:
    """View the vectors of a batch as a matrix of shape (rows, dim)."""
    column = batch.column(VECTOR)
    flat: npt.NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), -1)
