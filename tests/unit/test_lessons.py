"""The loop: judge in the chat → row in a dataset → recipe or training; and back when the judgement changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmstudio.project import Project
from fmstudio.project.chats import ChatMessage
from fmstudio.project.lesson_rows import lessons_of
from tests.unit.edit_kit import leave_out_packaged_models


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    leave_out_packaged_models(monkeypatch)
    made = Project.create(tmp_path / "p")
    yield made
    made.close()


FACTS = {
    "system_prompt": "Be kind.",
    "model": {"name": "tiny", "fingerprint": "sha256:1"},
    "adapters": [{"name": "manners", "scale": 0.5, "fingerprint": "sha256:2"}],
    "sampler": {"top_k": 40},
    "seed": 7,
    "context_hash": "abc",
}


def talk_of(project: Project) -> tuple[str, ChatMessage, ChatMessage]:
    talk = project.chats.new_conversation(title="Talk")
    question = project.chats.add_message(talk.id, "user", "What?")
    answers = [
        project.chats.add_message(talk.id, "assistant", text, parent_id=question.id, facts=FACTS)
        for text in ("Good.", "Poor.")
    ]
    return talk.id, answers[0], answers[1]


def rows(project: Project, name: str) -> list[dict[str, Any]]:
    return project.page(name).records()


def test_a_thumb_becomes_a_row_and_goes_with_it(project: Project) -> None:
    talk, good, _ = talk_of(project)
    project.chats.rate(good.id, 1)
    changes = project.lessons.sync(talk)
    dataset = project.datasets.get("Lessons")
    assert changes.datasets == {dataset.id} and dataset.kind == "conversation" and dataset.rows == 1
    (row,) = rows(project, "Lessons")
    assert row["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": "Good."},
    ]
    assert (row["source"], row["conversation_id"], row["message_id"]) == ("thumbs", talk, good.id)
    assert (row["model"], row["seed"], row["context_hash"]) == ("tiny", 7, "abc")
    assert row["adapters"] == "manners × 0.5 (sha256:2)"
    assert not project.lessons.sync(talk), "nothing new, nothing written"
    project.chats.rate(good.id, 0)
    assert project.lessons.sync(talk)
    assert rows(project, "Lessons") == []


def test_a_correction_makes_both_rows_and_changing_it_changes_them(project: Project) -> None:
    talk, _, poor = talk_of(project)
    project.chats.rate(poor.id, -1, "Better.")
    project.lessons.sync(talk)
    assert rows(project, "Lessons")[0]["messages"][-1]["content"] == "Better."
    (pair,) = rows(project, "Lessons (preferences)")
    assert project.datasets.get("Lessons (preferences)").kind == "preference"
    assert pair["chosen"] == [{"role": "assistant", "content": "Better."}]
    assert pair["rejected"] == [{"role": "assistant", "content": "Poor."}]
    assert [m["role"] for m in pair["prompt"]] == ["system", "user"]
    row_id = pair["row_id"]
    project.chats.rate(poor.id, -1, "Best.")
    project.lessons.sync(talk)
    (pair,) = rows(project, "Lessons (preferences)")
    assert (pair["row_id"], pair["chosen"][0]["content"]) == (row_id, "Best.")
    project.chats.rate(poor.id, 0, "")
    project.lessons.sync(talk)
    assert rows(project, "Lessons (preferences)") == [] == rows(project, "Lessons")


def test_drafts_and_sibling_thumbs_make_pairs(project: Project) -> None:
    talk, good, poor = talk_of(project)
    project.chats.choose(talk, "drafts", good.id, [poor.id])
    project.lessons.sync(talk)
    (pair,) = rows(project, "Lessons (preferences)")
    assert (pair["source"], pair["message_id"], pair["rejected_id"]) == ("drafts", good.id, poor.id)
    assert rows(project, "Lessons")[0]["source"] == "drafts"
    project.chats.choose(talk, "drafts", "", [good.id])
    project.lessons.sync(talk)
    assert project.lessons.count().preferences == 0
    project.chats.rate(good.id, 1)
    project.chats.rate(poor.id, -1)
    project.lessons.sync(talk)
    assert [r["source"] for r in rows(project, "Lessons (preferences)")] == ["thumbs"]


def test_pairs_need_one_question_and_two_texts() -> None:
    def said(name: str, parent: str | None, text: str, rating: int = 0) -> ChatMessage:
        return ChatMessage(name, "c", parent, "assistant", text, rating=rating)

    turns = [
        ChatMessage("q1", "c", None, "user", "1"), ChatMessage("q2", "c", None, "user", "2"),
        said("a", "q1", "same", 1), said("b", "q1", "same", -1), said("c", "q2", "other", -1),
    ]  # fmt: skip
    found = lessons_of(turns, [{"kind": "branches", "chosen": "a", "rejected": ["c", "gone"]}])
    assert [item.key for item in found] == ["sft:a"]


def test_a_row_that_was_thrown_out_stays_out_until_it_is_judged_anew(project: Project) -> None:
    talk, good, poor = talk_of(project)
    project.chats.rate(good.id, 1)
    project.lessons.sync(talk)
    dataset = project.datasets.get("Lessons")
    project.edits.delete_rows(dataset.id, [rows(project, "Lessons")[0]["row_id"]])
    project.chats.rate(poor.id, 1)
    project.lessons.sync(talk)
    assert [row["message_id"] for row in rows(project, "Lessons")] == [poor.id]
    project.chats.rate(good.id, 1, "Corrected.")
    project.lessons.sync(talk)
    assert {row["message_id"] for row in rows(project, "Lessons")} == {good.id, poor.id}


def test_deleted_turns_teach_nothing_and_a_deleted_dataset_begins_anew(project: Project) -> None:
    talk, good, poor = talk_of(project)
    for answer in (good, poor):
        project.chats.rate(answer.id, 1)
    project.lessons.sync(talk)
    project.chats.delete_message(good.id)
    project.lessons.sync(talk)
    assert [row["message_id"] for row in rows(project, "Lessons")] == [poor.id]
    project.chats.restore_message(good.id)
    project.lessons.sync(talk)
    assert len(rows(project, "Lessons")) == 2
    old = project.datasets.get("Lessons").id
    project.datasets.delete(old)
    project.lessons.sync_all()
    assert project.datasets.get("Lessons").id != old and len(rows(project, "Lessons")) == 2


def test_the_loop_reaches_recipe_and_training(project: Project, tmp_path: Path) -> None:
    """A recipe folds the lessons in; training takes the version that was made."""
    from fmstudio.project.specs import TrainRun
    from tests.ui.chat_kit import write_tiny_gguf
    from tests.unit.edit_kit import commit

    talk, good, _ = talk_of(project)
    project.chats.rate(good.id, 1)
    project.lessons.sync(talk)
    recipe = project.specs.recipe("Lessons", {"name": "clean", "steps": []})
    assert [step.task for step in recipe.steps][-1] == "run_recipe" and len(recipe.steps) == 2
    commit(project, "Lessons")
    base = project.models.add(write_tiny_gguf(tmp_path / "tiny.gguf"), "tiny")
    run = TrainRun(name="r", dataset="Lessons", base=base.id, trainer="sft", params={})
    files = project.specs.train(run).steps[0].params["train_files"]
    import pyarrow.parquet as pq

    taught = [row for path in files for row in pq.read_table(path).to_pylist()]
    assert [row["messages"][-1]["content"] for row in taught] == ["Good."]
    project.chats.rate(good.id, 0)
    project.lessons.sync(talk)
    assert rows(project, "Lessons") == [], "a committed row is withdrawn too"
