"""Commands that compute: transforms of a dataset, with a preview, and SQL over all of them."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.api.rows import ROW_ID
from fmstudio.cli.output import CELL_WIDTH, one_line, print_json, print_table, say
from fmstudio.cli.session import open_project, run_job
from fmstudio.core.words import plural

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job
    from fmstudio.project import Project
    from fmstudio.recipes.transform_preview import TransformPreview
    from fmstudio.recipes.transforms import TransformKind

FEW_COLUMNS, MOST_COLUMNS = 6, 12
"""Columns of a preview that a terminal has room for: beside those that change, and at most."""

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_MANY = {"cells": "cells change", "rows": "rows change"}


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    in_project = argparse.ArgumentParser(add_help=False, parents=[shared])
    in_project.add_argument("--project", metavar="DIR", default="", help="the project folder")

    transform = commands.add_parser(
        "transform", parents=[in_project], help="transform a dataset, or list the transforms"
    )
    transform.add_argument("dataset", nargs="?", default="")
    transform.add_argument("transform", nargs="?", default="", metavar="TRANSFORM", help="its id; none = list them")
    transform.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings; lists with commas or as JSON"
    )
    transform.add_argument("--preview", action="store_true", help="say and show what it would do, change nothing")
    transform.add_argument("--limit", type=int, default=10, help="rows of a preview")
    transform.set_defaults(handler=run_transform)

    sql = commands.add_parser("sql", parents=[in_project], help="ask the datasets in SQL; only reads")
    sql.add_argument("query", metavar="SQL", help='e.g. "SELECT count(*) FROM my_dataset"; - reads it from stdin')
    sql.add_argument("--save", default=None, metavar="NAME", help="keep all the rows as a new dataset")
    sql.add_argument("--limit", type=int, default=100, help="most rows to show")
    sql.add_argument("--csv", action="store_true", help="print CSV")
    sql.set_defaults(handler=run_sql)


# ---- transforms --------------------------------------------------------------------------------------------------------


def run_transform(args: argparse.Namespace) -> None:
    """``fmstudio transform [DATASET [TRANSFORM --set KEY=VALUE… [--preview]]]``."""
    from fmstudio.recipes.transforms import find_transform

    if not args.transform:
        _list_transforms(args)
        return
    kind = find_transform(args.transform)
    params = parse_settings(kind, args.set)
    with open_project(args.project) as project:
        if args.preview:
            preview = project.transforms.preview(args.dataset, kind.id, params, args.limit)
        else:
            job = run_job(project, project.specs.transform(args.dataset, kind.id, params))
            _say_done(args, project, job)
            return
    if args.json:
        print_json(preview)
    else:
        _show_preview(preview)


def parse_settings(kind: TransformKind, items: list[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` words as the transform's parameters.

    Raises:
        UserError: A word is no such pair, or holds broken JSON.
    """
    fields = kind.Params.model_json_schema()["properties"]
    made: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UserError(f"“{item}” is not KEY=VALUE.", remedy=f"Settings of {kind.id}: {', '.join(fields)}.")
        made[key] = _value(key, value, str(fields.get(key, {}).get("type", "string")))
    return made


def _value(key: str, text: str, wanted: str) -> Any:
    if wanted == "string":
        return text
    if wanted == "array" and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if wanted == "boolean" and text.strip().casefold() in _TRUTH:
        return _TRUTH[text.strip().casefold()]
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"“{key}={text}”: {error}.", remedy=f"Write it as JSON; it is of the type {wanted}.") from error


def _list_transforms(args: argparse.Namespace) -> None:
    from fmstudio.recipes.transforms import TRANSFORMS

    if args.json:
        listed = [
            {
                "id": kind.id,
                "title": kind.title,
                "description": kind.description,
                "schema": kind.Params.model_json_schema(),
            }
            for kind in TRANSFORMS.values()
        ]
        print_json({"transforms": listed})
        return
    rows = [(kind.id, ", ".join(kind.Params.field_names()), kind.description) for kind in TRANSFORMS.values()]
    print_table(("transform", "settings", "what"), rows)


def _say_done(args: argparse.Namespace, project: Project, job: Job) -> None:
    meta, result = job.spec.meta, job.results[job.spec.steps[-1].name]
    made = [one["dataset_id"] for one in meta.get("datasets", [])] or [meta["dataset_id"]]
    there = {dataset.id: dataset for dataset in project.datasets.all()}
    datasets = [there[dataset_id] for dataset_id in made if dataset_id in there]
    if args.json:
        print_json({"datasets": datasets, "job": job.id, **{k: v for k, v in result.items() if k != "datasets"}})
        return
    for dataset in datasets:
        print(f"Version {dataset.version} of “{dataset.name}”: {plural(dataset.rows, 'row')}. {meta['title']}.")
    step = result["steps"][0]
    counts = [
        (step.get("changed_cells", 0), "cell", "changed"),
        (step["dropped"], "row", "dropped"),
        (step["made"], "row", "made"),
    ]
    if said := ", ".join(f"{plural(count, what)} {done}" for count, what, done in counts if count):
        print(f"{said}.")
    for note in result["notes"]:
        say(note)


