"""The chat page's branches, lessons, drafts, tokens and presets, over a real project and a fake server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage

from fmstudio.project import Project
from fmstudio.project.chats import TokenCost
from fmstudio.project.models import ModelEntry
from fmstudio.ui.context import AppContext
from fmstudio.ui.pages.chat import ChatPage
from fmstudio.ui.pages.chat.context_counter import ContextUse
from fmstudio.ui.pages.chat.settings import ChatSettings, filled, variables_in
from fmstudio.ui.pages.chat.shelf import clean_title
from fmstudio.ui.pages.chat.token_view import Token, beginning
from fmstudio.ui.pages.chat.words import cost_words, numbers_of
from tests.ui.chat_kit import FakeOpenAI, Script
from tests.ui.test_chat_page import adapter, ask, base, context, page, server, stored, wait_idle

__all__ = ["adapter", "base", "context", "page", "server"]

Key = Qt.Key


def press(qtbot: Any, page: ChatPage, key: Key, place: int = -1) -> None:
    """A key on a turn that has the focus."""
    page.transcript.focus_turn(place)
    qtbot.keyClick(page.transcript.cards[place], key)


def lesson_rows(context: AppContext, name: str) -> list[dict[str, Any]]:
    assert context.project is not None
    there = [dataset.name for dataset in context.project.datasets.all()]
    return context.project.page(name).records() if name in there else []


def test_the_keys_of_a_turn_do_what_they_say(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    ask(page, qtbot, "first")
    wait_idle(page, qtbot, 2)
    server.script = Script(pieces=["Another"])
    press(qtbot, page, Key.Key_R)
    qtbot.waitUntil(lambda: len(stored(context, page)) == 3, timeout=15_000)
    wait_idle(page, qtbot, 2)
    assert page.transcript.cards[1]._version.text() == "2/2"
    press(qtbot, page, Key.Key_Left)
    assert page.transcript.cards[1].body.source == "Hello, world."
    press(qtbot, page, Key.Key_G)
    qtbot.waitUntil(lambda: len(lesson_rows(context, "Lessons")) == 1, timeout=15_000)
    qtbot.waitUntil(lambda: page.lessons.text() == "1 lesson", timeout=15_000)
    places: list[tuple[str, Any]] = []
    context.navigated.connect(lambda place, args: places.append((place, args)))
    qtbot.mouseClick(page.lessons, Qt.MouseButton.LeftButton)
    assert places == [("data", {"dataset_id": context.project.datasets.get("Lessons").id})]  # type: ignore[union-attr]
    press(qtbot, page, Key.Key_P)
    qtbot.waitUntil(lambda: len(lesson_rows(context, "Lessons (preferences)")) == 1, timeout=15_000)
    pair = lesson_rows(context, "Lessons (preferences)")[0]
    assert (pair["source"], pair["chosen"][0]["content"]) == ("branches", "Hello, world.")
    qtbot.waitUntil(lambda: page.transcript.cards[1].data.is_preferred, timeout=15_000)
    press(qtbot, page, Key.Key_P)
    qtbot.waitUntil(lambda: lesson_rows(context, "Lessons (preferences)") == [], timeout=15_000)
    press(qtbot, page, Key.Key_Q)
    assert page.composer.text == "> Hello, world.\n\n"
    page.transcript.focus_turn(1)
    qtbot.keyClick(page.transcript.cards[1], Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == "Hello, world."
    press(qtbot, page, Key.Key_Up)
    assert page.transcript.cards[0].hasFocus()
    press(qtbot, page, Key.Key_Down, 1)
    assert page.composer.input.hasFocus()
    qtbot.keyClick(page.composer.input, Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    assert page.transcript.cards[-1].hasFocus()


def test_the_branch_shown_comes_back(context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any) -> None:
    ask(page, qtbot, "first")
    wait_idle(page, qtbot, 2)
    server.script = Script(pieces=["Another"])
    page.controller.regenerate(page.controller.turns.leaf)
    qtbot.waitUntil(lambda: len(stored(context, page)) == 3, timeout=15_000)
    wait_idle(page, qtbot, 2)
    page.controller.show_version(page.controller.turns.leaf, -1)
    shown = page.controller.conversation
    assert shown is not None and context.project is not None
    chats = context.project.chats
    qtbot.waitUntil(lambda: chats.get(shown.id).shown == page.controller.turns.leaf, timeout=15_000)
    page.new_chat()
    page.controller.open(chats.get(shown.id))
    qtbot.waitUntil(lambda: len(page.controller.turns.path()) == 2, timeout=15_000)
    assert page.controller.turns.path()[1].content == "Hello, world."


def test_deleting_a_turn_is_undone(context: AppContext, page: ChatPage, qtbot: Any) -> None:
    ask(page, qtbot, "first")
    wait_idle(page, qtbot, 2)
    ask(page, qtbot, "second")
    wait_idle(page, qtbot, 4)
    actions: list[Any] = []
    context.notified.connect(lambda _level, _text, action: actions.append(action))
    press(qtbot, page, Key.Key_Delete, 2)
    qtbot.waitUntil(lambda: bool(actions), timeout=15_000)
    assert [m.content for m in stored(context, page)] == ["first", "Hello, world."]
    assert len(page.transcript.cards) == 2
    actions[0][1]()
    qtbot.waitUntil(lambda: len(page.controller.turns.path()) == 4, timeout=15_000)
    actions[0][1]()
    assert not page.undoing.words, "the button brings it back once"


def test_ctrl_z_brings_back_what_was_deleted_but_first_takes_back_typing(
    context: AppContext, page: ChatPage, qtbot: Any
) -> None:
    ask(page, qtbot, "first")
    wait_idle(page, qtbot, 2)
    press(qtbot, page, Key.Key_Delete, 0)
    qtbot.waitUntil(lambda: bool(page.undoing.words), timeout=15_000)
    page.composer.input.setFocus()
    qtbot.keyClicks(page.composer.input, "x")
    qtbot.keyClick(page.composer.input, Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert page.composer.text == "" and page.undoing.words, "typing first"
    assert any(command.shortcut == "Ctrl+Z" for command in page.commands())
    qtbot.keyClick(page.composer.input, Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(page.controller.turns.path()) == 2, timeout=15_000)
    assert not page.undoing.words


def test_what_a_model_thinks_is_kept_apart_from_what_it_says(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    server.script = Script(thoughts=["Let me ", "think."], pieces=["Yes."])
    ask(page, qtbot, "Is it?")
    wait_idle(page, qtbot, 2)
    answer = stored(context, page)[1]
    assert answer.content == "Yes." and answer.facts["reasoning"] == "Let me think."
    thoughts = page.transcript.cards[-1].thoughts
    assert thoughts.isVisible() and not thoughts._text.isVisible()
    qtbot.mouseClick(thoughts._button, Qt.MouseButton.LeftButton)
    assert thoughts._text.isVisible() and thoughts._text.text() == "Let me think."
    ask(page, qtbot, "And then?")
    wait_idle(page, qtbot, 4)
    assert "think" not in str(server.bodies[-1]["messages"]), "thoughts are not sent again"


def test_numbers_say_what_guessing_ahead_gained_and_what_adapters_cost() -> None:
    timings = {"predicted_per_second": 40.0, "draft_n": 120, "draft_n_accepted": 90}
    assert "75% of 120 guesses right" in numbers_of({"timings": timings})
    assert "guesses" not in numbers_of({"timings": {"predicted_per_second": 40.0}})
    bare, blend = TokenCost(frozenset(), 20.0, 3), TokenCost(frozenset({"a"}), 22.0, 2)
    assert cost_words([bare, blend], {"a"}) == "22.0 ms a token with these adapters, 20.0 ms without: +10%"
    assert cost_words([bare], {"a"}) == "20.0 ms a token without adapters"
    assert cost_words([blend], set()) == ""


def test_the_cost_of_a_token_is_read_from_the_answers(context: AppContext) -> None:
    assert context.project is not None
    chats = context.project.chats
    talk = chats.new_conversation()
    for rate, adapters in ((50.0, []), (40.0, []), (25.0, [{"id": "a"}])):
        facts = {
            "model": {"id": "m"}, "adapters": adapters, "usage": {"completion_tokens": 30},
            "timings": {"predicted_per_second": rate},
        }  # fmt: skip
        chats.add_message(talk.id, "assistant", "said", facts=facts)
    chats.add_message(talk.id, "assistant", "too short", facts={"model": {"id": "m"}, "timings": {}})
    costs = {cost.adapters: (cost.milliseconds, cost.answers) for cost in chats.token_costs("m")}
    assert costs == {frozenset(): (22.5, 2), frozenset({"a"}): (40.0, 1)}
    assert chats.token_costs("other") == []


def test_an_answer_is_continued_and_edited_beside_the_old_one(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    server.script = Script(pieces=["One ", "two "], tokens=[11, 12])
    ask(page, qtbot, "count")
    wait_idle(page, qtbot, 2)
    server.script = Script(pieces=["three"], tokens=[13])
    press(qtbot, page, Key.Key_N)
    qtbot.waitUntil(lambda: len(stored(context, page)) == 3, timeout=15_000)
    wait_idle(page, qtbot, 2)
    assert server.bodies[-1]["forced_prefix"] == [11, 12], "the very tokens, where they are known"
    longer = stored(context, page)[-1]
    assert (longer.content, longer.facts["tokens"], longer.facts["kind"]) == ("One two three", [11, 12, 13], "continue")
    press(qtbot, page, Key.Key_E)
    card = page.transcript.cards[1]
    assert card._editor is not None
    card._editor._text.setPlainText("Uno")
    qtbot.keyClick(card._editor._text, Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: page.controller.turns.path()[-1].content == "Uno", timeout=15_000)
    assert page.transcript.cards[1].data.speaker == "Written by you"
    assert page.transcript.cards[1].data.versions == 3
    ask(page, qtbot, "and then?")
    wait_idle(page, qtbot, 4)
    assert [m["content"] for m in server.bodies[-1]["messages"]] == ["count", "Uno", "and then?"]


def test_reproducing_says_whether_the_same_tokens_came(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    said: list[tuple[str, str]] = []
    context.notified.connect(lambda level, text, _: said.append((level, text)))
    page.panel.temperature.setValue(0.9)
    server.script = Script(pieces=["a", "b", "c"], tokens=[1, 2, 3])
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    page.panel.temperature.setValue(0.1)
    press(qtbot, page, Key.Key_Y)
    qtbot.waitUntil(lambda: bool(said), timeout=15_000)
    assert said.pop() == ("positive", "Reproduced: the same 3 tokens came again.")
    first, second = server.bodies
    assert {k: v for k, v in first.items() if k != "model"} == {k: v for k, v in second.items() if k != "model"}
    server.script = Script(pieces=["a", "x"], tokens=[1, 9])
    press(qtbot, page, Key.Key_Y)
    qtbot.waitUntil(lambda: bool(said), timeout=15_000)
    assert said[0][0] == "warning" and "first 1 of 3 tokens" in said[0][1]
    assert len(stored(context, page)) == 2, "nothing was added"


def test_drafts_have_their_own_seeds_and_choosing_teaches(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    qtbot.mouseClick(page._ways_button, Qt.MouseButton.LeftButton)
    page.ways.drafts.setValue(3)
    page.ways.is_blind.setChecked(True)
    ask(page, qtbot, "Say")
    qtbot.waitUntil(lambda: page.views.compare.isVisible(), timeout=15_000)
    qtbot.waitUntil(lambda: len(server.bodies) == 3 and not page.controller.is_busy, timeout=10_000)
    assert len({body["seed"] for body in server.bodies}) == 3
    columns = page.views.compare.columns
    assert [c.name.text() for c in columns] == ["Answer A", "Answer B", "Answer C"]
    server_answers = [m for m in stored(context, page) if m.role == "assistant"]
    assert {m.facts["kind"] for m in server_answers} == {"drafts"}
    qtbot.waitUntil(lambda: all(c.answer.text for c in columns), timeout=15_000)
    qtbot.keyClick(page.views.compare, Key.Key_2)
    assert "seed" in columns[0].numbers.text() and "Tiny" in columns[0].name.text()
    chats = context.project.chats  # type: ignore[union-attr]
    place = page.controller.conversation.id  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: bool(chats.choices(place)), timeout=15_000)
    choice = chats.choices(place)[0]
    assert (choice["chosen"], choice["kind"], len(choice["rejected"])) == (columns[1].answer.id, "drafts", 2)
    assert page.controller.turns.leaf == columns[1].answer.id
    qtbot.keyClick(page.views.compare, Key.Key_Escape)
    assert page.transcript.isVisible()


def test_two_ways_side_by_side_use_their_own_settings(
    context: AppContext, page: ChatPage, adapter: ModelEntry, server: FakeOpenAI, qtbot: Any
) -> None:
    assert context.project is not None
    context.project.presets.save("Cold", {"temperature": 0.0, "system_prompt": "Be cold."})
    page.page_shown()
    qtbot.waitUntil(lambda: len(page.panel.presets.presets) == 1 and len(page.panel.adapter_rows) == 1, timeout=15_000)
    page.toggle_ways()
    page.ways.add_row()
    _, second = page.ways.rows
    second.adapter.setCurrentIndex(second.adapter.findData(adapter.id))
    second.preset.setCurrentIndex(1)
    ask(page, qtbot, "Say")
    qtbot.waitUntil(lambda: len(server.bodies) == 2 and not page.controller.is_busy, timeout=10_000)
    one, two = server.bodies
    assert one["seed"] == two["seed"] and one["lora"] == [] and two["lora"][0]["path"] == str(adapter.path)
    assert two["temperature"] == 0.0 and two["messages"][0] == {"role": "system", "content": "Be cold."}
    assert [m["role"] for m in one["messages"]] == ["user"]


def test_a_token_is_clicked_and_branched_at(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    def entry(token: str, number: int, logprob: float) -> dict[str, Any]:
        return {"token": token, "id": number, "logprob": logprob, "bytes": list(token.encode())}

    server.script = Script(pieces=["Hel", "lo"], tokens=[5, 6])
    server.token_view = [
        {**entry("Hel", 5, -0.1), "top_logprobs": [entry("Hel", 5, -0.1), entry("Ho", 7, -2.4)]},
        {**entry("lo", 6, -3.0), "top_logprobs": [entry("p", 8, -0.2), entry("lo", 6, -3.0)]},
    ]
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    press(qtbot, page, Key.Key_T)
    view = page.views.tokens
    qtbot.waitUntil(view.isVisible, timeout=15_000)
    qtbot.keyClick(view, Key.Key_Right)
    assert [view.list.item(i).text().split("\t")[1].split()[0] for i in range(2)] == ["p", "lo"]
    server.script = Script(pieces=["!"], tokens=[9])
    qtbot.keyClick(view, Key.Key_Return)
    qtbot.waitUntil(lambda: len(stored(context, page)) == 3, timeout=15_000)
    assert server.bodies[-1]["forced_prefix"] == [5, 8]
    branch = stored(context, page)[-1]
    assert (branch.content, branch.facts["kind"]) == ("Help!", "branch")
    assert len(context.project.chats.tokens(stored(context, page)[1].id)) == 2  # type: ignore[union-attr]


def test_half_characters_make_no_broken_text() -> None:
    euro = "€".encode()
    tokens = [Token(1, "a", b"a", -1), Token(2, "", euro[:1], -1), Token(3, "", euro[1:], -1)]
    assert beginning(tokens, 2, tokens[2]) == ("a€", [1, 2, 3])
    assert beginning(tokens, 1, tokens[1])[0] == "a"


def test_the_model_names_the_chat_unless_a_person_did(page: ChatPage, server: FakeOpenAI, qtbot: Any) -> None:
    server.title = '"Title: Greeting a friend."\n\nmore'
    ask(page, qtbot, "Hello there, friend of mine")
    wait_idle(page, qtbot, 2)
    qtbot.waitUntil(lambda: page.controller.conversation.title == "Greeting a friend", timeout=15_000)  # type: ignore[union-attr]
    assert len(server.titles) == 1
    page.new_chat()
    page.panel.asks_title.setChecked(False)
    ask(page, qtbot, "Again")
    wait_idle(page, qtbot, 2)
    assert len(server.titles) == 1


def test_titles_are_cleaned() -> None:
    assert clean_title("**Title:** The sea") == "The sea"
    assert clean_title("\n") == ""
    assert len(clean_title("word " * 50)) <= 61


def test_variables_are_asked_for_and_filled(page: ChatPage, server: FakeOpenAI, qtbot: Any) -> None:
    page.panel.system.setPlainText("You are {{ role }}.")
    page.composer.set_text("Write about {{topic}}")
    assert list(page.panel.variables.fields) == ["role", "topic"]
    ask(page, qtbot, "Write about {{topic}}")
    assert server.bodies == [] and "role, topic" in page.composer.hint.text()
    for name, value in (("role", "a poet"), ("topic", "rain")):
        qtbot.keyClicks(page.panel.variables.fields[name], value)
    ask(page, qtbot, "Write about {{topic}}")
    wait_idle(page, qtbot, 2)
    assert [m["content"] for m in server.bodies[0]["messages"]] == ["You are a poet.", "Write about rain"]
    assert variables_in("{{a}} {{ b }} {{a}} {{1}}") == ["a", "b"]
    assert filled("{{a}} {{b}}", {"a": "x"}) == "x {{b}}"


def test_presets_are_saved_chosen_and_marked_as_changed(context: AppContext, page: ChatPage, qtbot: Any) -> None:
    page.panel.temperature.setValue(0.3)
    page.presets.save("Calm")
    qtbot.waitUntil(lambda: page.controller.settings.preset == "Calm v1", timeout=15_000)
    qtbot.waitUntil(lambda: not page.panel.presets.save.isEnabled(), timeout=15_000)
    page.panel.temperature.setValue(1.0)
    assert page.panel.presets.save.isEnabled()
    preset = page.panel.presets.presets[0]
    page.panel.presets.chosen.emit(preset)
    assert page.panel.temperature.value() == 0.3
    assert ChatSettings.from_json(page.controller.settings.to_json()) == page.controller.settings


def test_attachments_travel_with_the_question(
    context: AppContext, page: ChatPage, server: FakeOpenAI, tmp_path: Path, qtbot: Any
) -> None:
    ask(page, qtbot, "warm up")
    wait_idle(page, qtbot, 2)
    path = tmp_path / "notes.txt"
    path.write_text("alpha beta gamma", "utf-8")
    page.attaching.attach_files([path])
    qtbot.waitUntil(lambda: len(page.composer.attachments) == 1, timeout=15_000)
    qtbot.waitUntil(lambda: page.composer.attachments[0].get("tokens") == 3, timeout=15_000)
    uses: list[ContextUse] = []
    page.counter.counted.connect(uses.append)
    qtbot.waitUntil(lambda: bool(uses) and uses[-1].attached == 3, timeout=15_000)
    ask(page, qtbot, "Sum up")
    wait_idle(page, qtbot, 4)
    assert (
        server.bodies[-1]["messages"][-1]["content"] == '<file name="notes.txt">\nalpha beta gamma\n</file>\n\nSum up'
    )
    question = stored(context, page)[2]
    assert question.content == "Sum up" and question.facts["attachments"][0]["name"] == "notes.txt"
    assert page.transcript.cards[2].data.files == "notes.txt" and page.composer.attachments == []
    assert page.transcript.cards[2]._numbers.text() == "notes.txt", "also when the card was shown again"
    problems: list[Any] = []
    context.problem_shown.connect(lambda problem, _: problems.append(problem))
    path.write_bytes(b"\x00\x01\xff")
    page.attaching.attach_files([path])
    qtbot.waitUntil(lambda: bool(problems), timeout=15_000)
    assert "no text file" in problems[0].message


def test_pictures_are_taken_where_a_projector_lies_beside_the_model(
    context: AppContext, page: ChatPage, base: ModelEntry, server: FakeOpenAI, tmp_path: Path, qtbot: Any
) -> None:
    picture = tmp_path / "red.png"
    image = QImage(2_000, 1_000, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.red)
    assert image.save(str(picture))
    said: list[str] = []
    context.notified.connect(lambda _level, text, _action: said.append(text))
    page.attaching.attach_files([picture])
    qtbot.waitUntil(lambda: bool(said), timeout=15_000)
    assert "reads text only" in said[0] and not page.composer.attachments
    (base.path.parent / "mmproj-tiny.gguf").write_bytes(b"")
    page.attaching.attach_files([picture])
    qtbot.waitUntil(lambda: bool(page.composer.attachments), timeout=15_000)
    assert (page.composer.attachments[0]["width"], page.composer.attachments[0]["height"]) == (1_280, 640)
    ask(page, qtbot, "What is it?")
    wait_idle(page, qtbot, 2)
    assert server.bodies[-1]["messages"][0]["content"][1]["type"] == "image_url"


def test_rows_of_a_dataset_are_chosen_and_attached(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    for question in ("one", "two"):
        ask(page, qtbot, question)
        qtbot.waitUntil(lambda: not page.controller.is_busy, timeout=15_000)
        press(qtbot, page, Key.Key_G)
        qtbot.waitUntil(lambda: page.controller.turns.path()[-1].rating == 1, timeout=15_000)
    qtbot.waitUntil(lambda: len(lesson_rows(context, "Lessons")) == 2, timeout=15_000)
    bar = page.attaching.bar
    qtbot.keyClick(
        page.composer.input, Key.Key_R, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    )
    qtbot.waitUntil(bar.isVisible, timeout=15_000)
    assert bar.datasets.currentText() == "Lessons" and bar.condition.hasFocus()
    qtbot.keyClicks(bar.condition, "len(messages) > 2")
    qtbot.keyClick(bar.condition, Key.Key_Return)
    qtbot.waitUntil(lambda: len(page.composer.attachments) == 1, timeout=15_000)
    attached = page.composer.attachments[0]
    assert attached["name"] == "Lessons (1 row).jsonl" and '"two"' in attached["text"] and not bar.isVisible()
    said: list[str] = []
    context.notified.connect(lambda _level, text, _action: said.append(text))
    page.attaching.toggle_rows()
    qtbot.waitUntil(bar.isVisible, timeout=15_000)
    bar.condition.setText("false")
    qtbot.mouseClick(bar._button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(said), timeout=15_000)
    assert "No row" in said[0]


def test_folders_pins_and_search_places(context: AppContext, page: ChatPage, qtbot: Any) -> None:
    ask(page, qtbot, "About penguins in the far south")
    wait_idle(page, qtbot, 2)
    shown = page.controller.conversation
    assert shown is not None
    page.shelf.make_folder("Birds", shown.id)
    items = lambda: [page.sidebar.list.item(i).text().strip() for i in range(page.sidebar.list.count())]  # noqa: E731
    qtbot.waitUntil(lambda: items() == ["Birds  (1)", shown.title], timeout=15_000)
    page.sidebar._on_activated(page.sidebar.list.item(0))
    qtbot.waitUntil(lambda: items() == ["Birds  (1)"], timeout=15_000)
    menu = page.sidebar.menu_of(page.sidebar.list.item(0))
    assert len(menu.actions()) == 2
    page.shelf.pin(shown.id, True)
    qtbot.waitUntil(lambda: items() == [shown.title, "Birds  (0)"], timeout=15_000)
    page.sidebar.search.setText("PENGUINS south")
    qtbot.waitUntil(lambda: items() == [shown.title], timeout=15_000)
    assert "penguins in the far south" in page.sidebar.list.item(0).toolTip()
    page.sidebar.search.setText("zebra")
    qtbot.waitUntil(lambda: page.sidebar.empty.isVisible() and page.sidebar.empty.text() == "Nothing found.")


def test_a_remedy_of_the_engine_is_one_click(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    from PySide6.QtWidgets import QPushButton

    from tests.ui.test_chat_page import problem_card

    server.script = Script(error={"message": "Too long.", "remedy": "More.", "remedy_action": {"n_ctx": 8192}})
    ask(page, qtbot)
    qtbot.waitUntil(lambda: problem_card(page) is not None, timeout=15_000)
    card = problem_card(page)
    assert card is not None
    server.script = Script()
    mend = next(b for b in card.findChildren(QPushButton) if "8,192" in b.text())
    qtbot.mouseClick(mend, Qt.MouseButton.LeftButton)
    wait_idle(page, qtbot, 2)
    assert context.engine.params == {"n_ctx": 8192}
    assert page.controller.turns.path()[1].content == "Hello, world."


CHILD = """
import sys
from pathlib import Path
from PySide6.QtWidgets import QApplication
from tests.ui.chat_kit import FakeEngine, FakeOpenAI, Script, write_tiny_gguf
from fmstudio.core.settings import Settings
from fmstudio.project import Project
from fmstudio.project.chats import TokenCost
from fmstudio.project.models import ModelLibrary
from fmstudio.ui.context import AppContext
from fmstudio.ui.pages.chat import ChatPage
from fmstudio.ui.process import QProcessLauncher

