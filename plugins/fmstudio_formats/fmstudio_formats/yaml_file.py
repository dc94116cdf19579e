"""YAML: a list of rows, an object that holds one, or the chatterbot corpus shape. Errors name line and column.

The whole file is parsed at once (YAML allows references to anywhere), so this format is for files that fit in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fmstudio.api import Importer, ImportReport, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.batches import batched
from fmstudio_formats.depth import DEEPEST, may_be_too_deep
from fmstudio_formats.encoding import EncodingParams, open_utf8

if TYPE_CHECKING:
    import pyarrow as pa

_LARGEST = 512 << 20
_CONVERSATIONS = re.compile(r"^conversations\s*:", re.MULTILINE)


class YamlImporter(Importer):
    """Reads ``.yml`` and ``.yaml``."""

    Params = EncodingParams

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, EncodingParams)
        text = _text(path, params, report)
        documents = _load(text, path)
        ctx.progress(path.stat().st_size, path.stat().st_size, "bytes read")
        yield from batched(row for document in documents for row in _rows(document, path, report))


def _text(path: Path, params: EncodingParams, report: ImportReport) -> str:
    if path.stat().st_size > _LARGEST:
        raise UserError(f"{path.name} is larger than 512 MiB.", remedy="Convert it to JSON Lines, which is streamed.")
    source = open_utf8(path, params.encoding, report)
    pieces = []
    while piece := source.stream.read(1 << 20):
        pieces.append(piece)
    source.stream.close()
    try:
        return b"".join(pieces).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path.name} is not valid UTF-8 at byte {(source.start or 0) + error.start}.",
            remedy="Name the file's encoding, or mend that place.",
        ) from error


def _load(text: str, path: Path) -> list[Any]:
    import yaml

    # Turns of a conversation are text: plain YAML would read “Yes” as true and “42” as a number.
    loader = _text_loader() if _CONVERSATIONS.search(text) else _plain_loader()
    try:
        if may_be_too_deep(text) or "- " * DEEPEST in text:
            _check_depth(text, path, loader)
        return list(yaml.load_all(text, loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = error.problem or error.context or "it cannot be read"
        if error.context_mark and mark and error.context_mark.line != mark.line:
            problem += f" (in what began in line {error.context_mark.line + 1})"
        raise UserError(
            f"{path.name}{place}: broken YAML: {problem}.",
            remedy="Mend that place and import again.",
            details=str(error),
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path.name} is broken YAML: {error}.", remedy="Mend the file and import again.") from error


def _check_depth(text: str, path: Path, loader: Any) -> None:
    """Walk the events, which needs no recursion; building the values would, in C."""
    import yaml

    depth = 0
    for event in yaml.parse(text, loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            place = f", line {event.start_mark.line + 1}" if event.start_mark else ""
            raise UserError(f"{path.name}{place}: nested more than {DEEPEST} deep.", remedy="Flatten the file.")


def _text_loader() -> Any:
    import yaml

    return getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def _plain_loader() -> Any:
    """Make a safe loader that reads only JSON's types: dates and yes/no stay the text they are."""
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    keep = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")

    class PlainLoader(base):  # type: ignore[misc,valid-type]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
            first: [(tag, pattern) for tag, pattern in resolvers if tag in keep]
            for first, resolvers in base.yaml_implicit_resolvers.items()
        }

    PlainLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|True|false|False)$"), list("tTfF"))
    return PlainLoader


def _rows(document: Any, path: Path, report: ImportReport) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        lists = {key: value for key, value in document.items() if isinstance(value, list) and _is_rows(value)}
        if not lists:
            yield {str(key): value for key, value in document.items()}
            return
        key = "conversations" if "conversations" in lists else next(iter(lists))
        if len(lists) > 1:
            report.note(f"Rows are read from “{key}”; not from {', '.join(k for k in lists if k != key)}.")
        category = _category(document) if key == "conversations" else {}
        yield from (_row(value, key, category) for value in lists[key])
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
