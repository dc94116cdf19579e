"""Commands that look: diff, stats, lineage, disk; and gc, which frees what nothing needs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.cli.output import print_json, print_table
from fmstudio.cli.session import open_project
from fmstudio.core.words import plural, visible

if TYPE_CHECKING:
    from decimal import Decimal

    from fmstudio.project import Project
    from fmstudio.project.diff import DiffRow, DiffSummary
    from fmstudio.project.lineage import Graph
    from fmstudio.project.statistics import ColumnStatistics

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    in_project = argparse.ArgumentParser(add_help=False, parents=[shared])
    in_project.add_argument("--project", metavar="DIR", default="", help="the project folder")

    def command(name: str, text: str, handler: Callable[[argparse.Namespace], None]) -> Any:
        parser = commands.add_parser(name, parents=[in_project], help=text)
        parser.set_defaults(handler=handler)
        return parser

    diff = command("diff", "what differs between two versions", show_diff)
    diff.add_argument("dataset")
    diff.add_argument("before", metavar="A", help="number or name of a version; OTHER@N for one of another dataset")
    diff.add_argument("after", metavar="B", nargs="?", default="", help="the same; none = as the dataset is now")
    diff.add_argument("--html", metavar="FILE", default="", help="write it as one HTML file")
    diff.add_argument("--limit", type=int, default=None, metavar="N", help="rows to show (20; in HTML 2000)")
    diff.add_argument("--kind", choices=("all", "added", "removed", "changed"), default="all", help="rows to show")

    stats = command("stats", "statistics of the columns, or all about one", show_statistics)
    stats.add_argument("dataset")
    stats.add_argument("column", nargs="?", default="")
    stats.add_argument("--version", type=int, default=None, metavar="N")

    lineage = command("lineage", "where a dataset or row came from and what used it", show_lineage)
    lineage.add_argument("dataset", help="or, with --kind, the id or name of another thing")
    lineage.add_argument("--row", type=int, default=None, metavar="ID", help="one row of the dataset")
    lineage.add_argument(
        "--kind", choices=("dataset", "version", "file", "run", "model", "chat", "export"), default="dataset"
    )

    command("disk", "what the project takes on the disk", show_disk)

    collect = command("gc", "delete what nothing refers to any more", collect_garbage)
    collect.add_argument("--dry-run", action="store_true", help="only say what would go")
    collect.add_argument("--keep-undo", type=int, default=None, metavar="N", help="operations that stay undoable (20)")


# ---- diff ------------------------------------------------------------------------------------------------------------


def show_diff(args: argparse.Namespace) -> None:
    """``fmstudio diff DATASET A [B]``."""
    if args.limit is not None and args.limit < 0:
        raise UserError("--limit must not be negative.")
    with open_project(args.project) as project:
        own = project.datasets.get(args.dataset).id
        origin, before = _place(project, own, args.before)
        dataset, after = _place(project, own, args.after) if args.after else (own, None)
        origin = origin if origin != dataset else ""
        summary = project.diffs.summary(dataset, before, after, origin=origin)
        if args.html:
            limit = 2_000 if args.limit is None else args.limit
            target = project.diffs.html(dataset, before, after, Path(args.html).absolute(), limit, origin=origin)
            rows: list[DiffRow] = []
        else:
            limit = 20 if args.limit is None else args.limit
            rows = list(project.diffs.rows(dataset, before, after, kind=args.kind, limit=limit, origin=origin))
    if args.json:
        print_json({"summary": summary, "html": str(target)} if args.html else {"summary": summary, "rows": rows})
        return
    _print_summary(summary)
    if args.html:
        print(f"\nWritten to {target}.")
    for row in rows:
        print()
        _print_row(row)


def _place(project: Project, own: str, wanted: str) -> tuple[str, int]:
    """Dataset and number of a version written as its number or name, with ``OTHER@`` before it for another dataset's."""
    other, at, version = wanted.rpartition("@")
    if not at or any(v.name == wanted for v in project.datasets.versions(own)):
        return own, project.datasets.version_number(own, wanted)
    found = project.datasets.get(other).id
    return found, project.datasets.version_number(found, version)


