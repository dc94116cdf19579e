"""Conversations in the catalogue: the tree, folders, search, choices, presets, answers in the making."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from fmstudio.api.errors import UserError
from fmstudio.project import Project, chat_search
from fmstudio.project.catalog import Catalog
from fmstudio.project.chat_search import fold, snippet, terms_of
from fmstudio.project.chats import Chats
from fmstudio.project.migrations import STEPS
from tests.unit.edit_kit import leave_out_packaged_models


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    leave_out_packaged_models(monkeypatch)
    made = Project.create(tmp_path / "p")
    yield made
    made.close()


def test_deleting_a_turn_hides_what_follows_and_is_undone(project: Project) -> None:
    chats = project.chats
    talk = chats.new_conversation()
    q1 = chats.add_message(talk.id, "user", "one")
    a1 = chats.add_message(talk.id, "assistant", "two", parent_id=q1.id)
    q2 = chats.add_message(talk.id, "user", "three", parent_id=a1.id)
    a1b = chats.add_message(talk.id, "assistant", "other", parent_id=q1.id)
    chats.delete_message(q2.id)
    chats.delete_message(a1.id)
    assert [m.id for m in chats.messages(talk.id)] == [q1.id, a1b.id]
    assert chats.found("three") == []
    chats.restore_message(a1.id)
    assert [m.id for m in chats.messages(talk.id)] == [q1.id, a1.id, a1b.id], "what was deleted apart stays deleted"
    chats.restore_message(q2.id)
    assert len(chats.messages(talk.id)) == 4


def test_a_turn_with_a_known_id_is_saved_once(project: Project) -> None:
    talk = project.chats.new_conversation()
    for _ in range(2):
        project.chats.add_message(talk.id, "user", "one", message_id="t-1")
    assert len(project.chats.messages(talk.id)) == 1


def test_search_ignores_case_and_accents_and_wants_all_words(project: Project) -> None:
    chats = project.chats
    first, second = chats.new_conversation(title="Über Käse"), chats.new_conversation(title="Other")
    chats.add_message(first.id, "user", "Where is the CAFÉ near the river?")
    chats.add_message(second.id, "user", "A cafe, 100% sure_thing")
    assert {f.conversation.id for f in chats.found("cafe")} == {first.id, second.id}
    found = chats.found("RIVER café")
    assert [(f.conversation.id, f.hits) for f in found] == [(first.id, 1)]
    assert "CAFÉ" in found[0].snippet
    assert [f.conversation.id for f in chats.found("kase")] == [first.id]
    assert chats.found("100%")[0].conversation.id == second.id, "% is no wildcard"
    assert chats.found('"near the"')[0].conversation.id == first.id
    assert chats.found('"the near"') == []
    chats.set_deleted(first.id, True)
    assert [c.id for c in chats.conversations("cafe")] == [second.id]
    assert chats.found("   ") == []


def test_snippets_and_terms() -> None:
    assert terms_of('one "two three" four') == ["one", "two three", "four"]
    assert fold("ÀÉß") == "aeß"
    text = "x " * 200 + "needle " + "y " * 200
    assert "needle" in snippet(text, "NEEDLE") and snippet(text, "needle").startswith("…")


def test_folders_and_pins(project: Project) -> None:
    chats = project.chats
    one, two = chats.new_conversation(title="one"), chats.new_conversation(title="two")
    chats.make_folder("Work")
    chats.update_conversation(one.id, folder="Work", is_pinned=True, titled_by="user")
    assert [c.title for c in chats.conversations()] == ["one", "two"], "pinned first, though older"
    chats.rename_folder("Work", "Job")
    assert chats.folders() == ["Job"] and chats.get(one.id).folder == "Job"
    with pytest.raises(UserError, match="empty or taken"):
        chats.make_folder("Job")
    _, moved = chats.remove_folder("Job")
    assert moved == [one.id] and chats.folders() == [] and chats.get(one.id).folder == ""
    assert chats.get(two.id).title == "two"


def test_a_choice_replaces_the_one_before_and_can_be_taken_back(project: Project) -> None:
    chats = project.chats
    talk = chats.new_conversation()
    chats.choose(talk.id, "drafts", "a", ["b", "c", "a"])
    chats.choose(talk.id, "branches", "b", ["a"])
    (choice,) = chats.choices(talk.id)
    assert (choice["chosen"], choice["rejected"], choice["kind"]) == ("b", ["a"], "branches")
    chats.choose(talk.id, "branches", "", ["a", "b"])
    assert chats.choices(talk.id) == []


def test_presets_have_versions_and_travel_as_files(project: Project, tmp_path: Path) -> None:
    presets = project.presets
    _, first = presets.save("Brief", {"temperature": 0.1, "system_prompt": "Be {{mood}}."})
    changes, same = presets.save("brief", {"temperature": 0.1, "system_prompt": "Be {{mood}}."})
    assert not changes and same.version == 1
    _, second = presets.save("brief", {"temperature": 0.2})
    assert (second.id, second.name, second.version) == (first.id, "Brief", 2)
    assert [p.version for p in presets.versions(first.id)] == [2, 1]
    path = presets.export(first, tmp_path / "brief.json")
    presets.set_deleted(first.id, True)
    assert presets.all() == []
    _, again = presets.import_file(path)
    assert again.settings == first.settings and again.id != first.id
    for bad in ("{", "[]", '{"format": "x"}', '{"format": "fmstudio chat preset", "name": "x"}'):
        path.write_text(bad)
        with pytest.raises(UserError, match="no chat preset"):
            presets.import_file(path)


def test_tokens_are_kept_apart_from_the_turn(project: Project) -> None:
    project.chats.keep_tokens("t", [{"token": "a", "logprob": -0.5, "top": [["b", -1.0]]}])
    project.chats.keep_tokens("t", [{"token": "b", "logprob": -0.1, "top": []}])
    assert project.chats.tokens("t")[0]["token"] == "b"
    assert project.chats.tokens("none") == []


WRITER = """
import sys, os
from pathlib import Path
from fmstudio.project.models import ModelLibrary
ModelLibrary.add_packaged = lambda self: None
from fmstudio.project import Project, chat_search
project = Project.open(Path(sys.argv[1]))
talk = project.chats.new_conversation()
question = project.chats.add_message(talk.id, "user", "Tell me")
journal = project.chats.begin_answer(talk.id, "t-answer", question.id, {"seed": 7})
text = ""
for i in range(1000000):
    text += f"wörd {i} "
    journal.keep(text)
    if i == 50:
        print(talk.id, len(text), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_killed_process_loses_nothing_that_was_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out_packaged_models(monkeypatch)
    Project.create(tmp_path / "p").close()
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path / "p")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        talk, shown = child.stdout.readline().split()
        os.kill(child.pid, signal.SIGKILL)
    project = Project.open(tmp_path / "p")
    try:
        assert project.chats.recovered == ["t-answer"]
        question, answer = project.chats.messages(talk)
        assert answer.parent_id == question.id
        assert answer.content.startswith("wörd 0 wörd 1 ") and len(answer.content) >= int(shown)
        assert answer.facts == {"seed": 7, "finish_reason": "interrupted"}
        assert list((tmp_path / "p" / "chats").iterdir()) == []
    finally:
        project.close()


