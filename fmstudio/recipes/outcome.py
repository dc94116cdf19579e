"""What one step does to one batch: which rows stay, change or go, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fmstudio.api import ROW_ID, Annotator, Expander, Filter, Mapper, UserError
from fmstudio.recipes.stages import BoundStep

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows a step dropped.

    Attributes:
        rows: The rows as the step saw them.
        reason: String array, one per row.
        representative: For duplicates: int64 array of the kept rows' ids; else None.
        similarity: For duplicates: float32 array; else None.
    """

    rows: pa.RecordBatch
    reason: pa.Array
    representative: pa.Array | None = None
    similarity: pa.Array | None = None

    def with_story(self, step: BoundStep) -> pa.RecordBatch:
        """Give the rows with ``step``, ``operator``, ``reason``, ``representative`` and ``similarity`` added."""
        import pyarrow as pa

        count = self.rows.num_rows
        story = {
            "step": pa.repeat(pa.scalar(step.number, pa.int32()), count),
            "operator": pa.repeat(pa.scalar(step.operator_id), count),
            "reason": self.reason,
            "representative": pa.nulls(count, pa.int64()) if self.representative is None else self.representative,
            "similarity": pa.nulls(count, pa.float32()) if self.similarity is None else self.similarity,
        }
        taken = {f"dropped_{name}" if name in self.rows.schema.names else name: col for name, col in story.items()}
        names = [*self.rows.schema.names, *taken]
        return pa.RecordBatch.from_arrays([*self.rows.columns, *taken.values()], names=names)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step made of a batch.

    Attributes:
        batch: The rows that go on.
        dropped: The rows that do not, or None.
        changed: Boolean array over `batch`, true where a mapper changed the row; None for other kinds.
    """

    batch: pa.RecordBatch
    dropped: Dropped | None = None
    changed: pa.Array | None = None


@dataclass
class StepStats:
    """Counts of one step.

    Attributes:
        changed: Rows a mapper changed.
        made: Rows an expander made beyond (or, negative, below) those that went in.
        seconds: Time spent in the operator.
        reasons: Why rows were dropped → how many.
        columns: Columns that an annotator or mapper added.
    """

    step: int
    operator: str
    title: str
    rows_in: int = 0
    kept: int = 0
    dropped: int = 0
    changed: int = 0
    made: int = 0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    columns: list[str] = field(default_factory=list)

    def add(self, before: pa.RecordBatch, outcome: Outcome) -> None:
        """Count one batch."""
        import pyarrow.compute as pc

        self.rows_in += before.num_rows
        self.kept += outcome.batch.num_rows
        if outcome.dropped is not None:
            self.dropped += outcome.dropped.rows.num_rows
            for entry in pc.value_counts(outcome.dropped.reason).to_pylist():
                self.reasons[str(entry["values"])] += entry["counts"]
        if outcome.changed is not None:
            self.changed += pc.sum(outcome.changed).as_py() or 0
        new = [n for n in outcome.batch.schema.names if n not in before.schema.names and n not in self.columns]
        self.columns += new

    def to_dict(self) -> dict[str, Any]:
        """Give plain data; of more than 50 reasons the rarest are summed up."""
        common = self.reasons.most_common(50)
        rest = sum(self.reasons.values()) - sum(count for _, count in common)
        reasons = dict(common) | ({"other reasons": rest} if rest else {})
        return {**self.__dict__, "seconds": round(self.seconds, 4), "reasons": reasons}


def apply_step(step: BoundStep, batch: pa.RecordBatch, next_id: int) -> Outcome:
    """Run a step that needs no more than this batch.

    Args:
        step: Annotator, filter, mapper or expander, set up.
        batch: Rows with `row_id`.
        next_id: First free ``row_id``, for an expander's new rows.

    Raises:
        UserError: The operator breaks its contract (other rows, another number of values).
    """
    operator = step.operator
    if isinstance(operator, Annotator):
        return Outcome(_with_columns(batch, operator.annotate(batch), step))
    if isinstance(operator, Filter):
        return _filtered(operator, batch, step)
    if isinstance(operator, Mapper):
        after = operator.map(batch)
        _same_rows(batch, after, step)
        return Outcome(after, changed=changed_rows(batch, after))
    if isinstance(operator, Expander):
        return Outcome(_numbered(operator.expand(batch), next_id))
    raise UserError(f"Step {step.number} ({step.operator_id}) cannot run on a batch.")


def _with_columns(batch: pa.RecordBatch, columns: dict[str, Any], step: BoundStep) -> pa.RecordBatch:
    for name, array in columns.items():
        if len(array) != batch.num_rows or name == ROW_ID:
            gave = f"{len(array)} values of “{name}” for a batch of {batch.num_rows} rows"
            raise UserError(f"Step {step.number} ({step.operator_id}) gave {gave}.")
        index = batch.schema.get_field_index(name)
        batch = batch.append_column(name, array) if index < 0 else batch.set_column(index, name, array)
    return batch


def _filtered(operator: Filter[Any], batch: pa.RecordBatch, step: BoundStep) -> Outcome:
    import pyarrow.compute as pc

    decision = operator.decide(operator.statistics(batch))
    if len(decision.keep) != batch.num_rows or decision.keep.null_count:
        raise UserError(f"Step {step.number} ({step.operator_id}) did not decide on every row.")
    gone = pc.invert(decision.keep)
    if not pc.any(gone).as_py():
        return Outcome(batch)
    return Outcome(batch.filter(decision.keep), Dropped(batch.filter(gone), decision.reason.filter(gone)))


def _same_rows(before: pa.RecordBatch, after: pa.RecordBatch, step: BoundStep) -> None:
    if ROW_ID not in after.schema.names or not after.column(ROW_ID).equals(before.column(ROW_ID)):
        raise UserError(f"Step {step.number} ({step.operator_id}) is a mapper, yet it changed which rows there are.")


def _numbered(batch: pa.RecordBatch, next_id: int) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    ids = pa.array(np.arange(next_id, next_id + batch.num_rows, dtype=np.int64))
    index = batch.schema.get_field_index(ROW_ID)
    return batch.set_column(index, ROW_ID, ids) if index >= 0 else batch.add_column(0, ROW_ID, ids)


def changed_rows(before: pa.RecordBatch, after: pa.RecordBatch) -> pa.Array:
    """Give true for each row in which any column differs, was added with a value, or was removed."""
    import numpy as np
    import pyarrow as pa

    changed = np.zeros(before.num_rows, bool)
    old, new = set(before.schema.names), set(after.schema.names)
    for name in sorted(old & new):
        changed |= _differs(before.column(name), after.column(name))
    for name in sorted(old ^ new):
        column = (before if name in old else after).column(name)
        changed |= column.is_valid().to_numpy(zero_copy_only=False)
    return pa.array(changed)


def _differs(one: pa.Array, other: pa.Array) -> Any:
    """Compare two arrays value by value: boolean numpy array."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if one.equals(other):
        return np.zeros(len(one), bool)
    if pa.types.is_list(one.type) and one.type == other.type:
        lengths = [pc.fill_null(pc.list_value_length(a), -1).to_numpy(zero_copy_only=False) for a in (one, other)]
        if (lengths[0] == lengths[1]).all():
            inner = _differs(one.flatten(), other.flatten())
            parents = pc.list_parent_indices(one).to_numpy(zero_copy_only=False)
            return np.bincount(parents[inner], minlength=len(one)) > 0
    elif pa.types.is_struct(one.type) and one.type == other.type:
        leaves = [_differs(a, b) for a, b in zip(one.flatten(), other.flatten(), strict=True)]
        return np.logical_or.reduce([_is_null(one) != _is_null(other), *leaves])
    elif not pa.types.is_nested(one.type) and one.type == other.type:
        unequal = pc.fill_null(pc.not_equal(one, other), False).to_numpy(zero_copy_only=False)
        return unequal | (_is_null(one) != _is_null(other))
    return np.array([a != b for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True)], bool)


def _is_null(array: pa.Array) -> Any:
    return array.is_null().to_numpy(zero_copy_only=False)
