"""What fits, in words: the estimate, and what a loaded engine chose by itself."""

from __future__ import annotations

import os
from pathlib import Path

from fmstudio.api.gguf_context import automatic_context
from fmstudio.api.gguf_header import read_gguf_header
from fmstudio.models.fit_report import report_fit
from fmstudio.ui.pages.models.fit import fit_sentences
from tests.ui.chat_kit import write_tiny_gguf


def test_a_loaded_engine_says_what_it_chose_and_why(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    engine = {"pid": os.getpid(), "n_ctx": 512, "notes": ["Context: 512 tokens, as set.", "Threads: 2, as set."]}
    assert (
        fit_sentences(report_fit(path, engine))[-1] == "Loaded with: Context: 512 tokens, as set. Threads: 2, as set."
    )
    assert not any("Loaded with" in sentence for sentence in fit_sentences(report_fit(path, None)))


def test_the_page_suggests_what_the_engine_would_choose(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    report = report_fit(path, None)
    chosen = automatic_context(read_gguf_header(path), report.fit.free)
    assert report.fit.memory.n_ctx == report.fit.automatic == chosen.n_ctx == 512
    assert "what the engine takes by itself: a context of 512 tokens (all the model was trained for)" in " ".join(
        fit_sentences(report)
    )
