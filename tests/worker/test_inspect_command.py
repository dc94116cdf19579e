"""``fmstudio inspect``: what a person is told of a file before it is imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.helpers import fmstudio, fmstudio_json


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_the_first_rows_the_speakers_and_the_place_of_damage_are_shown(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "hello there"}, {"from": "gpt", "value": "hi"}]
    file = write(tmp_path / "chats.jsonl", [{"conversations": turns}] * 5)
    with file.open("a", encoding="utf-8") as more:
        more.write('{"conversations": [\n')
    said = fmstudio("inspect", str(file)).stdout
    assert "Who speaks: human → user, gpt → assistant" in said
    assert "user: hello there · assistant: hi" in said
    assert "characters a row (median)" in said and "(estimated)" in said
    byte = len(file.read_bytes().rpartition(b'{"conversations"')[0])
    assert f"line 6, byte {byte:,}: Not valid JSON" in said


def test_a_name_that_is_nobodys_is_asked_for(tmp_path: Path) -> None:
    turns = [{"role": role, "content": "text"} for role in ("user", "assistant", "narrator")]
    file = write(tmp_path / "told.jsonl", [{"messages": turns}] * 3)
    said = fmstudio("inspect", str(file)).stdout
    assert "narrator → ?" in said and "role.narrator=assistant" in said
    found = fmstudio_json("inspect", str(file), "--map", "messages=messages", "role.narrator=system")["files"][0]
    assert [message["role"] for message in found["rows"][0]["messages"]] == ["user", "assistant", "system"]


def test_no_language_is_made_of_a_word_or_two(tmp_path: Path) -> None:
    rows = [
        {"text": "q0 a0"},
        {"text": "ok"},
        {"text": "This sentence is long enough to tell."},
        {"text": "你好世界，早上好"},
    ]
    found = fmstudio_json("inspect", str(write(tmp_path / "short.jsonl", rows)))["files"][0]
    assert {one["code"]: one["share"] for one in found["languages"]} == {"none": 0.5, "en": 0.25, "zh": 0.25}


def test_a_file_of_a_known_name_with_other_content_is_offered_as_an_update(tmp_path: Path) -> None:
    project = str(tmp_path / "project")
    assert fmstudio("project", "new", project).returncode == 0
    file = write(tmp_path / "my notes.jsonl", [{"text": "one"}])
    first = fmstudio("import", str(file), "--project", project)
    assert first.returncode == 0 and "of this name" not in first.stderr
    assert "of this name" not in fmstudio("import", str(file), "--project", project).stderr, "it is the same"
    write(file, [{"text": "two"}])
    other = fmstudio("import", str(file), "--project", project, "--name", "second")
    assert f"fmstudio import '{file}' --update 'my notes" in other.stderr
    write(file, [{"text": "three"}])
    assert "of this name" not in fmstudio("import", str(file), "--project", project, "--update", "second").stderr
