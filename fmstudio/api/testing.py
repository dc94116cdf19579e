"""For plugin authors: a fake context, and one conformance check per kind of contribution.

A check raises `AssertionError` with a sentence saying which promise of the contract is broken.

Example:
    >>> from fmstudio.api.testing import FakeContext
    >>> ctx = FakeContext()
    >>> ctx.progress(1, 10, "rows")
    >>> ctx.progress_calls
    [(1, 10, 'rows')]
"""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.context import LogLevel, TaskContext
from fmstudio.api.dataset_exporter import DatasetExporter, DatasetFacts, ExportReport
from fmstudio.api.errors import Cancelled, UserError
from fmstudio.api.importer import Importer, ImportReport, Reject
from fmstudio.api.operator import Annotator, Deduplicator, Expander, Filter, Mapper, Operator
from fmstudio.api.rows import ROW_ID

if TYPE_CHECKING:
    import pyarrow as pa

    from fmstudio.api.chat_backend import ChatBackend, Chunk
    from fmstudio.api.embedder import Embedder
    from fmstudio.api.rows import Message


class FakeContext(TaskContext):
    """Records everything; `cancel_after` progress calls it says that the user asked to stop."""

    def __init__(self, workdir: Path | None = None, *, cancel_after: int | None = None) -> None:
        if workdir is None:
            workdir = Path(tempfile.mkdtemp(prefix="fmstudio-test-"))
            weakref.finalize(self, shutil.rmtree, workdir, ignore_errors=True)
        self.workdir = workdir
        self.out_dir = self.workdir / "out"
        self.out_dir.mkdir(parents=True, exist_ok=True)
        self.cancel_after = cancel_after
        self.progress_calls: list[tuple[float, float | None, str]] = []
        self.logs: list[tuple[str, str]] = []
        self.metrics: list[tuple[str, float, int | None]] = []

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Record it."""
        self.progress_calls.append((done, total, text))

    def log(self, text: str, level: LogLevel = "info") -> None:
        """Record it."""
        self.logs.append((level, text))

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """Record it."""
        self.metrics.append((name, value, step))

    @property
    def cancelled(self) -> bool:
        """Whether `cancel_after` progress calls have come."""
        return self.cancel_after is not None and len(self.progress_calls) >= self.cancel_after


class FakeReport(ImportReport):
    """Records rejects, notes and flags (column, row, reason, value)."""

    def __init__(self) -> None:
        self.rejects: list[Reject] = []
        self.notes: list[str] = []
        self.flags: list[tuple[str, int, str, str]] = []

    def reject(self, reject: Reject) -> None:
        """Record it."""
        self.rejects.append(reject)

    def note(self, text: str) -> None:
        """Record it."""
        self.notes.append(text)

    def flag(self, column: str, row: int, reason: str, value: str) -> None:
        """Record it."""
        self.flags.append((column, row, reason, value))


class FakeExportReport(ExportReport):
    """Records rows left out (position, reason) and notes."""

    def __init__(self) -> None:
        self.left_out: list[tuple[int, str]] = []
        self.notes: list[str] = []

    def leave_out(self, row: int, reason: str) -> None:
        """Record it."""
        self.left_out.append((row, reason))

    def note(self, text: str) -> None:
        """Record it."""
        self.notes.append(text)


def sample_batch() -> pa.RecordBatch:
    """Eight rows that operators meet in real life: duplicates, empty text, other scripts, emoji, long text."""
    import pyarrow as pa

    texts = [
        "Hello world",
        "Hello world",
        "  hello   WORLD ",
        "",
        "Grüße aus Köln – très bien",
        "日本語の文章です。",
        "👩‍👩‍👧 ok",
        "x " * 500,
    ]
    return pa.RecordBatch.from_pydict({ROW_ID: pa.array(range(len(texts)), pa.int64()), "text": texts})


def check_operator(operator: Operator[Any], batch: pa.RecordBatch | None = None) -> None:
    """Check what every operator promises, on `batch` (default: `sample_batch`)."""
    rows = sample_batch() if batch is None else batch
    operator.setup()
    first, second = _apply(operator, rows), _apply(operator, rows)
    assert first == second, "an operator must give the same result for the same rows and parameters"
    empty = rows.slice(0, 0)
    _apply(operator, empty)


def _apply(operator: Operator[Any], batch: pa.RecordBatch) -> object:
    import pyarrow as pa

    if isinstance(operator, Annotator):
        made = operator.annotate(batch)
        _check_lengths(made, batch.num_rows)
        return {name: array.to_pylist() for name, array in made.items()}
    if isinstance(operator, Filter):
        statistics = operator.statistics(batch)
        _check_lengths(statistics, batch.num_rows)
        decision = operator.decide(statistics)
        assert len(decision.keep) == batch.num_rows and decision.keep.null_count == 0, "keep: one true or false a row"
        for keep, reason in zip(decision.keep.to_pylist(), decision.reason.to_pylist(), strict=True):
            assert keep or reason, "a dropped row needs a reason"
        return decision.keep.to_pylist()
    if isinstance(operator, Mapper):
        mapped = operator.map(batch)
        assert mapped.num_rows == batch.num_rows, "a mapper keeps the number of rows"
        assert mapped.column(ROW_ID).equals(batch.column(ROW_ID)), f"a mapper leaves {ROW_ID} as it is"
        return mapped.to_pylist()
    if isinstance(operator, Expander):
        expanded = operator.expand(batch)
        assert "parent_row_id" in expanded.schema.names, "an expander names each row's parent_row_id"
        return expanded.to_pylist()
    assert isinstance(operator, Deduplicator), "an operator is one of the five kinds"
    signatures = operator.signature(batch)
    _check_lengths(signatures, batch.num_rows)
    table = pa.table({ROW_ID: batch.column(ROW_ID), **signatures})
    clusters = operator.cluster(table)
    members = set(clusters.row_id.to_pylist())
    assert set(clusters.representative.to_pylist()) <= members, "a representative is a member of its group"
    return (clusters.row_id.to_pylist(), clusters.representative.to_pylist())


def _check_lengths(arrays: dict[str, Any], rows: int) -> None:
    for name, array in arrays.items():
        assert len(array) == rows, f"column {name}: {len(array)} values for {rows} rows"


def check_importer(importer: Importer, path: Path, params: Any) -> list[dict[str, Any]]:
    """Read a good file twice, and from each mark it notes; all readings must agree. Returns its rows."""
    rows, marks = _read_from(importer, None, path, params)
    assert rows == _read_from(importer, None, path, params)[0], "an importer reads the same file the same way each time"
    assert rows, "a good file gives rows"
    for before, mark in marks:
        kept = json.loads(json.dumps(mark))
        rest = _read_from(importer, kept, path, params)[0]
        assert rest == rows[before:], f"from the mark {mark} on come the rows after the first {before}"
    return rows


def _read_from(
    importer: Importer, mark: dict[str, Any] | None, path: Path, params: Any
) -> tuple[list[dict[str, Any]], list[tuple[int, dict[str, Any]]]]:
    """Give the rows after a mark, and the marks that were noted, each with the number of rows before it."""
    importer.mark = seen = mark
    rows: list[dict[str, Any]] = []
    marks: list[tuple[int, dict[str, Any]]] = []
    for batch in importer.read(path, params, FakeReport(), FakeContext()):
        if importer.mark is not None and importer.mark is not seen:
            seen = importer.mark
            marks.append((len(rows), seen))
        rows += batch.to_pylist()
    return rows, marks


def check_dataset_exporter(
    exporter_class: type[DatasetExporter],
    params: Any,
    batches: Sequence[pa.RecordBatch] | None = None,
    folder: Path | None = None,
) -> Path:
    """Write rows, no rows, and rows until a cancel. Returns what the rows were written to.

    Args:
        batches: Rows of one schema that fit the format; by default `sample_batch` without ids.
        folder: Where to write; by default a temporary folder that is gone afterwards.
    """
    rows = [sample_batch().drop_columns([ROW_ID])] if batches is None else list(batches)
    count = sum(batch.num_rows for batch in rows)
    facts = DatasetFacts("Sample", rows=count)
    ctx = FakeContext(folder)
    report = FakeExportReport()
    target = _write(exporter_class, rows, facts, params, report, ctx, "whole.out")
    assert all(0 <= row < count and reason for row, reason in report.left_out), (
        "a row left out has a place and a reason"
    )
    assert len({row for row, _ in report.left_out}) == len(report.left_out), "a row is left out once"
    _write(exporter_class, [rows[0].slice(0, 0)], DatasetFacts("Sample"), params, FakeExportReport(), ctx, "empty.out")
    try:
        _write(exporter_class, [*rows, None], facts, params, FakeExportReport(), ctx, "stopped.out")
    except Cancelled:
        return target
    raise AssertionError("an exporter passes on Cancelled, which the rows raise when the user asks to stop")


def _write(
    exporter_class: type[DatasetExporter],
    batches: Sequence[pa.RecordBatch | None],
    facts: DatasetFacts,
    params: Any,
    report: ExportReport,
    ctx: FakeContext,
    name: str,
) -> Path:
    """Write to a folder of its own; a batch None stands for the user's wish to stop."""

    def given() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch is None:
                raise Cancelled
            if batch.num_rows:
                yield batch

    folder = ctx.workdir / f"for-{name}"
    folder.mkdir()
    assert batches[0] is not None
    schema = batches[0].schema
    exporter = exporter_class()
    exporter.check(schema, params)
    written = exporter.write(given(), schema, folder / name, params, facts, report, ctx)
    assert [path.name for path in folder.iterdir()] == [name], "an exporter writes the target and nothing beside it"
    found = {path for path in folder.rglob("*") if path.is_file()}
    assert set(written) == found, "an exporter returns the files it wrote"
    return folder / name


