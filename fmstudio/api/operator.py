"""Operators: pure functions over Arrow record batches, from which recipes are made.

Because an operator sees only batches and its own parameters, the same recipe can run in one process, on all cores or
on a cluster engine. Every operator is deterministic given its params, keeps the order of rows and never touches
``row_id``. Heavy imports go into `Operator.setup`, which runs once per worker before the first batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from fmstudio.api.params import Params

if TYPE_CHECKING:
    import pyarrow as pa

P = TypeVar("P", bound=Params)


class Operator(ABC, Generic[P]):
    """Base of all operators. The manifest names its ``kind``: annotator, filter, mapper, expander, deduplicator."""

    Params: ClassVar[type[Params]] = Params
    scope: ClassVar[Literal["batch", "dataset"]] = "batch"

    def __init__(self, params: P) -> None:
        self.params = params

    def setup(self) -> None:
        """Import heavy libraries and load models; called once, in the worker, before the first batch."""


class Annotator(Operator[P]):
    """Batch → new columns (language, length, quality statistics)."""

    @abstractmethod
    def annotate(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Give each new column's name and values, ``batch.num_rows`` each."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A filter's verdict on a batch.

    Attributes:
        keep: Boolean array, one per row, no nulls.
        reason: String array, one per row: why the row is dropped (null where it is kept).
    """

    keep: pa.Array
    reason: pa.Array


class Filter(Operator[P]):
    """Drops rows. Statistics are kept apart from the decision, so that a threshold can move without recomputing."""

    @abstractmethod
    def statistics(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Measure each row; must not look at thresholds."""

    @abstractmethod
    def decide(self, statistics: dict[str, pa.Array]) -> Decision:
        """Judge the measured values with the thresholds of `params`."""


class Mapper(Operator[P]):
    """Batch → changed batch: same rows in the same order, same ``row_id``."""

    @abstractmethod
    def map(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with changed, added or removed columns."""


class Expander(Operator[P]):
    """Rows → rows (chunk, split, augment)."""

    @abstractmethod
    def expand(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return new rows, each with an int64 column ``parent_row_id``; the app numbers them."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """What a deduplicator found; only rows in groups of two or more are listed.

    Attributes:
        row_id: int64 array, the members of all groups.
        representative: int64 array, for each member the ``row_id`` of its group's kept row.
        similarity: float32 array in [0, 1], of each member to its representative (1 = identical key).
    """

    row_id: pa.Array
    representative: pa.Array
    similarity: pa.Array


class Deduplicator(Operator[P]):
    """Finds groups of rows that say the same. Needs the whole dataset, hence ``scope = "dataset"``.

    The app calls `signature` on every batch (in parallel, streamed to disk) and then `cluster` once.
    """

    scope: ClassVar[Literal["batch", "dataset"]] = "dataset"

    @abstractmethod
    def signature(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Give the columns `cluster` needs, a few bytes a row (a hash, a MinHash, a length for the keep-policy)."""

    @abstractmethod
    def cluster(self, signatures: pa.Table) -> Clusters:
        """Group all rows.

        Args:
            signatures: ``row_id`` and the columns of `signature`, for every row of the dataset, in order.
        """
