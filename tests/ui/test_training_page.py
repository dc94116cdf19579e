"""The training page over a real project; the trainer's form comes from a real describe worker."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt

from fmstudio.jobs.outcome import Problem
from fmstudio.jobs.protocol import Metric, Progress
from fmstudio.jobs.spec import Job, JobSpec
from fmstudio.ui.context import AppContext
from fmstudio.ui.pages.training import TrainingPage
from fmstudio.ui.pages.training.form import BASIC, with_basics_first
from fmstudio.ui.pages.training.outlook import DataFacts, look_ahead
from fmstudio.ui.pages.training.run_view import figures_of, series_of
from fmstudio.ui.widgets.message_bar import ProblemCard
from tests.ui.chat_kit import make_context

ROWS = 60


@pytest.fixture
def context(tmp_path: Path, qtbot: Any) -> Iterator[AppContext]:
    made = make_context(tmp_path / "project", qtbot)
    yield made
    made.close()


@pytest.fixture
def page(context: AppContext, qtbot: Any) -> TrainingPage:
    made = TrainingPage(context)
    qtbot.addWidget(made)
    made.resize(1080, 770)
    made.show()
    made.page_shown()
    return made


@pytest.fixture
def dataset(context: AppContext, page: TrainingPage, tmp_path: Path, qtbot: Any) -> str:
    rows = [
        {"messages": [{"role": "user", "content": f"Q{i}?"}, {"role": "assistant", "content": "An answer. " * 8}]}
        for i in range(ROWS)
    ]
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    assert context.project is not None
    job = context.submit(context.project.specs.import_files([path]))
    qtbot.waitUntil(lambda: job.is_finished, timeout=60_000)
    assert job.state == "succeeded", job.error
    qtbot.waitUntil(lambda: page.form.params is not None and page.form._facts is not None, timeout=60_000)
    return str(job.spec.meta["dataset_id"])


def a_run(context: AppContext, page: TrainingPage) -> Job:
    """A training job as the queue would hold it, whose worker never starts."""
    from fmstudio.project.specs import TrainRun

    assert context.project is not None and context.queue is not None
    spec: JobSpec = context.project.specs.train(TrainRun.parse(page.form.run()))
    job = Job(spec, context.project.jobs_dir / spec.id, state="running")
    spec.save(job.folder)
    context.queue._jobs[job.id] = job
    page.show_run(job.id)
    return job


def test_without_data_the_page_leads_to_the_import(context: AppContext, page: TrainingPage, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: page._empty.isVisible(), timeout=5000)
    places: list[str] = []
    context.navigated.connect(lambda place, _args: places.append(place))
    qtbot.mouseClick(page._empty.main_button, Qt.MouseButton.LeftButton)
    assert places == ["data"]


def test_the_form_makes_a_valid_job(context: AppContext, page: TrainingPage, dataset: str, qtbot: Any) -> None:
    from fmstudio.project.specs import TrainRun

    page.show_form()
    form = page.form
    assert form.params is not None
    form.params.fields["r"].control.setValue(4)  # type: ignore[attr-defined]
    assert form.start.isEnabled()
    run = TrainRun.parse(form.run())
    assert (run.dataset, run.version, run.params["r"], run.trainer) == (dataset, 1, 4, "lora_sft")
    assert context.project is not None
    spec = context.project.specs.train(run)
    assert [step.name for step in spec.steps] == ["train", "export", "evaluate"]
    assert spec.steps[0].params["params"]["r"] == 4


def test_the_summary_counts_rows_and_marks_estimates(page: TrainingPage, dataset: str) -> None:
    page.show_form()
    said, size = page.form._summary.text(), page.form._estimate.text()
    assert "60 rows of conversations. 54 are trained on; 6 are held out" in said
    assert size.startswith("Estimate: about") and "steps" in size
    assert page.form.params is not None
    page.form.params.set_values({"eval_fraction": 0.5})
    page.form.params.changed.emit()
    assert "30 are trained on; 30 are held out" in page.form._summary.text()


def test_minutes_are_typed_and_told(page: TrainingPage, dataset: str, qtbot: Any) -> None:
    from fmstudio.project.specs import TrainRun

    page.show_form()
    form = page.form
    assert form.params is not None and "min;" not in form._estimate.text()
    field = form.params.fields["max_minutes"].control
    qtbot.mouseDClick(field, Qt.MouseButton.LeftButton)
    qtbot.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(field, "2.5")
    qtbot.keyClick(field, Qt.Key.Key_Tab)
    assert "how many of them fit into 2.5 min" in form._estimate.text()
    assert TrainRun.parse(form.run()).params["max_minutes"] == 2.5


def test_an_unreadable_parameter_or_empty_name_stops_the_start(page: TrainingPage, dataset: str, qtbot: Any) -> None:
    page.show_form()
    form = page.form
    assert form.params is not None
    form.params.fields["learning_rate"].control.setText("fast")  # type: ignore[attr-defined]
    assert not form.start.isEnabled()
    assert "not understood" in form._why_not.text()
    form.params.fields["learning_rate"].control.setText("0.001")  # type: ignore[attr-defined]
    assert form.start.isEnabled()
    form.name.clear()
    qtbot.keyClick(form.name, Qt.Key.Key_Space)
    assert not form.start.isEnabled()


def test_starting_submits_the_job_and_shows_it(
    context: AppContext, page: TrainingPage, dataset: str, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert context.queue is not None
    monkeypatch.setattr(context.queue, "_fill_slots", lambda: None)  # stays queued: no worker is wanted here
    page.show_form()
    qtbot.mouseClick(page.form.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.run_view.isVisible() and page.run_view.job is not None, timeout=5000)
    job = page.run_view.job
    assert job is not None and job.kind == "train" and job.state == "queued"
    assert page.runs.count() == 1
    assert "Waiting" in page.run_view._progress_text.text()
    qtbot.mouseClick(page.run_view.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.run_view.resume.isVisible(), timeout=5000)
    assert job.state == "cancelled"


def test_live_metrics_are_drawn(context: AppContext, page: TrainingPage, dataset: str, qtbot: Any) -> None:
    job = a_run(context, page)
    for step in range(1, 11):
        job.apply(Metric("train_loss", 3.0 / step, step))
        job.apply(Metric("tokens_per_second", 400.0, step))
    job.apply(Metric("eval_loss", 2.5, 0))
    job.apply(Progress(10, 20, "step 10 of 20, loss 0.300"))
    context.job_changed.emit(job)
    qtbot.waitUntil(lambda: [s.name for s in page.run_view.plot.series] == ["Training", "Held-out"], timeout=5000)
    assert page.run_view.plot.series[0].points[-1] == (10.0, 0.3)
    assert page.run_view._bar.value() == 500
    assert "step 10 of 20" in page.run_view._progress_text.text()
    assert ("Speed", "400 tokens/s") in [figure[:2] for figure in figures_of(job)]


def test_a_failed_run_shows_cause_and_resume(
    context: AppContext, page: TrainingPage, dataset: str, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_run(context, page)
    job.state, job.error = "failed", Problem("The worker was ended from outside (SIGKILL).", "Choose smaller settings.")
    context.job_changed.emit(job)
    qtbot.waitUntil(lambda: page.run_view.resume.isVisible(), timeout=5000)
    card = page.run_view.findChild(ProblemCard)
    assert card is not None and "SIGKILL" in card.problem.message
    retried: list[str] = []
    assert context.queue is not None
    monkeypatch.setattr(context.queue, "retry", retried.append)
    qtbot.mouseClick(page.run_view.resume, Qt.MouseButton.LeftButton)
    assert retried == [job.id]


def test_a_finished_run_shows_what_was_measured_and_leads_to_the_chat(
    context: AppContext, page: TrainingPage, dataset: str, qtbot: Any
) -> None:
    job = a_run(context, page)
    answer = {"prompt": "Who?", "before": "I do not know.", "after": "Sam.", "expected": "Sam"}
    job.results = {
        "train": {"eval_loss_before": 3.4, "eval_loss_after": 1.2, "tokens_per_second": 512.0},
        "evaluate": {"top1_agreement": 0.994, "greedy_parity": 0.96, "answers": [answer]},
    }
    job.state = "succeeded"
    context.job_changed.emit(job)
    qtbot.waitUntil(lambda: page.run_view.answers.rowCount() == 1, timeout=5000)
    figures = {name: value for name, value, _ in figures_of(job)}
    assert figures["Held-out loss"] == "3.400 → 1.200"
    assert (figures["Top-1 agreement"], figures["Same greedy answers"]) == ("99.4%", "96.0%")
    assert page.run_view.answers.item(0, 2).text() == "Sam."
    places: list[tuple[str, Any]] = []
    context.navigated.connect(lambda place, args: places.append((place, args)))
    qtbot.mouseClick(page.run_view.chat, Qt.MouseButton.LeftButton)
    assert places == [("chat", {"adapter_id": f"{job.id}-gguf", "model_id": job.spec.meta["base_id"]})]


def test_a_resumed_run_draws_each_step_once(context: AppContext, page: TrainingPage, dataset: str) -> None:
    job = a_run(context, page)
    for step, value in ((1, 3.0), (2, 2.0), (3, 1.5), (2, 2.1), (3, 1.4), (4, 1.0)):
        job.apply(Metric("train_loss", value, step))
    assert series_of(job)[0].points == [(1.0, 3.0), (2.0, 2.1), (3.0, 1.4), (4.0, 1.0)]


def test_numbers_that_are_none_are_not_shown() -> None:
    job = Job(JobSpec.new("t", "train", []), Path())
    job.spec = JobSpec("j", "t", "train", ())
    assert figures_of(job) == []
    job.metrics["tokens_per_second"].append((1, math.nan))
    assert figures_of(job) == []


def test_the_outlook_of_a_run() -> None:
    facts = DataFacts(rows=1000, kind="conversation", sampled=400, with_answer=200, mean_chars=400)
    outlook = look_ahead(facts, {"eval_fraction": 0.1, "batch_size": 8, "epochs": 2.0, "max_length": 50})
    assert (outlook.train_rows, outlook.held_out) == (450, 50)
    assert outlook.steps == math.ceil(450 / 8) * 2
    assert outlook.tokens == 450 * 50 * 2
    assert look_ahead(facts, {"eval_fraction": 0.1, "batch_size": 8, "epochs": 2.0, "max_steps": 5}).steps == 5


def test_common_parameters_come_first_unless_the_trainer_decides() -> None:
    schema = {"properties": {"r": {"type": "integer"}, "warmup_ratio": {"type": "number"}}}
    folded = with_basics_first(schema)["properties"]
    assert "advanced" not in folded["r"] and folded["warmup_ratio"]["advanced"]
    own = {"properties": {"r": {"advanced": True}, "warmup_ratio": {}}}
    assert with_basics_first(own)["properties"] == own["properties"]
    assert "learning_rate" in BASIC
