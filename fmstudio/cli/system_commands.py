"""Commands about the machine and the app: demo, doctor, jobs, plugins."""

from __future__ import annotations

import argparse
import threading
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.cli.output import print_json, print_table, say
from fmstudio.cli.session import make_queue, open_project, run_job

if TYPE_CHECKING:
    from fmstudio.jobs.queue import JobQueue
    from fmstudio.jobs.spec import Job


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    demo = commands.add_parser("demo", parents=[shared], help="run the whole loop on real data and a real model")
    demo.add_argument("--project", metavar="DIR", default="", help="folder to make (default: ./fmstudio-demo)")
    demo.add_argument(
        "--max-steps",
        type=int,
        default=0,
        help="stop training after so many steps (default: one epoch, or 2 minutes)",
    )
    demo.add_argument("--no-window", action="store_true", help="do not open the window at the end")
    demo.set_defaults(handler=demo_command)

    doctor = commands.add_parser("doctor", parents=[shared], help="what works on this machine, with remedies")
    doctor.set_defaults(handler=doctor_command)

    jobs = commands.add_parser("jobs", parents=[shared], help="list the jobs of a project")
    jobs.add_argument("--project", metavar="DIR", default="")
    jobs.add_argument("--retry", metavar="JOB", default="", help="go on with a failed, cancelled or interrupted job")
    jobs.set_defaults(handler=jobs_command)

    plugins = commands.add_parser("plugins", parents=[shared], help="list the plugins and their health")
    plugins.set_defaults(handler=plugins_command)


def demo_command(args: argparse.Namespace) -> None:
    """``fmstudio demo``."""
    from fmstudio.cli.demo import run_demo

    run_demo(args)


def doctor_command(args: argparse.Namespace) -> None:
    """``fmstudio doctor``."""
    from fmstudio.cli.doctor import examine

    findings = examine()
    if args.json:
        print_json({"ok": all(f.ok for f in findings), "findings": findings})
        return
    for finding in findings:
        print(f"{'✓' if finding.ok else '✗'} {finding.subject}: {finding.text}")
        if finding.remedy:
            print(f"    → {finding.remedy}")


def jobs_command(args: argparse.Namespace) -> None:
    """``fmstudio jobs``."""
    with open_project(args.project) as project:
        queue = make_queue(project)
        if args.retry:
            again = _to_be_retried(queue, args.retry)
            run_job(project, again.spec, queue, again=again)
        jobs = queue.jobs()
    if args.json:
        facts = [
            {
                "id": j.id,
                "title": j.title,
                "kind": j.kind,
                "state": j.state,
                "created": j.spec.created,
                "started": j.started,
                "finished": j.finished,
                "error": j.error,
                "result": j.result,
            }
            for j in jobs
        ]
        print_json({"jobs": facts})
        return
    rows = [
        (j.title, j.state, f"{(j.finished or 0) - j.started:.1f} s" if j.finished and j.started else "", j.id)
        for j in jobs
    ]
    print_table(("title", "state", "took", "id"), rows)
    for job in jobs:
        if job.error:
            say(f"{job.title}: {job.error}")


def _to_be_retried(queue: JobQueue, job_id: str) -> Job:
    """Find a job that has not come to its end.

    Raises:
        UserError: There is none of that id, or it cannot be retried.
    """
    job = next((job for job in queue.jobs() if job.id == job_id), None)
    if job is None:
        raise UserError(f"There is no job “{job_id}”.", remedy="List them with: fmstudio jobs")
    if job.state == "succeeded" or not job.is_finished:
        remedy = "Only what failed, was cancelled or interrupted can be run again."
        raise UserError(f"“{job.title}” has not failed: its state is {job.state}.", remedy=remedy)
    return job


def plugins_command(args: argparse.Namespace) -> None:
    """``fmstudio plugins``."""
    plugins = check_all_plugins()
    if args.json:
        print_json({"plugins": plugins})
        return
    print_table(
        ("plugin", "version", "source", "health", "contributes"),
        [(p["id"], p["version"], p["source"], p["health"], ", ".join(p["contributes"])) for p in plugins],
    )
    for plugin in plugins:
        if plugin["error"]:
            say(f"{plugin['id']}: {plugin['error']}")


def check_all_plugins() -> list[dict[str, Any]]:
    """Every plugin found, with the result of loading it in a child process.

    Returns:
        Mappings with id, name, version, source, folder, contributes, health (``ok``, ``failed``, ``off``), error.
    """
    import os

    from fmstudio.core.paths import cache
    from fmstudio.core.settings import Settings
    from fmstudio.jobs.health import Health, check_plugin
    from fmstudio.jobs.launcher import SubprocessLauncher
    from fmstudio.plugin_manager import PluginManager

    settings = Settings.load()
    safe_mode = os.environ.get("FMSTUDIO_SAFE_MODE") == "1"
    manager = PluginManager(safe_mode=safe_mode, disabled=tuple(settings.disabled_plugins))
    launcher = SubprocessLauncher()
    found = []
    for plugin in manager.plugins:
        error = plugin.error
        if plugin.enabled and not error:
            answered = threading.Event()
            healths: list[Health] = []

            def take(health: Health, healths: list[Health] = healths, answered: threading.Event = answered) -> None:
                healths.append(health)
                answered.set()

            log = cache("logs", f"check-{plugin.id}.log")
            check_plugin(launcher, plugin.id, take, python=settings.python, log_path=log)
            answered.wait(120)
            error = str(healths[0].problem) if healths and healths[0].problem else None
            if not healths:
                error = "Loading it took longer than two minutes."
        found.append(
            {
                "id": plugin.id,
                "name": plugin.name,
                "version": plugin.version,
                "source": plugin.source,
                "folder": str(plugin.folder),
                "contributes": [f"{c.kind}: {c.id}" for c in plugin.contributions],
                "health": "failed" if error else "ok" if plugin.enabled else "off",
                "error": error,
            }
        )
    return found
