"""What the table remembers of each dataset: the shape of its columns and the filters used. One small file a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.ui.widgets.table.layout import TableLayout

FOLDER = "views"


@dataclass(frozen=True, slots=True)
class TableMemory:
    """Columns and recent filters, newest first."""

    layout: TableLayout
    recent: tuple[str, ...] = ()


def read_memory(project: Path, dataset_id: str) -> TableMemory:
    """What was remembered; defaults when there is nothing, or nothing readable."""
    data = read_json(_path(project, dataset_id), {})
    layout, recent = data.get("columns"), data.get("recent")
    texts = tuple(str(text) for text in recent) if isinstance(recent, list) else ()
    return TableMemory(TableLayout.of(layout if isinstance(layout, dict) else {}), texts)


def write_memory(project: Path, dataset_id: str, memory: TableMemory) -> None:
    """Remember.

    Raises:
        OSError: The project folder cannot be written.
    """
    path = _path(project, dataset_id)
    path.parent.mkdir(exist_ok=True)
    write_json(path, {"columns": memory.layout.to_dict(), "recent": list(memory.recent)})


def _path(project: Path, dataset_id: str) -> Path:
    return project / FOLDER / f"{dataset_id}.json"
