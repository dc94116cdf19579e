"""The chat page over a real project and a fake OpenAI server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton

from fmstudio.api.chat_template import template_hash
from fmstudio.jobs.outcome import Problem
from fmstudio.project.models import ModelEntry
from fmstudio.ui.context import AppContext
from fmstudio.ui.pages.chat import ChatPage
from fmstudio.ui.pages.chat.settings import ChatSettings
from fmstudio.ui.widgets.chat_message import MessageCard
from fmstudio.ui.widgets.message_bar import ProblemCard
from tests.ui.chat_kit import FakeEngine, FakeOpenAI, Script, make_context, write_tiny_gguf, write_tiny_lora


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    fake = FakeOpenAI()
    yield fake
    fake.close()


@pytest.fixture
def context(tmp_path: Path, qtbot: Any, server: FakeOpenAI) -> Iterator[AppContext]:
    made = make_context(tmp_path / "project", qtbot)
    made.engine = FakeEngine(server)
    yield made
    made.close()


@pytest.fixture
def base(context: AppContext, tmp_path: Path) -> ModelEntry:
    assert context.project is not None
    for packaged in context.project.models.all():
        context.project.models.remove(packaged.id)
    path = tmp_path / "tiny.gguf"
    write_tiny_gguf(path)
    return context.project.models.add(path, "Tiny")


@pytest.fixture
def adapter(context: AppContext, base: ModelEntry, tmp_path: Path) -> ModelEntry:
    assert context.project is not None
    path = tmp_path / "manners.gguf"
    write_tiny_lora(path)
    return context.project.models.add(path, "manners")


@pytest.fixture
def page(context: AppContext, base: ModelEntry, qtbot: Any) -> ChatPage:
    made = ChatPage(context)
    qtbot.addWidget(made)
    made.resize(1080, 770)
    made.show()
    made.page_shown()
    qtbot.waitUntil(lambda: bool(made.controller.library.entries), timeout=15_000)
    return made


def ask(page: ChatPage, qtbot: Any, text: str = "Hello?") -> None:
    page.composer.input.setFocus()
    page.composer.set_text(text)
    qtbot.keyClick(page.composer.input, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)


def wait_idle(page: ChatPage, qtbot: Any, turns: int) -> None:
    """Until nothing is being written and so many turns are shown (Qt shows a card of a new turn one event later)."""

    def is_idle() -> bool:
        is_shown = all(not card.isHidden() for card in page.transcript.cards)
        return not page.controller.is_busy and len(page.controller.turns.path()) == turns and is_shown

    qtbot.waitUntil(is_idle, timeout=10_000)


def stored(context: AppContext, page: ChatPage) -> list[Any]:
    assert context.project is not None and page.controller.conversation is not None
    return context.project.chats.messages(page.controller.conversation.id)


def problem_card(page: ChatPage) -> ProblemCard | None:
    cards = [card for card in page.findChildren(ProblemCard) if card.isVisible()]
    return cards[0] if cards else None


def test_an_answer_streams_and_is_stored_with_all_that_made_it(
    context: AppContext, page: ChatPage, base: ModelEntry, server: FakeOpenAI, qtbot: Any
) -> None:
    server.script = Script(prompt=[(3, 7), (7, 7)], delay=0.02)
    page.panel.temperature.setValue(0.25)
    page.panel.system.setPlainText("Be brief.")
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    question, answer = stored(context, page)
    assert (question.role, question.content) == ("user", "Hello?")
    assert (answer.role, answer.content, answer.parent_id) == ("assistant", "Hello, world.", question.id)
    sent = server.bodies[0]
    assert [m["role"] for m in sent["messages"]] == ["system", "user"]
    facts = answer.facts
    assert facts["model"]["fingerprint"] == base.facts["fingerprint"]
    assert facts["sampler"]["temperature"] == sent["temperature"] == 0.25
    assert facts["seed"] == sent["seed"]
    assert facts["system_prompt"] == "Be brief."
    assert facts["finish_reason"] == "stop"
    assert facts["timings"]["predicted_per_second"] == 31.5
    assert facts["timings"]["first_text_ms"] > 0
    assert len(facts["context_hash"]) == 64
    assert page.composer.text == ""
    assert page.transcript.cards[-1].body.source == "Hello, world."


def test_escape_stops_at_once_and_keeps_what_came(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    server.script = Script(pieces=["word "] * 400, delay=0.02)
    ask(page, qtbot)
    qtbot.waitUntil(lambda: page.transcript.tail is not None and "word" in page.transcript.tail.body.source)
    qtbot.keyClick(page, Qt.Key.Key_Escape)
    wait_idle(page, qtbot, 2)
    answer = stored(context, page)[-1]
    assert answer.facts["finish_reason"] == "cancelled"
    assert 0 < len(answer.content) < 5 * 400
    assert server.hung_up.wait(5), "the server was not told that nobody listens any more"


def test_stop_while_the_prompt_is_read_leaves_the_question(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    server.script = Script(prompt=[(n, 100) for n in range(1, 100)], delay=0.03)
    ask(page, qtbot)
    qtbot.waitUntil(lambda: page.controller.turn is not None and page.controller.turn.prompt_done > 2)
    assert page.transcript.tail is not None
    assert "of 100 tokens" in page.transcript.tail._note.text()
    page.controller.stop()
    wait_idle(page, qtbot, 1)
    assert [m.role for m in stored(context, page)] == ["user"]


def test_ratings_and_corrections_are_stored_with_their_context(context: AppContext, page: ChatPage, qtbot: Any) -> None:
    ask(page, qtbot, "What now?")
    wait_idle(page, qtbot, 2)
    card = page.transcript.cards[-1]
    qtbot.mouseClick(card._up, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(card._correct, Qt.MouseButton.LeftButton)
    assert card._editor is not None
    card._editor._text.setPlainText("Say hello back.")
    qtbot.keyClick(card._editor._text, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert context.project is not None
    project = context.project
    qtbot.waitUntil(lambda: any(r["correction"] for r in project.chats.ratings()), timeout=15_000)
    rating = project.chats.ratings()[0]
    assert (rating["rating"], rating["correction"], rating["answer"]) == (1, "Say hello back.", "Hello, world.")
    assert rating["context"]["messages"] == [{"role": "user", "content": "What now?"}]
    assert rating["context"]["sampler"]["top_p"] == 0.95
    assert card.body.source == "Say hello back."
    qtbot.mouseClick(card._up, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: project.chats.ratings()[0]["rating"] == 0, timeout=15_000)
    assert project.chats.ratings()[0]["correction"] == "Say hello back."


def test_the_adapter_switch_and_scale_travel_with_the_request(
    context: AppContext, page: ChatPage, adapter: ModelEntry, server: FakeOpenAI, qtbot: Any
) -> None:
    page.page_shown()
    qtbot.waitUntil(lambda: len(page.panel.adapter_rows) == 1, timeout=15_000)
    ask(page, qtbot, "one")
    wait_idle(page, qtbot, 2)
    row = page.panel.adapter_rows[0]
    row.switch.setChecked(True)
    row.slider.setValue(50)
    ask(page, qtbot, "two")
    wait_idle(page, qtbot, 4)
    page.panel.adapter_rows[0].switch.setChecked(False)
    ask(page, qtbot, "three")
    wait_idle(page, qtbot, 6)
    assert [body["lora"] for body in server.bodies] == [[], [{"path": str(adapter.path), "scale": 0.5}], []]
    assert context.engine.starts == [page.controller.library.get(page.controller.model_id).path]  # type: ignore[union-attr]
    answer = stored(context, page)[3]
    assert answer.facts["adapters"][0]["scale"] == 0.5
    assert answer.facts["adapters"][0]["fingerprint"].startswith("sha256:")


def test_a_dead_engine_becomes_a_card_and_retry_brings_the_answer(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    server.script = Script(pieces=["half ", "an ", "answer"], delay=0.02, die_after=2)

    def die() -> None:
        context.engine.die(Problem("The model engine was ended from outside (SIGKILL).", "Try again.", "log"))

    page.controller.turn_progressed.connect(die)
    ask(page, qtbot)
    qtbot.waitUntil(lambda: problem_card(page) is not None, timeout=15_000)
    card = problem_card(page)
    assert card is not None
    assert "SIGKILL" in card.problem.message
    partial = stored(context, page)[-1]
    assert (partial.content, partial.facts["finish_reason"]) == ("half an ", "error")
    page.controller.turn_progressed.disconnect(die)
    server.script = Script()
    retry = next(b for b in card.findChildren(QPushButton) if "retry" in b.text().lower())
    qtbot.mouseClick(retry, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(stored(context, page)) == 3 and not page.controller.is_busy, timeout=10_000)
    assert stored(context, page)[-1].content == "half an Hello, world.", "the answer was gone on with"
    assert server.bodies[-1]["forced_prefix"] == "half an "
    assert len(context.engine.starts) == 2
    assert problem_card(page) is None
    assert page.transcript.cards[-1].data.versions == 2


def test_an_engine_that_cannot_start_says_why_and_keeps_the_question(
    context: AppContext, page: ChatPage, qtbot: Any
) -> None:
    context.engine.next_problem = Problem("“tiny.gguf” is cut short.", "Copy it again.")
    ask(page, qtbot)
    qtbot.waitUntil(lambda: problem_card(page) is not None, timeout=15_000)
    assert problem_card(page).problem.message == "“tiny.gguf” is cut short."  # type: ignore[union-attr]
    assert [m.content for m in stored(context, page)] == ["Hello?"]
    assert not page.controller.is_busy


def test_a_refused_request_shows_the_engines_words_once(page: ChatPage, server: FakeOpenAI, qtbot: Any) -> None:
    server.script = Script(
        error={"message": "The prompt does not fit. Begin a new chat.", "remedy": "Begin a new chat."}
    )
    ask(page, qtbot)
    qtbot.waitUntil(lambda: problem_card(page) is not None, timeout=15_000)
    problem = problem_card(page).problem  # type: ignore[union-attr]
    assert (problem.message, problem.remedy) == ("The prompt does not fit.", "Begin a new chat.")


def test_answering_again_and_asking_differently_keep_the_old_branches(
    context: AppContext, page: ChatPage, server: FakeOpenAI, qtbot: Any
) -> None:
    ask(page, qtbot, "first")
    wait_idle(page, qtbot, 2)
    server.script = Script(pieces=["Another answer"])
    page.transcript.cards[1].regenerate_wanted.emit(page.transcript.cards[1].data.id)
    qtbot.waitUntil(lambda: len(stored(context, page)) == 3, timeout=15_000)
    wait_idle(page, qtbot, 2)
    assert page.transcript.cards[1].body.source == "Another answer"
    seeds = {m.facts["seed"] for m in stored(context, page) if m.role == "assistant"}
    assert len(seeds) == 2
    page.transcript.cards[1].version_wanted.emit(page.transcript.cards[1].data.id, -1)
    assert page.transcript.cards[1].body.source == "Hello, world."
    page.controller.edit_question(page.transcript.cards[0].data.id, "second")
    qtbot.waitUntil(lambda: len(stored(context, page)) == 5, timeout=15_000)
    assert server.bodies[-1]["messages"] == [{"role": "user", "content": "second"}]
    assert page.transcript.cards[0].data.versions == 2


def test_a_fixed_seed_is_sent_every_time(page: ChatPage, server: FakeOpenAI, qtbot: Any) -> None:
    page.panel.is_seed_fixed.setChecked(True)
    page.panel.seed.setValue(1234)
    for turns in (2, 4):
        ask(page, qtbot)
        wait_idle(page, qtbot, turns)
    assert [body["seed"] for body in server.bodies] == [1234, 1234]


def test_conversations_are_listed_searched_renamed_deleted_and_brought_back(
    context: AppContext, page: ChatPage, qtbot: Any
) -> None:
    ask(page, qtbot, "About penguins")
    wait_idle(page, qtbot, 2)
    page.new_chat()
    ask(page, qtbot, "About routers")
    wait_idle(page, qtbot, 2)

    def titles() -> list[str]:
        return [page.sidebar.list.item(i).text() for i in range(page.sidebar.list.count())]

    qtbot.waitUntil(lambda: titles() == ["About routers", "About penguins"], timeout=15_000)
    page.sidebar.search.setText("penguin")
    qtbot.waitUntil(lambda: titles() == ["About penguins"], timeout=15_000)
    page.sidebar.search.clear()
    qtbot.waitUntil(lambda: len(titles()) == 2, timeout=15_000)
    page.sidebar.list.item(1).setText("Birds")
    qtbot.waitUntil(lambda: "Birds" in titles(), timeout=15_000)
    actions: list[Any] = []
    context.notified.connect(lambda _level, _text, action: actions.append(action))
    page.sidebar.delete_wanted.emit(page.controller.conversation.id)  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: titles() == ["Birds"] and bool(actions), timeout=15_000)
    actions[0][1]()
    qtbot.waitUntil(lambda: len(titles()) == 2, timeout=15_000)


def test_settings_come_back_with_the_conversation(context: AppContext, page: ChatPage, qtbot: Any) -> None:
    page.panel.top_k.setValue(7)
    ask(page, qtbot, "first")
    wait_idle(page, qtbot, 2)
    first = page.controller.conversation
    assert first is not None
    page.panel.max_tokens.setValue(99)
    page.new_chat()
    page.panel.top_k.setValue(3)
    qtbot.waitUntil(
        lambda: (
            first.id in page.listing.conversations and page.listing.conversations[first.id].settings["max_tokens"] == 99
        )
    )
    page.listing.open_id(first.id)
    assert (page.panel.top_k.value(), page.panel.max_tokens.value()) == (7, 99)


def test_the_meter_counts_tokens_of_conversation_and_draft(page: ChatPage, qtbot: Any) -> None:
    ask(page, qtbot, "one two three")
    wait_idle(page, qtbot, 2)
    qtbot.waitUntil(lambda: page.header.meter.text == "5 / 4,096 tokens", timeout=15_000)
    page.composer.set_text("four five")
    qtbot.waitUntil(lambda: page.header.meter.text == "7 / 4,096 tokens", timeout=15_000)


def test_unload_frees_the_model_and_the_next_message_loads_it(context: AppContext, page: ChatPage, qtbot: Any) -> None:
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    qtbot.mouseClick(page.header.unload, Qt.MouseButton.LeftButton)
    assert context.engine.state == "off"
    ask(page, qtbot)
    wait_idle(page, qtbot, 4)
    assert len(context.engine.starts) == 2


def test_another_context_length_loads_the_model_again(context: AppContext, page: ChatPage, qtbot: Any) -> None:
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    assert context.engine.params is None
    page.panel.n_ctx.setValue(8192)
    ask(page, qtbot)
    wait_idle(page, qtbot, 4)
    assert context.engine.params == {"n_ctx": 8192}
    assert stored(context, page)[-1].facts["engine"]["n_ctx"] == 8192


def test_an_edited_template_loads_the_model_again_and_its_hash_reaches_the_lessons(
    context: AppContext, page: ChatPage, base: ModelEntry, qtbot: Any
) -> None:
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    edited = "{{ messages }} edited"
    context.run_op(None, lambda: context.project.models.note(base.id, chat_template=edited))
    qtbot.waitUntil(lambda: bool(page.controller.library.entries[0].chat_template), timeout=5000)
    ask(page, qtbot)
    wait_idle(page, qtbot, 4)
    assert context.engine.params == {"chat_template": edited} and len(context.engine.starts) == 2
    hashes = [turn.facts["template_hash"] for turn in stored(context, page) if turn.role == "assistant"]
    assert hashes == [template_hash(""), template_hash(edited)]
    for turn in stored(context, page):
        if turn.role == "assistant":
            context.project.chats.rate(turn.id, 1)
    context.project.lessons.sync_all()
    rows = context.project.page(context.project.lessons.count().sft_id).records()
    assert [row["template_hash"] for row in rows] == hashes


def test_another_page_can_ask_for_an_adapter(page: ChatPage, adapter: ModelEntry, base: ModelEntry, qtbot: Any) -> None:
    page.page_shown(adapter_id=adapter.id, model_id=base.id)
    qtbot.waitUntil(lambda: any(r.switch.isChecked() for r in page.panel.adapter_rows), timeout=15_000)
    assert page.controller.settings.active_adapters()[0].model_id == adapter.id


def test_an_adapter_that_acts_is_shown_even_when_it_was_made_for_another_base(
    page: ChatPage, adapter: ModelEntry, base: ModelEntry, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    monkeypatch.setattr(type(page.controller.library), "adapters_for", lambda _self, _base: [])
    page.page_shown(adapter_id=adapter.id, model_id=base.id)
    qtbot.waitUntil(lambda: any(r.switch.isChecked() for r in page.panel.adapter_rows), timeout=15_000)
    assert page.panel._no_adapters.isHidden()


def test_without_a_model_the_page_leads_to_the_library(
    context: AppContext, page: ChatPage, base: ModelEntry, qtbot: Any
) -> None:
    assert context.project is not None
    project, places = context.project, []
    context.navigated.connect(lambda place, _args: places.append(place))
    context.run_op(None, lambda: project.models.remove(base.id))
    qtbot.waitUntil(lambda: page._no_models.isVisible(), timeout=15_000)
    qtbot.mouseClick(page._no_models.main_button, Qt.MouseButton.LeftButton)
    assert places == ["models"]


def test_escape_in_the_editor_leaves_everything_as_it_was(context: AppContext, page: ChatPage, qtbot: Any) -> None:
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    card = page.transcript.cards[-1]
    qtbot.mouseClick(card._correct, Qt.MouseButton.LeftButton)
    assert card._editor is not None
    card._editor._text.setPlainText("Something else")
    qtbot.keyClick(card._editor._text, Qt.Key.Key_Escape)
    assert card._editor is None
    assert card.body.isVisible()
    assert context.project is not None
    assert context.project.chats.ratings() == []


def test_a_card_copies_the_markdown(page: ChatPage, qtbot: Any) -> None:
    ask(page, qtbot)
    wait_idle(page, qtbot, 2)
    card = page.transcript.cards[-1]
    assert isinstance(card, MessageCard)
    qtbot.mouseClick(card._copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "Hello, world."


def test_settings_survive_unknown_and_missing_keys() -> None:
    read = ChatSettings.from_json({"top_k": 5, "from_the_future": 1, "adapters": [{"model_id": "m", "scale": 0.5}]})
    assert (read.top_k, read.temperature, read.adapters[0].scale, read.adapters[0].is_on) == (5, 0.7, 0.5, True)
    assert ChatSettings.from_json(read.to_json()) == read
