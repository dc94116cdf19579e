"""Commands about changing rows and about versions: edit, add-rows, delete-rows, tag, commit, versions, history …"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.cli.output import print_json, print_table
from fmstudio.cli.session import open_project, run_job

if TYPE_CHECKING:
    from fmstudio.project import Project
    from fmstudio.project.datasets import Dataset


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    in_project = argparse.ArgumentParser(add_help=False, parents=[shared])
    in_project.add_argument("--project", metavar="DIR", default="", help="the project folder")

    def command(name: str, text: str, handler: Callable[[argparse.Namespace], None]) -> Any:
        parser = commands.add_parser(name, parents=[in_project], help=text)
        parser.add_argument("dataset")
        parser.set_defaults(handler=handler)
        return parser

    versions = command("versions", "list the versions of a dataset, or name one", list_versions)
    versions.add_argument("--name", default="", metavar="N=NAME", help="name version N; N= takes its name away")

    edit = command("edit", "set cells of a row", edit_row)
    edit.add_argument("row_id", type=int, metavar="ROW_ID")
    edit.add_argument(
        "cells", nargs="+", metavar="COLUMN=VALUE", help="COLUMN= empties the cell; a list or record as JSON"
    )

    add = command("add-rows", "add rows from a JSON Lines file", add_rows)
    add.add_argument("file", metavar="FILE.jsonl")

    delete = command("delete-rows", "delete rows", delete_rows)
    delete.add_argument("row_ids", nargs="*", type=int, metavar="ROW_ID")
    delete.add_argument("--where", default="", metavar="SQL", help='condition, e.g. "length(text) < 3"')

    tag = command("tag", "add tags to rows, or take them away", tag_rows)
    tag.add_argument("row_ids", nargs="+", type=int, metavar="ROW_ID")
    tag.add_argument("--add", nargs="+", default=[], metavar="TAG")
    tag.add_argument("--remove", nargs="+", default=[], metavar="TAG")

    command("commit", "make the pending edits the next version", commit)

    history = command("history", "everything that was done to a dataset; go to a point of it", show_history)
    history.add_argument(
        "--go-to", type=int, default=None, metavar="ID", help="undo and redo up to this entry; 0 = the start"
    )

    restore = command("restore", "make an older version the current one", restore_version)
    restore.add_argument("number", type=int, metavar="N")

    branch = command("branch", "make a new dataset from a version", branch_version)
    branch.add_argument("number", type=int, metavar="N")
    branch.add_argument("name", metavar="NAME")


def list_versions(args: argparse.Namespace) -> None:
    """``fmstudio versions DATASET``."""
    with open_project(args.project) as project:
        dataset = project.datasets.get(args.dataset)
        if args.name:
            number, _, name = args.name.partition("=")
            if not number.strip().isdigit() or "=" not in args.name:
                raise UserError(f"“{args.name}” is not N=NAME.", remedy="Example: --name 3=clean")
            project.datasets.name_version(dataset.id, int(number), name)
        versions, pending = project.datasets.versions(dataset.id), project.edits.pending(dataset.id)
    if args.json:
        print_json({"dataset": dataset.name, "current": dataset.version, "pending": pending, "versions": versions})
        return
    marks = {dataset.version: "*"}
    rows = [
        (marks.get(v.number, ""), v.number, v.name, v.rows, v.dropped, v.operation, _when(v.created)) for v in versions
    ]
    print_table(("", "version", "name", "rows", "dropped", "made by", "when"), rows)
    _say_pending(pending)


def edit_row(args: argparse.Namespace) -> None:
    """``fmstudio edit DATASET ROW_ID COLUMN=VALUE…``."""
    cells: dict[str, Any] = {}
    for item in args.cells:
        column, equals, value = item.partition("=")
        if not equals or not column:
            raise UserError(f"“{item}” is not COLUMN=VALUE.", remedy="Example: answer=Yes")
        cells[column] = value or None
    _change(args, lambda project, dataset: project.edits.set_cells(dataset.id, {args.row_id: cells}))


def add_rows(args: argparse.Namespace) -> None:
    """``fmstudio add-rows DATASET FILE.jsonl``."""
    records = _read_records(Path(args.file))
    _change(args, lambda project, dataset: project.edits.add_rows(dataset.id, records)[0])


def delete_rows(args: argparse.Namespace) -> None:
    """``fmstudio delete-rows DATASET ROW_ID…|--where SQL``."""
    if bool(args.row_ids) == bool(args.where):
        raise UserError("Name the rows to delete, or give a condition with --where.")

    def work(project: Project, dataset: Dataset) -> Any:
        from fmstudio.project.edits import MOST_OVERLAY_ROWS

        # One more than can be deleted by hand is enough to be told that these are too many.
        row_ids = args.row_ids or project.ids(dataset.id, args.where, MOST_OVERLAY_ROWS + 1)
        return project.edits.delete_rows(dataset.id, row_ids)

    _change(args, work)


def tag_rows(args: argparse.Namespace) -> None:
    """``fmstudio tag DATASET ROW_ID… --add TAG --remove TAG``."""
    if not args.add and not args.remove:
        raise UserError("Say which tags to --add or to --remove.")
    _change(args, lambda project, dataset: project.edits.tag(dataset.id, args.row_ids, args.add, args.remove))


def commit(args: argparse.Namespace) -> None:
    """``fmstudio commit DATASET``."""
    with open_project(args.project) as project:
        job = run_job(project, project.specs.commit(args.dataset))
        dataset = project.datasets.get(job.spec.meta["dataset_id"])
    result = job.results[job.spec.steps[-1].name]
    if args.json:
        print_json({"dataset": dataset, "job": job.id, **result})
    else:
        print(f"Version {dataset.version} of “{dataset.name}”: {dataset.rows:,} rows. {job.spec.meta['title']}.")


def show_history(args: argparse.Namespace) -> None:
    """``fmstudio history DATASET [--go-to ID]``."""
    with open_project(args.project) as project:
        dataset = project.datasets.get(args.dataset)
        if args.go_to is not None:
            project.datasets.go_to(dataset.id, args.go_to)
            dataset = project.datasets.get(dataset.id)
        entries = project.datasets.history(dataset.id)
    if args.json:
        print_json({"dataset": dataset.name, "version": dataset.version, "rows": dataset.rows, "history": entries})
        return
    rows = [
        (
            "*" if entry.is_current else "",
            entry.operation.id,
            entry.text,
            entry.operation.state,
            _when(entry.operation.created),
        )
        for entry in entries
    ]
    print_table(("", "id", "what", "state", "when"), rows)


def restore_version(args: argparse.Namespace) -> None:
    """``fmstudio restore DATASET N``."""
    _change(args, lambda project, dataset: project.datasets.restore(dataset.id, args.number))


def branch_version(args: argparse.Namespace) -> None:
    """``fmstudio branch DATASET N NAME``."""
    with open_project(args.project) as project:
        _, made = project.datasets.branch(project.datasets.get(args.dataset).id, args.number, args.name)
        dataset = project.datasets.get(made)
    if args.json:
        print_json({"dataset": dataset})
    else:
        print(f"Made “{dataset.name}” from version {args.number} of {args.dataset}: {dataset.rows:,} rows.")


def _change(args: argparse.Namespace, work: Callable[[Project, Dataset], Any]) -> None:
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
        print(f"{done.title}: “{dataset.name}” has {dataset.rows:,} rows now.")
        _say_pending(pending)


def _say_pending(pending: Any) -> None:
    if pending:
        counts = f"{pending.cells:,} cells, {pending.added:,} rows added, {pending.deleted:,} rows deleted"
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


def _when(created: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(created))
