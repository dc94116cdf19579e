"""Arrow IPC and Feather: the file and the stream format; a file whose end is missing is read as the stream it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Importer, ImportReport, Reject, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.arrow_plain import pieces, sound

if TYPE_CHECKING:
    import pyarrow as pa

_MAGIC = b"ARROW1"
_FEATHER_1 = b"FEA1"


class ArrowImporter(Importer):
    """Reads ``.arrow``, ``.ipc``, ``.feather`` and ``.arrows``."""

    Params = AnyParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        size = path.stat().st_size
        if not size:
            raise UserError(f"{path.name} is empty (0 bytes).", remedy="Choose a file with content.")
        for batch, done in read_arrow(path, report):
            ctx.check_cancelled()
            ctx.progress(done, size, "bytes read")
            yield from pieces(batch)
        ctx.progress(size, size, "bytes read")


def read_arrow(path: Path, report: ImportReport) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield a file's batches as they are, each with the bytes read so far.

    Raises:
        UserError: It is no Arrow file, or its first part is damaged.
    """
    import pyarrow as pa

    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(_FEATHER_1):
        yield from _feather_1(path)
        return
    with pa.OSFile(str(path), "rb") as file:
        is_file = head.startswith(_MAGIC)
        if is_file and (reader := _footer(file)) is not None:
            yield from _batches((lambda i: reader.get_batch(i)), reader.num_record_batches, file, path, report)
            return
        if is_file:
            report.note(f"{path.name} is cut: its end, which lists the batches, is missing. Whole batches are read.")
        file.seek(8 if is_file else 0)
        yield from _stream(file, path, report)


def _footer(file: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.ipc.open_file(file)
    except (pa.ArrowException, OSError):
        return None


def _batches(get: Any, count: int, file: Any, path: Path, report: ImportReport) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Batches by number: one that is damaged costs itself."""
    import pyarrow as pa

    for number in range(count):
        try:
            batch = sound(get(number))
        except (pa.ArrowException, OSError, MemoryError) as error:
            report.reject(Reject(f"Batch {number + 1} of {count} in {path.name} is damaged ({error})."))
            continue
        yield batch, file.tell()


def _stream(file: Any, path: Path, report: ImportReport) -> Iterator[tuple[pa.RecordBatch, int]]:
    import pyarrow as pa

    rows = 0
    try:
        reader = pa.ipc.open_stream(file)
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise UserError(
            f"{path.name} is no Arrow file, or its start is damaged.",
            remedy="Choose another importer, or copy the file again.",
            details=str(error),
        ) from error
    while True:
        at = file.tell()
        try:
            batch = sound(reader.read_next_batch())
        except StopIteration:
            return
        except (pa.ArrowException, OSError, MemoryError) as error:
            report.reject(Reject(f"After row {rows} of {path.name} the file is cut or damaged ({error}).", None, at))
            return
        rows += batch.num_rows
        yield batch, file.tell()


def _feather_1(path: Path) -> Iterator[tuple[pa.RecordBatch, int]]:
    import pyarrow as pa
    import pyarrow.feather

    try:
        table = pyarrow.feather.read_table(path, memory_map=False)
        batches = [sound(batch) for batch in table.to_batches()]
    except (pa.ArrowException, OSError, NotImplementedError) as error:
        raise UserError(
            f"{path.name} is in the old Feather format and cannot be read.",
            remedy="Write it again as Feather 2 (Arrow IPC) or Parquet.",
            details=str(error),
        ) from error
    yield from ((batch, path.stat().st_size) for batch in batches)
