"""Which side columns stand: adding one (an embedding) is an operation, so that undo hides the column and redo shows it."""

from __future__ import annotations

from fmstudio.project.catalog import Catalog

_ADDS = "o.kind = 'embed' AND json_extract_string(o.params, '$.side_column')"
STANDS = (
    "NOT EXISTS (SELECT 1 FROM operations o WHERE o.dataset_id = s.dataset_id AND o.state <> 'done'"
    f" AND {_ADDS} = s.folder)"
)
"""Condition on a row ``s`` of ``side_columns``: what added it was not undone. A branch keeps what it was made with."""


def overtaken(catalog: Catalog) -> set[str]:
    """Folders of columns that were undone and can no longer be redone."""
    rows = catalog.query(
        "SELECT s.folder FROM side_columns s JOIN operations o ON o.dataset_id = s.dataset_id"
        f" AND {_ADDS} = s.folder WHERE o.state = 'superseded'"
        " AND s.folder NOT IN (SELECT folder FROM side_columns b WHERE b.dataset_id <> s.dataset_id)"
    )
    return {row[0] for row in rows}
