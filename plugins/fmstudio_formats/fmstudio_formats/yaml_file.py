"""YAML: a list of rows, an object that holds one, or the chatterbot corpus shape. Errors name line and column.

A document that is a list is read item by item, so its size does not matter and a broken item costs itself. Any other is
parsed at once, as is one with references (YAML allows them to anywhere), and must fit in memory.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Importer, ImportReport, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.batches import Batcher
from fmstudio_formats.encoding import EncodingParams, Source, open_utf8
from fmstudio_formats.yaml_items import Items, is_list
from fmstudio_formats.yaml_values import load_all, plain_loader, text_loader

if TYPE_CHECKING:
    import pyarrow as pa

_LARGEST = 512 << 20
_CONVERSATIONS = re.compile(r"^conversations\s*:", re.MULTILINE)


class YamlImporter(Importer):
    """Reads ``.yml`` and ``.yaml``, also compressed."""

    Params = EncodingParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, EncodingParams)
        source = open_utf8(path, params.encoding, report)
        try:
            yield from Batcher(report).batched(_read(source, path, report, ctx))
            source.tell_damage(path, report)
        finally:
            source.close()


def _read(source: Source, path: Path, report: ImportReport, ctx: TaskContext) -> Iterator[dict[str, Any]]:
    head = source.read(1 << 20)
    if is_list(head):
        items = Items(source, path, report, ctx)
        for value in items.values(head):
            yield _row(value, "messages", {})
        return
    text = _text(source, head, path)
    # Turns of a conversation are text: plain YAML would read “Yes” as true and “42” as a number.
    documents = load_all(text, path, text_loader() if _CONVERSATIONS.search(text) else plain_loader())
    ctx.progress(source.size, source.size, "bytes read")
    yield from itertools.chain.from_iterable(_rows(document, path, report) for document in documents)


def _text(source: Source, head: bytes, path: Path) -> str:
    pieces, held = [head], len(head)
    while piece := source.read(1 << 20):
        pieces.append(piece)
        held += len(piece)
        if held > _LARGEST:
            raise UserError(
                f"{path.name} is larger than 512 MiB.", remedy="Convert it to JSON Lines, which is streamed."
            )
    try:
        return b"".join(pieces).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path.name} is not valid UTF-8 at byte {(source.start or 0) + error.start}.",
            remedy="Name the file's encoding, or mend that place.",
        ) from error


def _rows(document: Any, path: Path, report: ImportReport) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        lists = {key: value for key, value in document.items() if isinstance(value, list) and _is_rows(value)}
        if not lists:
            yield {str(key): value for key, value in document.items()}
            return
        key = "conversations" if "conversations" in lists else next(iter(lists))
        if len(lists) > 1:
            report.note(f"Rows are read from “{key}”; not from {', '.join(str(k) for k in lists if k != key)}.")
        category = _category(document) if key == "conversations" else {}
        yield from (_row(value, str(key), category) for value in lists[key])
    elif isinstance(document, list):
        yield from (_row(value, "messages", {}) for value in document)
    elif document is not None:
        raise UserError(
            f"{path.name} holds a single value and no rows.", remedy="A YAML file of rows is a list, or holds one."
        )


def _is_rows(values: list[Any]) -> bool:
    return bool(values) and isinstance(values[0], (dict, list))


def _category(document: dict[str, Any]) -> dict[str, str]:
    names = document.get("categories")
    return {"category": ", ".join(str(name) for name in names)} if isinstance(names, list) else {}


def _row(value: Any, key: str, more: dict[str, str]) -> dict[str, Any]:
    if isinstance(value, dict):
        return {str(k): v for k, v in value.items()} | more
    if isinstance(value, list):
        return {key: value, **more}
    return {"text": value, **more}