def test_torn_and_foreign_journals_do_no_harm(project: Project, tmp_path: Path) -> None:
    folder = project.folder / "chats"
    talk = project.chats.new_conversation()
    journal = project.chats.begin_answer(talk.id, "t-1", None, {})
    journal.keep("whole")
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b'"torn')
    (folder / "t-2.answer.jsonl").write_bytes(b"\xff\x00 nonsense")
    (folder / "t-3.answer.jsonl").write_text(json.dumps({"id": "t-3", "conversation_id": "gone"}) + '\n"x"\n')
    project.close()
    again = Project.open(project.folder)
    try:
        assert [m.content for m in again.chats.messages(talk.id)] == ["whole"]
        assert again.chats.recovered == ["t-1"]
    finally:
        again.close()
        Project.__init__(project, project.folder, project.name)  # the fixture closes it


@pytest.mark.parametrize("few", [0, 1, 2_000])
def test_search_by_index_and_by_reading_finds_what_the_texts_hold(
    project: Project, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        "A tangled line\tof fishing\nnet", "Über die Brücke, straße", "天気がいいですね", "foo(bar) == baz[0]",
        "the end of the line", "of the line", "LINE of code", "naïve café", "",
    ]  # fmt: skip
    for number, text in enumerate(texts):
        talk = project.chats.new_conversation(title=f"Talk {number}")
        if text:
            project.chats.add_message(talk.id, "user", text)
    monkeypatch.setattr(chat_search, "FEW", few)
    for search in (
        '"of the line"',
        "line",
        "ine of",
        "気が",
        "(bar)",
        "brucke",
        "CAFE",
        "e",
        '"line of"',
        "zzz",
        "end net",
    ):
        terms = [chat_search.fold(term) for term in chat_search.terms_of(search)]
        wanted = {text for text in texts if all(term in chat_search.fold(text) for term in terms)}
        said = [project.chats.messages(found.conversation.id)[0].content for found in project.chats.found(search)]
        assert set(said) == wanted and len(said) == len(wanted), search


def test_messages_of_an_older_project_are_found(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    with duckdb.connect(str(path)) as old:
        old.execute("CREATE TABLE schema_version (number INTEGER)")
        for number, step in enumerate(STEPS[:4], 1):
            old.execute(step)
            old.execute("INSERT INTO schema_version VALUES (?)", [number])
        old.execute(
            "INSERT INTO conversations (id, title, model_id, settings, is_deleted, created, updated)"
            " VALUES ('c', 'Old', '', '{}', false, 1, 1)"
        )
        for number in range(3):
            old.execute(
                "INSERT INTO messages (id, conversation_id, parent_id, role, content, facts, created, folded)"
                " VALUES (?, 'c', NULL, 'user', ?, '{}', ?, lower(strip_accents(?)))",
                [f"m{number}", f"Größe {number}\nzwei", number, f"Größe {number}\nzwei"],
            )
    catalog = Catalog(path)
    (found,) = chat_search.search_conversations(catalog, "gro 2")
    assert (found.hits, found.message_id) == (1, "m2")
    (found,) = chat_search.search_conversations(catalog, "zwei")
    assert (found.hits, found.message_id) == (3, "m2")
    chats = Chats(catalog, tmp_path)
    made = chats.add_message("c", "user", "a newer message")
    (found,) = chats.found("newer")
    assert found.message_id == made.id and catalog.query("SELECT max(number) FROM messages") == [(4,)]
    catalog.close()