def _show_preview(preview: TransformPreview) -> None:
    about = "about " if preview.is_estimate else ""
    changed = plural(preview.changed, "cell changes" if preview.unit == "cells" else "row changes", _MANY[preview.unit])
    print(
        f"{plural(preview.rows_before, 'row becomes', 'rows become')} {about}{preview.rows_after:,}; {about}{changed}."
    )
    _say_columns(preview)
    for name, rows in preview.outputs.items():
        print(f"  {name}: {plural(rows, 'row')}")
    if preview.failure:
        print(f"It cannot be run: {preview.failure}.")
    for note in preview.notes:
        print(f"  {note}")
    wanted, more = _columns_to_show(preview)
    before, after = _near_changes(preview, wanted) if preview.is_aligned else (preview.before, preview.after)
    for title, shown in (("Before", before), ("After", after)):
        if shown:
            print(f"\n{title}")
            there = [name for name in wanted if any(name in row for row in shown)]
            print_table(there, [[row.get(name) for name in there] for row in shown], is_data=True)
    if more:
        print(f"\n{plural(more, 'further column is', 'further columns are')} not shown here; --json gives all.")


def _say_columns(preview: TransformPreview) -> None:
    """Which columns come and which go; of a new dataset, too."""
    names = [column.name for column in preview.columns]
    there = preview.before[0] if preview.before else {}
    for what, some in (
        ("New columns", [column.name for column in preview.columns if column.is_new]),
        ("Columns taken away", [name for name in there if name not in names and name != ROW_ID]),
    ):
        if some:
            more = f" and {len(some) - MOST_COLUMNS:,} more" if len(some) > MOST_COLUMNS else ""
            print(f"  {what}: {', '.join(some[:MOST_COLUMNS])}{more}.")


def _columns_to_show(preview: TransformPreview) -> tuple[list[str], int]:
    """As many columns as a terminal has room for, those first that are new or differ in a row shown; how many are left."""
    names = list(dict.fromkeys(name for row in (*preview.before, *preview.after) for name in row))
    new = {column.name for column in preview.columns if column.is_new}
    if preview.is_aligned:
        rows = list(zip(preview.before, preview.after, strict=True))
        new |= {name for name in names if any(old.get(name) != after.get(name) for old, after in rows)}
    ordered = [*names[:1], *(n for n in names[1:] if n in new), *(n for n in names[1:] if n not in new)]
    most = min(max(len(new) + 1, FEW_COLUMNS), MOST_COLUMNS) if new else MOST_COLUMNS
    return ordered[:most], len(ordered[most:])


def _near_changes(preview: TransformPreview, names: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows with texts that begin shortly before the first place where they differ, when that is far behind."""
    before, after = [dict(row) for row in preview.before], [dict(row) for row in preview.after]
    for old, new in zip(before, after, strict=True):
        for name in names:
            if name in old and name in new and old[name] != new[name]:
                one, other = one_line(old[name], is_data=True), one_line(new[name], is_data=True)
                differing = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
                start = next(differing, min(len(one), len(other))) - CELL_WIDTH // 3
                if start > 0:
                    old[name], new[name] = f"…{one[start:]}", f"…{other[start:]}"
    return before, after


# ---- SQL ---------------------------------------------------------------------------------------------------------------


def run_sql(args: argparse.Namespace) -> None:
    """``fmstudio sql "SELECT …" [--save NAME]``."""
    from fmstudio.project.console_csv import csv_text

    query = sys.stdin.read() if args.query == "-" else args.query
    if args.limit < 1:
        raise UserError("--limit must be 1 or more.")
    with open_project(args.project) as project:
        if args.save is not None:
            job = run_job(project, project.specs.sql_dataset(query, args.save))
            _say_saved(args, project, job)
            return
        result = project.console.run(query, args.limit)
    if args.json:
        print_json(result)
    elif args.csv:
        print(csv_text(result.columns, result.rows), end="")
    else:
        print_table(result.columns, result.rows, is_data=True)
    if result.is_cut:
        shown = plural(result.total_shown, "row is", "rows are")
        say(f"The first {shown} shown; there are more. Use --limit or --save.")


def _say_saved(args: argparse.Namespace, project: Project, job: Job) -> None:
    dataset = project.datasets.get(job.spec.meta["datasets"][0]["dataset_id"])
    if args.json:
        print_json({"dataset": dataset, "job": job.id, "notes": job.result["notes"]})
        return
    print(f"Made “{dataset.name}”: {plural(dataset.rows, 'row')}.")
    for note in job.result["notes"]:
        say(note)