ModelLibrary.add_packaged = lambda self: None
app = QApplication([])
folder = Path(sys.argv[1])
project = Project.create(folder)
project.models.add(write_tiny_gguf(folder.parent / "tiny.gguf"), "Tiny")
project.close()
server = FakeOpenAI()
server.script = Script(pieces=[f"word{i} " for i in range(4000)], delay=0.005)
context = AppContext(Settings(), QProcessLauncher())
context.engine = FakeEngine(server)

def shown():
    text = page.transcript.tail.body.source if page.transcript.tail else ""
    if text.count("word") > 40:
        print(len(text), flush=True)

def ready(_):
    global page
    page = ChatPage(context)
    page.show()
    page.page_shown()
    page.controller.turn_progressed.connect(shown)
    def entries():
        if page.controller.library.entries:
            timer.stop()
            page._send("Tell me")
    from PySide6.QtCore import QTimer
    global timer
    timer = QTimer(interval=20)
    timer.timeout.connect(entries)
    timer.start()

context.open_project(folder, then=ready)
app.exec()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_kill_in_the_middle_of_an_answer_keeps_what_was_shown(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path / "p")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lengths = [int(child.stdout.readline()) for _ in range(3)]
        os.kill(child.pid, signal.SIGKILL)
        lengths += [int(line) for line in child.stdout.read().split()]
    project = Project.open(tmp_path / "p")
    try:
        (talk,) = project.chats.conversations()
        question, answer = project.chats.messages(talk.id)
        assert question.content == "Tell me" and answer.parent_id == question.id
        assert len(answer.content) >= lengths[-1] > 0
        assert answer.facts["finish_reason"] == "interrupted" and answer.facts["seed"] >= 0
    finally:
        project.close()
