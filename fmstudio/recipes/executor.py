"""Runs a recipe over Parquet files: one pass per stage, bounded memory, same rows in the same order every time.

Between stages the rows wait in Parquet files in the work folder, signatures of a deduplicator in an Arrow file that is
mapped into memory. What is kept and what is dropped goes to the `Sink` the caller gives.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fmstudio.api import ROW_ID, Clusters, Deduplicator, Expander, TaskContext, UserError
from fmstudio.core.parquet import RowsWriter, count_rows, read_batches
from fmstudio.recipes.outcome import Dropped, Outcome, StepStats, apply_step
from fmstudio.recipes.stages import BoundStep, stages

if TYPE_CHECKING:
    import pyarrow as pa


class Sink(Protocol):
    """Where rows go."""

    def keep(self, batch: pa.RecordBatch) -> None:
        """Take rows that went through all steps."""
        ...

    def drop(self, step: BoundStep, dropped: Dropped) -> None:
        """Take rows that a step dropped."""
        ...

    def watch(self, step: BoundStep, before: pa.RecordBatch, outcome: Outcome) -> None:
        """See what a step made of a batch (for previews)."""
        ...


@dataclass(frozen=True)
class Result:
    """What a run did: rows in, and the counts of each step."""

    rows_in: int
    rows_out: int
    steps: list[StepStats]


def run_recipe(steps: Sequence[BoundStep], files: Sequence[Path], sink: Sink, ctx: TaskContext) -> Result:
    """Run all steps over the rows of Parquet files.

    Args:
        steps: From `bind`; they are set up here.
        files: The rows, with `row_id` ascending.
        sink: Takes the rows.
        ctx: `workdir` holds the rows between stages; progress is told in rows of each pass.

    Raises:
        UserError: An operator cannot work here or breaks its contract; the message names the step.
    """
    return _Run(steps, files, sink, ctx).run()


class _Run:
    def __init__(self, steps: Sequence[BoundStep], files: Sequence[Path], sink: Sink, ctx: TaskContext) -> None:
        self._steps, self._files, self._sink, self._ctx = list(steps), list(files), sink, ctx
        self._stats = {s.number: StepStats(s.number, s.operator_id, s.title) for s in steps}
        self._folder = ctx.workdir / "stages"
        self._next_id = _first_free_id(files) if any(isinstance(s.operator, Expander) for s in steps) else 0
        self._rows_out = 0

    def run(self) -> Result:
        shutil.rmtree(self._folder, ignore_errors=True)
        total = count_rows(self._files)
        for step in self._steps:
            self._ctx.log(f"Step {step.number}: {step.title}")
            step.operator.setup()
        plan = stages(self._steps)
        files = self._files
        verdict: tuple[BoundStep, Clusters] | None = None
        for number, stage in enumerate(plan, 1):
            batches = self._rows(files, verdict, f"rows, pass {number} of {len(plan)}")
            if isinstance(stage[-1].operator, Deduplicator):
                old, (files, verdict) = files, self._barrier(stage, batches, files, verdict, self._folder / str(number))
                self._forget(old, files)
            else:
                self._keep(self._through(stage, batches))
                verdict = None
                files = []
        if verdict is not None:
            self._keep(self._rows(files, verdict, "rows written"))
        shutil.rmtree(self._folder, ignore_errors=True)
        return Result(total, self._rows_out, [self._stats[step.number] for step in self._steps])

    def _keep(self, batches: Iterable[pa.RecordBatch]) -> None:
        for batch in batches:
            if batch.num_rows:
                self._rows_out += batch.num_rows
                self._sink.keep(batch)

    def _rows(
        self, files: Sequence[Path], verdict: tuple[BoundStep, Clusters] | None, what: str
    ) -> Iterator[pa.RecordBatch]:
        """Read a stage's rows; rows that the deduplicator before it found twice are dropped here."""
        total, done = count_rows(files), 0
        judge = None if verdict is None else _Judge(verdict[1])
        for batch in read_batches(files):
            self._ctx.check_cancelled()
            done += batch.num_rows
            self._ctx.progress(done, total, what)
            if verdict is not None and judge is not None:
                outcome = self._timed(verdict[0], batch, judge)
                batch = outcome.batch
            yield batch

    def _through(self, stage: Sequence[BoundStep], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for step in stage:
                batch = self._timed(step, batch, partial(apply_step, step, next_id=self._next_id)).batch
                if isinstance(step.operator, Expander):
                    self._next_id += batch.num_rows
            yield batch

    def _timed(self, step: BoundStep, batch: pa.RecordBatch, work: Callable[[pa.RecordBatch], Outcome]) -> Outcome:
        stats = self._stats[step.number]
        started = time.perf_counter()
        outcome = work(batch)
        stats.seconds += time.perf_counter() - started
        stats.add(batch, outcome)
        if isinstance(step.operator, Expander):
            stats.made += outcome.batch.num_rows - batch.num_rows
        self._sink.watch(step, batch, outcome)
        if outcome.dropped is not None:
            self._sink.drop(step, outcome.dropped)
        return outcome

    def _barrier(
        self,
        stage: Sequence[BoundStep],
        batches: Iterable[pa.RecordBatch],
        files: Sequence[Path],
        verdict: tuple[BoundStep, Clusters] | None,
        folder: Path,
    ) -> tuple[list[Path], tuple[BoundStep, Clusters]]:
        """Run a stage up to its deduplicator; give the files its rows are in now, and what it found."""
        *before, dedup = stage
        folder.mkdir(parents=True)
        operator = dedup.operator
        assert isinstance(operator, Deduplicator)
        # When nothing happens before the deduplicator the rows need not be written again.
        spill = RowsWriter(folder) if before or verdict is not None else None
        with _Signatures(folder / "signatures.arrow") as signatures:
            for batch in self._through(before, batches):
                started = time.perf_counter()
                signatures.add(batch, operator.signature(batch))
                self._stats[dedup.number].seconds += time.perf_counter() - started
                if spill is not None and batch.num_rows:
                    spill.write(batch)
        waiting = list(files) if spill is None else spill.close().files
        self._ctx.progress(0, None, f"step {dedup.number}: comparing rows")
        started = time.perf_counter()
        clusters = operator.cluster(signatures.table())
        self._stats[dedup.number].seconds += time.perf_counter() - started
        return waiting, (dedup, clusters)

    def _forget(self, old: Sequence[Path], new: Sequence[Path]) -> None:
        for path in set(old) - set(new) - set(self._files):
            path.unlink()


class _Judge:
    """Splits batches into rows to keep and duplicates, from what a deduplicator found."""

    def __init__(self, clusters: Clusters) -> None:
        import numpy as np

        ids = clusters.row_id.to_numpy(zero_copy_only=False)
        representative = clusters.representative.to_numpy(zero_copy_only=False)
        gone = np.flatnonzero(ids != representative)
        gone = gone[np.argsort(ids[gone], kind="stable")]
        self._ids, self._representative = ids[gone], representative[gone]
        self._similarity = clusters.similarity.to_numpy(zero_copy_only=False)[gone]

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        import numpy as np
        import pyarrow as pa

        rows = batch.column(ROW_ID).to_numpy()
        place = np.searchsorted(self._ids, rows)
        inside = place < len(self._ids)
        is_gone = np.zeros(len(rows), bool)
        is_gone[inside] = self._ids[place[inside]] == rows[inside]
        if not is_gone.any():
            return Outcome(batch)
        found = place[is_gone]
        dropped = Dropped(
            batch.filter(pa.array(is_gone)),
            pa.array([_reason(value) for value in self._similarity[found]], pa.string()),
            pa.array(self._representative[found]),
            pa.array(self._similarity[found], pa.float32()),
        )
        return Outcome(batch.filter(pa.array(~is_gone)), dropped)


def _reason(similarity: float) -> str:
    return "exact duplicate" if similarity >= 1 else "near duplicate"


class _Signatures:
    """The signatures of a dataset, on disk while they are made and mapped into memory when they are compared."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def __enter__(self) -> _Signatures:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, batch: pa.RecordBatch, columns: dict[str, Any]) -> None:
        import pyarrow as pa

        for name, array in columns.items():
            if len(array) != batch.num_rows:
                raise UserError(f"A deduplicator gave {len(array)} values of “{name}” for {batch.num_rows} rows.")
        named = {ROW_ID: batch.column(ROW_ID), **columns}
        signature = pa.RecordBatch.from_arrays(list(named.values()), names=list(named))
        if self._writer is None:
            self._writer = pa.ipc.new_file(str(self._path), signature.schema)
        self._writer.write_batch(signature)

    def table(self) -> pa.Table:
        import pyarrow as pa

        if self._writer is None:
            raise UserError("There are no rows to compare.", remedy="Check the steps before.")
        with pa.memory_map(str(self._path)) as file:
            return pa.ipc.open_file(file).read_all()


def _first_free_id(files: Sequence[Path]) -> int:
    import pyarrow.compute as pc

    tops = [pc.max(batch.column(ROW_ID)).as_py() for batch in read_batches(files, [ROW_ID], 1 << 20)]
    return max((int(top) for top in tops if top is not None), default=-1) + 1
