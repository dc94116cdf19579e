"""What can be done about a job that ended badly: run it again where that can help, else choose or read the file otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fmstudio.core.addresses import is_remote

if TYPE_CHECKING:
    from fmstudio.jobs.spec import Job
    from fmstudio.ui.context import Action, AppContext


def mending_actions(context: AppContext, job: Job) -> tuple[Action, ...]:
    """Buttons for the job's problem card, best first; none for a job that runs or succeeded."""
    if job.can_retry:
        return (("Retry", lambda: context.retry(job.id)),)
    if not job.is_finished or job.state == "succeeded" or job.kind != "import":
        return ()
    choose = ("Choose another file…", lambda: context.navigate("data", choose=True))
    files = [str(file) for file in job.spec.meta.get("files", [])]
    if not files or not all(is_remote(file) or Path(file).exists() for file in files):
        return (choose,)
    return ("Change the mapping…", lambda: context.navigate("data", files=files)), choose
