"""What a preview says of a file beyond its rows: shape, types that disagree, lengths, tokens, languages, speakers.

All of it is measured on the rows that were read for the preview, and says how many those are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Params, TaskContext, UserError, text_array
from fmstudio.core.canonical_nested import top_of, with_fields
from fmstudio.core.detection_conversation import role_counts
from fmstudio.core.schemas import ROLES, Mapping
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.importing import Naming, Report, first_batches, open_importer, raw_batches

if TYPE_CHECKING:
    import pyarrow as pa

MEASURED_ROWS = 2_000
"""Rows of which lengths are measured; languages are told for the first `LANGUAGE_ROWS` of them."""
LANGUAGE_ROWS = 400
LEAST_LETTERS = 12
"""Letters of which a language is told at the least: of a word or two the identifier makes any language at all."""
BYTES_PER_TOKEN = 4.0
"""UTF-8 bytes of one token, roughly, under the vocabularies of today's models; an estimate, and shown as one."""
EXAMPLES = 5

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}.*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}")


def shape_key(importer_id: str, sample: Sequence[pa.RecordBatch]) -> str:
    """Name the shape of a file: the same for files of one importer whose columns have the same names and types.

    Columns without any value yet do not count, and whole and decimal numbers are the same, so that two months of one export
    agree.
    """
    kinds: dict[str, str] = {}
    for batch in sample:
        for field in batch.schema:
            if batch.column(field.name).null_count < batch.num_rows:
                kinds.setdefault(field.name, _kind(field.type))
    text = json.dumps([importer_id, sorted(kinds.items())], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _kind(kind: pa.DataType) -> str:
    import pyarrow as pa

    t = pa.types
    if t.is_integer(kind) or t.is_floating(kind):
        return "number"
    if t.is_list(kind) or t.is_large_list(kind):
        return f"list of {_kind(kind.value_type)}"
    return "object" if t.is_struct(kind) else "text" if t.is_large_string(kind) else str(kind)


def type_conflicts(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Find columns whose values are of several kinds, in Python values or as written in text.

    Returns:
        For each: ``column``, ``types`` (kind → count, the commonest first), ``examples`` (``row`` from 1, ``type``,
        ``value``) of the kinds that are in the minority, and ``message``.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [found for name in names if (found := _conflict(name, rows))]


def _conflict(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    kinds = [(number, _written(row.get(name)), row.get(name)) for number, row in enumerate(rows, 1)]
    counts = Counter(kind for _, kind, _ in kinds if kind)
    main, most = next(iter(counts.most_common(1)), ("", 0))
    # Text in which a few numbers stand is text; numbers among which a few texts stand are a mistake.
    if len(counts) < 2 or main in ("text", "empty") or most * 2 < sum(counts.values()):
        return None
    odd = [
        {"row": row, "type": kind, "value": str(value)[:200]} for row, kind, value in kinds if kind not in ("", main)
    ]
    others = ", ".join(f"{_plural(kind, count)}" for kind, count in counts.most_common() if kind != main)
    return {
        "column": name,
        "types": dict(counts.most_common()),
        "examples": odd[:EXAMPLES],
        "message": f"“{name}” holds {_plural(main, most)}, but also {others}: the whole column is stored as text.",
    }


def _plural(kind: str, count: int) -> str:
    one, many = {
        "number": ("number", "numbers"), "date": ("date", "dates"), "yes or no": ("yes or no", "yes or no values"),
        "text": ("text", "texts"), "empty": ("empty text", "empty texts"), "list": ("list", "lists"),
        "object": ("object", "objects"),
    }[kind]  # fmt: skip
    return f"{count:,} {one if count == 1 else many}"


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes or no"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, (list, tuple)):
        return "list"
    if isinstance(value, dict):
        return "object"
    text = str(value).strip()
    if not text:
        return "empty"
    if text.lower() in ("true", "false"):
        return "yes or no"
    if _NUMBER.fullmatch(text):
        return "number"
    if _DATE.fullmatch(text):
        return "date"
    return {"[": "list", "{": "object"}.get(text[0], "text") if text[-1:] in "]}" else "text"


def agreement(
    others: Sequence[Path], mapping: Mapping, columns: Sequence[str], plugins: PluginManager, ctx: TaskContext
) -> list[dict[str, Any]]:
    """Say of files that are to be imported with the first one whether they have its shape: ``path``, ``agrees``, ``reason``."""
    return [{"path": str(path), **_agrees(path, mapping, columns, plugins, ctx)} for path in others]


def _agrees(
    path: Path, mapping: Mapping, columns: Sequence[str], plugins: PluginManager, ctx: TaskContext
) -> dict[str, Any]:
    try:
        if path.is_dir():
            return {"agrees": False, "reason": f"{path.name} is a folder."}
        _, importer, settings = open_importer(path, None, None, plugins)
        report = Report()
        batches = raw_batches(importer, path, settings, report, ctx, Naming(report))
        sample = first_batches(batches, 50)
    except UserError as error:
        return {"agrees": False, "reason": error.message}
    names = list(dict.fromkeys(name for batch in sample for name in batch.schema.names))
    lacking = [source for source in mapping.columns.values() if not top_of(source, names)]
    if lacking:
        return {"agrees": False, "reason": f"{path.name} has no column “{lacking[0]}”; it has {', '.join(names[:6])}."}
    shared = set(names) & set(columns)
    if not mapping.columns and len(shared) * 2 < len(set(names) | set(columns)):
        return {"agrees": False, "reason": f"{path.name} has other columns: {', '.join(names[:6])}."}
    return {"agrees": True, "reason": ""}


def speakers(batches: Sequence[pa.RecordBatch], mapping: Mapping) -> list[dict[str, Any]]:
    """List the role names of a conversation: ``name``, ``count``, ``role`` (empty = not known), ``is_usual``."""
    sources = [
        mapping.columns[t] for t in ("messages", "chosen", "rejected", "prompt", "completion") if t in mapping.columns
    ]
    values = [v for batch in (with_fields(batch, sources) for batch in batches) for name in sources
              if name in batch.schema.names for v in batch.column(name).slice(0, MEASURED_ROWS).to_pylist()]  # fmt: skip
    known = ROLES | mapping.roles
    return [
        {"name": name, "count": count, "role": known.get(name.strip().lower(), ""), "is_usual": ROLES.get(name) == name}
        for name, count in role_counts([v for v in values if v is not None]).most_common()
    ]


def measure(mapped: Sequence[pa.RecordBatch], plugins: PluginManager, state: dict[str, Any]) -> dict[str, Any]:
    """Measure the texts of mapped rows.

    Returns:
        ``measured_rows``, ``length_histogram`` (``bins`` of ``low``, ``high``, ``count``; ``median``, ``max``, all in
        characters), ``token_stats`` (``mean``, ``median``, ``p95``, ``max``, ``is_estimate``), ``languages``
        (``code``, ``share``; None where the identifier is not installed) and ``languages_note``.
    """
    texts = texts_of(mapped)
    lengths = sorted(len(text) for text in texts)
    tokens = sorted(estimated_tokens(text) for text in texts)
    languages, note = _languages(texts[:LANGUAGE_ROWS], plugins, state)
    return {
        "measured_rows": len(texts),
        "length_histogram": histogram(lengths),
        "token_stats": {**quantiles(tokens), "is_estimate": True},
        "languages": languages,
        "languages_note": note,
    }


def texts_of(batches: Sequence[pa.RecordBatch]) -> list[str]:
    """Give the text of each of the first `MEASURED_ROWS` rows; nothing for tables without text."""
    texts: list[str] = []
    for batch in batches:
        if len(texts) >= MEASURED_ROWS:
            break
        try:
            texts += text_array(batch.slice(0, MEASURED_ROWS - len(texts))).to_pylist()
        except UserError:  # a table without any text has nothing to measure
            return []
    return texts


def estimated_tokens(text: str) -> int:
    """Estimate a text's tokens from its size in UTF-8 (see `BYTES_PER_TOKEN`)."""
    return round(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN + 0.5) if text else 0


def quantiles(values: Sequence[int]) -> dict[str, float]:
    """Give ``mean``, ``median``, ``p95``, ``max`` and ``total`` of sorted counts; zeros when there are none."""
    if not values:
        return {"mean": 0.0, "median": 0, "p95": 0, "max": 0, "total": 0}
    place = len(values) - 1
    return {
        "mean": round(sum(values) / len(values), 1),
        "median": values[place // 2],
        "p95": values[round(place * 0.95)],
        "max": values[-1],
        "total": sum(values),
    }


def histogram(lengths: Sequence[int], bins: int = 20) -> dict[str, Any]:
    """Count sorted lengths in bins of equal width up to the 99th percentile; the last bin takes what is longer."""
    if not lengths:
        return {"bins": [], "median": 0, "max": 0}
    end = max(1, lengths[round((len(lengths) - 1) * 0.99)])
    width = max(1, -(-(end + 1) // bins))
    counts = Counter(min(length // width, bins - 1) for length in lengths)
    used = max(counts) + 1
    made = [{"low": i * width, "high": (i + 1) * width - 1, "count": counts[i]} for i in range(used)]
    made[-1]["high"] = max(made[-1]["high"], lengths[-1])
    return {"bins": made, "median": lengths[(len(lengths) - 1) // 2], "max": lengths[-1]}


def _languages(
    texts: Sequence[str], plugins: PluginManager, state: dict[str, Any]
) -> tuple[list[dict[str, Any]] | None, str]:
    import pyarrow as pa

    try:
        identifier = _identifier(plugins, state)
    except UserError as error:
        return None, f"{error.message} {error.remedy}".strip()
    if not texts:
        return [], ""
    batch = pa.RecordBatch.from_pydict({"text": pa.array(list(texts), pa.string())})
    codes = identifier.annotate(batch)["language"].to_pylist()
    found = [code if code and _says_enough(text) else "none" for text, code in zip(texts, codes, strict=True)]
    return [{"code": code, "share": count / len(found)} for code, count in Counter(found).most_common(8)], ""


def _says_enough(text: str) -> bool:
    """Whether a text has letters enough, or is in a script of few languages (Chinese, Japanese, Korean)."""
    return sum(map(str.isalpha, text)) >= LEAST_LETTERS or any(char > "\u2e7f" for char in text)


def _identifier(plugins: PluginManager, state: dict[str, Any]) -> Any:
    if "language identifier" not in state:
        kind = plugins.contribution("operator", "language_id").load()
        operator = kind(kind.Params())
        operator.setup()
        state["language identifier"] = operator
    return state["language identifier"]


class Seen(TaskContext):
    """Remembers how much of the file was read, for the estimate of its rows."""

    def __init__(self, ctx: TaskContext) -> None:
        self.workdir, self._ctx, self.done = ctx.workdir, ctx, 0.0

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Remember."""
        self.done = done

    def log(self, text: str, level: Any = "info") -> None:
        """Pass on."""
        self._ctx.log(text, level)

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """A preview measures nothing."""

    @property
    def cancelled(self) -> bool:
        """Pass on."""
        return self._ctx.cancelled


def plain_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make rows that JSON can carry: dates as text, bytes by their size, no infinite numbers."""
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, bytes):
        return f"({len(value):,} bytes)"
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def fields_of(params: type[Params]) -> set[str]:
    """Names of an importer's parameters."""
    return set(params.field_names())
