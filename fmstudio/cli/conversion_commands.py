"""Commands that make models of models: convert, merge, measure-model, export-model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.cli.output import print_json
from fmstudio.cli.session import open_project, run_job

if TYPE_CHECKING:
    from fmstudio.project.models import ModelEntry

PRECISIONS = "F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0 … Q2_K (llama.cpp's names)"


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    in_project = argparse.ArgumentParser(add_help=False, parents=[shared])
    in_project.add_argument("--project", metavar="DIR", default="", help="the project folder")

    convert = commands.add_parser(
        "convert", parents=[in_project], help="write a model in another precision, and measure what that did to it"
    )
    convert.add_argument("model", metavar="MODEL", help="name, id or path of a GGUF file or a Hugging Face folder")
    convert.add_argument("--to", required=True, metavar="PRECISION", help=PRECISIONS)
    convert.add_argument(
        "--prompts", default="", metavar="DATASET", help="measure on its rows (default: built-in texts)"
    )
    convert.add_argument("--no-measure", action="store_true", help="do not measure")
    convert.set_defaults(handler=convert_model)

    merge = commands.add_parser(
        "merge", parents=[in_project], help="write an adapter into the weights of its base model"
    )
    merge.add_argument("adapter", metavar="ADAPTER", help="name or id of an adapter")
    merge.add_argument("--base", default="", help="name, id or path of the base model (default: the adapter's own)")
    merge.add_argument(
        "--to", default="", metavar="PRECISION", help="of the new GGUF (default: F16; of a PEFT adapter: a folder)"
    )
    merge.add_argument("--scale", type=float, default=1.0, help="strength of the adapter (default: 1)")
    merge.set_defaults(handler=merge_adapter)

    measure = commands.add_parser(
        "measure-model", parents=[in_project], help="compare a model with the one it was made from"
    )
    measure.add_argument("model", metavar="MODEL", help="name or id of a converted model")
    measure.add_argument("--against", default="", metavar="MODEL", help="the original (default: what it was made from)")
    measure.add_argument(
        "--prompts", default="", metavar="DATASET", help="measure on its rows (default: built-in texts)"
    )
    measure.set_defaults(handler=measure_model)

    folder = commands.add_parser(
        "export-model", parents=[in_project], help="write a folder for Ollama, llama-server and vLLM"
    )
    folder.add_argument("model", metavar="MODEL", help="name, id or path of a base model")
    folder.add_argument("target", metavar="FOLDER", help="a new folder")
    folder.add_argument("--adapter", default="", help="name or id of a GGUF adapter to go along")
    folder.add_argument("--copy", action="store_true", help="copy the weights instead of linking them")
    folder.set_defaults(handler=export_model)


def convert_model(args: argparse.Namespace) -> None:
    """``fmstudio convert MODEL --to PRECISION``."""
    with open_project(args.project) as project:
        prompts = None if args.no_measure else project.specs.quality_prompts(args.prompts)
        job = run_job(project, project.specs.convert(args.model, args.to, prompts))
        made = project.models.get(job.id)
    _tell_made(args, job.id, made)


def merge_adapter(args: argparse.Namespace) -> None:
    """``fmstudio merge ADAPTER``."""
    with open_project(args.project) as project:
        job = run_job(project, project.specs.merge(args.adapter, args.base, args.to, args.scale))
        made = project.models.get(job.id)
    _tell_made(args, job.id, made)


def measure_model(args: argparse.Namespace) -> None:
    """``fmstudio measure-model MODEL``."""
    with open_project(args.project) as project:
        entry = project.models.get(args.model)
        source = args.against or str(entry.facts.get("made_from") or "")
        job = run_job(
            project, project.specs.measure_model(entry.id, source, project.specs.quality_prompts(args.prompts))
        )
        made = project.models.get(entry.id)
    _tell_made(args, job.id, made)


def _tell_made(args: argparse.Namespace, job_id: str, made: ModelEntry) -> None:
    if args.json:
        print_json({"job": job_id, "model": made})
        return
    print(f"“{made.name}”: {made.bytes / 1e6:,.0f} MB, {made.path}")
    quality = made.metrics.get("quality")
    if quality:
        print(
            f"  against its original: KL {quality['kl_mean']:.4f} nats, same likeliest token {quality['top1_agreement']:.1%}, "
            f"same greedy answers {quality['greedy_agreement']:.0%}, {quality['tokens_per_second_before']:.0f} → "
            f"{quality['tokens_per_second_after']:.0f} tokens/s"
        )


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
