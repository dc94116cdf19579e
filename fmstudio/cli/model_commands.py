"""Commands about models: models, convert, train, chat, serve."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import yaml

from fmstudio.api.errors import UserError
from fmstudio.cli.output import print_json, print_table, say
from fmstudio.cli.session import JobFailed, open_project, run_job
from fmstudio.project import Project


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    in_project = argparse.ArgumentParser(add_help=False, parents=[shared])
    in_project.add_argument("--project", metavar="DIR", default="", help="the project folder")

    models = commands.add_parser("models", parents=[in_project], help="list the models and adapters")
    models.add_argument("--add", metavar="PATH", default="", help="register a GGUF file or a model or adapter folder")
    models.add_argument("--remove", metavar="MODEL", default="", help="take a model out of the library (files stay)")
    models.set_defaults(handler=list_models)

    train = commands.add_parser(
        "train",
        parents=[in_project],
        help="train an adapter",
        description="RUN.yaml has: name, dataset, base, and optionally version, trainer, params (of the trainer).",
    )
    train.add_argument("run", metavar="RUN.yaml")
    train.set_defaults(handler=train_adapter)

    convert = commands.add_parser("convert", parents=[in_project], help="write a GGUF base model in another precision")
    convert.add_argument("model", metavar="MODEL", help="name, id or path of a GGUF base model")
    convert.add_argument(
        "--to", required=True, metavar="PRECISION", help="F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0"
    )
    convert.set_defaults(handler=convert_model)

    merge = commands.add_parser(
        "merge", parents=[in_project], help="write an adapter into the weights of its base model"
    )
    merge.add_argument("adapter", metavar="ADAPTER", help="name or id of an adapter")
    merge.add_argument("--base", default="", help="name, id or path of the base model (default: the adapter's own)")
    merge.add_argument("--to", default="F16", metavar="PRECISION", help="precision of the merged GGUF (default: F16)")
    merge.add_argument("--scale", type=float, default=1.0, help="strength of the adapter (default: 1)")
    merge.set_defaults(handler=merge_adapter)

    folder = commands.add_parser(
        "export-model", parents=[in_project], help="write a folder for Ollama, llama-server and vLLM"
    )
    folder.add_argument("model", metavar="MODEL", help="name, id or path of a base model")
    folder.add_argument("target", metavar="FOLDER", help="a new folder")
    folder.add_argument("--adapter", default="", help="name or id of a GGUF adapter to go along")
    folder.add_argument("--copy", action="store_true", help="copy the weights instead of linking them")
    folder.set_defaults(handler=export_model)

    with_model = argparse.ArgumentParser(add_help=False, parents=[in_project])
    with_model.add_argument("--model", required=True, help="name, id or path of a GGUF model")
    with_model.add_argument("--adapter", default="", help="name, id or path of a GGUF adapter")
    with_model.add_argument("--n-ctx", type=int, default=0, help="context length in tokens (default: chosen)")

    chat = commands.add_parser("chat", parents=[with_model], help="ask a model one question")
    chat.add_argument("prompt", help="what to ask; - reads it from standard input")
    chat.add_argument("--system", default="", help="system prompt")
    chat.add_argument("--temperature", type=float, default=0.0)
    chat.add_argument("--max-tokens", type=int, default=512)
    chat.add_argument("--seed", type=int, default=0)
    chat.set_defaults(handler=chat_once)

    serve = commands.add_parser("serve", parents=[with_model], help="serve a model over the OpenAI API on loopback")
    serve.add_argument("--port", type=int, default=8765, help="port on 127.0.0.1; 0 = any free one")
    serve.set_defaults(handler=serve_model)


def list_models(args: argparse.Namespace) -> None:
    """``fmstudio models``."""
    with open_project(args.project) as project:
        if args.add:
            project.models.add(Path(args.add))
        if args.remove:
            project.models.remove(project.models.get(args.remove).id)
        models = project.models.all()
    if args.json:
        print_json({"models": models})
        return
    rows = [
        (
            m.name,
            m.kind,
            m.format,
            f"{m.bytes / 1e6:,.1f} MB",
            "missing" if m.is_missing else m.facts.get("quantization", ""),
            m.id,
        )
        for m in models
    ]
    print_table(("name", "kind", "format", "size", "weights", "id"), rows)


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


def convert_model(args: argparse.Namespace) -> None:
    """``fmstudio convert MODEL --to PRECISION``."""
    with open_project(args.project) as project:
        job = run_job(project, project.specs.convert(args.model, args.to))
        made = project.models.get(job.id)
    if args.json:
        print_json({"job": job.id, "model": made})
    else:
        print(f"Made “{made.name}”: {made.bytes / 1e6:,.0f} MB, {made.path}")


def merge_adapter(args: argparse.Namespace) -> None:
    """``fmstudio merge ADAPTER``."""
    with open_project(args.project) as project:
        job = run_job(project, project.specs.merge(args.adapter, args.base, args.to, args.scale))
        made = project.models.get(job.id)
    if args.json:
        print_json({"job": job.id, "model": made})
    else:
        print(f"Made “{made.name}”: {made.bytes / 1e6:,.0f} MB, {made.path}")


def export_model(args: argparse.Namespace) -> None:
    """``fmstudio export-model MODEL FOLDER``."""
    with open_project(args.project) as project:
        spec = project.specs.export_model(args.model, Path(args.target), adapter=args.adapter, copy=args.copy)
        job = run_job(project, spec)
    if args.json:
        print_json({"job": job.id, **job.result})
        return
    print(f"Wrote {job.result['path']}; README.md there has the commands.")
    if "same_answers" in job.result:
        print(f"  reloaded from there, it answers {job.result['same_answers']:.0%} of the questions the same")


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error


def _files(project: Project, args: argparse.Namespace) -> tuple[Path, list[Path]]:
    """The model's file and the adapter's."""
    model = (
        project.models.add(Path(args.model))
        if Path(args.model).exists()
        else project.models.get(args.model, kind="base", file_format="gguf")
    )
    if model.kind != "base":
        raise UserError(f"{model.name} is an adapter.", remedy="Name its base with --model and it with --adapter.")
    if not args.adapter:
        return model.path, []
    if Path(args.adapter).exists():
        return model.path, [project.models.add(Path(args.adapter)).path]
    return model.path, [project.models.get(args.adapter, kind="adapter", file_format="gguf").path]


def chat_once(args: argparse.Namespace) -> None:
    """``fmstudio chat --model M PROMPT``."""
    from fmstudio.jobs.engine import stream_chat

    prompt = sys.stdin.read() if args.prompt == "-" else args.prompt
    system = [{"role": "system", "content": args.system}] if args.system else []
    body = {
        "messages": [*system, {"role": "user", "content": prompt}],
        "temperature": args.temperature,
        "max_tokens": args.max_tokens,
        "seed": args.seed,
    }
    with open_project(args.project) as project:
        engine = _start_engine(project, args, port=0, key=secrets.token_urlsafe(24))
        try:
            answer: list[str] = []
            timings: dict[str, float] = {}
            for event in stream_chat(engine, body):
                answer.append(event.text)
                timings = event.timings or timings
                if event.text and not args.json:
                    print(event.text, end="", flush=True)
        finally:
            engine.stop()
    if args.json:
        print_json({"prompt": prompt, "answer": "".join(answer), "timings": timings})
    else:
        print()


def _start_engine(project: Project, args: argparse.Namespace, *, port: int, key: str) -> Any:
    from fmstudio.core.settings import Settings
    from fmstudio.jobs.engine import Engine
    from fmstudio.jobs.launcher import SubprocessLauncher

    model, adapters = _files(project, args)
    params = {"n_ctx": args.n_ctx} if args.n_ctx else {}
    engine = Engine(SubprocessLauncher(), log_path=project.jobs_dir / "engine.log", python=Settings.load().python)
    engine.start(model, adapters=adapters, params=params, port=port, key=key)
    try:
        engine.wait_ready(timeout=600)
    except UserError:
        if engine.problem is not None and not engine.problem.is_user_error:
            raise JobFailed(engine.problem) from None
        raise
    return engine


def serve_model(args: argparse.Namespace) -> None:
    """``fmstudio serve --model M --port N``: until Ctrl+C."""
    given = os.environ.get("FMSTUDIO_API_KEY", "")
    key = given or secrets.token_urlsafe(24)
    with open_project(args.project) as project:
        engine = _start_engine(project, args, port=args.port, key=key)
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
