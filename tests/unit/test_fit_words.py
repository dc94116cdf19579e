"""What fits, in words: the estimate, and what a loaded engine chose by itself."""

from __future__ import annotations

import os
from pathlib import Path

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
