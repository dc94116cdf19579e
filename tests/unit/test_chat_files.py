"""Chats in from other programs, and out as files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fmstudio.api.errors import UserError
from fmstudio.project import Project
from fmstudio.project.chat_export import export_chats
from fmstudio.project.chat_import import import_chats
from fmstudio.project.chat_records import prompt_messages
from tests.unit.edit_kit import leave_out_packaged_models


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    leave_out_packaged_models(monkeypatch)
    made = Project.create(tmp_path / "p")
    yield made
    made.close()


def node(key: str, parent: str | None, role: str = "", text: Any = "", **more: Any) -> dict[str, Any]:
    if not role:
        return {"id": key, "parent": parent, "message": None, "children": []}
    content = {"content_type": "text", "parts": [text]}
    message = {"id": key, "author": {"role": role}, "content": content, "create_time": 1700000000.5, **more}
    return {"id": key, "parent": parent, "message": message, "children": []}


CHATGPT = [
    {
        "title": "Trip", "conversation_id": "g1", "create_time": 1700000000.0, "current_node": "a1",
        "mapping": {
            n["id"]: n for n in (
                node("root", None),
                node("hidden", "root", "system", "", metadata={"is_visually_hidden_from_conversation": True}),
                node("q", "hidden", "user", "Where to?"),
                node("tool", "q", "tool", "lookup"),
                node("a1", "tool", "assistant", "To Rome.", metadata={"model_slug": "gpt-4o"}),
                node("a2", "q", "assistant", "To Oslo."),
            )
        },
    },
    {"title": "broken", "mapping": {"x": {"message": "no object"}, "y": 7}},
]  # fmt: skip
CLAUDE = [
    {
        "uuid": "c1", "name": "Poem", "created_at": "2024-05-01T10:00:00.123456Z",
        "chat_messages": [
            {"uuid": "1", "sender": "human", "text": "Write", "created_at": "2024-05-01T10:00:00Z",
             "attachments": [{"file_name": "a.txt", "extracted_content": "inside"}]},
            {"uuid": "2", "sender": "assistant", "text": "", "content": [{"type": "text", "text": "A poem"}]},
        ],
    }
]  # fmt: skip
LMSTUDIO = {
    "name": "Local", "createdAt": 1710000000000, "systemPrompt": "Be brief.",
    "messages": [
        {"versions": [{"type": "singleStep", "role": "user", "content": [{"type": "text", "text": "Hi"}]}],
         "currentlySelected": 0},
        {"versions": [
            {"role": "assistant", "steps": [{"type": "contentBlock", "content": [{"type": "text", "text": "One"}]}]},
            {"role": "assistant", "senderInfo": {"senderName": "qwen"}, "steps": [
                {"type": "contentBlock", "style": {"type": "thinking"}, "content": [{"type": "text", "text": "hm"}]},
                {"type": "contentBlock", "content": [{"type": "text", "text": "Two"}]}]},
        ], "currentlySelected": 1},
        {"versions": [{"role": "user", "content": [{"type": "text", "text": "More"}]}], "currentlySelected": 0},
    ],
}  # fmt: skip
JAN = [
    {"id": "m1", "thread_id": "t1", "role": "user", "content": [{"type": "text", "text": {"value": "Yes?"}}],
     "created_at": 1710000000},
    {"id": "m2", "thread_id": "t1", "role": "assistant", "content": [{"type": "text", "text": {"value": "No."}}]},
]  # fmt: skip
OPENWEBUI = [
    {
        "id": "w1", "title": "Web", "created_at": 1710000000,
        "chat": {"history": {"currentId": "3", "messages": {
            "2": {"id": "2", "parentId": "1", "role": "assistant", "content": "A", "model": "llama"},
            "1": {"id": "1", "parentId": None, "role": "user", "content": "Q"},
            "3": {"id": "3", "parentId": "1", "role": "assistant", "content": "B", "annotation": {"rating": 1}},
        }}},
    }
]  # fmt: skip


def tree(project: Project, conversation_id: str) -> list[tuple[str, str, str]]:
    """Role, text and the text of the parent of each turn."""
    messages = {m.id: m for m in project.chats.messages(conversation_id)}
    return [(m.role, m.content, messages[m.parent_id].content if m.parent_id else "") for m in messages.values()]


def write(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    lines = name.endswith(".jsonl")
    path.write_text("\n".join(map(json.dumps, value)) if lines else json.dumps(value), "utf-8")
    return path


def test_chatgpt_keeps_its_branches_and_the_one_shown(project: Project, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("conversations.json", json.dumps(CHATGPT))
        archive.writestr("chat.html", "<html>")
    changes, came = import_chats(project.chats, [tmp_path / "export.zip"])
    assert (came.conversations, came.sources) == (1, ("ChatGPT",)) and len(changes.chats) == 1
    assert any("cannot be read" in note for note in came.notes)
    (talk,) = project.chats.conversations()
    assert (talk.title, talk.folder, talk.created) == ("Trip", "From ChatGPT", 1700000000.0)
    said = tree(project, talk.id)
    assert said == [
        ("user", "Where to?", ""), ("assistant", "To Rome.", "Where to?"), ("assistant", "To Oslo.", "Where to?"),
    ]  # fmt: skip
    shown = next(m for m in project.chats.messages(talk.id) if m.id == talk.shown)
    assert (shown.content, shown.facts["model"]["name"]) == ("To Rome.", "gpt-4o")
    assert project.chats.found("oslo")[0].conversation.id == talk.id
    _, again = import_chats(project.chats, [tmp_path / "export.zip"])
    assert (again.conversations, again.known) == (0, 1)


def test_claude_with_attachments(project: Project, tmp_path: Path) -> None:
    import_chats(project.chats, [write(tmp_path, "conversations.json", CLAUDE)])
    (talk,) = project.chats.conversations()
    question, answer = project.chats.messages(talk.id)
    assert (question.content, answer.content, answer.parent_id) == ("Write", "A poem", question.id)
    assert question.facts["attachments"] == [{"name": "a.txt", "kind": "text", "text": "inside"}]


def test_lm_studio_keeps_versions_and_leaves_thoughts_out(project: Project, tmp_path: Path) -> None:
    import_chats(project.chats, [write(tmp_path, "1.conversation.json", LMSTUDIO)])
    (talk,) = project.chats.conversations()
    assert tree(project, talk.id) == [
        ("user", "Hi", ""), ("assistant", "One", "Hi"), ("assistant", "Two", "Hi"), ("user", "More", "Two"),
    ]  # fmt: skip
    assert talk.title == "Local" and talk.created == 1710000000
    assert project.chats.messages(talk.id)[2].facts["system_prompt"] == "Be brief."


def test_jan_and_open_webui(project: Project, tmp_path: Path) -> None:
    paths = [write(tmp_path, "messages.jsonl", JAN), write(tmp_path, "web.json", OPENWEBUI)]
    _, came = import_chats(project.chats, paths)
    assert (came.conversations, came.sources) == (2, ("Jan", "Open WebUI"))
    jan, web = sorted(project.chats.conversations(), key=lambda c: c.folder)
    assert tree(project, jan.id) == [("user", "Yes?", ""), ("assistant", "No.", "Yes?")]
    messages = project.chats.messages(web.id)
    assert [(m.content, m.rating) for m in messages] == [("Q", 0), ("A", 0), ("B", 1)]
    assert web.shown == messages[2].id
    assert len(project.chats.ratings()) == 1


@pytest.mark.parametrize("text", ["{", "[]", "{}", "[1, 2]", '[{"mapping": 3}]', "\x00", '{"messages": [{"role": 1}]}'])
def test_what_is_no_chat_is_refused(project: Project, tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match="no conversation"):
        import_chats(project.chats, [path])
    assert project.chats.conversations() == []


def test_a_circle_of_parents_is_cut(project: Project, tmp_path: Path) -> None:
    circle = [{"title": "o", "mapping": {n["id"]: n for n in (
        node("a", "b", "user", "one"), node("b", "a", "assistant", "two"))}}]  # fmt: skip
    import_chats(project.chats, [write(tmp_path, "c.json", circle)])
    (talk,) = project.chats.conversations()
    assert sorted(text for _, text, _ in tree(project, talk.id)) == ["one", "two"]


def test_exports_hold_what_they_should_and_come_back(project: Project, tmp_path: Path) -> None:
    chats = project.chats
    talk = chats.new_conversation(title="A <b>talk</b>")
    question = chats.add_message(talk.id, "user", "What <i>?")
    one = chats.add_message(talk.id, "assistant", "One & only", parent_id=question.id, facts={"seed": 1})
    chats.add_message(talk.id, "assistant", "Two", parent_id=question.id)
    chats.update_conversation(talk.id, shown=one.id)
    chats.rate(one.id, 1)
    for suffix in (".md", ".html", ".jsonl", ".parquet"):
        assert export_chats(chats, tmp_path / f"chats{suffix}", [talk.id]) == 1
    markdown = (tmp_path / "chats.md").read_text("utf-8")
    assert "One & only" in markdown and "Two" not in markdown
    page = (tmp_path / "chats.html").read_text("utf-8")
    assert "A &lt;b&gt;talk&lt;/b&gt;" in page and "<script" not in page and "One &amp; only" in page
    value = json.loads((tmp_path / "chats.jsonl").read_text("utf-8"))
    assert [m["content"] for m in value["messages"]] == ["What <i>?", "One & only"] and len(value["turns"]) == 3
    rows = pq.read_table(tmp_path / "chats.parquet").to_pylist()
    assert [(row["content"], row["rating"]) for row in rows][1] == ("One & only", 1)
    _, came = import_chats(chats, [tmp_path / "chats.jsonl"])
    assert came.conversations == 1 and came.sources == ("FM Studio",)
    again = next(c for c in chats.conversations() if c.id != talk.id)
    assert len(tree(project, again.id)) == 3 and chats.messages(again.id)[1].facts == {"seed": 1}
    assert not list(tmp_path.glob(".*part"))
    with pytest.raises(UserError, match="cannot be written as"):
        export_chats(chats, tmp_path / "chats.docx")
    with pytest.raises(UserError, match="cannot be written"):
        export_chats(chats, tmp_path / "nowhere" / "chats.md")


def test_the_command_line_lists_searches_imports_and_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fmstudio.cli.main import main

    leave_out_packaged_models(monkeypatch)
    Project.create(tmp_path / "q").close()
    at = ["--project", str(tmp_path / "q")]
    assert main(["chats", "import", str(write(tmp_path, "web.json", OPENWEBUI)), *at]) == 0
    assert "1 conversation with 3 messages came in from Open WebUI" in capsys.readouterr().out
    assert main(["chats", *at, "--json"]) == 0
    assert [c["title"] for c in json.loads(capsys.readouterr().out)] == ["Web"]
    assert main(["chats", "--search", "b", *at, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["hits"] == 1
    assert main(["lessons", *at, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sft"] == 1, "the thumb that came along is a lesson"
    assert main(["chats", "export", str(tmp_path / "all.md"), *at]) == 0
    assert (tmp_path / "all.md").read_text("utf-8").startswith("# Web")
    assert main(["chats", "export", str(tmp_path / "all.txt"), *at]) == 2


def test_a_web_page_shows_code_as_code_and_pictures_and_escapes_everything(project: Project, tmp_path: Path) -> None:
    talk = project.chats.new_conversation(title="Code")
    picture = {"name": "p.png", "kind": "image", "data": "data:image/png;base64,AAAA"}
    strange = {"name": "x", "kind": "image", "data": "https://example.org/x.png"}
    asked = project.chats.add_message(talk.id, "user", "<b>", facts={"attachments": [picture, strange]})
    project.chats.add_message(
        talk.id, "assistant", "See:\n```py\nif a < b:\n    go()\n```\nDone & gone.", parent_id=asked.id
    )
    export_chats(project.chats, tmp_path / "chats.html")
    page = (tmp_path / "chats.html").read_text("utf-8")
    assert "<pre><code>if a &lt; b:\n    go()\n</code></pre><div>Done &amp; gone.</div>" in page
    assert '<img alt="" src="data:image/png;base64,AAAA">' in page and "example.org" not in page
    assert "<div>&lt;b&gt;</div>" in page
    assert prompt_messages("", [project.chats.messages(talk.id)[0]])[0]["content"].startswith("[image: p.png]")
