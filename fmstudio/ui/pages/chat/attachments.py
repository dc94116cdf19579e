"""Files and rows that travel with a question: read as text, never executed, bounded in size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmstudio.api.errors import UserError

MAX_BYTES = 2 << 20
"""Bytes of one attached text; more than any context this engine allocates."""
MOST_ROWS = 200


def read_text(path: Path) -> dict[str, Any]:
    """Read a text file as an attachment: name, kind and text.

    Raises:
        UserError: It is no text, or too large.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(
                f"“{path.name}” is larger than {MAX_BYTES >> 20} MB.",
                remedy="Import it on the Data page and attach rows of it.",
            )
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"“{path.name}” cannot be read: {error.strerror or error}.") from error
    for encoding in ("utf-8-sig", "utf-16") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return {"name": path.name, "kind": "text", "text": text}
    raise UserError(f"“{path.name}” is no text file.", remedy="Import documents on the Data page, then attach rows.")


def read_rows(name: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows of a dataset as an attachment: JSON Lines.

    Raises:
        UserError: There are too many.
    """
    if len(rows) > MOST_ROWS:
        raise UserError(f"{len(rows):,} rows are too many to attach.", remedy=f"Choose at most {MOST_ROWS}.")
    lines = [
        json.dumps({c: row.get(c) for c in columns if row.get(c) is not None}, ensure_ascii=False, default=str)
        for row in rows
    ]
    return {"name": f"{name} ({len(rows)} rows).jsonl", "kind": "rows", "text": "\n".join(lines)}
