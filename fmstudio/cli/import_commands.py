"""Commands that bring data in: inspect, import."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.cli.output import print_json, print_table, say
from fmstudio.cli.session import make_queue, open_project, run_job, session_worker
from fmstudio.cli.settings import parse_settings
from fmstudio.core.addresses import is_remote
from fmstudio.core.words import plural

if TYPE_CHECKING:
    from fmstudio.project import Project
    from fmstudio.project.datasets import Dataset

SHOWN_ROWS = 3
RULES = "e.g. prompt=question completion=answer; role.bot=assistant, rule.pairs=all alone correct what is detected"
FORGET = "read files of this shape by what is in them again, not as last time"


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    reading = argparse.ArgumentParser(add_help=False, parents=[shared])
    reading.add_argument(
        "files", nargs="+", metavar="FILE", help="files, folders, archives, https:// addresses or hf:owner/name"
    )
    reading.add_argument(
        "--importer", default="", metavar="ID", help="importer to use (default: by content and suffix)"
    )
    reading.add_argument("--map", nargs="+", default=[], metavar="TARGET=COLUMN", help=RULES)
    reading.add_argument("--encoding", default="", metavar="E", help="encoding of the text (default: detected)")
    reading.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings of the importer, e.g. delimiter=: has_header=no",
    )
    reading.add_argument("--part", nargs="+", default=[], metavar="ID", help="tables of the file, e.g. sheets")

    look = commands.add_parser("inspect", parents=[reading], help="what files hold and how they would be imported")
    look.add_argument("--project", metavar="DIR", default="", help="also say what this project knows of them")
    look.add_argument(
        "--model",
        metavar="MODEL",
        default="",
        help="count tokens in its vocabulary: a GGUF file, with --project also a name",
    )
    look.set_defaults(handler=inspect_files)

    add = commands.add_parser("import", parents=[reading], help="import files as a dataset")
    add.add_argument("--project", metavar="DIR", default="", help="the project folder")
    add.add_argument("--name", default="", help="name of the dataset (default: the file's)")
    add.add_argument("--forget", action="store_true", help=FORGET)
    add.add_argument("--each", action="store_true", help="make a dataset of every file and part")
    add.add_argument("--update", default="", metavar="DATASET", help="make the next version of a dataset instead")
    add.add_argument("--key", default="", metavar="COLUMN", help="column that names a row in an update")
    add.set_defaults(handler=import_files)


def inspect_files(args: argparse.Namespace) -> None:
    """``fmstudio inspect FILE…``."""
    shapes: dict[str, Any] = {}
    known: dict[str, list[str]] = {}
    model = Path(args.model)
    if args.project:
        with open_project(args.project) as project:
            if args.model and not model.exists():
                model = project.models.get(args.model, kind="base", file_format="gguf").path
            shapes = project.imports.mappings()
            known = {file: [d.name for d in _known(project, file)] for file in args.files}
    for file in filter(is_remote, args.files):
        say(f"Fetching {file} for a look …")
    with session_worker() as session:
        found = [
            {"file": file, **session.call_blocking("inspect_file", _request(file, args, shapes))} for file in args.files
        ]
        for one in found if args.model else ():
            wanted = {**_request(one["file"], args, shapes), "model": str(model.resolve()), "mapping": one["mapping"]}
            one["token_stats"] = session.call_blocking("count_tokens", wanted)
    for one in found:
        one["imported_as"] = known.get(one["file"], [])
    if args.json:
        print_json({"files": found})
        return
    for one in found:
        _tell(one)


def _request(file: str, args: argparse.Namespace, shapes: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": file if is_remote(file) else str(Path(file).resolve()),
        "importer": args.importer or None,
        "importer_params": _params(args),
        "mapping": _parse_mapping(args.map),
        "part": args.part[0] if args.part else "",
        "known_shapes": shapes,
    }


def _known(project: Project, file: str) -> list[Dataset]:
    """Datasets made of this content; of an address, those that came from there."""
    return project.imports.from_address(file) if is_remote(file) else project.known_file(Path(file))


def _of_this_name(project: Project, file: str) -> str:
    """Name of the newest dataset that was made of a file of this name; empty when there is none."""
    if is_remote(file):
        return ""
    name = Path(file).name
    return next((source.dataset for source in project.imports.sources() if source.name == name), "")


def _how_known(file: str) -> str:
    return "from this address" if is_remote(file) else "byte for byte the same"


def _tell(found: dict[str, Any]) -> None:
    about = "" if found["estimated_rows"] <= len(found["rows"]) else "about "
    print(
        f"{found['file']}: {about}{plural(found['estimated_rows'], 'row')}, {plural(found['bytes'], 'byte')}, {found['importer']}"
    )
    if found["imported_as"]:
        print(f"  imported before, {_how_known(found['file'])}, as {', '.join(found['imported_as'])}")
    _tell_reading(found)
    _tell_figures(found)
    for conflict in found["type_conflicts"]:
        print(f"  {conflict['message']}")
    for note in found["notes"]:
        print(f"  {note}")
    if found["rejected"]:
        print(f"  {plural(found['rejected'], 'piece')} among these rows cannot be read; the first:")
        print(f"    {_place(found['rejects'][0])}{found['rejects'][0]['reason']}")
    if found["flagged"]:
        print(
            f"  {plural(found['flagged'], 'value looks', 'values look')} wrong; the first: {found['flags'][0]['reason']}"
        )
    if found["rows"]:
        names = [column["name"] for column in found["columns"]]
        print_table(names, [[row.get(name) for name in names] for row in found["rows"][:SHOWN_ROWS]], is_data=True)


def _tell_reading(found: dict[str, Any]) -> None:
    """What the rows are, why, what else they could be, and who speaks as whom."""
    best = next((d for d in found["detections"] if d["mapping"]["columns"] == found["mapping"]["columns"]), None)
    how = "as last time; import --forget ends that" if found["remembered"] else ""
    how = how or (best["certainty"] if best else "as you said")
    columns = ", ".join(f"{target}={source}" for target, source in found["mapping"]["columns"].items())
    print(f"  read as {found['kind']} ({how}){': ' + columns if columns else ''}")
    for line in best["evidence"] if best else ():
        print(f"    {line}")
    named = [f"{one['name']} → {one['role'] or '?'}" for one in found["roles"] if not one["is_usual"]]
    if named:
        print(f"    Who speaks: {', '.join(named)}")
    for other in found["detections"]:
        if other is not best:
            columns = " ".join(f"{target}={source}" for target, source in other["mapping"]["columns"].items())
            print(f"  could also be {other['mapping']['kind']} ({other['certainty']}) {columns}".rstrip())
    for part in found["parts"]:
        rows = f", {plural(part['rows'], 'row')}" if part["rows"] is not None else ""
        print(f"  part {part['id']}: {part['title']}{rows}{', ' + part['detail'] if part['detail'] else ''}")


def _tell_figures(found: dict[str, Any]) -> None:
    """Lengths, tokens and languages of the rows that were looked at."""
    lengths, tokens = found["length_histogram"], found["token_stats"]
    if found["measured_rows"]:
        about, how = ("about ", "estimated") if tokens["is_estimate"] else ("", "counted")
        print(f"  {lengths['median']:,} characters a row (median), {lengths['max']:,} most")
        print(f"  {about}{plural(tokens['median'], 'token')} a row (median), {tokens['max']:,} most ({how})")
    if found["languages"]:
        print("  languages: " + ", ".join(f"{one['code']} {one['share']:.0%}" for one in found["languages"][:5]))


def _place(reject: dict[str, Any]) -> str:
    """Where a piece was that could not be read: its line and byte, or the number of its row."""
    if reject.get("line"):
        byte = f", byte {reject['byte']:,}" if reject.get("byte") is not None else ""
        return f"line {reject['line']:,}{byte}: "
    return f"row {reject['row']:,}: " if reject.get("row") else ""


def import_files(args: argparse.Namespace) -> None:
    """``fmstudio import FILE…``."""
    from fmstudio.project.import_specs import cut_short

    mapping = _parse_mapping(args.map)
    if args.update and args.each:
        raise UserError("--update and --each do not go together.", remedy="Update one dataset at a time.")
    if args.name and args.each and len(args.files) > 1:
        raise UserError(
            "--name and --each do not go together for several files.",
            remedy="Leave --name out, or rename them after it.",
        )
    parts = _parts_of(args) if args.each and not args.part else args.part
    with open_project(args.project) as project:
        for file in args.files:
            for dataset in (known := _known(project, file)):
                say(f"{file} was imported before, {_how_known(file)}, as “{dataset.name}”.")
            if not known and not args.update and (earlier := _of_this_name(project, file)):
                say(f"A file of this name became “{earlier}”; its content is another now.")
                say(f"To make it the next version: fmstudio import {quote(file)} --update {quote(earlier)}")
        spec = project.specs.import_files(
            args.files,
            name=args.name,
            importer=args.importer,
            mapping=mapping,
            importer_params=_params(args),
            parts=parts,
            each_its_own=args.each,
            update_of=args.update,
            update_key=args.key,
            is_corrected=bool(mapping) and not args.forget,
            known_shapes={} if args.forget else project.imports.mappings(),
        )
        queue = make_queue(project)
        begun = cut_short(queue.jobs(), spec)
        if begun is not None:
            say("This import was cut short before; it goes on where it stood.")
        job = run_job(project, spec, queue, again=begun)
        spec = job.spec
        made = spec.meta.get("datasets") or [{**spec.meta, "step": "import"}]
        datasets = [project.datasets.get(one["dataset_id"]) for one in made]
        rejects = [r for r in project.rejects(datasets[0].id, 5) if r["version"] == datasets[0].version]
        results = [job.results[one["step"]] for one in made]
        for result in results if args.forget else ():
            project.imports.forget(result["shape_key"])
    if args.json:
        every = [{"dataset": d, **r} for d, r in zip(datasets, results, strict=True)]
        print_json({"job": job.id, **every[0], **({"datasets": every} if len(every) > 1 else {})})
        return
    for dataset, result in zip(datasets, results, strict=True):
        _say_imported(dataset, result)
    for reject in rejects:
        print(f"    {_place(reject)}{reject['reason']}")


def _say_imported(dataset: Any, result: dict[str, Any]) -> None:
    if "update" in result:
        counts = result["update"]
        print(
            f"Version {dataset.version} of “{dataset.name}”: {plural(dataset.rows, 'row')}; {counts['added']:,} added,"
            f" {counts['removed']:,} gone, {counts['changed']:,} changed, {counts['unchanged']:,} as they were."
        )
    else:
        print(f"Imported {plural(dataset.rows, 'row')} as “{dataset.name}” ({dataset.kind}).")
    for note in result["notes"]:
        print(f"  {note}")
    if result["remembered"]:
        print("  To read such files by what is in them again, import with --forget.")
    if result["flags"]:
        print(f"  {plural(result['flagged'], 'value looks', 'values look')} wrong:")
        rows = [(f["column"], f["row"], f["value"], f["reason"]) for f in result["flags"][:5]]
        print_table(("column", "row", "value", "reason"), rows, is_data=True)
    if result["rejected"]:
        print(f"  {plural(result['rejected'], 'piece')} could not be read; see: fmstudio rows {dataset.name} --rejects")


def _params(args: argparse.Namespace) -> dict[str, Any]:
    return {**({"encoding": args.encoding} if args.encoding else {}), **parse_settings(args.set)}


def _parts_of(args: argparse.Namespace) -> dict[str, list[str]]:
    """The tables in each file that holds several, those without rows aside."""
    found: dict[str, list[str]] = {}
    with session_worker() as session:
        for file in args.files:
            request = _request(file, args, {})
            parts = session.call_blocking("inspect_file", request)["parts"]
            if len(filled := [part["id"] for part in parts if part["rows"] != 0]) > 1:
                found[request["path"]] = filled
    return found


def _parse_mapping(items: list[str]) -> dict[str, Any] | None:
    if not items:
        return None
    from fmstudio.core.schemas import Mapping, is_partial, said_in

    said = said_in(items)
    return said if is_partial(said) else Mapping.of(said).to_dict()
