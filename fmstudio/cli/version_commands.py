"""Commands about versions and datasets: versions, commit, discard, history, restore, branch, rename, delete."""

from __future__ import annotations

import argparse
import shlex
import time
from typing import Any

from fmstudio.api.errors import UserError
from fmstudio.cli.output import print_json, print_table
from fmstudio.cli.row_commands import change, dataset_commands, say_pending
from fmstudio.cli.session import open_project, run_job
from fmstudio.core.words import plural


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    command = dataset_commands(commands, shared)
    versions = command("versions", "list the versions of a dataset, or name one", list_versions)
    versions.add_argument("--name", default="", metavar="N=NAME", help="name version N; N= takes its name away")

    command("commit", "make the pending edits the next version", commit)
    command("discard", "take back the pending edits; undo brings them back", discard)

    in_project = argparse.ArgumentParser(add_help=False, parents=[shared])
    in_project.add_argument("--project", metavar="DIR", default="", help="the project folder")
    text = "everything that was done to a dataset, or in the project; go to a point of it"
    history = commands.add_parser("history", parents=[in_project], help=text)
    history.set_defaults(handler=show_history)
    history.add_argument("dataset", nargs="?", default="", help="none = of the whole project; also a deleted one")
    history.add_argument(
        "--go-to", type=int, default=None, metavar="ID", help="undo and redo up to this entry; 0 = the start"
    )

    restore = command("restore", "make an older version the current one", restore_version)
    restore.add_argument("number", metavar="N", help="its number or name")

    branch = command("branch", "make a new dataset from a version", branch_version)
    branch.add_argument("number", metavar="N", help="number or name of the version")
    branch.add_argument("name", metavar="NAME", help="of the new dataset")

    rename = command("rename", "give a dataset another name", rename_dataset)
    rename.add_argument("name", metavar="NAME")

    command("delete", "delete a dataset; its files stay, and undo brings it back", delete_dataset)


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
        (
            "–" if v.is_collected else marks.get(v.number, ""),
            *(v.number, v.name, v.rows, v.dropped, v.operation, _when(v.created)),
        )
        for v in versions
    ]
    print_table(("", "version", "name", "rows", "dropped", "made by", "when"), rows)
    if any(v.is_collected for v in versions):
        print("–: its files were collected to free disk space; what happened is still told.")
    say_pending(pending)


def commit(args: argparse.Namespace) -> None:
    """``fmstudio commit DATASET``."""
    with open_project(args.project) as project:
        job = run_job(project, project.specs.commit(args.dataset))
        dataset = project.datasets.get(job.spec.meta["dataset_id"])
    result = job.results[job.spec.steps[-1].name]
    if args.json:
        print_json({"dataset": dataset, "job": job.id, **result})
    else:
        print(
            f"Version {dataset.version} of “{dataset.name}”: {plural(dataset.rows, 'row')}. {job.spec.meta['title']}."
        )


def discard(args: argparse.Namespace) -> None:
    """``fmstudio discard DATASET``."""
    change(args, lambda project, dataset: project.edits.discard(dataset.id))


def rename_dataset(args: argparse.Namespace) -> None:
    """``fmstudio rename DATASET NAME``."""
    change(args, lambda project, dataset: project.datasets.rename(dataset.id, args.name))


def delete_dataset(args: argparse.Namespace) -> None:
    """``fmstudio delete DATASET``."""
    with open_project(args.project) as project:
        dataset = project.datasets.get(args.dataset)
        project.datasets.delete(dataset.id)
    if args.json:
        print_json({"deleted": dataset})
    else:
        print(f"Deleted “{dataset.name}”. Bring it back with: {_command('undo', dataset.name, args.project)}")


def show_history(args: argparse.Namespace) -> None:
    """``fmstudio history [DATASET] [--go-to ID]``."""
    if not args.dataset:
        _show_whole_history(args)
        return
    with open_project(args.project) as project:
        dataset_id = project.datasets.id_even_gone(args.dataset)
        if args.go_to is not None:
            project.datasets.go_to(dataset_id, args.go_to)
        found = [dataset for dataset in project.datasets.all() if dataset.id == dataset_id]
        entries = project.datasets.history(dataset_id)
    if args.json:
        facts = {"dataset": found[0].name, "version": found[0].version, "rows": found[0].rows} if found else {}
        print_json({**(facts or {"dataset": args.dataset, "version": None, "rows": None}), "history": entries})
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
    if not found:
        way = "undo" if any(entry.operation.state == "done" for entry in entries) else "redo"
        print(f"“{args.dataset}” is not there now. Bring it back with: {_command(way, args.dataset, args.project)}")


def _show_whole_history(args: argparse.Namespace) -> None:
    """What was done in the project; the newest that stands is what ``fmstudio undo`` takes back."""
    if args.go_to is not None:
        raise UserError("--go-to needs a dataset.", remedy="Example: fmstudio history DATASET --go-to 3")
    with open_project(args.project) as project:
        operations = project.datasets.operations()
        told = project.datasets.log.all_told(operations)
    if args.json:
        print_json({"history": operations})
        return
    newest = max((operation.id for operation in operations if operation.state == "done"), default=0)
    rows = [
        ("*" if op.id == newest else "", op.id, text, op.state, _when(op.created))
        for op, text in zip(operations, told, strict=True)
    ]
    print_table(("", "id", "what", "state", "when"), rows)


def restore_version(args: argparse.Namespace) -> None:
    """``fmstudio restore DATASET N``."""
    change(
        args,
        lambda project, dataset: project.datasets.restore(
            dataset.id, project.datasets.version_number(dataset.id, args.number)
        ),
    )


def branch_version(args: argparse.Namespace) -> None:
    """``fmstudio branch DATASET N NAME``."""
    with open_project(args.project) as project:
        origin = project.datasets.get(args.dataset)
        number = project.datasets.version_number(origin.id, args.number)
        _, made = project.datasets.branch(origin.id, number, args.name)
        dataset = project.datasets.get(made)
    if args.json:
        print_json({"dataset": dataset})
    else:
        print(f"Made “{dataset.name}” from version {number} of {origin.name}: {plural(dataset.rows, 'row')}.")


def _command(*words: str) -> str:
    """A command line to be typed as it stands; its last word is the project."""
    return shlex.join(["fmstudio", *words[:-1], "--project", words[-1]])


def _when(created: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(created))
