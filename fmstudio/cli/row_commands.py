"""Commands that change rows: edit, add-rows, duplicate-rows, delete-rows, split-row, tag, rate."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.cli.output import print_json
from fmstudio.cli.session import open_project
from fmstudio.core.checking import nearest
from fmstudio.core.words import plural

if TYPE_CHECKING:
    from fmstudio.project import Project
    from fmstudio.project.datasets import Dataset

RATINGS = {"good": 1, "bad": -1, "none": None}


def dataset_commands(commands: Any, shared: argparse.ArgumentParser) -> Callable[..., Any]:
    """Give a maker of commands that work on a dataset of a project: ``maker(name, text, handler)`` → its parser."""
    in_project = argparse.ArgumentParser(add_help=False, parents=[shared])
    in_project.add_argument("--project", metavar="DIR", default="", help="the project folder")

    def command(name: str, text: str, handler: Callable[[argparse.Namespace], None]) -> Any:
        parser = commands.add_parser(name, parents=[in_project], help=text)
        parser.add_argument("dataset")
        parser.set_defaults(handler=handler)
        return parser

    return command


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    command = dataset_commands(commands, shared)
    edit = command("edit", "set cells of a row", edit_row)
    edit.add_argument("row_id", type=int, metavar="ROW_ID")
    edit.add_argument(
        "cells", nargs="+", metavar="COLUMN=VALUE", help="COLUMN= empties the cell; a list or record as JSON"
    )
    edit.add_argument("--new-column", action="store_true", help="make the columns that are not there yet")

    add = command("add-rows", "add rows from a JSON Lines file", add_rows)
    add.add_argument("file", metavar="FILE.jsonl")

    delete = command("delete-rows", "delete rows", delete_rows)
    delete.add_argument("row_ids", nargs="*", type=int, metavar="ROW_ID")
    delete.add_argument("--where", default="", metavar="SQL", help='condition, e.g. "length(text) < 3"')

    tag = command("tag", "add tags to rows, or take them away", tag_rows)
    tag.add_argument("row_ids", nargs="+", type=int, metavar="ROW_ID")
    tag.add_argument("--add", nargs="+", default=[], metavar="TAG")
    tag.add_argument("--remove", nargs="+", default=[], metavar="TAG")

    duplicate = command("duplicate-rows", "add copies of rows at the end", duplicate_rows)
    duplicate.add_argument("row_ids", nargs="+", type=int, metavar="ROW_ID")

    split = command("split-row", "split the text of a row; the further parts become rows at the end", split_row)
    split.add_argument("row_id", type=int, metavar="ROW_ID")
    split.add_argument("column", metavar="COLUMN")
    split.add_argument("--at", default="\\n\\n", metavar="TEXT", help="where to split; an empty line, if not said")

    rate = command("rate", "rate rows", rate_rows)
    rate.add_argument("rating", choices=tuple(RATINGS))
    rate.add_argument("row_ids", nargs="+", type=int, metavar="ROW_ID")


def edit_row(args: argparse.Namespace) -> None:
    """``fmstudio edit DATASET ROW_ID COLUMN=VALUE…``."""
    cells: dict[str, Any] = {}
    for item in args.cells:
        column, equals, value = item.partition("=")
        if not equals or not column:
            raise UserError(f"“{item}” is not COLUMN=VALUE.", remedy="Example: answer=Yes")
        cells[column] = value or None

    def work(project: Project, dataset: Dataset) -> Any:
        there = [column.name for column in dataset.columns]
        for column in () if args.new_column else cells:
            if column not in there:
                remedy = f"{nearest(column, there)} To make it, add --new-column."
                raise UserError(f"There is no column “{column}” here.", remedy=remedy)
        return project.edits.set_cells(dataset.id, {args.row_id: cells})

    change(args, work)


def add_rows(args: argparse.Namespace) -> None:
    """``fmstudio add-rows DATASET FILE.jsonl``."""
    records = _read_records(Path(args.file))
    change(args, lambda project, dataset: project.edits.add_rows(dataset.id, records)[0])


def delete_rows(args: argparse.Namespace) -> None:
    """``fmstudio delete-rows DATASET ROW_ID…|--where SQL``."""
    if bool(args.row_ids) == bool(args.where):
        raise UserError("Name the rows to delete, or give a condition with --where.")

    def work(project: Project, dataset: Dataset) -> Any:
        from fmstudio.project.edits import MOST_OVERLAY_ROWS

        if args.where and (count := project.count(dataset.id, args.where)) > MOST_OVERLAY_ROWS:
            transform = ["fmstudio", "transform", dataset.name, "delete_where", "--set", f"where={args.where}"]
            raise UserError(
                f"{count:,} rows match; edits by hand can touch {MOST_OVERLAY_ROWS:,} at most.",
                remedy=f"Use a transform, which deletes any number of rows: {shlex.join(transform)}",
            )
        return project.edits.delete_rows(dataset.id, args.row_ids or project.ids(dataset.id, args.where))

    change(args, work)


def tag_rows(args: argparse.Namespace) -> None:
    """``fmstudio tag DATASET ROW_ID… --add TAG --remove TAG``."""
    if not args.add and not args.remove:
        raise UserError("Say which tags to --add or to --remove.")
    change(args, lambda project, dataset: project.edits.tag(dataset.id, args.row_ids, args.add, args.remove))


def duplicate_rows(args: argparse.Namespace) -> None:
    """``fmstudio duplicate-rows DATASET ROW_ID…``."""
    change(args, lambda project, dataset: project.edits.duplicate_rows(dataset.id, args.row_ids)[0])


def split_row(args: argparse.Namespace) -> None:
    """``fmstudio split-row DATASET ROW_ID COLUMN --at TEXT``."""
    at = args.at.replace("\\n", "\n").replace("\\t", "\t")
    if not at:
        raise UserError("Say where to split.", remedy="Example: --at '. '")

    def work(project: Project, dataset: Dataset) -> Any:
        text = next(iter(project.rows_by_id(dataset.id, [args.row_id]).records()), {}).get(args.column)
        if text is not None and not isinstance(text, str):
            raise UserError(f"“{args.column}” holds no text in row {args.row_id}.", remedy="Choose a column with text.")
        parts = [part.strip() for part in (text or "").split(at) if part.strip()]
        if text is not None and len(parts) < 2:
            raise UserError(f"“{args.at}” parts nothing in row {args.row_id}.", remedy="Say another place with --at.")
        return project.edits.split_row(dataset.id, args.row_id, args.column, parts or ["", ""])[0]

    change(args, work)


def rate_rows(args: argparse.Namespace) -> None:
    """``fmstudio rate DATASET good|bad|none ROW_ID…``."""
    change(args, lambda project, dataset: project.edits.rate(dataset.id, args.row_ids, RATINGS[args.rating]))


def change(args: argparse.Namespace, work: Callable[[Project, Dataset], Any]) -> None:
    """Change a dataset and say what came of it."""
    with open_project(args.project) as project:
        dataset = project.datasets.get(args.dataset)
        changes = work(project, dataset)
        dataset, pending = project.datasets.get(dataset.id), project.edits.pending(dataset.id)
        done = [op for op in project.datasets.operations(dataset.id) if op.state == "done"][-1]
    if args.json:
        print_json(
            {"dataset": dataset, "changed": bool(changes), "operation": done if changes else None, "pending": pending}
        )
    elif not changes:
        print("Nothing changed: it is so already.")
    else:
        print(f"{done.title}: “{dataset.name}” has {plural(dataset.rows, 'row')} now.")
        say_pending(pending)


def say_pending(pending: Any) -> None:
    if pending:
        added, deleted = plural(pending.added, "row"), plural(pending.deleted, "row")
        counts = f"{plural(pending.cells, 'cell')}, {added} added, {deleted} deleted"
        print(f"Waiting for a commit: {counts}.")


def _read_records(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text("utf-8").split("\n")  # splitlines() would also split inside texts
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}.", remedy="Give a JSON Lines file in UTF-8.") from error
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UserError(
                f"Line {number} of {path.name} is no JSON: {error}.", remedy="One JSON object a line."
            ) from error
        if not isinstance(record, dict):
            raise UserError(f"Line {number} of {path.name} is no JSON object.", remedy="One JSON object a line.")
        records.append(record)
    if not records:
        raise UserError(f"{path.name} has no rows.")
    return records
