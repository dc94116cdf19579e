"""The command ``models``: the library, what fits, downloads, servers."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.cli.endpoint_keys import KEY_VARIABLE, ask_key, key_of
from fmstudio.cli.output import print_json, print_table, say
from fmstudio.cli.session import make_queue, open_project, run_job
from fmstudio.core.settings import Settings
from fmstudio.core.words import size

if TYPE_CHECKING:
    from fmstudio.models.hub import HubChoice, HubModel
    from fmstudio.project import Project
    from fmstudio.project.models import ModelEntry


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    in_project = argparse.ArgumentParser(add_help=False, parents=[shared])
    in_project.add_argument("--project", metavar="DIR", default="", help="the project folder")

    models = commands.add_parser("models", parents=[in_project], help="the model library: list, add, download, servers")
    models.add_argument("--add", metavar="PATH", default="", help="register a GGUF file or a model or adapter folder")
    models.add_argument(
        "--copy", action="store_true", help="with --add: copy it into the project instead of linking it"
    )
    models.add_argument("--remove", metavar="MODEL", default="", help="take a model out of the library (files stay)")
    models.set_defaults(handler=list_models)
    actions = models.add_subparsers(dest="action", metavar="ACTION")

    show = actions.add_parser("show", parents=[in_project], help="all that is known of a model, and what fits here")
    show.add_argument("model", metavar="MODEL", help="name or id")
    show.set_defaults(handler=show_model)

    found = actions.add_parser("found", parents=[shared], help="models that other programs hold on this computer")
    found.set_defaults(handler=list_found)

    get = actions.add_parser("get", parents=[in_project], help="download a model from the hub or an address")
    get.add_argument("address", metavar="NAME", help="owner/name, owner/name:Q4_K_M, or https://…/model.gguf")
    get.add_argument("--file", default="", help="which of several models it is")
    get.add_argument("--yes", action="store_true", help="do not ask: size and licence are fine")
    get.set_defaults(handler=get_model)

    server = actions.add_parser("add-server", parents=[in_project], help="add a server that speaks OpenAI's API")
    server.add_argument("url", metavar="URL", help="for example http://127.0.0.1:8080/v1")
    server.add_argument("--model", default="", help="as the server calls it (default: its only one)")
    server.add_argument("--name", default="", help="how it is called here")
    server.add_argument("--key", action="store_true", help=f"it wants a key: from {KEY_VARIABLE}, or asked for")
    server.set_defaults(handler=add_server)

    test = actions.add_parser("test", parents=[in_project], help="ask a server for its models")
    test.add_argument("model", metavar="SERVER", help="name or id")
    test.set_defaults(handler=test_server)


def list_models(args: argparse.Namespace) -> None:
    """``fmstudio models``."""
    with open_project(args.project) as project:
        if args.add:
            _add(project, Path(args.add), copy=args.copy)
        if args.remove:
            _remove(project, args.remove)
        models = project.models.all()
    if args.json:
        print_json({"models": models})
        return
    rows = [(m.name, m.kind, m.format, _size(m.bytes), _weights(m), m.id) for m in models]
    print_table(("name", "kind", "format", "size", "weights", "id"), rows)


def _add(project: Project, path: Path, *, copy: bool) -> None:
    if copy:
        from secrets import token_hex

        path = project.models.copy_in(path, project.folder / "models" / f"copy-{token_hex(4)}")
    project.models.add(path)


def _remove(project: Project, name: str) -> None:
    from fmstudio.core.keyring_store import forget_key

    entry = project.models.get(name)
    project.models.remove(entry.id)
    if entry.format == "endpoint":
        forget_key(entry.id)


def _weights(entry: ModelEntry) -> str:
    return "missing" if entry.is_missing else str(entry.facts.get("quantization") or entry.facts.get("model") or "")


def _size(count: int) -> str:
    return size(count) if count else ""


def show_model(args: argparse.Namespace) -> None:
    """``fmstudio models show MODEL``."""
    from fmstudio.models.fit_report import Measured, report_fit

    with open_project(args.project) as project:
        entry = project.models.get(args.model)
        adapters = project.models.adapters_of(entry) if entry.kind == "base" and not entry.is_missing else []
    fits = entry.format == "gguf" and entry.kind != "adapter" and not entry.is_missing
    report = report_fit(entry.path, None, Measured.of(entry.metrics.get("memory"))) if fits else None
    if args.json:
        fit = (
            {**asdict(report.fit), "settings": report.fit.settings, "total": report.fit.memory.total}
            if report
            else None
        )
        print_json({"model": entry, "adapters": adapters, "fit": fit})
        return
    print(f"{entry.name} ({entry.kind}, {entry.format}), {entry.facts.get('url') or entry.path}")
    shown = {k: v for k, v in entry.facts.items() if isinstance(v, str | int | float | bool) and v != ""}
    print_table(("fact", "value"), [(key.replace("_", " "), value) for key, value in shown.items()])
    if adapters:
        print(f"Adapters that fit it: {', '.join(one.name for one in adapters)}")
    if report is not None:
        _print_fit(report)


def _print_fit(report: Any) -> None:
    fit, memory = report.fit, report.fit.memory
    settings = ", ".join(f"{key} {value}" for key, value in fit.settings.items())
    print(
        f"Estimate: {_size(memory.total)} ({_size(memory.weights)} weights, {_size(memory.cache)} cache, "
        f"{_size(memory.compute)} compute); {_size(fit.free)} is free."
    )
    print(f"{'Fits' if fit.fits else 'May not fit'} with: {settings}.")
    if report.measured:
        one = report.measured
        print(f"Measured with {one.n_ctx:,} tokens: {_size(one.resident)} ({_size(one.predicted)} was estimated).")


def list_found(args: argparse.Namespace) -> None:
    """``fmstudio models found``."""
    from fmstudio.models.discovery import discover

    found = discover(Path.home(), os.environ)
    if args.json:
        print_json({"found": found})
        return
    print_table(
        ("name", "held by", "format", "size", "path"),
        [(one.name, ", ".join(one.owners), one.format, _size(one.bytes), one.path) for one in found],
    )


def get_model(args: argparse.Namespace) -> None:
    """``fmstudio models get NAME``."""
    from fmstudio.models.hub import look
    from fmstudio.project.model_fetching import choose, is_same_download

    model = look(args.address)
    choice = choose(model, args.file)
    with open_project(args.project) as project:
        spec = project.specs.fetch_model(model, choice)
        _show_terms(model, choice)
        if not args.yes:
            _confirm()
        queue = make_queue(project)
        begun = next((job for job in queue.jobs() if is_same_download(job, spec)), None)
        job = run_job(project, spec, queue, again=begun)
        made = project.models.get(job.id)
    if args.json:
        print_json({"job": job.id, "model": made, **job.result})
    else:
        checked = "its checksum is right" if job.result["verified"] else "no checksum was published"
        print(f"Downloaded “{made.name}”: {_size(made.bytes)}, {checked}; {made.path}")


def _show_terms(model: HubModel, choice: HubChoice) -> None:
    stated = _size(choice.bytes) or "size not stated"
    say(f"{model.name}: {choice.title}, {stated}, licence: {model.license or 'not stated'}")
    if model.is_gated:
        say("Its owner wants terms accepted on the hub first.")


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise UserError("Nobody can be asked whether size and licence are fine.", remedy="Add --yes.")
    print("Download it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError("Nothing was downloaded.")


def add_server(args: argparse.Namespace) -> None:
    """``fmstudio models add-server URL``."""
    from fmstudio.core.keyring_store import keep_key
    from fmstudio.jobs.endpoint_check import try_endpoint

    key = os.environ.get(KEY_VARIABLE, "") or (ask_key(args.url) if args.key else "")
    model = args.model
    if not model:
        offered = try_endpoint(args.url, key, Settings.load().allow_network).models
        if len(offered) != 1:
            names = ", ".join(offered[:20]) or "none"
            raise UserError(f"The server offers {len(offered)} models.", remedy=f"Name one with --model: {names}.")
        model = offered[0]
    with open_project(args.project) as project:
        _, entry_id = project.endpoints.add(args.url, model, args.name, has_key=bool(key))
        entry = project.models.get(entry_id)
    if key and not keep_key(entry_id, key):
        say(f"There is no system keyring: the key is asked for each time, or taken from {KEY_VARIABLE}.")
    if args.json:
        print_json({"model": entry})
    else:
        print(f"Added “{entry.name}”: {entry.facts['model']} at {entry.facts['url']}")


def test_server(args: argparse.Namespace) -> None:
    """``fmstudio models test SERVER``."""
    from fmstudio.jobs.endpoint_check import try_endpoint

    with open_project(args.project) as project:
        entry = project.models.get(args.model, file_format="endpoint")
    answer = try_endpoint(str(entry.facts["url"]), key_of(entry), Settings.load().allow_network)
    has_model = entry.facts["model"] in answer.models
    if args.json:
        print_json({"models": answer.models, "has_model": has_model})
        return
    print(f"{entry.name} answers. Its models: {', '.join(answer.models) or 'none'}")
    if not has_model:
        raise UserError(f"It offers no “{entry.facts['model']}”.", remedy="Add it again with one of these names.")