def _print_summary(summary: DiffSummary) -> None:
    print(f"{summary.before} → {summary.after}")
    for note in summary.notes:
        print(f"  {note}")
    print(
        f"  {plural(summary.added, 'row')} added, {summary.removed:,} removed, {summary.changed:,} changed,"
        f" {summary.unchanged:,} unchanged"
    )
    for share in summary.by_operation:
        counts = f"{share.added:,} added, {share.removed:,} removed, {share.changed:,} changed"
        print(f"  {share.title}: {counts if share.is_known else 'its files were collected'}")
        for step in share.steps:
            reasons = ", ".join(f"{reason}: {count:,}" for reason, count in step.reasons.items())
            if reasons:
                print(f"    {step.number}. {step.title}: {reasons}")
    retyped = tuple(f"{name} ({old} → {new})" for name, old, new in summary.columns_retyped)
    lists = ((summary.columns_added, "new columns"), (summary.columns_removed, "columns gone"), (retyped, "other type"))
    for names, what in lists:
        if names:
            print(f"  {what}: {', '.join(names)}")
    if summary.columns_changed:
        print(
            "  changed in: " + ", ".join(f"{name} ({plural(count, 'row')})" for name, count in summary.columns_changed)
        )
    moved = [s for s in summary.shifts if s.before != s.after]
    if moved:
        print()
        print_table(
            ("measure", "before", "after"),
            [(s.measure, _number(s.before, s.unit), _number(s.after, s.unit)) for s in moved],
        )


def _print_row(row: DiffRow) -> None:
    from fmstudio.project.diff_html import as_text
    from fmstudio.project.diff_words import word_diff

    why = "; ".join(part for part in (row.reason, ", ".join(row.operations)) if part)
    print(f"row {row.row_id} {row.kind}" + (f" ({why})" if why else ""))
    if row.before is not None and row.after is not None:
        for name in row.columns:
            pieces = word_diff(as_text(row.before.get(name)), as_text(row.after.get(name)))
            marks = {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}
            print(
                f"  {visible(name)}: "
                + _line("".join(marks[kind].format(_context(kind, text)) for kind, text in pieces))
            )
        return
    sign = "+" if row.kind == "added" else "-"
    for name, value in (row.after or row.before or {}).items():
        if name != "row_id" and value is not None:
            print(f"{sign} {visible(name)}: {_line(as_text(value))}")


def _context(kind: str, text: str) -> str:
    """Of long stretches that stayed only the ends are shown."""
    return text if kind != "same" or len(text) <= 120 else f"{text[:50]} … {text[-50:]}"


def _line(text: str) -> str:
    flat = visible(" ".join(text.split()))
    return flat if len(flat) <= 500 else f"{flat[:500]}…"


# ---- statistics ------------------------------------------------------------------------------------------------------


def show_statistics(args: argparse.Namespace) -> None:
    """``fmstudio stats DATASET [COLUMN]``."""
    with open_project(args.project) as project:
        if args.column:
            found = project.statistics.column(args.dataset, args.column, args.version)
        else:
            summaries = project.statistics.columns(args.dataset, args.version)
    if args.column:
        if args.json:
            print_json(found)
        else:
            _print_column(found)
        return
    if args.json:
        print_json({"columns": summaries})
        return
    about = "about " if any(summary.is_sample for summary in summaries) else ""
    print(plural(summaries[0].rows if summaries else 0, "row"))
    rows = [
        (
            s.name,
            s.kind,
            s.type,
            f"{about if s.missing else ''}{s.missing:,}",
            f"about {s.distinct:,}",
            bars([b.count for b in s.histogram]),
        )
        for s in summaries
    ]
    print_table(("column", "kind", "type", "missing", "different", "distribution"), rows)


def _print_column(found: ColumnStatistics) -> None:
    print(f"{found.name} ({found.type})")
    different = f"{'about ' if found.is_distinct_estimate else ''}{found.distinct:,} different"
    print(
        f"  {plural(found.rows, 'value')}, {found.missing:,} missing, {found.empty:,} empty, {different}, {found.duplicates:,} repeated"
    )
    names = ("values", "characters", "words", "turns", "items", "tokens")
    spreads = {name: spread for name in names if (spread := getattr(found, name)) is not None}
    if spreads:
        shares = [f"{share:.0%}" for share in next(iter(spreads.values())).quantiles]
        rows = [
            (
                f"{name} (estimate)" if name == "tokens" else name,
                *(_measure(found, name, n) for n in (s.lowest, *s.quantiles.values(), s.highest, s.mean)),
            )
            for name, s in spreads.items()
        ]
        print_table(("", "lowest", *shares, "highest", "mean"), rows)
    # The most frequent are a count of these.
    counted = {"messages": "messages", "texts": "items"}.get(found.kind, "rows")
    for title, unit, values in (
        ("Distribution", "rows", [(b.label, b.count) for b in found.histogram]),
        ("Most frequent", counted, found.top),
    ):
        if values:
            print(f"\n{title}")
            print_table(("value", unit), [(value, f"{count:,}") for value, count in values], is_data=True)
    if found.outliers:
        print(
            "\nFar from the others: "
            + ", ".join(f"row id {row} ({_measure(found, 'values', value)})" for row, value in found.outliers)
        )


