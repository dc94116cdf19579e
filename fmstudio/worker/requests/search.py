"""Request ``search``: the rows nearest in meaning to a query, by exact cosine over all vectors.

Vectors up to 2 GiB stay in memory for the session's life (one dataset at a time); larger ones are streamed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, TaskContext, UserError
from fmstudio.core.parquet import count_rows, read_batches, schema_of
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.embedding import VECTOR, kept_embedder, read_vectors, vectors_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_BYTES = 2 << 30
_CHUNK = 65_536


def handle(params: dict[str, Any], state: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> dict[str, Any]:
    """Search by meaning.

    Args:
        params: ``embedder``, ``query``, ``embedding_files``, and optionally ``embedder_params`` and ``k`` (10).
        state: Keeps the model and the vectors.
        plugins: Where embedders are found.
        ctx: Asked for cancel.

    Returns:
        ``hits``: ``row_id`` and ``similarity`` (cosine), best first, equal ones by ``row_id``; ``rows`` searched.

    Raises:
        UserError: The query is empty, or the vectors were made by another embedder.
    """
    files = [Path(file) for file in params["embedding_files"]]
    embedder = kept_embedder(params["embedder"], params.get("embedder_params"), plugins, state)
    query = embedder.embed([str(params["query"])])[0]
    if not query.any():
        raise UserError("The query has no words to search by.", remedy="Type a few words.")
    dim = schema_of(files).field(VECTOR).type.list_size
    if dim != len(query):
        raise UserError(
            f"The rows were embedded with {dim} numbers each; {params['embedder']} gives {len(query)}.",
            remedy="Search with the embedder that made them, or embed the dataset again.",
        )
    best = _Best(int(params.get("k", 10)))
    rows = 0
    for ids, vectors in _chunks(files, dim, state):
        ctx.check_cancelled()
        best.add(ids, vectors @ query)
        rows += len(ids)
    return {"hits": best.hits(), "rows": rows}


def _chunks(
    files: Sequence[Path], dim: int, state: dict[str, Any]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    if count_rows(files) * dim * 4 > MOST_BYTES:
        state.pop("vectors", None)
        for batch in read_batches(files, [ROW_ID, VECTOR], _CHUNK):
            yield batch.column(ROW_ID).to_numpy(), vectors_of(batch)
        return
    key = [(str(file), file.stat().st_mtime_ns) for file in files]
    if state.get("vectors", (None,))[0] != key:
        state["vectors"] = (key, *read_vectors(files))
    _, ids, matrix = state["vectors"]
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK], matrix[start : start + _CHUNK]


class _Best:
    """The k best rows seen so far."""

    def __init__(self, k: int) -> None:
        import numpy as np

        self._k = max(1, k)
        self._ids = np.empty(0, np.int64)
        self._similarities = np.empty(0, np.float32)

    def add(self, ids: npt.NDArray[np.int64], similarities: npt.NDArray[np.float32]) -> None:
        """Merge a chunk; of equally similar rows the lowest ids win, whatever the chunks are."""
        import numpy as np

        if len(ids) > self._k:
            # All rows at least as good as the k-th of this chunk, ties included.
            least = np.partition(similarities, len(ids) - self._k)[len(ids) - self._k]
            ids, similarities = ids[similarities >= least], similarities[similarities >= least]
        # Rounded, so that a row ranks the same whatever block the product computed it in.
        similarities = np.round(similarities, 6)
        ids, similarities = np.append(self._ids, ids), np.append(self._similarities, similarities)
        order = np.lexsort((ids, -similarities))[: self._k]
        self._ids, self._similarities = ids[order], similarities[order]

    def hits(self) -> list[dict[str, Any]]:
        """Give the rows, best first."""
        pairs = zip(self._ids.tolist(), self._similarities.tolist(), strict=True)
        return [{"row_id": row, "similarity": round(float(similarity), 6)} for row, similarity in pairs]