def check_chat_backend(backend: ChatBackend, messages: Sequence[Message]) -> list[int]:
    """Check what every chat backend promises, on one that is loaded. Returns the tokens of a greedy answer.

    Order of the chunks, counts, repetition with a seed, an end on cancel and, where the backend says that it takes
    turns, answers that are the same by turns as alone. A backend that embeds gives unit vectors, alone as together, and
    its answers stay what they were.
    """
    from fmstudio.api.chat_backend import GenerateRequest

    requests = [
        GenerateRequest(messages=messages, temperature=0.0, max_tokens=12, adapters=()),
        GenerateRequest(messages=messages, temperature=1.0, max_tokens=12, adapters=(), seed=7),
    ]
    answers = [list(backend.generate(request, lambda: False)) for request in requests]
    for chunks in answers:
        assert [c.finish_reason is not None for c in chunks] == [False] * (len(chunks) - 1) + [True], (
            "the last chunk, and no other, has a finish_reason"
        )
        progress = [c.prompt_done for c in chunks if c.prompt_total and c.finish_reason is None]
        assert progress == sorted(progress), "prompt progress never goes back"
        usage = chunks[-1].usage
        assert usage.get("completion_tokens") == len(_tokens(chunks)), "usage counts the tokens that were reported"
        assert usage.get("prompt_tokens") == backend.count_tokens(messages), "count_tokens says what a prompt takes"
    again = [list(backend.generate(request, lambda: False)) for request in requests]
    assert [_tokens(a) for a in again] == [_tokens(a) for a in answers], "the same seed gives the same tokens"
    cancelled = list(backend.generate(requests[0], lambda: True))
    assert cancelled[-1].finish_reason == "cancelled", "a cancelled answer ends with the reason cancelled"
    if backend.takes_turns:
        running = [backend.generate(request, lambda: False) for request in requests]
        parts: list[list[Chunk]] = [[], []]
        while any(more := [next(chunks, None) for chunks in running]):
            for part, chunk in zip(parts, more, strict=True):
                part.extend([chunk] if chunk is not None else [])
        assert [_tokens(p) for p in parts] == [_tokens(a) for a in answers], "by turns each says what it says alone"
    if _check_vectors(backend):
        after = list(backend.generate(requests[0], lambda: False))
        assert _tokens(after) == _tokens(answers[0]), "embedding leaves chats as they were"
    return _tokens(answers[0])


