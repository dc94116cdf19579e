"""`ExportRows`: the rows an export writes, as the user sees them: edits applied, filtered, with the chosen columns.

Runs in a worker, over Parquet files alone: the catalogue is not opened. Rows come in the order of their ids with the
types they are stored in; memory is bounded by a few batches, the rows that edits touch, and 8 bytes for each row that a
filter lets through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.api.rows import ROW_ID
from fmstudio.core.checking import nearest
from fmstudio.core.parquet import read_batches
from fmstudio.core.sql import literal
from fmstudio.core.unify import Unifier, convert
from fmstudio.project.row_index import source
from fmstudio.recipes.sandbox import sentence

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class ExportRows:
    """Rows of one version.

    Args:
        files: The version's Parquet files, in row order.
        rows: Parquet file of the whole rows that pending edits changed or added; None when there are none.
        deleted: Parquet file with the ids of rows that pending edits deleted.
        where: SQL condition; empty = all rows.
        columns: Columns to give, in order; empty = all but ``row_id``.
        with_row_id: Put ``row_id`` first even when it was not chosen.
        folder: The only folder that the condition may read from.
        workdir: Where a large selection may spill to.

    Raises:
        UserError: The condition is no valid SQL, or a column is not there.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        rows: Path | None = None,
        deleted: Path | None = None,
        where: str = "",
        columns: Sequence[str] = (),
        with_row_id: bool = False,
        folder: Path,
        workdir: Path,
    ) -> None:
        self._files = list(files)
        self._edited = _table(rows)
        self._deleted = _table(deleted)
        self._whole = _whole_schema(self._files, self._edited)
        self._columns = _chosen(self._whole.names, columns, with_row_id)
        self._hidden = _ids(self._edited, self._deleted)
        names = self._whole.names
        self._wanted = _matching(self._files, rows, deleted, where, names, folder, workdir) if where.strip() else None

    @property
    def schema(self) -> pa.Schema:
        """Columns of the rows given."""
        import pyarrow as pa

        return pa.schema([self._whole.field(name) for name in self._columns])

    def count(self) -> int:
        """Number of rows that `batches` gives."""
        import pyarrow.parquet as pq

        if self._wanted is not None:
            return len(self._wanted)
        total = sum(int(pq.read_metadata(path).num_rows) for path in self._files)
        if len(self._hidden):
            ids = (batch.column(0) for batch in read_batches(self._files, [ROW_ID], 1 << 16))
            total -= sum(int(_is_in(column, self._hidden).sum()) for column in ids)
        return total + (self._edited.num_rows if self._edited is not None else 0)

    def batches(self) -> Iterator[tuple[pa.Array, pa.RecordBatch]]:
        """Yield the ids of rows and the rows, at most some thousand at a time, never none."""
        for batch in self._merged():
            if self._wanted is not None:
                batch = batch.filter(_mask(_is_in(batch.column(ROW_ID), self._wanted)))
            if batch.num_rows:
                yield batch.column(ROW_ID), batch.select(self._columns)

    def _merged(self) -> Iterator[pa.RecordBatch]:
        """The version's rows with the edited ones in their places."""
        import pyarrow as pa
        import pyarrow.compute as pc

        waiting = self._edited
        for batch in read_batches(self._files):
            batch = _brought(batch, self._whole)
            last = batch.column(ROW_ID)[-1] if batch.num_rows else None
            if len(self._hidden):
                batch = batch.filter(_mask(~_is_in(batch.column(ROW_ID), self._hidden)))
            if waiting is not None and last is not None:
                count = int(pc.sum(pc.less_equal(waiting.column(ROW_ID), last)).as_py() or 0)
                if count:
                    both = pa.concat_tables([pa.Table.from_batches([batch]), waiting.slice(0, count)])
                    batch = both.sort_by(ROW_ID).combine_chunks().to_batches()[0]
                    waiting = waiting.slice(count)
            yield batch
        if waiting is not None:
            yield from waiting.to_batches(max_chunksize=8_192)


