"""Request ``inspect_file``: what a file holds and how it would be imported, from its first rows."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fmstudio.api import Part, TaskContext
from fmstudio.core.detection import detections
from fmstudio.core.schemas import Mapping, used_options
from fmstudio.core.unify import Unifier
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.fetched import local_files
from fmstudio.worker.gathering import EACH, choices, gather, is_from_heap
from fmstudio.worker.importing import (
    SAMPLE_ROWS,
    Report,
    choose_mapping,
    first_batches,
    map_batch,
    open_importer,
    sample_rows,
)
from fmstudio.worker.inspection import (
    Seen,
    agreement,
    fields_of,
    measure,
    plain_rows,
    shape_key,
    speakers,
    type_conflicts,
)
from fmstudio.worker.pictures import small_pictures
from fmstudio.worker.sources import SourceReader
from fmstudio.worker.unpacking import PREVIEW, Budget

if TYPE_CHECKING:
    import pyarrow as pa


def handle(params: dict[str, Any], state: dict[str, Any], plugins: PluginManager, ctx: TaskContext) -> dict[str, Any]:
    """Preview an import.

    Args:
        params: ``path`` (or address: it is fetched, see `fmstudio.worker.fetched`), and optionally ``importer``, ``importer_params``, ``mapping``, ``limit`` (rows, 50), ``part``,
            ``known_shapes`` (shape key → mapping the user corrected before), ``others`` (paths to be imported with it).
        state: Keeps the language identifier.
        plugins: Where importers are found.
        ctx: For the importer.

    Returns:
        ``importer``, ``importers`` (id and title of those that fit), ``kind``, ``mapping``, ``detections`` (every reading
        that fits: mapping, certainty, evidence), ``options`` (rules that matter), ``roles`` (names in the file and what
        they are taken for), ``columns`` (name and type after mapping), ``raw_columns`` (with the fields of objects
        that a reading uses, ``body.messages``), ``rows`` (mapped), ``pictures``
        (those in the rows, see `fmstudio.worker.pictures`), ``raw_rows``,
        ``rejects`` (the first 20), ``rejected``, ``flags``, ``flagged``, ``type_conflicts``, ``notes``, ``parts``,
        ``part``, ``files`` (how many, in a folder or archive), ``encoding`` (chosen, empty = detect; None where the
        format has none), ``detected_encoding``, ``others`` (path, agrees, reason), ``bytes``, ``estimated_rows``, ``shape_key``,
        ``remembered`` (whether a mapping of before is used), ``update_keys`` (columns that could name a row), and what
        `fmstudio.worker.inspection.measure` gives.

    Raises:
        UserError: Nothing can be read, or the mapping does not fit.
    """
    report, seen, wanted, limit = Report(), Seen(ctx), str(params.get("part") or ""), int(params.get("limit", 50))
    path = local_files([params["path"]], report, ctx)[0]
    shapes: list[Part] = []
    with TemporaryDirectory(prefix="preview-", dir=ctx.workdir) as unpacked:
        sources = gather(
            [path], params.get("importer"), plugins, report, ctx,
            workdir=Path(unpacked), budget=Budget(*PREVIEW, is_preview=True), parts=[wanted] if wanted else (),
            shapes=shapes,
        )  # fmt: skip
        first = sources[0]
        _, importer, settings = open_importer(first.path, first.importer, {}, plugins)
        parts = shapes or importer.parts(first.path, ctx)
        read = SourceReader(sources, params.get("importer_params"), plugins, report, seen)
        sample = first_batches(chain.from_iterable(batches for _, batches in read), max(limit, SAMPLE_ROWS))
        size = sum(source.size for source in sources)
    key = shape_key(first.importer, sample)
    remembered = (params.get("known_shapes") or {}).get(key) if not params.get("mapping") else None
    mapping = choose_mapping(params.get("mapping") or remembered, sample) if sample else Mapping("table")
    unifier, mapped, before = Unifier(), [], 0
    for batch in sample:
        mapped.append(unifier.conform(map_batch(batch, mapping, report, before)))
        before += batch.num_rows
    mapped = [unifier.bring(batch) for batch in mapped]
    rows = sample_rows(mapped, limit)
    raw, values = sample_rows(sample, SAMPLE_ROWS), params.get("importer_params") or {}
    names = list(dict.fromkeys(name for batch in sample for name in batch.schema.names))
    found = detections(names, raw)
    return {
        "importer": EACH if is_from_heap(first, path) else first.importer,
        "importers": choices(first, path, plugins),
        "kind": mapping.kind,
        "mapping": mapping.to_dict(),
        "detections": [one.to_dict() for one in found],
        "options": used_options(mapping.kind, mapping.columns),
        "roles": speakers(sample, mapping),
        "columns": [{"name": f.name, "type": str(f.type)} for f in unifier.schema()],
        "raw_columns": _sources(names, [mapping, *(one.mapping for one in found)]),
        "rows": plain_rows(rows),
        "pictures": small_pictures(rows),
        "raw_rows": plain_rows(raw[:limit]),
        "rejects": report.first,
        "rejected": report.rejected,
        "flags": report.flags,
        "flagged": report.flagged,
        "type_conflicts": type_conflicts(raw),
        "notes": [*report.notes, *mapping.notes, *unifier.notes],
        "parts": [{"id": p.id, "title": p.title, "rows": p.rows, "detail": p.detail} for p in parts],
        "part": wanted or (parts[0].id if parts else ""),
        "files": len(sources),
        "encoding": None if "encoding" not in fields_of(type(settings)) else values.get("encoding", ""),
        "detected_encoding": next((n.split(": ", 1)[1] for n in report.notes if n.startswith("Encoding: ")), ""),
        "others": agreement(local_files(params.get("others") or (), report, ctx), mapping, names, plugins, ctx),
        "bytes": size,
        "estimated_rows": round(before * size / min(size, seen.done)) if seen.done else before,
        "shape_key": key,
        "remembered": bool(remembered),
        "update_keys": _keys(mapped),
        **measure(mapped, plugins, state),
    }


def _sources(names: list[str], mappings: list[Mapping]) -> list[str]:
    """The columns, and after them the fields in them that mappings name."""
    return list(dict.fromkeys([*names, *(source for one in mappings for source in one.columns.values())]))


def _keys(mapped: list[pa.RecordBatch]) -> list[str]:
    """Columns whose values are there and differ in all rows read: they may name a row from one file to the next."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not mapped:
        return []
    table = pa.Table.from_batches(mapped)
    simple = [f.name for f in table.schema if not pa.types.is_nested(f.type) and not pa.types.is_floating(f.type)]
    return [n for n in simple if table[n].null_count == 0 and pc.count_distinct(table[n]).as_py() == table.num_rows]
