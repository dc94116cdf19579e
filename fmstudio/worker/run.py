"""Worker mode ``run``: one step of one job."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from fmstudio.api.errors import Cancelled
from fmstudio.core.jsonfile import read_json, write_json
from fmstudio.core.settings import Settings
from fmstudio.jobs.protocol import Cancel, Done, Hello, Wire
from fmstudio.jobs.spec import Job, JobSpec
from fmstudio.plugin_manager import PluginManager
from fmstudio.worker.context import StepContext
from fmstudio.worker.main import explain
from fmstudio.worker.stdio import Channel

CANCELLED_EXIT = 3


def run_step(job_folder: str, step_index: str) -> int:
    """Do a step: load its task, hand it a context, leave a DONE marker.

    The worker goes on when the app is gone (stdin at its end): the app finds the result when it opens again.
    """
    channel = Channel()
    channel.send(Hello(os.getpid()))
    folder, index = Path(job_folder), int(step_index)
    job = Job(JobSpec.load(folder), folder)
    step = job.spec.steps[index]
    workdir, out_dir = job.step_folder(index), job.out_folder(step.name)
    workdir.mkdir(parents=True, exist_ok=True)
    out_dir.mkdir(parents=True, exist_ok=True)
    context = StepContext(channel, folder, workdir, out_dir)
    _listen(channel, context)
    try:
        module = importlib.import_module(f"fmstudio.worker.tasks.{step.task}")
        result = module.run(_resolve(step.params, job), context, worker_plugins())
        context.flush()
        write_json(workdir / "DONE", result)
        context.emit(Done(result))
        return 0
    except Cancelled:
        context.log("Stopped as asked.")
        return CANCELLED_EXIT
    except BaseException as error:  # noqa: BLE001 - the last frame of a worker: everything becomes an explained failure
        _report(context, channel, error)
        return 1


def _report(context: StepContext, channel: Channel, error: BaseException) -> None:
    message = explain(error)
    try:
        context.emit(message)
    except OSError:  # the event log cannot be written on a full disk; the app must still hear why
        channel.send(message)


def _listen(channel: Channel, context: StepContext) -> None:
    def on_message(message: Wire) -> None:
        if isinstance(message, Cancel):
            context.cancel()

    channel.listen_in_background(on_message, on_eof=lambda: None)
    signal.signal(signal.SIGTERM, lambda *_: context.cancel())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGXFSZ"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file-size limit then shows as an error, not as a death


def _resolve(value: Any, job: Job) -> Any:
    """Replace ``{"from_step": NAME, "key": K}`` by what that step returned."""
    if isinstance(value, dict):
        if set(value) == {"from_step", "key"}:
            names = [step.name for step in job.spec.steps]
            done = read_json(job.step_folder(names.index(value["from_step"])) / "DONE", {})
            return done[value["key"]]
        return {key: _resolve(item, job) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, job) for item in value]
    return value


def worker_plugins() -> PluginManager:
    """The plugins as this process may use them: the app passes safe mode on by environment."""
    settings = Settings.load()
    return PluginManager(
        safe_mode=os.environ.get("FMSTUDIO_SAFE_MODE") == "1", disabled=tuple(settings.disabled_plugins)
    )


def clear_out(out_dir: Path) -> None:
    """Empty an output folder: for tasks that begin anew when they run again."""
    shutil.rmtree(out_dir, ignore_errors=True)
    out_dir.mkdir(parents=True)
