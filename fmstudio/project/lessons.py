"""`Lessons`: two datasets that grow by themselves from what a person judges in the chat.

*Lessons* holds answers to learn, *Lessons (preferences)* pairs of a better and a worse one. Their rows are made by
comparing what a conversation teaches now with what was written before, so that a changed or withdrawn judgement
changes or withdraws its row. A row that the person deleted or filtered out in the dataset stays away as long as the
judgement behind it stands as it was.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.core.jsonfile import fsync_folder, write_json
from fmstudio.core.sql import literal
from fmstudio.project.branching import OWNER_FILE
from fmstudio.project.catalog import Catalog, insert
from fmstudio.project.changes import Changes
from fmstudio.project.history import log_operation
from fmstudio.project.lesson_rows import PREFERENCE, SFT, Lesson, lessons_of

if TYPE_CHECKING:
    import pyarrow as pa

    from fmstudio.project.chats import Chats
    from fmstudio.project.datasets import Datasets
    from fmstudio.project.edits import Edits
    from fmstudio.project.rows import Page

NAMES = {SFT: "Lessons", PREFERENCE: "Lessons (preferences)"}
KINDS = {SFT: "conversation", PREFERENCE: "preference"}
KEY = "lesson"
IN_ONE_QUERY = 500


@dataclass(frozen=True, slots=True)
class LessonCount:
    """How much was taught: rows of each dataset (0 when it is not there), and where they are.

    Attributes:
        sft_id, preference_id: Ids of the datasets; empty when there is none yet.
    """

    sft: int
    preferences: int
    sft_id: str = ""
    preference_id: str = ""


class Lessons:
    """Keeps the lessons datasets in step with the chats.

    Args:
        folder: The project folder.
        page: Reads rows as the user sees them (`Project.page`).
    """

    def __init__(
        self, catalog: Catalog, datasets: Datasets, edits: Edits, chats: Chats, folder: Path, page: Callable[..., Page]
    ) -> None:
        self._catalog, self._datasets, self._edits, self._chats = catalog, datasets, edits, chats
        self._folder, self._page = folder, page

    def count(self) -> LessonCount:
        """How much was taught so far."""
        ids = {view: self._dataset(view) for view in NAMES}
        rows = {view: self._datasets.get(found).rows if found else 0 for view, found in ids.items()}
        return LessonCount(rows[SFT], rows[PREFERENCE], ids[SFT], ids[PREFERENCE])

    def sync(self, conversation_id: str) -> Changes:
        """Bring the rows of one conversation up to date.

        Raises:
            UserError: A lessons dataset cannot be written.
        """
        wanted = lessons_of(self._chats.messages(conversation_id), self._chats.choices(conversation_id))
        title = self._chats.get(conversation_id).title
        changes = Changes()
        for view in NAMES:
            changes |= self._sync_view(view, conversation_id, title, [item for item in wanted if item.view == view])
        return changes

    def sync_all(self) -> Changes:
        """Bring the rows of all conversations up to date."""
        changes = Changes()
        rows = self._catalog.query("SELECT conversation_id FROM ratings UNION SELECT conversation_id FROM chat_choices")
        for row in rows:
            changes |= self.sync(row[0])
        return changes

    def _sync_view(self, view: str, conversation_id: str, title: str, wanted: Sequence[Lesson]) -> Changes:
        dataset_id = self._dataset(view)
        rows = self._catalog.query(
            "SELECT key, hash FROM lessons WHERE view = ? AND conversation_id = ? AND dataset_id = ?",
            [view, conversation_id, dataset_id],
        )
        before = {row[0]: row[1] for row in rows}
        news = [item for item in wanted if before.get(item.key) != item.hash]
        gone = before.keys() - {item.key for item in wanted}
        if not news and not gone:
            return Changes()
        dataset_id = dataset_id or self._make(view)
        # A kill between the two is mended by the next call: rows are found by their key and set to what they are.
        self._write(dataset_id, f"Lessons of “{title}”", news, sorted(gone))
        self._remember(dataset_id, conversation_id, news, gone)
        return Changes(datasets=frozenset({dataset_id}))

    def _write(self, dataset_id: str, title: str, news: Sequence[Lesson], gone: Sequence[str]) -> None:
        there = self._rows(dataset_id, [*(item.key for item in news), *gone])
        fresh = [item.record for item in news if item.key not in there]
        changed = {there[item.key]: item.record for item in news if item.key in there}
        if fresh:
            self._edits.add_rows(dataset_id, fresh, title)
        if changed:
            self._edits.set_cells(dataset_id, changed, title)
        if stale := [there[key] for key in gone if key in there]:
            self._edits.delete_rows(dataset_id, stale)

    def _rows(self, dataset_id: str, keys: Sequence[str]) -> dict[str, int]:
        """Where lessons are now: key → row id."""
        if KEY not in {column.name for column in self._datasets.get(dataset_id).columns}:
            return {}
        found: dict[str, int] = {}
        for start in range(0, len(keys), IN_ONE_QUERY):
            marks = ", ".join(literal(key) for key in keys[start : start + IN_ONE_QUERY])
            page = self._page(dataset_id, where=f"{KEY} IN ({marks})", limit=2 * IN_ONE_QUERY, columns=["row_id", KEY])
            found.update({record[KEY]: record["row_id"] for record in page.records()})
        return found

    def _remember(self, dataset_id: str, conversation_id: str, news: Sequence[Lesson], gone: Any) -> None:
        with self._catalog.transaction() as connection:
            for key in [*gone, *(item.key for item in news)]:
                connection.execute("DELETE FROM lessons WHERE key = ?", [key])
            for item in news:
                values = {
                    "key": item.key,
                    "view": item.view,
                    "dataset_id": dataset_id,
                    "conversation_id": conversation_id,
                    "hash": item.hash,
                    "updated": time.time(),
                }
                insert(connection, "lessons", values)

    # ---- the datasets ----------------------------------------------------------------------------------------------

    def _dataset(self, view: str) -> str:
        """Id of the dataset of a view that is not deleted, or empty."""
        rows = self._catalog.query(
            "SELECT d.id FROM lesson_sets s JOIN datasets d ON d.id = s.dataset_id WHERE s.view = ? AND NOT d.is_deleted"
            " ORDER BY s.created DESC LIMIT 1",
            [view],
        )
        return str(rows[0][0]) if rows else ""

    def _make(self, view: str) -> str:
        """Make the dataset of a view, empty: beside, then renamed into place, then made known."""
        from fmstudio.core.parquet import RowsWriter

        made = f"d-{secrets.token_hex(4)}"
        beside, place = self._folder / "tmp" / made, self._folder / "datasets" / made / "v0001"
        shutil.rmtree(beside, ignore_errors=True)
        with RowsWriter(beside) as writer:
            writer.write(_empty(view))
            written = writer.close()
        write_json(beside / OWNER_FILE, {"job_id": "", "branch_of": ""})  # unknown to the catalogue: taken away at open
        place.parent.mkdir(parents=True)
        beside.replace(place)
        fsync_folder(place.parent)
        self._enter(view, made, written.columns, written.bytes)
        return made

    def _enter(self, view: str, made: str, columns: list[dict[str, str]], size: int) -> None:
        now = time.time()
        with self._catalog.transaction() as connection:
            dataset = {
                "id": made,
                "name": self._datasets.log.free_name(NAMES[view]),
                "kind": KINDS[view],
                "current_version": 1,
                "is_deleted": False,
                "created": now,
                "source": {"lessons": view},
            }
            version = {
                "dataset_id": made,
                "number": 1,
                "parent": None,
                "rows": 0,
                "dropped": 0,
                "rejected": 0,
                "bytes": size,
                "columns": columns,
                "operation": "Begun from chats",
                "statistics": {},
                "job_id": "",
                "created": now,
            }
            insert(connection, "datasets", dataset)
            insert(connection, "versions", version)
            insert(connection, "lesson_sets", {"view": view, "dataset_id": made, "created": now})
            log_operation(connection, "import", made, None, 1, "Begin lessons from chats")


def _empty(view: str) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([], schema=_schema(view))


def _schema(view: str) -> pa.Schema:
    import pyarrow as pa

    said = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    texts = ("conversation_id", "message_id", "model", "model_fingerprint", "adapters", "template_hash", "sampler")
    told = [("messages", said)] if view == SFT else [("prompt", said), ("chosen", said), ("rejected", said)]
    more = [("rejected_id", pa.string())] if view == PREFERENCE else []
    fields = [
        ("row_id", pa.int64()),
        *told,
        ("source", pa.string()),
        *((name, pa.string()) for name in texts),
        ("seed", pa.int64()),
        ("context_hash", pa.string()),
        *more,
        (KEY, pa.string()),
    ]
    return pa.schema(fields)
