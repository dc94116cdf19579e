"""The models page over a real project and real (tiny) files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QInputDialog, QLabel, QLineEdit, QPushButton

from fmstudio.api.gguf_header import read_gguf_header
from fmstudio.core import keyring_store
from fmstudio.models.hub import look as hub_look
from fmstudio.project.models import ModelEntry
from fmstudio.ui.context import AppContext
from fmstudio.ui.measuring import MemoryWatch
from fmstudio.ui.pages.models import ModelsPage
from fmstudio.ui.pages.models.endpoint_form import EndpointForm
from fmstudio.ui.pages.models.hub_form import HubForm
from fmstudio.ui.pages.models.make_form import FOLDER, MakeForm
from fmstudio.ui.pages.models.work_cards import WorkLine
from fmstudio.ui.widgets.message_bar import ProblemCard
from tests.helpers import ROOT, write_jsonl
from tests.hub_server import running_hub
from tests.ui.chat_kit import make_context, write_tiny_gguf, write_tiny_lora


@pytest.fixture
def context(tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppContext]:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    made = make_context(tmp_path / "project", qtbot)
    for packaged in made.project.models.all():
        made.project.models.remove(packaged.id)
    yield made
    made.close()


@pytest.fixture
def page(context: AppContext, qtbot: Any) -> ModelsPage:
    made = ModelsPage(context)
    qtbot.addWidget(made)
    made.resize(1080, 700)
    made.show()
    made.page_shown()
    return made


def add(page: ModelsPage, qtbot: Any, *paths: Path) -> None:
    """Drop files as the window does, and wait for the verdicts."""
    assert page.accept_files([str(path) for path in paths])
    qtbot.waitUntil(lambda: page.adding.pending == 0, timeout=10_000)
    qtbot.wait(20)  # a layout shows what it was given with the next turn of the event loop


def entries(context: AppContext) -> list[ModelEntry]:
    assert context.project is not None
    found: list[ModelEntry] = context.project.models.all()
    return found


def cards(page: ModelsPage) -> list[ProblemCard]:
    return [card for card in page.findChildren(ProblemCard) if card.isVisible()]


def words(page: ModelsPage) -> str:
    return "\n".join(label.text() for label in page.details.findChildren(QLabel) if label.isVisible())


def press(page: ModelsPage, qtbot: Any, text: str) -> None:
    found = next(b for b in page.details.findChildren(QPushButton) if b.text() == text and b.isVisible())
    qtbot.mouseClick(found, Qt.MouseButton.LeftButton)


def test_an_empty_library_says_what_it_is_for(page: ModelsPage, qtbot: Any) -> None:
    qtbot.waitUntil(page.empty.isVisible, timeout=5000)
    assert not page.details.isVisible()


def test_a_dropped_gguf_is_listed_with_its_facts_and_a_fit_estimate(
    context: AppContext, page: ModelsPage, tmp_path: Path, qtbot: Any
) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    add(page, qtbot, path)
    qtbot.waitUntil(lambda: page.details.entry is not None and "Estimate" in words(page), timeout=5000)
    shown = words(page)
    for fact in ("Tiny", str(path), "GGUF", "llama", "512 tokens", "apache-2.0", "yes"):
        assert fact in shown
    assert page.table.data(page.table.index(0, 1)) == "Base model"
    assert not cards(page)


def test_bad_files_become_cards_that_say_why(context: AppContext, page: ModelsPage, tmp_path: Path, qtbot: Any) -> None:
    whole = write_tiny_gguf(tmp_path / "whole.gguf", width=256)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole.read_bytes()[:100_000])
    pickle = tmp_path / "model.bin"
    pickle.write_bytes(b"\x80\x04.")
    folder = tmp_path / "hf"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    add(page, qtbot, cut, pickle, folder)
    said = [card.problem.message for card in cards(page)]
    assert len(said) == 3
    assert sum("is cut short" in text or "ends inside" in text for text in said) == 1
    assert sum("pickle" in text for text in said) == 2
    assert all(card.problem.remedy for card in cards(page))
    assert entries(context) == []


def test_a_vocabulary_without_weights_is_refused(
    context: AppContext, page: ModelsPage, tmp_path: Path, qtbot: Any
) -> None:
    import gguf

    path = tmp_path / "vocab.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(512)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    add(page, qtbot, path)
    assert "vocabulary" in cards(page)[0].problem.message
    assert entries(context) == []


def test_a_lora_of_another_base_is_refused_and_a_fitting_one_taken(
    context: AppContext, page: ModelsPage, tmp_path: Path, qtbot: Any
) -> None:
    add(page, qtbot, write_tiny_gguf(tmp_path / "base.gguf", width=32))
    add(page, qtbot, write_tiny_lora(tmp_path / "stranger.gguf", width=64))
    assert "does not belong" in cards(page)[0].problem.message
    add(page, qtbot, write_tiny_lora(tmp_path / "friend.gguf", width=32))
    assert [entry.kind for entry in entries(context)].count("adapter") == 1


def test_files_that_are_no_models_find_their_own_home(page: ModelsPage, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("{}\n")
    assert not page.accept_files([str(data)])


def test_a_missing_file_is_shown_as_missing(context: AppContext, page: ModelsPage, tmp_path: Path, qtbot: Any) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    add(page, qtbot, path)
    qtbot.waitUntil(lambda: len(page.table.entries) == 1, timeout=5000)
    path.unlink()
    page.refresh()
    qtbot.waitUntil(lambda: "file is gone" in str(page.table.data(page.table.index(0, 0))), timeout=5000)
    qtbot.waitUntil(lambda: "no longer there" in words(page), timeout=5000)
    chat = next(b for b in page.details.findChildren(QPushButton) if b.text() == "Chat with it" and b.isVisible())
    assert not chat.isEnabled()


def test_removing_leaves_the_file_and_can_be_undone(
    context: AppContext, page: ModelsPage, tmp_path: Path, qtbot: Any
) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    add(page, qtbot, path)
    qtbot.waitUntil(lambda: page.details.entry is not None, timeout=5000)
    actions: list[Any] = []
    context.notified.connect(lambda _level, _text, action: actions.append(action) if action else None)
    press(page, qtbot, "Remove from library")
    qtbot.waitUntil(lambda: not page.table.entries and bool(actions), timeout=5000)
    assert path.exists()
    actions[0][1]()
    qtbot.waitUntil(lambda: len(page.table.entries) == 1, timeout=5000)


def test_the_buttons_lead_to_chat_and_training(
    context: AppContext, page: ModelsPage, tmp_path: Path, qtbot: Any
) -> None:
    add(page, qtbot, write_tiny_gguf(tmp_path / "tiny.gguf"))
    qtbot.waitUntil(lambda: page.details.entry is not None, timeout=5000)
    entry = page.details.entry
    assert entry is not None
    places: list[tuple[str, Any]] = []
    context.navigated.connect(lambda place, args: places.append((place, args)))
    press(page, qtbot, "Chat with it")
    press(page, qtbot, "Train on it")
    assert places == [("chat", {"model_id": entry.id}), ("training", {"base_id": entry.id})]


def test_a_hugging_face_folder_is_for_training_only(
    context: AppContext, page: ModelsPage, tmp_path: Path, qtbot: Any
) -> None:
    folder = tmp_path / "hf-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 512}))
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    add(page, qtbot, folder)
    qtbot.waitUntil(lambda: page.details.entry is not None, timeout=5000)
    states = {b.text(): b.isEnabled() for b in page.details.findChildren(QPushButton) if b.isVisible()}
    assert states["Train on it"] and not states["Chat with it"]
    shutil.rmtree(folder)


@pytest.mark.parametrize(("kind", "first"), [("peft", FOLDER), ("gguf", "F16")])
def test_an_adapter_is_merged_into_what_it_came_as(
    page: ModelsPage, context: AppContext, qtbot: Any, tmp_path: Path, kind: str, first: str
) -> None:
    add(page, qtbot, write_tiny_gguf(tmp_path / "tiny.gguf"))
    qtbot.waitUntil(lambda: page.details.entry is not None, timeout=5000)
    (base,) = entries(context)
    page.doing.merge(replace(base, id="a", kind="adapter", format=kind, base_id=base.id))
    form = page.form
    assert isinstance(form, MakeForm) and form.precision.currentData() == first
    assert (form.precision.findData(FOLDER) >= 0) == (kind == "peft") and form.precision.findData("IQ2_M") > 0


def loadable_gguf(folder: Path) -> Path:
    """A tiny model that llama.cpp loads; built in a child, so that torch stays out of this process."""
    code = (
        "import sys; from pathlib import Path; from tests.tiny_llama import build_tiny_llama as b; b(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, cwd=ROOT, capture_output=True)
    return folder / "tiny-llama-f32.gguf"


def test_a_model_is_converted_by_its_form_and_measured_on_a_dataset(
    page: ModelsPage, context: AppContext, qtbot: Any, tmp_path: Path
) -> None:
    rows = write_jsonl(tmp_path / "rows.jsonl", [{"text": f"The printer in room {n} is silent."} for n in range(4)])
    context.submit(context.project.specs.import_files([rows]))
    qtbot.waitUntil(lambda: bool(context.project.datasets.all()), timeout=60_000)
    add(page, qtbot, loadable_gguf(tmp_path / "tiny"))
    qtbot.waitUntil(lambda: page.details.entry is not None, timeout=5000)
    press(page, qtbot, "Convert…")
    form = page.form
    assert isinstance(form, MakeForm)
    assert form.precision.currentText().startswith("Q4_K_M   about ")
    qtbot.waitUntil(lambda: form.measure.findText("rows of rows") > 0, timeout=5000)
    assert "are free on the project's disk" in form.said.text() and "measured" not in form.said.text()
    form.precision.setCurrentIndex(form.precision.findData("IQ2_M"))
    assert "First it is measured what matters" in form.said.text()
    form.precision.setCurrentIndex(form.precision.findData("Q8_0"))
    form.measure.setCurrentIndex(form.measure.findText("rows of rows"))
    qtbot.mouseClick(form.go, Qt.MouseButton.LeftButton)
    assert page.form is None
    qtbot.waitUntil(lambda: page.work.isVisible(), timeout=10_000)
    qtbot.waitUntil(lambda: len(entries(context)) == 2, timeout=120_000)
    made = next(m for m in entries(context) if m.job_id)
    assert made.name.endswith(" Q8_0") and made.metrics["quality"]["n_prompts"] == 4
    assert made.facts["quantization"] == "Q8_0"
    assert read_gguf_header(made.path).file_type == "Q8_0"
    qtbot.waitUntil(lambda: len(page.table.entries) == 2 and not page.work.isVisible())
    page.view.selectRow(next(i for i, m in enumerate(page.table.entries) if m.id == made.id))
    qtbot.waitUntil(lambda: "Made from" in words(page))
    assert "KL divergence" in words(page) and "Same greedy answers" in words(page)


def test_models_of_other_programs_are_offered_and_added(
    page: ModelsPage, context: AppContext, qtbot: Any, tmp_path: Path
) -> None:
    (tmp_path / "home" / ".cache" / "llama.cpp").mkdir(parents=True)
    path = write_tiny_gguf(tmp_path / "home" / ".cache" / "llama.cpp" / "cached.gguf", width=256)
    page.refresh()
    qtbot.waitUntil(page.found.isVisible, timeout=5000)
    add_it = next(b for b in page.found.findChildren(QPushButton) if b.accessibleName() == "Add cached")
    qtbot.mouseClick(add_it, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: [m.path for m in entries(context)] == [path], timeout=5000)
    qtbot.waitUntil(lambda: not page.found.isVisible(), timeout=5000)


def test_an_adapter_that_fits_several_bases_asks_for_its_own(
    page: ModelsPage, context: AppContext, qtbot: Any, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        add(page, qtbot, write_tiny_gguf(tmp_path / f"{name}.gguf"))
    add(page, qtbot, write_tiny_lora(tmp_path / "tuned.gguf"))
    qtbot.waitUntil(lambda: bool(page.details.findChildren(QComboBox)), timeout=5000)
    box = page.details.findChildren(QComboBox)[0]
    wanted = box.itemData(2)
    box.setCurrentIndex(2)
    box.activated.emit(2)
    qtbot.waitUntil(lambda: [m.base_id for m in entries(context) if m.kind == "adapter"] == [wanted], timeout=5000)


def test_a_template_is_shown_edited_and_kept(page: ModelsPage, context: AppContext, qtbot: Any, tmp_path: Path) -> None:
    add(page, qtbot, loadable_gguf(tmp_path / "tiny"))
    qtbot.waitUntil(lambda: page.details.entry is not None, timeout=5000)
    qtbot.waitUntil(lambda: not context.background.pending, timeout=20_000)
    card = page.details.template
    assert card is not None
    qtbot.waitUntil(lambda: "<|im_start|>user" in card.sample.toPlainText(), timeout=60_000)
    card.begin_editing()
    card.editor.setPlainText(card.editor.toPlainText().replace("<|im_start|>", "<|start|>"))
    qtbot.waitUntil(lambda: "“<|start|>” is not a token" in words(page), timeout=20_000)
    qtbot.mouseClick(card.keep, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "<|start|>" in entries(context)[0].facts.get("chat_template", ""), timeout=5000)


def test_a_server_is_added_and_refused_without_the_network(page: ModelsPage, context: AppContext, qtbot: Any) -> None:
    page.servers.ask()
    form = page.form
    assert isinstance(form, EndpointForm)
    form.url.setText("https://models.example.org/v1")
    form.try_out()
    qtbot.waitUntil(lambda: "The network is off" in form.said.text(), timeout=5000)
    form.url.setText("http://127.0.0.1:1")
    form.model.addItems(["llama-3-large"])
    form.model.clearEditText()
    form.model.setFocus()
    qtbot.keyClicks(form.model, "llama")
    qtbot.keyClick(form.model, Qt.Key.Key_Tab)
    assert form.model.currentText() == "llama", "what is typed stays, though a longer name begins with it"
    form._add()
    qtbot.waitUntil(lambda: [m.kind for m in entries(context)] == ["endpoint"], timeout=5000)
    qtbot.waitUntil(lambda: "http://127.0.0.1:1/v1" in words(page), timeout=5000)
    press(page, qtbot, "Test connection")
    qtbot.waitUntil(lambda: "No server answers" in words(page), timeout=15_000)


class _Models(BaseHTTPRequestHandler):
    """``/v1/models`` of a server with two models and a key."""

    def do_GET(self) -> None:
        is_known = self.headers.get("Authorization") == "Bearer secret"
        data = b'{"data": [{"id": "one"}, {"id": "two"}]}' if is_known else b"{}"
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def openai_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Models)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_servers_models_are_offered(page: ModelsPage, context: AppContext, qtbot: Any, openai_server: str) -> None:
    page.servers.ask()
    form = page.form
    assert isinstance(form, EndpointForm)
    form.url.setText(openai_server)
    qtbot.mouseClick(form.test, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "refuses the key" in form.said.text(), timeout=10_000)
    form.key.setText("secret")
    qtbot.mouseClick(form.test, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: form.model.count() == 2, timeout=10_000)
    assert "2 models" in form.said.text()
    qtbot.keyClick(form.url, Qt.Key.Key_Escape)
    assert page.form is None


def test_a_download_asks_shows_the_licence_and_registers(
    page: ModelsPage, context: AppContext, qtbot: Any, tmp_path: Path
) -> None:
    with running_hub() as hub:
        hub.models["owner/bird"] = {"bird.gguf": write_tiny_gguf(tmp_path / "bird.gguf", width=512).read_bytes()}
        hub.cards["owner/bird"] = {"cardData": {"license": "cc-by-4.0"}}
        page.doing.ask_download()
        form = page.form
        assert isinstance(form, HubForm)
        qtbot.waitUntil(form.off.isVisible, timeout=5000)
        assert not form.address.isEnabled(), "the network is off"
        context.settings.allow_network, context.settings.hub = True, hub.address
        context.settings.save()
        page.page_shown()
        assert not form.off.isVisible()
        qtbot.keyClicks(form.address, "owner/nothing")
        qtbot.keyClick(form.address, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: [c.problem.message for c in cards(page)] == ["There is no owner/nothing on the hub."])
        form.address.setText("owner/bird")
        qtbot.mouseClick(form.ask, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: "Licence: cc-by-4.0" in form.terms.text(), timeout=10_000)
        assert "published checksum" in form.terms.text()
        qtbot.mouseClick(form.go, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: [m.name for m in entries(context)] == ["bird"], timeout=60_000)
    qtbot.waitUntil(lambda: "owner/bird" in words(page), timeout=5000)


def test_a_stopped_download_can_go_on(page: ModelsPage, context: AppContext, qtbot: Any, tmp_path: Path) -> None:
    with running_hub() as hub:
        hub.models["owner/bird"] = {"bird.gguf": write_tiny_gguf(tmp_path / "bird.gguf", width=1024).read_bytes()}
        context.settings.allow_network, context.settings.hub = True, hub.address
        context.settings.save()
        hub.cut_after, hub.hangs = 2_500_000, True
        found = hub_look("owner/bird")
        page.doing.download(found, found.choices[0])
        qtbot.waitUntil(lambda: any(path.startswith("/cdn/") for path, _, _ in hub.seen), timeout=60_000)
        line = next(iter(page.work.cards.values()))
        assert isinstance(line, WorkLine)
        qtbot.mouseClick(line.stop, Qt.MouseButton.LeftButton)
        hub.released.set()
        hub.hangs = False
        go_on = lambda: [b for b in page.work.findChildren(QPushButton) if b.text() == "Go on" and b.isVisible()]  # noqa: E731
        qtbot.waitUntil(lambda: bool(go_on()), timeout=30_000)
        qtbot.mouseClick(go_on()[0], Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: [m.name for m in entries(context)] == ["bird"], timeout=60_000)
    qtbot.waitUntil(lambda: not page.work.isVisible(), timeout=5000)


def test_a_model_is_renamed_and_what_is_written_is_not_taken_away(
    page: ModelsPage, context: AppContext, qtbot: Any, tmp_path: Path
) -> None:
    add(page, qtbot, write_tiny_gguf(tmp_path / "tiny.gguf"))
    qtbot.waitUntil(lambda: page.details.entry is not None and not context.background.pending, timeout=5000)
    page.view.setFocus()
    qtbot.keyClick(page.view, Qt.Key.Key_F2)
    field = page.details.findChild(QLineEdit)
    assert field is not None
    field.setText("Work")
    page.refresh()
    qtbot.waitUntil(lambda: not context.background.pending, timeout=5000)
    assert page.details.is_editing and field.text() == "Work"
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: [m.name for m in entries(context)] == ["Work"], timeout=5000)
    page.details.begin_renaming()
    assert page.details.give_up_renaming() and not page.details.is_editing


def test_what_a_loaded_engine_takes_is_measured_and_kept(
    page: ModelsPage, context: AppContext, qtbot: Any, tmp_path: Path
) -> None:
    add(page, qtbot, write_tiny_gguf(tmp_path / "tiny.gguf"))
    qtbot.waitUntil(lambda: page.details.entry is not None, timeout=5000)
    path = entries(context)[0].path
    facts = {"state": "ready", "model": path, "pid": os.getpid(), "info": {"n_ctx": 512}, "params": {}, "stop": print}
    context.engine = SimpleNamespace(**facts)  # this process stands in for the engine's: its memory is real
    page.insight.look(entries(context)[0])
    qtbot.waitUntil(lambda: "Measured: the engine takes" in words(page), timeout=5000)
    MemoryWatch(context).look()
    qtbot.waitUntil(lambda: "memory" in entries(context)[0].metrics, timeout=5000)
    context.engine = None
    page.insight.look(entries(context)[0])
    qtbot.waitUntil(lambda: "the engine took" in words(page), timeout=5000)


def test_a_servers_key_goes_with_it_and_comes_back_with_the_undo(
    page: ModelsPage, context: AppContext, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring_store, "_backend", lambda: None)  # the developer's own keyring is not touched
    said: list[tuple[str, Any]] = []
    context.notified.connect(lambda level, _text, action: said.append((level, action)))
    page.servers.add("http://127.0.0.1:1", "any", "Neighbour", "secret")
    qtbot.waitUntil(lambda: page.details.entry is not None and page.details.entry.name == "Neighbour", timeout=5000)
    entry = page.details.entry
    assert entry is not None and keyring_store.read_key(entry.id) == "secret"
    assert "warning" in [level for level, _ in said], "there is no keyring, which is said"
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("another", True))
    press(page, qtbot, "Change key…")
    qtbot.waitUntil(lambda: keyring_store.read_key(entry.id) == "another", timeout=5000)
    said.clear()
    press(page, qtbot, "Remove from library")
    qtbot.waitUntil(lambda: any(action for _, action in said), timeout=5000)
    assert keyring_store.read_key(entry.id) == "" and entries(context) == []
    next(action for _, action in said if action)[1]()
    qtbot.waitUntil(lambda: [m.name for m in entries(context)] == ["Neighbour"], timeout=5000)
    assert keyring_store.read_key(entry.id) == "another"
