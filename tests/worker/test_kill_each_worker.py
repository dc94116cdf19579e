"""``kill -9`` of every kind of job worker in mid-work: explained, retried to the end, earlier data intact."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fmstudio.cli.session import make_queue
from fmstudio.jobs.spec import Job, JobSpec
from fmstudio.project import Project
from fmstudio.project.specs import TrainRun
from tests.helpers import wait_until, write_jsonl, write_plugin
from tests.tiny_llama import build_tiny_llama

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")

SLOW_CODE = """
import time
from fmstudio.api import Embedder, Mapper

class SlowMapper(Mapper):
    def map(self, batch):
        time.sleep(1.5)
        return batch

class SlowEmbedder(Embedder):
    def setup(self):
        pass

    def embed(self, texts):
        import numpy as np
        time.sleep(1.5)
        vectors = np.zeros((len(texts), 4), np.float32)
        vectors[:, 0] = 1
        return vectors
"""
SLOW_MANIFEST = """
[[operator]]
id = "slow_mapper"
title = "Slow"
class = "slowly_code:SlowMapper"
kind = "mapper"

[[embedder]]
id = "slow_embedder"
title = "Slow"
class = "slowly_code:SlowEmbedder"
dim = 4
contextual = false
"""
ROWS = [
    {"messages": [{"role": "user", "content": f"say {i}"}, {"role": "assistant", "content": f"word {i} and more"}]}
    for i in range(60)
]


@pytest.fixture
def project(tmp_path: Path, own_home: Path) -> Iterator[Project]:
    """A project with one dataset of conversations, and slow contributions."""
    write_plugin(own_home, "slowly", SLOW_MANIFEST, SLOW_CODE)
    project = Project.create(tmp_path / "project")
    queue = make_queue(project)
    source = write_jsonl(tmp_path / "talks.jsonl", ROWS)
    assert queue.wait(queue.submit(project.specs.import_files([source])).id).state == "succeeded"
    yield project
    project.close()


def kill_then_retry(project: Project, spec: JobSpec, is_mid_work: str) -> Job:
    """Kill the worker once its event log holds `is_mid_work`; check what is said; retry to the end."""
    queue = make_queue(project)
    job = queue.submit(spec)
    events = job.folder / "events.jsonl"
    wait_until(lambda: job.is_finished or (events.exists() and is_mid_work in events.read_text()), timeout=120)
    assert job.pid is not None, job.error
    os.kill(job.pid, signal.SIGKILL)
    queue.wait(job.id)
    assert job.state == "failed"
    assert job.error is not None
    assert "SIGKILL" in job.error.message
    assert project.count("talks", version=1) == len(ROWS)
    queue.retry(job.id)
    assert queue.wait(job.id).state == "succeeded", job.error
    return job


def test_a_killed_recipe_is_retried(project: Project) -> None:
    recipe = {"name": "slow", "steps": [{"operator": "slow_mapper", "params": {}}]}
    kill_then_retry(project, project.specs.recipe("talks", recipe), "progress")
    assert project.datasets.get("talks").version == 2
    assert project.count("talks") == len(ROWS)


def test_a_killed_embedding_is_retried(project: Project) -> None:
    job = kill_then_retry(project, project.specs.embed("talks", "slow_embedder"), "progress")
    assert job.results["embed"]["rows"] == len(ROWS)
    assert project.search_params("talks")["embedder"] == "slow_embedder"


@pytest.mark.slow
def test_a_killed_training_resumes_and_registers_both_adapters(project: Project, tmp_path: Path) -> None:
    _, gguf = build_tiny_llama(tmp_path / "tiny")
    run = TrainRun(name="tiny", dataset="talks", base=str(gguf), params={"epochs": 30, "batch_size": 4})
    job = kill_then_retry(project, project.specs.train(run), "train_loss")
    adapters = {m.format: m for m in project.models.all() if m.kind == "adapter"}
    assert set(adapters) == {"peft", "gguf"}
    for adapter in adapters.values():
        assert adapter.path.exists()
        assert (adapter.dataset_id, adapter.job_id) == (project.datasets.get("talks").id, job.id)
    assert job.result["top1_agreement"] >= 0.98
    assert project.models.runs()[0]["metrics"]["eval_loss_after"] < job.result["eval_loss_before"]
