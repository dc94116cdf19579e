"""Worker mode ``probe``: try one native setting of a chat backend, in a process that may die of it.

It loads the model and evaluates a prompt and two tokens: repacked weights crash at the first evaluation, not when
they are loaded. The parent (`fmstudio.jobs.probe`) draws its conclusions from how this process ends.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.metadata
import os
import re
import sys
from pathlib import Path

from fmstudio.api import ChatBackend, EmbedRequest, GenerateRequest, ModelInfo
from fmstudio.jobs.probe import CANDIDATE, PROBE_TIMEOUT_S
from fmstudio.jobs.protocol import Artifact, Done, Hello
from fmstudio.plugin_manager import Contribution
from fmstudio.worker.stdio import Channel

# Long enough for the kernels that work on whole tiles of a batch, with a remainder.
_PROMPT = "The quick brown fox jumps over the lazy dog, and the dog does not mind. " * 3


def main(argv: list[str]) -> int:
    """Try candidate ``--index`` of ``--backend`` on ``--model``; 0 = it survived."""
    from fmstudio.worker.main import explain
    from fmstudio.worker.run import worker_plugins

    parser = argparse.ArgumentParser(prog="worker probe")
    parser.add_argument("--backend", required=True)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--index", type=int, default=0)
    args = parser.parse_args(argv)
    channel = Channel()
    channel.send(Hello(os.getpid()))
    faulthandler.enable(sys.stderr)
    # A C thread: it ends this process also when native code hangs with the interpreter's lock in its hand.
    faulthandler.dump_traceback_later(PROBE_TIMEOUT_S, exit=True, file=sys.stderr)
    try:
        contribution = worker_plugins().contribution("chat_backend", args.backend)
        kind: type[ChatBackend] = contribution.load()
        candidates = kind.probe_settings()
        meta = {"settings": candidates[args.index], "count": len(candidates), "library": library_of(contribution)}
        channel.send(Artifact(CANDIDATE, "", meta))
        backend = kind()
        evaluate_once(backend, backend.load(args.model, kind.Params(), candidates[args.index]), _PROMPT)
        backend.close()
    except Exception as error:  # noqa: BLE001 - the last frame of a worker: everything becomes an explained failure
        channel.send(explain(error))
        return 1
    channel.send(Done(meta))
    return 0


def evaluate_once(backend: ChatBackend, info: ModelInfo, prompt: str) -> None:
    """Evaluate a prompt and decode a token, or embed it: what crashes natively crashes here."""
    chunks = (
        backend.generate(GenerateRequest(prompt=prompt, max_tokens=2, temperature=0.0), lambda: False)
        if info.can_chat
        else backend.embed(EmbedRequest([prompt[: info.n_ctx // 2]]), lambda: False)  # a token is a letter at least
    )
    for _ in chunks:
        pass


def library_of(contribution: Contribution) -> str:
    """Names and versions of the packages a plugin needs: another version is another library to probe."""
    names = [match[0] for text in contribution.requires if (match := re.match(r"[A-Za-z0-9._-]+", text))]
    versions = []
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} missing")
    return ", ".join(versions)