def _measure(found: ColumnStatistics, name: str, value: float | Decimal) -> str:
    """A figure of a column as it is said: a moment as such."""
    if found.kind == "time" and name == "values":
        from fmstudio.project.statistics_moments import moment_words

        return moment_words(float(value), found.type)
    return f"{value:,.4g}"


def bars(counts: list[int]) -> str:
    """A histogram in one line."""
    top = max(counts, default=0)
    return "".join("▁▂▃▄▅▆▇█"[min(7, count * 8 // (top + 1))] if count else " " for count in counts) if top else ""


# ---- lineage ---------------------------------------------------------------------------------------------------------


def show_lineage(args: argparse.Namespace) -> None:
    """``fmstudio lineage DATASET [--row ID]``."""
    with open_project(args.project) as project:
        graph = _graph(project, args)
    if args.json:
        print_json(graph)
        return
    focus = graph.node(graph.focus)
    print(f"{focus.title}: {focus.subtitle}")
    for title, is_back in (("Came from", True), ("What came of it", False)):
        lines = list(_tree(graph, is_back))
        print(f"\n{title}:" if lines else f"\n{title}: nothing")
        print("\n".join(lines), end="\n" if lines else "")


def _graph(project: Project, args: argparse.Namespace) -> Graph:
    if args.row is not None:
        return project.lineage_graph.of_row(args.dataset, args.row)
    return project.lineage_graph.of(args.kind, args.dataset)


def _tree(graph: Graph, is_back: bool) -> Iterator[str]:
    """Lines of a tree from the focus; what was shown already is not opened again."""
    onward: dict[str, list[tuple[str, str]]] = {}
    for edge in graph.edges:
        if edge.source.startswith("dataset:") and (is_back or edge.source != graph.focus):
            continue
        here, there = (edge.target, edge.source) if is_back else (edge.source, edge.target)
        onward.setdefault(here, []).append((there, edge.title))
    starts = [graph.focus]
    if is_back and graph.focus.startswith("dataset:"):
        starts = [
            edge.target for edge in graph.edges if edge.source == graph.focus and edge.title.startswith("current")
        ]
    seen: set[str] = set(starts)
    stack = [(node, how, 1) for start in starts for node, how in reversed(onward.get(start, []))]
    while stack:
        node_id, how, depth = stack.pop()
        node = graph.node(node_id)
        again = " (see above)" if node_id in seen else ""
        yield f"{'  ' * depth}{node.kind} {node.title}, {node.subtitle}" + (f" [{how}]" if how else "") + again
        if not again:
            seen.add(node_id)
            stack += [(there, title, depth + 1) for there, title in reversed(onward.get(node_id, []))]


# ---- disk ------------------------------------------------------------------------------------------------------------


def show_disk(args: argparse.Namespace) -> None:
    """``fmstudio disk``."""
    with open_project(args.project) as project:
        usage, garbage = project.disk.usage(), project.disk.collectable()
    if args.json:
        print_json({"usage": usage, "collectable": garbage})
        return
    print(f"{size(usage.total)} in this project, {size(usage.free)} free on the disk.")
    rows = []
    for subject in usage.subjects:
        rows.append((subject.kind, subject.title, size(subject.bytes), subject.note))
        rows += [("", f"  {part.title}", size(part.bytes), part.note) for part in subject.parts]
    print_table(("what", "name", "size", ""), rows)
    if usage.shared:
        print(f"Versions share files: without that it would be {size(usage.shared)} more.")
    if garbage:
        print(f"{size(sum(item.bytes for item in garbage))} can be freed: fmstudio gc --dry-run shows what.")


def collect_garbage(args: argparse.Namespace) -> None:
    """``fmstudio gc [--dry-run]``."""
    if args.keep_undo is not None and args.keep_undo < 0:
        raise UserError("--keep-undo takes a number from 0 on.")
    with open_project(args.project) as project:
        depth = {} if args.keep_undo is None else {"undo_depth": args.keep_undo}
        garbage = project.disk.collectable(**depth)
        freed = sum(item.bytes for item in garbage)
        if not args.dry_run:
            _, freed = project.disk.collect(garbage, **depth)
    if args.json:
        print_json({"dry_run": args.dry_run, "bytes": freed, "items": garbage})
        return
    if not garbage:
        print("There is nothing to collect.")
        return
    for reason in dict.fromkeys(item.reason for item in garbage):
        print(f"{reason[:1].upper()}{reason[1:]}:")
        print_table(("what", "name", "size"), [(g.kind, g.title, size(g.bytes)) for g in garbage if g.reason == reason])
        print()
    print(f"{size(freed)} {'would be freed' if args.dry_run else 'freed'}.")


def size(count: float) -> str:
    """Bytes in words."""
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            break
        count /= 1000
    return f"{count:,.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"


def _number(value: float | None, unit: str) -> str:
    from fmstudio.project.diff_html import measure

    return measure(value, unit)