def _check_vectors(backend: ChatBackend) -> bool:
    """Check `ChatBackend.embed`; says whether the backend has it."""
    import numpy as np

    from fmstudio.api.chat_backend import EmbedRequest

    def vectors(*texts: str) -> list[Any]:
        chunks = list(backend.embed(EmbedRequest(texts), lambda: False))
        assert chunks[-1].finish_reason == "stop" and chunks[-1].usage["prompt_tokens"] > 0
        return [vector for chunk in chunks for vector in chunk.vectors]

    try:
        alone = [*vectors("Hello world"), *vectors("Where is the printer?")]
    except UserError:
        return False
    assert all(abs(float(np.linalg.norm(vector)) - 1) < 1e-3 for vector in alone), "vectors have length 1"
    together = vectors("Hello world", "Where is the printer?")
    assert all(np.abs(a - b).max() < 1e-3 for a, b in zip(alone, together, strict=True)), "together as alone"
    ended = list(backend.embed(EmbedRequest(["Hello world"] * 3), lambda: True))[-1]
    assert ended.finish_reason == "cancelled", "a cancelled request ends with the reason cancelled"
    return True


def _tokens(chunks: Sequence[Chunk]) -> list[int]:
    return [token for chunk in chunks for token in chunk.token_ids]


def check_embedder(embedder: Embedder, dim: int, texts: Sequence[str] = ("Hello world", "日本語", "")) -> None:
    """Check shape, type, unit length, order independence and that empty text gives zeros."""
    import numpy as np

    embedder.setup()
    vectors = embedder.embed(texts)
    assert vectors.shape == (len(texts), dim), f"shape {vectors.shape} instead of {(len(texts), dim)}"
    assert vectors.dtype == np.float32, f"type {vectors.dtype} instead of float32"
    lengths = np.linalg.norm(vectors, axis=1)
    for text, length in zip(texts, lengths, strict=True):
        wanted = 1.0 if text else 0.0
        assert abs(float(length) - wanted) < 1e-2, f"the vector of “{text}” has length {length}"
    alone = embedder.embed([texts[0]])[0]
    assert float(np.abs(alone - vectors[0]).max()) < 2e-2, "a vector must not depend on its neighbours in the batch"