def _table(path: Path | None) -> pa.Table | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path) if path is not None else None
    if table is None or not table.num_rows:
        return None
    # DuckDB marks columns without missing values; what they are put beside has no such marks.
    return table.cast(pa.schema([field.remove_metadata().with_nullable(True) for field in table.schema]))


def _whole_schema(files: Sequence[Path], edited: pa.Table | None) -> pa.Schema:
    """All columns: those of the version with their types there, then those that edits brought."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = [pq.read_schema(path).remove_metadata() for path in files]
    schema = schemas[0]
    if any(other != schema for other in schemas[1:]):
        unifier = Unifier()
        for other in schemas:
            unifier.conform(pa.RecordBatch.from_pylist([], schema=other))
        schema = unifier.schema()
    new = [f for f in edited.schema if f.name not in schema.names] if edited is not None else []
    return pa.schema([*schema, *(pa.field(f.name, f.type) for f in new)])


def _brought(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [
        convert(batch.column(f.name), f.type) if f.name in batch.schema.names else pa.nulls(batch.num_rows, f.type)
        for f in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _chosen(names: Sequence[str], columns: Sequence[str], with_row_id: bool) -> list[str]:
    for name in columns:
        if name not in names:
            raise UserError(f"There is no column “{name}” in this dataset.", remedy=nearest(name, list(names)))
    chosen = list(dict.fromkeys(columns)) or [name for name in names if name != ROW_ID]
    return [ROW_ID, *chosen] if with_row_id and ROW_ID not in chosen else chosen


def _ids(*tables: pa.Table | None) -> np.ndarray[Any, Any]:
    """Ids in these tables, ascending."""
    import numpy as np

    found = [table.column(ROW_ID).to_numpy() for table in tables if table is not None]
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def _is_in(ids: pa.Array, ascending: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which ids are among these; a binary search each, whatever their number."""
    import numpy as np

    wanted = ids.to_numpy()
    if not len(ascending):
        return np.zeros(len(wanted), bool)
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    found: np.ndarray[Any, Any] = ascending[places] == wanted
    return found


def _mask(values: np.ndarray[Any, Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, pa.bool_())


def _matching(
    files: Sequence[Path],
    rows: Path | None,
    deleted: Path | None,
    where: str,
    names: Sequence[str],
    folder: Path,
    workdir: Path,
) -> np.ndarray[Any, Any]:
    """Ids of the rows that match, ascending; the condition can read nothing but the project. `names` are the columns."""
    import duckdb

    relation = source(files)
    if rows is not None and deleted is not None:
        hidden = f"SELECT {ROW_ID} FROM {source([rows])} UNION ALL SELECT {ROW_ID} FROM {source([deleted])}"
        seen = f"SELECT * FROM {relation} WHERE {ROW_ID} NOT IN ({hidden})"
        relation = f"({seen} UNION ALL BY NAME SELECT * FROM {source([rows])})"
    sql = f"SELECT {ROW_ID} FROM {relation} WHERE ({where}\n) ORDER BY {ROW_ID}"
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"SET temp_directory={literal(str(workdir))}; SET memory_limit='1GB'")
        connection.execute(f"SET allowed_directories=[{literal(str(folder))}]; SET enable_external_access=false")
        connection.execute("SET lock_configuration=true")
        try:
            if len(duckdb.extract_statements(sql)) != 1:
                raise UserError("Only one condition is allowed here.", remedy="Leave out the semicolon.")
            found: np.ndarray[Any, Any] = connection.execute(sql).fetchnumpy()[ROW_ID]
            return found
        except duckdb.Error as error:
            said = sentence(error, "This filter", names, sql=where)
            remedy = said.remedy or "Write a SQL condition over the columns, e.g. length(text) > 100."
            raise UserError(said.message, remedy=remedy, details=said.details) from error
