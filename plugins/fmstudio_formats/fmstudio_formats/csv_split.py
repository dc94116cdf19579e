"""Bytes of whole CSV records → columns of text, by Arrow; it says no where a record is not as it should be."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from fmstudio.api import UserError
from fmstudio_formats.csv_head import Dialect

if TYPE_CHECKING:
    import pyarrow as pa


def first_records(data: bytes, dialect: Dialect) -> tuple[list[list[str]], list[int]]:
    """Give the first two records that are not empty, and the bytes up to the end of each."""
    csv.field_size_limit(256 << 20)
    lines = data.splitlines(keepends=True)
    texts = (line.decode("utf-8", "replace") for line in lines)
    reader = csv.reader(texts, delimiter=dialect.delimiter, quotechar=dialect.quote)
    records, ends = [], []
    try:
        for cells in reader:
            if cells:
                records.append(cells)
                ends.append(sum(map(len, lines[: reader.line_num])))
            if len(records) == 2:
                break
    except csv.Error as error:
        if not records:
            raise UserError(
                f"The first line cannot be read as CSV: {error}.", remedy="Check the delimiter and the quotes."
            ) from error
    return records, ends


def split(data: bytes, names: list[str], dialect: Dialect) -> list[pa.Array] | None:
    """Split whole records into columns of text with Arrow; None when a record is not as it should be."""
    import pyarrow as pa
    import pyarrow.csv as pc

    if b"\0" in data or data.isspace() or not data:
        return None
    whole = data if data.endswith((b"\n", b"\r")) else data + b"\n"
    read = pc.ReadOptions(block_size=len(whole) + 1, column_names=names, use_threads=False)
    # One chunk is parsed whole, line ends within quotes or not; the option would only have Arrow look for its end again.
    parse = pc.ParseOptions(delimiter=dialect.delimiter, quote_char=dialect.quote, newlines_in_values=False)
    # Arrow checks each cell for UTF-8, which takes longer than seeing that a block holds nothing but ASCII.
    convert = pc.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=not whole.isascii()
    )
    try:
        table = pc.read_csv(pa.BufferReader(whole), read, parse, convert)
    except pa.ArrowInvalid:
        return None
    if not table.num_rows:
        return None
    columns = [c.chunk(0) if c.num_chunks == 1 else pa.concat_arrays(c.chunks) for c in table.columns]
    # Arrow takes an open quote at the end for a cell that ends there; then the cell holds the last line end.
    return None if str(columns[-1][-1]).endswith(("\n", "\r")) else columns
