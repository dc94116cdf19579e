"""Commands that put models to work: train, chat, serve."""

from __future__ import annotations

import argparse
import base64
import mimetypes
import os
import secrets
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fmstudio.api.errors import UserError
from fmstudio.cli.endpoint_keys import endpoint_events
from fmstudio.cli.output import print_json, say
from fmstudio.cli.session import JobFailed, open_project, run_job
from fmstudio.project import Project
from fmstudio.project.models import ModelEntry, template_of

if TYPE_CHECKING:
    from fmstudio.jobs.sse import ChatEvent


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    in_project = argparse.ArgumentParser(add_help=False, parents=[shared])
    in_project.add_argument("--project", metavar="DIR", default="", help="the project folder")

    train = commands.add_parser(
        "train",
        parents=[in_project],
        help="train an adapter",
        description="RUN.yaml has: name, dataset, base, and optionally version, trainer, params (of the trainer).",
    )
    train.add_argument("run", metavar="RUN.yaml")
    train.set_defaults(handler=train_adapter)

    with_model = argparse.ArgumentParser(add_help=False, parents=[in_project])
    with_model.add_argument(
        "--model", required=True, help="name, id or path of a GGUF model; for chat also of a server"
    )
    with_model.add_argument("--adapter", default="", help="name, id or path of a GGUF adapter")
    with_model.add_argument(
        "--chat-template", default="", metavar="FILE", help="a Jinja file instead of the template kept with the model"
    )
    with_model.add_argument(
        "--projector", default="", metavar="FILE", help="the mmproj file of a vision model (default: the one beside it)"
    )
    with_model.add_argument("--n-ctx", type=int, default=0, help="context length in tokens (default: chosen)")

    chat = commands.add_parser("chat", parents=[with_model], help="ask a model one question")
    chat.add_argument("prompt", help="what to ask; - reads it from standard input")
    chat.add_argument("--image", action="append", default=[], metavar="FILE", help="a picture to ask about; repeatable")
    chat.add_argument("--system", default="", help="system prompt")
    chat.add_argument("--temperature", type=float, default=0.0)
    chat.add_argument("--max-tokens", type=int, default=512)
    chat.add_argument("--seed", type=int, default=0)
    chat.set_defaults(handler=chat_once)

    serve = commands.add_parser("serve", parents=[with_model], help="serve a model over the OpenAI API on loopback")
    serve.add_argument("--port", type=int, default=8765, help="port on 127.0.0.1; 0 = any free one")
    serve.add_argument(
        "--conversations-mb", type=int, default=None, metavar="N",
        help="MiB of disk for conversations, which then go on at once after a restart; 0 = none (default: the setting)",
    )  # fmt: skip
    serve.set_defaults(handler=serve_model)


def train_adapter(args: argparse.Namespace) -> None:
    """``fmstudio train RUN.yaml``."""
    from fmstudio.project.specs import TrainRun

    run = TrainRun.parse(_read_yaml(Path(args.run)))
    with open_project(args.project) as project:
        job = run_job(project, project.specs.train(run))
        adapters = [m for m in project.models.all() if m.job_id == job.id]
    if args.json:
        print_json({"job": job.id, "adapters": adapters, **job.result})
        return
    result = job.result
    print(f"Trained “{run.name}”: held-out loss {result['eval_loss_before']:.3f} → {result['eval_loss_after']:.3f}.")
    if "top1_agreement" in result:
        print(f"  engine and trainer agree on {result['top1_agreement']:.1%} of the held-out answers' tokens")
    for adapter in adapters:
        print(f"  {adapter.format}: {adapter.path}")


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error


def _chosen(project: Project, args: argparse.Namespace) -> tuple[ModelEntry, ModelEntry | None]:
    """The model and its adapter."""
    model = project.models.add(Path(args.model)) if Path(args.model).exists() else _model_named(project, args.model)
    if model.kind == "adapter":
        raise UserError(f"{model.name} is an adapter.", remedy="Name its base with --model and it with --adapter.")
    if not args.adapter:
        return model, None
    if Path(args.adapter).exists():
        return model, project.models.add(Path(args.adapter))
    return model, project.models.get(args.adapter, kind="adapter", file_format="gguf")


def _model_named(project: Project, name: str) -> ModelEntry:
    """A base model, or else an embedding model."""
    try:
        return project.models.get(name, kind="base", file_format="gguf")
    except UserError:
        embedding = [m for m in project.models.all() if m.kind == "embedding" and name in (m.id, m.name, str(m.path))]
        if not embedding:
            raise
        return embedding[0]


def _engine_params(args: argparse.Namespace, model: ModelEntry, adapter: ModelEntry | None) -> dict[str, Any]:
    """Context length, and the template: the one named, else that of the adapter's training or kept with the model."""
    template = template_of(model, adapter)
    if args.chat_template:
        try:
            template = Path(args.chat_template).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{args.chat_template} cannot be read: {error}.", remedy="Name a Jinja text file."
            ) from error
    projector = str(Path(args.projector).absolute()) if args.projector else ""
    given = {"n_ctx": args.n_ctx, "chat_template": template, "projector": projector}
    return {name: value for name, value in given.items() if value}


