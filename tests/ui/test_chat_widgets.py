"""The chat's self-contained parts: event stream, Markdown that grows, transcript, thread, line plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QTextDocument
from PySide6.QtWidgets import QApplication

from fmstudio.project.chats import ChatMessage
from fmstudio.ui.pages.chat.thread import Thread, context_hash, prompt_messages, title_from
from fmstudio.ui.pages.chat.wire import SseParser, error_problem
from fmstudio.ui.theme import Theme, contrast, tokens
from fmstudio.ui.widgets.chat_card_data import CardData
from fmstudio.ui.widgets.chat_transcript import AT_ONCE, PAGE, Transcript
from fmstudio.ui.widgets.formulas import formulas_in
from fmstudio.ui.widgets.line_plot import LinePlot, Series, format_value, nice_ticks, thinned
from fmstudio.ui.widgets.markdown_parts import split_from, split_segments, stable_length
from fmstudio.ui.widgets.markdown_view import MarkdownView
from fmstudio.ui.widgets.prose_view import FEATURES, ProseView

SOURCE = """# Title

Some **bold** text with a [link](http://x.org) and <b>no html</b>.

- one
- two
   - nested

1. first

2. second

After the list.

```python
def f():
    return "é…"
```

| a | b |
|---|---|
| 1 | 2 |

> quote

The end.
"""


# ---- server-sent events ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_read_however_they_are_cut(size: int) -> None:
    stream = ': hello\r\n\r\ndata: {"a": "é"}\r\n\r\ndata: one\ndata: two\n\nevent: x\nid: 1\ndata:[DONE]\n\ndata: lost'.encode()
    parser, found = SseParser(), []
    for start in range(0, len(stream), size):
        found += parser.feed(stream[start : start + size])
    assert found == ['{"a": "é"}', "one\ntwo", "[DONE]"]


def test_a_stream_without_lines_is_refused() -> None:
    parser = SseParser()
    with pytest.raises(ValueError, match="without an end"):
        for _ in range(9):
            list(parser.feed(b"x" * 1_000_000))


def test_error_bodies_of_any_shape_become_a_problem() -> None:
    assert error_problem({"error": {"message": "Too long. Cut it.", "remedy": "Cut it."}}).message == "Too long."
    assert error_problem({"error": "plain"}).message == "plain"
    assert error_problem([]).message == "The engine refused the request."


# ---- thread ---------------------------------------------------------------------------------------------------------


def message(name: str, parent: str | None, role: str = "user") -> ChatMessage:
    return ChatMessage(name, "c", parent, role, name)


def test_a_thread_shows_the_newest_branch_and_can_go_back() -> None:
    thread = Thread.of([
        message("q1", None), message("a1", "q1", "assistant"), message("q2", "a1"), message("a1b", "q1", "assistant")
    ])  # fmt: skip
    assert [m.id for m in thread.path()] == ["q1", "a1b"]
    thread.step("a1b", -1)
    assert [m.id for m in thread.path()] == ["q1", "a1", "q2"]
    thread.step("a1", -1)
    assert [m.id for m in thread.path()] == ["q1", "a1", "q2"]
    assert [m.id for m in thread.path_to("q2")] == ["q1", "a1", "q2"]


def test_the_same_context_has_the_same_hash() -> None:
    path = [message("q", None)]
    plain, guided = prompt_messages("", path), prompt_messages("Be kind", path)
    assert context_hash(plain) == context_hash([{"content": "q", "role": "user"}])
    assert context_hash(plain) != context_hash(guided)


def test_titles_are_cut_at_a_word() -> None:
    assert title_from("How do\n I   restart?") == "How do I restart?"
    long = title_from("word " * 40)
    assert len(long) <= 49 and long.endswith("word…")


@pytest.fixture(autouse=True)
def theme(qapp: QApplication) -> Theme:
    """The application's style is set before any widget is built, as in the app."""
    return Theme.current()


# ---- Markdown -------------------------------------------------------------------------------------------------------


def rendered(view: MarkdownView) -> list[str]:
    return [v.toPlainText() if isinstance(v, ProseView) else v._text.toPlainText() for v in view._views]


def test_growing_markdown_ends_as_if_rendered_at_once(qtbot: Any) -> None:
    whole, growing = MarkdownView(), MarkdownView()
    for view in (whole, growing):
        qtbot.addWidget(view)
    whole.set_source(SOURCE)
    for end in range(1, len(SOURCE) + 1):
        growing.set_source(SOURCE[:end], is_final=False)
    growing.set_source(SOURCE)
    assert rendered(growing) == rendered(whole)
    assert len(rendered(whole)) == 3
    assert "no html" in rendered(whole)[0] and "<b>" in rendered(whole)[0]


def test_only_the_tail_is_rendered_again(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    view = MarkdownView()
    qtbot.addWidget(view)
    paragraphs = "".join(f"Paragraph {i} with some words.\n\n" for i in range(300))
    view.set_source(paragraphs + "tail", is_final=False)
    tails: list[str] = []
    render = ProseView._render_tail
    monkeypatch.setattr(ProseView, "_render_tail", lambda self, tail: (tails.append(tail), render(self, tail))[1])
    view.set_source(paragraphs + "tail grows", is_final=False)
    assert max(len(tail) for tail in tails) < 100


def test_segments_and_stable_places() -> None:
    assert [s.is_code for s in split_segments("a\n```\ncode")] == [False, True]
    assert not split_segments("```\nopen")[0].is_closed
    assert split_segments("~~~~\n```\n~~~~")[0].text == "```"
    assert stable_length("one\n\ntwo") == 5
    assert stable_length("- one\n\n  still one") == 0
    assert stable_length("one\n\n") == 0


def test_a_code_block_is_copied_and_images_are_never_loaded(qtbot: Any) -> None:
    view = MarkdownView()
    qtbot.addWidget(view)
    view.set_source("![x](file:///etc/passwd)\n\n```sh\nls\n```")
    prose, code = view._views
    assert isinstance(prose, ProseView)
    assert prose.loadResource(int(QTextDocument.ResourceType.ImageResource.value), "file:///etc/passwd") is None
    code._copy()  # type: ignore[union-attr]
    assert QApplication.clipboard().text() == "ls"
    assert FEATURES & QTextDocument.MarkdownFeature.MarkdownNoHTML


def test_settled_code_is_not_read_again() -> None:
    source = "a\n```py\nx = 1\n```\nmore"
    segments, settled, end = split_from(source, 0)
    assert (len(segments), settled, source[end:]) == (3, 2, "more")
    assert split_from("```\nx\n```", 0)[1:] == (0, 0), "the closing fence may still grow"
    assert [s.text for s in split_from(source + " text", end)[0]] == ["more text"]


# ---- formulas -------------------------------------------------------------------------------------------------------


def test_formulas_are_told_from_prices_and_code() -> None:
    text = (
        r"It costs $5 or $6, `$x$` is code, $a+b$ and \(c\) are not; $$d$$ and \[e\] stand alone. A \$5 note, $x $ y$z."
    )
    found = [(f.tex, f.is_display) for f in formulas_in(text)]
    assert found == [("a+b", False), ("c", False), ("d", True), ("e", True)]
    assert not list(formulas_in("$$ open\n\n and closed $$"))
    assert next(text[f.start : f.end] for f in formulas_in(text)) == "$a+b$"


def test_a_formula_is_drawn_in_place_and_copied_as_it_was_written(qtbot: Any) -> None:
    view = MarkdownView()
    qtbot.addWidget(view)
    view.resize(600, 200)
    source = "The area is $\\pi r^2$ and this $\\frac{a$ is broken.\n\n" + r"$$\int_0^1 x\,dx = \frac{1}{2}$$"
    for end in range(1, len(source), 5):
        view.set_source(source[:end], is_final=False)
    view.set_source(source)
    prose = view._views[0]
    assert isinstance(prose, ProseView)
    qtbot.waitUntil(lambda: prose.toPlainText().count("\ufffc") == 2, timeout=15_000)
    assert r"$\frac{a$" in prose.toPlainText(), "what cannot be drawn is shown as it was written"
    prose.selectAll()
    said = prose.createMimeDataFromSelection().text()
    assert r"$\pi r^2$ and" in said and r"$$\int_0^1 x\,dx = \frac{1}{2}$$" in said
    before = {f[2] for f in prose._places()}
    Theme.current().choose("dark" if Theme.current().name == "light" else "light")
    assert {f[2] for f in prose._places()} == before
    Theme.current().choose("light")


# ---- transcript -----------------------------------------------------------------------------------------------------


def turns(count: int, words: int = 60) -> list[CardData]:
    text = "Some words of an ordinary answer that goes on. " * (words // 9 + 1)
    return [
        CardData(f"t{i}", "assistant" if i % 2 else "user", "Model" if i % 2 else "You", text) for i in range(count)
    ]


def test_a_long_conversation_builds_its_end_only_and_the_rest_on_demand(qtbot: Any) -> None:
    transcript = Transcript()
    qtbot.addWidget(transcript)
    transcript.resize(800, 600)
    transcript.show()
    transcript.show_turns(turns(200))
    assert len(transcript.cards) == AT_ONCE, "the window is shown before the rest is built"
    qtbot.waitUntil(lambda: len(transcript.cards) == PAGE, timeout=15_000)
    assert transcript.cards[-1].data.id == "t199"
    qtbot.waitUntil(lambda: transcript.verticalScrollBar().value() == transcript.verticalScrollBar().maximum() > 0)
    transcript.verticalScrollBar().setValue(0)
    qtbot.waitUntil(lambda: len(transcript.cards) == 2 * PAGE, timeout=15_000)
    assert transcript.verticalScrollBar().value() > 0, "what is read stays in its place"
    assert transcript.cards[0].data.id == f"t{200 - 2 * PAGE}"


def test_the_card_of_a_finished_answer_is_the_one_that_grew(qtbot: Any) -> None:
    transcript = Transcript()
    qtbot.addWidget(transcript)
    transcript.show_turns(turns(1))
    transcript.show_tail("Model", "done", "")
    tail = transcript.tail
    transcript.show_turns([*turns(1), CardData("a", "assistant", "Model", "done", "3 tokens")])
    assert transcript.cards[-1] is tail
    assert transcript.tail is None


# ---- line plot ------------------------------------------------------------------------------------------------------


@pytest.fixture
def plot(qtbot: Any) -> LinePlot:
    Theme.current()
    made = LinePlot("Step", "Loss", "Loss")
    qtbot.addWidget(made)
    made.resize(600, 300)
    made.set_series([
        Series("Training", [(float(i), 3.0 / (i + 1)) for i in range(100)]),
        Series("Held-out", [(0.0, 3.1), (50.0, 1.0), (99.0, float("nan"))], True),
    ])  # fmt: skip
    made.show()
    return made


def test_ticks_are_round_and_inside() -> None:
    assert nice_ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert nice_ticks(0.13, 0.58, 5) == [0.2, 0.3, 0.4, 0.5]
    assert nice_ticks(3, 3, 5) == [3]
    assert [format_value(v) for v in (0, 1.23456, 12345, 0.00001)] == ["0", "1.235", "12,345", "1.0e-05"]


def test_hover_reads_the_nearest_values(plot: LinePlot, qtbot: Any) -> None:
    assert plot.values_at(48) == [("Training", (48.0, 3.0 / 49)), ("Held-out", (50.0, 1.0))]
    plot.setFocus()
    qtbot.keyClick(plot, Qt.Key.Key_Left)
    assert plot._hover == 99.0
    qtbot.keyClick(plot, Qt.Key.Key_Left)
    assert plot._hover == 98.0


def test_the_chart_is_drawn_in_the_series_colours(plot: LinePlot) -> None:
    image = plot.grab().toImage()
    wanted = plot.colour(0)
    near = sum(
        _distance(QColor(image.pixel(x, y)), wanted) < 40 for x in range(image.width()) for y in range(image.height())
    )
    assert near > 100


def _distance(a: QColor, b: QColor) -> int:
    return abs(a.red() - b.red()) + abs(a.green() - b.green()) + abs(a.blue() - b.blue())


def test_the_chart_is_saved_as_picture_drawing_and_values(plot: LinePlot, tmp_path: Path) -> None:
    for name in ("chart.png", "chart.svg", "chart.csv"):
        plot.save(tmp_path / name)
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "chart.svg").read_text("utf-8")
    lines = (tmp_path / "chart.csv").read_text("utf-8").splitlines()
    assert lines[0] == "Step,Training,Held-out"
    assert lines[1] == "0,3.0,3.1"
    assert len(lines) == 101
    with pytest.raises(OSError, match="could not be written"):
        plot.save(tmp_path / "nowhere" / "chart.png")


def test_many_points_are_thinned_without_losing_the_extremes() -> None:
    points = [QPointF(i / 1000, 50.0) for i in range(100_000)]
    points[12_345] = QPointF(12.345, 0.0)
    few = thinned(points)
    assert len(few) < 500
    assert min(p.y() for p in few) == 0.0
    assert (few[0], few[-1]) == (points[0], points[-1])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_series_colours_stand_out(theme: str) -> None:
    found = tokens(theme)
    for number in range(1, 6):
        assert contrast(found[f"series_{number}"], found["surface"]) >= 3.0
        assert contrast(found[f"series_{number}"], found["background"]) >= 3.0
