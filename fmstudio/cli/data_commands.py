"""Commands about data: project, datasets, rows, recipe, embed, search, undo, redo."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.cli.output import print_json, print_table, say
from fmstudio.cli.session import open_project, run_job, session_worker
from fmstudio.cli.settings import parse_names
from fmstudio.core.words import plural

if TYPE_CHECKING:
    from fmstudio.project import Project


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    _project(commands, shared)
    in_project = argparse.ArgumentParser(add_help=False, parents=[shared])
    in_project.add_argument("--project", metavar="DIR", default="", help="the project folder")

    listing = commands.add_parser("datasets", parents=[in_project], help="list the datasets")
    listing.set_defaults(handler=list_datasets)

    rows = commands.add_parser("rows", parents=[in_project], help="show rows of a dataset")
    rows.add_argument("dataset")
    rows.add_argument("--limit", type=int, default=20)
    rows.add_argument("--offset", type=int, default=0)
    rows.add_argument("--where", default="", metavar="SQL", help='condition, e.g. "length(text) > 100"')
    rows.add_argument("--find", default="", metavar="WORDS", help='words, "phrases", -without, column:word')
    rows.add_argument("--sort", default="", metavar="SQL", help='order, e.g. "length(text) DESC"')
    rows.add_argument(
        "--columns",
        default="",
        metavar="A,B",
        help="only these columns, in this order; a JSON list where a name has a comma",
    )
    rows.add_argument("--version", type=int, default=None, help="version (default: the current one)")
    rows.add_argument("--dropped", action="store_true", help="the rows this version dropped, with step and reason")
    rows.add_argument("--rejects", action="store_true", help="the pieces of the files that could not be read")
    rows.set_defaults(handler=show_rows)

    recipe = commands.add_parser("recipe", parents=[shared], help="run a recipe").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    run = recipe.add_parser("run", parents=[in_project], help="make the next version of a dataset")
    run.add_argument("recipe", metavar="RECIPE.yaml")
    run.add_argument("--dataset", required=True)
    run.set_defaults(handler=run_recipe)

    embed = commands.add_parser("embed", parents=[in_project], help="embed a dataset")
    embed.add_argument("dataset")
    embed.add_argument("--embedder", default="wordllama", metavar="ID")
    embed.add_argument("--column", default="", help="column to embed (default: all text of the row)")
    embed.set_defaults(handler=embed_dataset)

    search = commands.add_parser("search", parents=[in_project], help="search a dataset by meaning")
    search.add_argument("dataset")
    search.add_argument("query")
    search.add_argument("--limit", type=int, default=10)
    search.add_argument("--embedder", default="", metavar="ID")
    search.set_defaults(handler=search_dataset)

    for name, text in (("undo", "take back the newest operation"), ("redo", "do an undone operation again")):
        command = commands.add_parser(name, parents=[in_project], help=text)
        command.add_argument("dataset", nargs="?", default=None, help="none = of the whole project; also a deleted one")
        command.set_defaults(handler=undo_or_redo)


def _project(commands: Any, shared: argparse.ArgumentParser) -> None:
    project = commands.add_parser("project", parents=[shared], help="make or describe a project").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    new = project.add_parser("new", parents=[shared], help="make a project folder")
    new.add_argument("folder", metavar="DIR")
    new.add_argument("--name", default="")
    new.set_defaults(handler=new_project)
    info = project.add_parser("info", parents=[shared], help="what is in a project")
    info.add_argument("folder", metavar="DIR")
    info.set_defaults(handler=project_info)


def new_project(args: argparse.Namespace) -> None:
    """``fmstudio project new DIR``."""
    from fmstudio.project import Project

    project = Project.create(Path(args.folder), args.name)
    facts = {"name": project.name, "project": str(project.folder)}
    project.close()
    if args.json:
        print_json(facts)
    else:
        print(f"Made the project “{facts['name']}” in {facts['project']}.")


def project_info(args: argparse.Namespace) -> None:
    """``fmstudio project info DIR``."""
    with open_project(args.folder) as project:
        facts: dict[str, Any] = {
            "name": project.name,
            "project": project.folder,
            "datasets": project.datasets.all(),
            "models": project.models.all(),
            "conversations": len(project.chats.conversations()),
            "ratings": len(project.chats.ratings()),
            "operations": project.datasets.operations(),
        }
    if args.json:
        print_json(facts)
        return
    print(f"{facts['name']}  ({facts['project']})")
    for dataset in facts["datasets"]:
        print(f"  dataset  {dataset.name}: {plural(dataset.rows, 'row')}, version {dataset.version}, {dataset.kind}")
    for model in facts["models"]:
        print(f"  {model.kind:<7}  {model.name} ({model.format})")
    print(f"  {facts['conversations']} conversations, {facts['ratings']} ratings")


def list_datasets(args: argparse.Namespace) -> None:
    """``fmstudio datasets``."""
    with open_project(args.project) as project:
        datasets = project.datasets.all()
    if args.json:
        print_json({"datasets": datasets})
    elif not datasets:
        say("No datasets yet. Bring data in with: fmstudio import FILE --project DIR")
    else:
        names = ("name", "rows", "version", "kind", "columns", "id")
        rows = [(d.name, d.rows, d.version, d.kind, ", ".join(c.name for c in d.columns), d.id) for d in datasets]
        print_table(names, rows)


def show_rows(args: argparse.Namespace) -> None:
    """``fmstudio rows DATASET``."""
    if args.limit < 0 or args.offset < 0:
        raise UserError("--limit and --offset must not be negative.")
    with open_project(args.project) as project:
        if args.rejects:
            rejects = project.rejects(args.dataset, args.limit, args.version)
            print_json({"rejects": rejects}) if args.json else print_table(
                ("version", "file", "line", "byte", "reason", "raw"),
                [(r["version"], r.get("file"), r.get("line"), r.get("byte"), r["reason"], r["raw"]) for r in rejects],
                is_data=True,
            )
            return
        if args.dropped:
            page = project.dropped(args.dataset, args.version, offset=args.offset, limit=args.limit)
        else:
            page = project.page(
                args.dataset,
                offset=args.offset,
                limit=args.limit,
                where=_condition(project, args),
                order_by=args.sort,
                columns=_chosen_columns(project, args),
                version=args.version,
            )
    if args.json:
        print_json({"total": page.total, "offset": page.offset, "columns": page.columns, "rows": page.records()})
    else:
        print_table(page.columns, page.rows, is_data=True)
        print(f"{len(page.rows):,} of {plural(page.total, 'row')}")


def _condition(project: Project, args: argparse.Namespace) -> str:
    """What ``--where`` and ``--find`` ask for together."""
    from fmstudio.project.filters import FilterColumn, all_of, words_where

    columns = [column for column in project.datasets.get(args.dataset).columns if not column.is_side]
    words = words_where(args.find, [FilterColumn(column.name, column.type) for column in columns])
    return all_of([args.where, words])


def _chosen_columns(project: Project, args: argparse.Namespace) -> list[str] | None:
    from fmstudio.core.checking import nearest

    wanted = parse_names(args.columns)
    there = project.page(args.dataset, limit=0, version=args.version).columns
    for name in wanted:
        if name not in there:
            raise UserError(f"There is no column “{name}” in this dataset.", remedy=nearest(name, list(there)))
    return wanted or None


def run_recipe(args: argparse.Namespace) -> None:
    """``fmstudio recipe run RECIPE.yaml``."""
    from fmstudio.recipes import Recipe

    recipe = Recipe.load(Path(args.recipe))
    with open_project(args.project) as project:
        job = run_job(project, project.specs.recipe(args.dataset, recipe.to_dict()))
        dataset = project.datasets.get(job.spec.meta["dataset_id"])
    result = job.results["recipe"]
    if args.json:
        print_json({"dataset": dataset, "job": job.id, **result})
        return
    print(
        f"Version {dataset.version} of “{dataset.name}”: {plural(dataset.rows, 'row')}, {result['dropped']:,} dropped."
    )
    for step in result["steps"]:
        print(f"  {step['operator']}: {step['dropped']:,} dropped, {step['changed']:,} changed")


def embed_dataset(args: argparse.Namespace) -> None:
    """``fmstudio embed DATASET``."""
    with open_project(args.project) as project:
        job = run_job(project, project.specs.embed(args.dataset, args.embedder, args.column))
    result = job.results["embed"]
    if args.json:
        print_json({"job": job.id, **result})
    else:
        print(f"Embedded {plural(result['rows'], 'row')} in {result['dim']} dimensions ({result['embedder']}).")


def search_dataset(args: argparse.Namespace) -> None:
    """``fmstudio search DATASET QUERY``."""
    with open_project(args.project) as project, session_worker() as session:
        request = project.search_params(args.dataset, args.embedder)
        answer = session.call_blocking("search", {**request, "query": args.query, "k": args.limit})
        similarity = {hit["row_id"]: hit["similarity"] for hit in answer["hits"]}
        rows = project.rows_by_id(args.dataset, list(similarity)).records()
    found = [{"similarity": round(similarity[row["row_id"]], 4), **row} for row in rows]
    if args.json:
        print_json({"query": args.query, "rows": found})
    elif found:
        print_table(list(found[0]), [list(row.values()) for row in found], is_data=True)


def undo_or_redo(args: argparse.Namespace) -> None:
    """``fmstudio undo|redo [DATASET]``."""
    with open_project(args.project) as project:
        dataset_id = project.datasets.id_even_gone(args.dataset) if args.dataset else None
        operation = getattr(project, args.command)(dataset_id)
        told = project.datasets.log.told(operation) if operation else ""
    if operation is None:
        raise UserError(f"There is nothing to {args.command}.")
    if args.json:
        print_json({args.command: operation})
    else:
        print(f"{args.command.capitalize()}: {told}.")