def chat_once(args: argparse.Namespace) -> None:
    """``fmstudio chat --model M PROMPT``."""
    prompt = sys.stdin.read() if args.prompt == "-" else args.prompt
    system = [{"role": "system", "content": args.system}] if args.system else []
    body = {
        "messages": [*system, {"role": "user", "content": _content(prompt, args.image)}],
        "temperature": args.temperature,
        "max_tokens": args.max_tokens,
        "seed": args.seed,
    }
    with open_project(args.project) as project:
        endpoint = _endpoint(project, args.model)
        if endpoint is None:
            answer = _ask_engine(project, args, body)
        elif args.adapter:
            raise UserError(
                f"{endpoint.name} is a server; it takes no adapter from here.", remedy="Leave --adapter out."
            )
        else:
            answer = show_answer(endpoint_events(endpoint, body), quiet=args.json)
    if args.json:
        print_json({"prompt": prompt, **answer})
    else:
        print()


def _endpoint(project: Project, name: str) -> ModelEntry | None:
    """The server of that name, where the library has one and nothing nearer is meant."""
    if Path(name).exists():
        return None
    try:
        entry = project.models.get(name)
    except UserError:
        return None  # the search for a base model says what there is
    return entry if entry.format == "endpoint" else None


def _ask_engine(project: Project, args: argparse.Namespace, body: dict[str, Any]) -> dict[str, Any]:
    from fmstudio.jobs.engine import stream_chat

    engine = _start_engine(project, args, port=0, key=secrets.token_urlsafe(24))
    try:
        answer = show_answer(stream_chat(engine, body), quiet=args.json)
        _note_memory(project, engine)
    finally:
        engine.stop()
    return answer


def show_answer(events: Iterable[ChatEvent], *, quiet: bool) -> dict[str, Any]:
    """Print an answer as it comes; give it whole, with what was measured."""
    answer: list[str] = []
    timings: dict[str, float] = {}
    template = ""
    for event in events:
        answer.append(event.text)
        timings = event.timings or timings
        template = event.template_hash or template
        if event.text and not quiet:
            print(event.text, end="", flush=True)
    return {"answer": "".join(answer), "timings": timings, "template_hash": template}


def _note_memory(project: Project, engine: Any) -> None:
    """Keep what the loaded model really takes, beside the estimate."""
    from fmstudio.models.fit_report import measure

    entry = next((m for m in project.models.all() if m.path == engine.model), None)
    found = measure(engine.model, {**engine.params, "pid": engine.pid, "n_ctx": engine.info.get("n_ctx")})
    if entry is not None and found is not None:
        project.models.note_metrics(entry.id, {"memory": found.to_dict()})


def _content(prompt: str, images: Sequence[str]) -> Any:
    return [*map(_picture, images), {"type": "text", "text": prompt}] if images else prompt


def _picture(name: str) -> dict[str, Any]:
    """A file as OpenAI's ``image_url``: whole, as a data: URI."""
    try:
        data = base64.b64encode(Path(name).read_bytes()).decode("ascii")
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror}.") from error
    kind = mimetypes.guess_type(name)[0] or "image/png"
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}


def _start_engine(project: Project, args: argparse.Namespace, *, port: int, key: str, states_mb: int = 0) -> Any:
    from fmstudio.core.settings import Settings
    from fmstudio.jobs.engine import Engine
    from fmstudio.jobs.launcher import SubprocessLauncher

    model, adapter = _chosen(project, args)
    engine = Engine(SubprocessLauncher(), log_path=project.jobs_dir / "engine.log", python=Settings.load().python)
    adapters = [adapter.path] if adapter else []
    params = _engine_params(args, model, adapter)
    engine.start(model.path, adapters=adapters, params=params, port=port, key=key, states_mb=states_mb)
    try:
        engine.wait_ready(timeout=600)
    except UserError:
        if engine.problem is not None and not engine.problem.is_user_error:
            raise JobFailed(engine.problem) from None
        raise
    for problem in engine.info.get("template_problems", ()):
        say(f"Chat template: {problem}")
    return engine


def serve_model(args: argparse.Namespace) -> None:
    """``fmstudio serve --model M --port N``: until Ctrl+C."""
    from fmstudio.core.settings import Settings

    given = os.environ.get("FMSTUDIO_API_KEY", "")
    key = given or secrets.token_urlsafe(24)
    with open_project(args.project) as project:
        states_mb = Settings.load().conversation_mb if args.conversations_mb is None else max(0, args.conversations_mb)
        engine = _start_engine(project, args, port=args.port, key=key, states_mb=states_mb)
        try:
            if not given:
                say(f"API key (shown once): {key}")
            say(f"Serving on {engine.base_url}  (Ctrl+C stops)")
            if args.json:
                print_json({"base_url": engine.base_url, "model": args.model})
                sys.stdout.flush()
            engine.wait_exit()
        except KeyboardInterrupt:
            say("Stopping …")
        finally:
            engine.stop()
