"""The command ``export``: a dataset out of the project, as a file or folder that others read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.cli.output import print_json, say
from fmstudio.cli.session import open_project, run_job
from fmstudio.cli.settings import parse_names, parse_settings
from fmstudio.core.words import plural

if TYPE_CHECKING:
    from fmstudio.plugin_manager import Contribution

EXTRAS = ("rejected", "dropped", "provenance")


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    export = commands.add_parser("export", parents=[shared], help="write a dataset to a file or folder")
    export.add_argument("dataset")
    export.add_argument("--project", metavar="DIR", default="", help="the project folder")
    export.add_argument("--to", required=True, metavar="PATH", help="file or folder to make")
    export.add_argument(
        "--format", default="", metavar="ID", help="format (default: by the suffix; no suffix: hf_dataset)"
    )
    export.add_argument("--version", type=int, default=None, help="version (default: the current one, with its edits)")
    export.add_argument("--where", default="", metavar="SQL", help='only rows that match, e.g. "length(text) > 100"')
    export.add_argument(
        "--columns",
        default="",
        metavar="A,B",
        help="only these columns, in this order; a JSON list where a name has a comma",
    )
    export.add_argument(
        "--with", dest="extras", default="", metavar="WHAT", help=f"further files, of: {','.join(EXTRAS)}"
    )
    export.add_argument("--license", default="", metavar="L", help="licence for the dataset card, e.g. cc-by-4.0")
    export.add_argument("--overwrite", action="store_true", help="replace what an earlier export wrote")
    export.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the format; repeat as needed"
    )
    export.set_defaults(handler=export_dataset)


def export_dataset(args: argparse.Namespace) -> None:
    """``fmstudio export DATASET --to PATH``."""
    from fmstudio.project.exports import ExportInclude

    target = Path(args.to)
    exporter = chosen_format(args.format, target)
    extras = _extras(args.extras)
    columns = tuple(parse_names(args.columns))
    include = ExportInclude(args.where, columns, **dict.fromkeys(extras, True))
    with open_project(args.project) as project:
        spec = project.specs.export_dataset(
            args.dataset,
            exporter,
            target,
            params=parse_settings(args.set),
            version=args.version,
            include=include,
            license=args.license,
            overwrite=args.overwrite,
        )
        job = run_job(project, spec)
    result = job.result
    if args.json:
        print_json({"job": job.id, "exporter": exporter, **result})
        return
    print(f"Wrote {plural(result['rows'], 'row')} to {result['path']} ({exporter}, {plural(result['bytes'], 'byte')}).")
    for note in result["notes"]:
        print(f"  {note}")
    for file in result["files"]:
        if Path(file["path"]) != Path(result["path"]):
            say(f"  {file['path']}")


def chosen_format(named: str, target: Path) -> str:
    """Give the format named, or the one that goes with the file's suffix; a name without one is a folder.

    Raises:
        UserError: There is no such format, or none claims the suffix.
    """
    from fmstudio.plugin_manager import PluginManager

    plugins = PluginManager()
    if named:
        return plugins.contribution("dataset_exporter", named).id
    formats = plugins.contributions("dataset_exporter")
    name = target.name.lower().removesuffix(".gz")
    found = [f for f in formats if f.facts.get("guess") and _claims(f, name)]
    if not found:
        known = ", ".join(f"{f.facts.get('suffix') or 'a folder'} ({f.id})" for f in formats if f.facts.get("guess"))
        raise UserError(
            f"No format goes with the name “{target.name}”.", remedy=f"Name one with --format. By suffix: {known}."
        )
    return max(found, key=lambda f: len(f.facts.get("suffix", ""))).id


def _claims(contribution: Contribution, name: str) -> bool:
    suffix = str(contribution.facts.get("suffix", ""))
    return name.endswith(suffix) if suffix else not Path(name).suffix


def _extras(text: str) -> list[str]:
    chosen = [item.strip() for item in text.split(",") if item.strip()]
    for item in chosen:
        if item not in EXTRAS:
            raise UserError(f"There is no further file “{item}”.", remedy=f"There is: {', '.join(EXTRAS)}.")
    return chosen
