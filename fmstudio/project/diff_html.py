"""A difference as one HTML file: nothing is loaded from elsewhere, nothing runs, everything from the data is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from fmstudio import __version__
from fmstudio.api.errors import UserError
from fmstudio.api.rows import ROW_ID
from fmstudio.core.paths import resource
from fmstudio.core.words import plural
from fmstudio.project.diff import DiffRow, DiffSummary, OperationShare, Shift
from fmstudio.project.diff_words import word_diff

MOST_CHARACTERS = 20_000
"""Characters of a value that are written; the rest is counted."""


def write_html(target: Path, dataset: str, summary: DiffSummary, rows: Iterable[DiffRow], limit: int) -> Path:
    """Write the file, row by row; give its path.

    Args:
        rows: The rows to show, at most `limit`.

    Raises:
        UserError: The file cannot be written.
    """
    title = f"{dataset}: {summary.before} → {summary.after}"
    start, _, end = resource("templates", "diff.html").read_text("utf-8").partition("@@body@@")
    beside = target.with_name(f"{target.name}.part")
    try:
        with beside.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(start.replace("@@title@@", escape(title)))
            for piece in _body(dataset, summary, rows, limit):
                file.write(piece + "\n")
            file.write(end)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(f"{target} cannot be written: {error}.", remedy="Choose another place.") from error
    return target


def _body(dataset: str, summary: DiffSummary, rows: Iterable[DiffRow], limit: int) -> Iterator[str]:
    yield f"<h1>{escape(dataset)}</h1>"
    yield f'<p class="soft">{escape(summary.before)} → {escape(summary.after)} · FM Studio {escape(__version__)}</p>'
    yield from (f'<p class="note">{escape(note)}</p>' for note in summary.notes)
    yield '<ul class="counts" aria-label="Counts">'
    for name in ("added", "removed", "changed", "unchanged"):
        yield f"<li><b>{getattr(summary, name):,}</b>rows {name}</li>"
    yield "</ul>"
    yield '<nav aria-label="Parts"><a href="#operations">What did it</a><a href="#columns">Columns</a><a href="#shifts">How the whole moved</a><a href="#rows">Rows</a></nav>'
    yield from _operations(summary.by_operation)
    yield from _columns(summary)
    yield from _shifts(summary.shifts)
    yield '<h2 id="rows">Rows</h2>'
    shown = 0
    for row in rows:
        shown += 1
        yield _row(row)
    total = summary.added + summary.removed + summary.changed
    if not total:
        yield '<p class="soft">No row differs.</p>'
    elif shown < total:
        yield f'<p class="soft">The first {shown:,} of {total:,} rows that differ are shown.</p>'


def _operations(shares: Iterable[OperationShare]) -> Iterator[str]:
    yield '<h2 id="operations">What did it</h2>'
    yield "<table><thead><tr><th>Operation</th><th class=n>added</th><th class=n>removed</th><th class=n>changed</th></tr></thead><tbody>"
    for share in shares:
        version = (
            f' <span class="soft">→ version {share.version}</span>' if share.version and not share.is_taken_back else ""
        )
        yield f"<tr><td>{escape(share.title)}{version}"
        for step in share.steps:
            counts = ((step.dropped, "dropped"), (step.changed, "changed"), (step.made, "made"))
            done = ", ".join(f"{count:,} {word}" for count, word in counts if count)
            if done:
                yield f'<p class="soft">{step.number}. {escape(step.title)}: {done}</p>'
        known = (share.added, share.removed, share.changed) if share.is_known else ("?", "?", "?")
        yield "</td>" + "".join(
            f"<td class=n>{n:,}</td>" if isinstance(n, int) else f"<td class=n>{n}</td>" for n in known
        )
        yield "</tr>"
    yield "</tbody></table>"


def _columns(summary: DiffSummary) -> Iterator[str]:
    yield '<h2 id="columns">Columns</h2>'
    lines = [(name, "new column") for name in summary.columns_added]
    lines += [(name, "column gone") for name in summary.columns_removed]
    lines += [(name, f"type changed from {old} to {new}") for name, old, new in summary.columns_retyped]
    lines += [(name, f"changed in {plural(count, 'row')}") for name, count in summary.columns_changed]
    if not lines:
        yield '<p class="soft">The columns are the same.</p>'
        return
    yield "<table><tbody>"
    yield from (f"<tr><th scope=row>{escape(name)}</th><td>{escape(what)}</td></tr>" for name, what in lines)
    yield "</tbody></table>"


def _shifts(shifts: Iterable[Shift]) -> Iterator[str]:
    yield '<h2 id="shifts">How the whole moved</h2>'
    yield "<table><thead><tr><th>Measure</th><th class=n>before</th><th class=n>after</th></tr></thead><tbody>"
    for shift in shifts:
        cells = "".join(f"<td class=n>{measure(value, shift.unit)}</td>" for value in (shift.before, shift.after))
        yield f"<tr><th scope=row>{escape(shift.measure)}</th>{cells}</tr>"
    yield "</tbody></table>"


def measure(value: float | None, unit: str) -> str:
    """A number of a shift, in words."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{value:.1%}".replace("%", " %")
    number = f"{value:,.0f}" if unit == "rows" else f"{value:,.1f}"
    return number if unit == "rows" else f"{number} {unit}"


def _row(row: DiffRow) -> str:
    about = "; ".join(part for part in (row.reason, ", ".join(row.operations)) if part)
    parts = [
        f'<article class="{row.kind}" aria-label="Row id {row.row_id}, {row.kind}"><header><h3>Row id {row.row_id}</h3>'
        f'<span class="badge">{row.kind}</span><span class="soft">{escape(about)}</span></header><dl>'
    ]
    if row.before is not None and row.after is not None:
        values = [(c, _compared(row.before.get(c), row.after.get(c))) for c in row.columns]
    else:
        whole = row.before or row.after or {}
        values = [(c, escape(_cut(as_text(v)))) for c, v in whole.items() if c != ROW_ID and v is not None]
    parts += [f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in values]
    return "".join([*parts, "</dl></article>"])


def _compared(before: Any, after: Any) -> str:
    marks = {"removed": "del", "added": "ins"}
    pieces = word_diff(_cut(as_text(before)), _cut(as_text(after)))
    return "".join(
        f"<{marks[kind]}>{escape(text)}</{marks[kind]}>" if kind in marks else escape(text) for kind, text in pieces
    )


def as_text(value: Any) -> str:
    """A cell as it is compared and shown: messages as turns, other nested values as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(m, dict) and "role" in m for m in value):
        return "\n\n".join(f"{m['role']}: {as_text(m.get('content'))}" for m in value)
    if isinstance(value, bytes):
        return f"{len(value):,} bytes, starting with {value[:16].hex(' ')}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, indent=1, default=str)
    return str(value)


def _cut(text: str) -> str:
    rest = len(text) - MOST_CHARACTERS
    return text if rest <= 0 else f"{text[:MOST_CHARACTERS]} … and {rest:,} characters more"
