"""``fmstudio demo``: the main job on real data and a real model: import, clean, embed, train, compare, chat.

Every figure it prints was measured in this run.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from fmstudio.api.errors import UserError
from fmstudio.cli.output import print_json, say
from fmstudio.cli.session import make_queue, run_job, session_worker
from fmstudio.core.paths import resource
from fmstudio.core.words import plural
from fmstudio.jobs.queue import JobQueue
from fmstudio.project import Project
from fmstudio.project.models import ModelEntry
from fmstudio.project.sample import sample_files
from fmstudio.project.specs import TrainRun

T = TypeVar("T")

DATASET = "chatterbot english"
QUERY = "My computer is slow"
BASE = "SmolLM2-135M-Instruct"
PRECISION = "F16"
ANSWERS_SHOWN = 5
MEASURED = (
    "eval_loss_before",
    "eval_loss_after",
    "tokens_per_second",
    "top1_agreement",
    "greedy_parity",
    "eval_loss_before_engine",
    "eval_loss_after_engine",
)


class Demo:
    """The stages of the demo over one fresh project; collects what each one measured."""

    def __init__(self, project: Project, queue: JobQueue, max_steps: int = 0) -> None:
        self._project = project
        self._max_steps = max_steps
        self._queue = queue
        self.figures: dict[str, Any] = {"project": str(project.folder), "seconds": {}}

    def run(self) -> dict[str, Any]:
        """Do all stages and return the figures."""
        self._stage("import", "1/6 Import: conversations of the English chatterbot corpus", self._import)
        self._stage("clean", "2/6 Clean: normalise text, drop exact duplicates", self._clean)
        self._stage("embed", "3/6 Embed, and search by meaning", self._embed)
        self._stage(
            "convert", f"4/6 Unpack the 4-bit base to {PRECISION}: what the trainer computes with", self._convert
        )
        self._stage("train", f"5/6 Train a LoRA on {BASE}, export it, compare engine and trainer", self._train)
        self._stage("chat", "6/6 Talk to the result", self._chat)
        self.figures["seconds"]["total"] = round(sum(self.figures["seconds"].values()), 1)
        return self.figures

    def _stage(self, name: str, title: str, work: Callable[[], None]) -> None:
        say(title)
        start = time.monotonic()
        work()
        self.figures["seconds"][name] = round(time.monotonic() - start, 1)

    def _import(self) -> None:
        run_job(self._project, self._project.specs.import_files(sample_files(), name=DATASET), self._queue)
        dataset = self._project.datasets.get(DATASET)
        self.figures["rows_before"] = dataset.rows
        say(f"  {plural(dataset.rows, 'row')} ({dataset.kind})")

    def _clean(self) -> None:
        from fmstudio.recipes import Recipe

        recipe = Recipe.load(resource("recipes", "clean_chat.yaml"))
        run_job(self._project, self._project.specs.recipe(DATASET, recipe.to_dict()), self._queue)
        dataset = self._project.datasets.get(DATASET)
        self.figures["rows_after"] = dataset.rows
        say(
            f"  {self.figures['rows_before']:,} → {plural(dataset.rows, 'row')} (version {dataset.version}; undo brings them back)"
        )

    def _embed(self) -> None:
        run_job(self._project, self._project.specs.embed(DATASET, "wordllama"), self._queue)
        with session_worker() as session:
            request = {**self._project.search_params(DATASET), "query": QUERY, "k": 3}
            hits = session.call_blocking("search", request)["hits"]
        rows = self._project.rows_by_id(DATASET, [hit["row_id"] for hit in hits]).records()
        say(f"  nearest to “{QUERY}”:")
        for hit, row in zip(hits, rows, strict=True):
            say(f"    {hit['similarity']:.2f}  {row['messages'][0]['content']}")

    def _convert(self) -> None:
        """Serve the very weights the adapter is trained on.

        Beside 4-bit weights llama.cpp rounds activations to 8 bit, which alone turns 2-3 % of SmolLM2's likeliest tokens.
        """
        job = run_job(self._project, self._project.specs.convert(BASE, PRECISION), self._queue)
        self.figures["base"] = self._base().name
        say(f"  {job.results['convert']['export_bytes'] / 1e6:,.0f} MB")

    def _base(self) -> ModelEntry:
        return self._project.models.get(f"{BASE} {PRECISION}", kind="base", file_format="gguf")

    def _train(self) -> None:
        described = {
            **yaml.safe_load(resource("demo", "train.yaml").read_text("utf-8")),
            "dataset": DATASET,
            "base": self._base().id,
        }
        if self._max_steps:
            described["params"]["max_steps"] = self._max_steps
        run = TrainRun.parse(described)
        job = run_job(self._project, self._project.specs.train(run), self._queue)
        result = job.result
        self.figures.update({name: result[name] for name in MEASURED})
        self.figures["answers"] = [
            {key: answer[key] for key in ("prompt", "before", "after")} for answer in result["answers"]
        ]
        say(f"  held-out loss {result['eval_loss_before']:.3f} → {result['eval_loss_after']:.3f}")
        say(
            f"  engine and trainer agree on {result['top1_agreement']:.1%} of the held-out answers' tokens (teacher-forced)"
        )
        say(
            f"  and on {result['greedy_parity']:.0%} of {result['n_prompts']} greedy answers, on the file that is served"
        )

    def _chat(self) -> None:
        """Ask the served model a held-out question with the adapter off and on: one loaded base, no reload."""
        from fmstudio.core.settings import Settings
        from fmstudio.jobs.engine import Engine, stream_chat
        from fmstudio.jobs.launcher import SubprocessLauncher

        base = self._base()
        adapter = next(m for m in self._project.models.all() if m.kind == "adapter" and m.format == "gguf")
        engine = Engine(
            SubprocessLauncher(), log_path=self._project.jobs_dir / "engine.log", python=Settings.load().python
        )
        engine.start(base.path, adapters=[adapter.path])
        try:
            engine.wait_ready(timeout=300)
            prompts = [answer["prompt"] for answer in self.figures["answers"]]
            prompt = next((text for text in prompts if text.endswith("?")), prompts[0])
            said = {}
            for scale in (0.0, 1.0):
                body = {
                    "messages": [{"role": "user", "content": prompt}],
                    "temperature": 0.0,
                    "max_tokens": 48,
                    "lora": [{"id": 0, "scale": scale}],
                }
                said[scale] = "".join(event.text for event in stream_chat(engine, body)).strip()
        finally:
            engine.stop()
        self.figures["chat"] = {"prompt": prompt, "adapter_off": said[0.0], "adapter_on": said[1.0]}
        say(f"  you:         {prompt}\n  adapter off: {said[0.0]}\n  adapter on:  {said[1.0]}")


def run_demo(args: argparse.Namespace) -> None:
    """Run the demo in a new project folder; then open the window where there is a screen."""
    folder = _free_folder(args.project)
    project = Project.create(folder, "Demo")
    try:
        figures = Demo(project, make_queue(project), args.max_steps).run()
    finally:
        project.close()
    if args.json:
        print_json(figures)
        return
    _print_answers(figures)
    print(f"\nDone in {figures['seconds']['total']:.0f} s. The project is in {figures['project']}")
    if _has_screen() and not args.no_window:
        from fmstudio.app import run_window

        sys.exit(run_window(Path(figures["project"])))
    print(f"Open it with: fmstudio --open {figures['project']}")


def _free_folder(wanted: str) -> Path:
    if wanted:
        return Path(wanted)
    names = ["fmstudio-demo", *(f"fmstudio-demo-{n}" for n in range(2, 1000))]
    return next(Path(name) for name in names if not Path(name).exists())


def _print_answers(figures: dict[str, Any]) -> None:
    if not figures["answers"]:
        raise UserError("The demo measured no answers.", remedy="Run it again.")
    print("\nHeld-out prompts the model never saw in training:")
    for answer in figures["answers"][:ANSWERS_SHOWN]:
        print(f"  {answer['prompt']}\n    before: {_short(answer['before'])}\n    after:  {_short(answer['after'])}")


def _short(text: str, width: int = 110) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def _has_screen() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
