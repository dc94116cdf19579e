"""A result of the console as CSV, with every digit: values are written as an export of the same rows writes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from fmstudio.core.plain_value import plain_text


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Header and rows, a line each: nested values as JSON, bytes in base64, nothing for what is missing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([plain_text(value) for value in row] for row in rows)
    return out.getvalue()
