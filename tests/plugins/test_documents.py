"""Documents, mail, notebooks, source code and pictures: what becomes a row, and what is said of the rest."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeContext, FakeReport, check_importer
from fmstudio.plugin_manager import PluginManager
from tests.nasty import mail, pdf


def importer(importer_id: str) -> Any:
    return PluginManager().contribution("importer", importer_id).load()


def read(importer_id: str, path: Path, **params: Any) -> tuple[list[dict[str, Any]], FakeReport]:
    kind, report = importer(importer_id), FakeReport()
    batches = kind().read(path, kind.Params(**params), report, FakeContext())
    return [row for batch in batches for row in batch.to_pylist()], report


# ---- web pages ---------------------------------------------------------------------------------------------------

PAGE = """<!doctype html><html lang="en"><head><title> How to
 knit </title><style>p{}</style></head><body><nav><a href="/">Home</a></nav>
<main><h1>Knitting</h1><p>Take <b>two</b> needles&nbsp;and   wool.</p><script>alert('no')</script>
<h2>Stitches</h2><ul><li>knit<ul><li>left</li></ul></li><li>purl</li></ul><ol><li>one</li><li>two</li></ol>
<table><tr><th>Size</th><th>mm</th></tr><tr><td>A|B</td><td>4</td></tr></table>
<pre>row 1
  row 2</pre><p hidden>secret</p><p style="display: none">secret</p><p>See <a href="x.html">more</a>.<br>Bye.</p>
<p>%s</p></main><footer>Imprint</footer></body></html>""" % ("Long enough to be the content of this page. " * 5)


def test_a_page_keeps_its_structure_and_loses_its_frame(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGE)
    rows, _ = read("html", path)
    assert len(rows) == 1 and (rows[0]["title"], rows[0]["language"]) == ("How to knit", "en")
    text = rows[0]["text"]
    assert text.startswith(
        "# Knitting\n\nTake two needles and wool.\n\n## Stitches\n\n- knit\n  - left\n- purl\n1. one\n2. two"
    )
    assert "| Size | mm |\n| --- | --- |\n| A\\|B | 4 |" in text
    assert "```\nrow 1\n  row 2\n```" in text and "See more.\nBye." in text
    assert not any(word in text for word in ("alert", "secret", "Home", "Imprint", "p{}"))


def test_a_page_in_sections_whole_and_with_links(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGE)
    rows, _ = read("html", path, rows="section", content="everything", links=True)
    assert [row["heading"] for row in rows] == [None, "Knitting", "Knitting > Stitches"]
    assert "[Home](/)" in rows[0]["text"] and "[more](x.html)" in rows[2]["text"] and "Imprint" in rows[2]["text"]


@pytest.mark.parametrize("declared", ["iso-8859-1", "windows-1252", "nonsense", ""])
def test_the_encoding_of_a_page_is_found(declared: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(f"<meta charset='{declared}'><p>Grüße aus Köln, déjà vu</p>".encode("cp1252"))
    rows, report = read("html", path)
    assert rows[0]["text"] == "Grüße aus Köln, déjà vu" and report.notes == ["Encoding: cp1252"]


# ---- PDF ---------------------------------------------------------------------------------------------------------


def test_pages_of_a_pdf_are_rows_and_scans_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    path.write_bytes(pdf(["Head", "", "Page 3 of 3"]))
    rows, report = read("pdf", path)
    assert [(r["text"], r["page"], r["pages"]) for r in rows] == [("Head", 1, 3), ("Page 3 of 3", 3, 3)]
    assert [r.reason for r in report.rejects] == ["x.pdf: page 2 has no text; it is empty or a scanned picture."]
    assert "1 of 3 pages have no text" in report.notes[0]
    whole, _ = read("pdf", path, rows="document")
    assert [r["text"] for r in whole] == ["Head\n\nPage 3 of 3"] and "page" not in whole[0]


# ---- Word --------------------------------------------------------------------------------------------------------


def test_a_word_document_written_by_another_library(tmp_path: Path) -> None:
    import docx

    document = docx.Document()
    document.core_properties.title, document.core_properties.author = "Manual", "An author"
    document.add_heading("Start", 1)
    document.add_paragraph("First\tline.")
    document.add_heading("Deeper", 2)
    document.add_paragraph("one", style="List Bullet")
    document.add_paragraph("two", style="List Bullet")
    table = document.add_table(2, 2)
    for row, texts in zip(table.rows, (("a", "b"), ("c", "d|e")), strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    path = tmp_path / "x.docx"
    document.save(str(path))
    rows, _ = read("docx", path)
    assert (rows[0]["title"], rows[0]["author"]) == ("Manual", "An author")
    assert rows[0]["text"].startswith("# Start\n\nFirst\tline.\n\n## Deeper\n\n- one\n- two")
    assert rows[0]["text"].endswith("| a | b |\n| --- | --- |\n| c | d\\|e |")
    sections, _ = read("docx", path, rows="section")
    assert [row["heading"] for row in sections] == ["Start", "Start > Deeper"]
    assert len(read("docx", path, rows="paragraph")[0]) == 7 - 1


def test_changes_in_a_word_document_count_as_accepted(tmp_path: Path) -> None:
    from tests.nasty import _docx

    body = (
        "<w:p><w:r><w:t>kept </w:t></w:r><w:ins><w:r><w:t>new</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>old</w:delText></w:r></w:del></w:p>"
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>in a control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    )
    path = tmp_path / "x.docx"
    path.write_bytes(_docx(body))
    assert read("docx", path)[0][0]["text"] == "kept new\n\nin a control"


# ---- mail --------------------------------------------------------------------------------------------------------


def test_a_mail_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    message = mail("Grüße – =?utf-8?q?no?=", "Hello,\nsee you.\n")
    message["Cc"] = "Jürgen <j@example.com>, k@example.com"
    message.add_alternative("<p>Hello in HTML</p>", subtype="html")
    message.add_attachment(b"\x00" * 12, maintype="application", subtype="x-sh", filename="evil.sh")
    path = tmp_path / "x.eml"
    path.write_bytes(bytes(message))
    (row,), _ = read("eml", path)
    assert row["text"] == "Hello,\nsee you." and row["date"] == "2024-08-22T10:36:23+00:00"
    assert (row["from"], row["to"], row["is_damaged"]) == ("a@example.com", "b@example.com", False)
    assert row["cc"] == "Jürgen <j@example.com>, k@example.com" and row["subject"].startswith("Grüße –")
    assert row["attachments"] == ["evil.sh (application/x-sh, 12 bytes)"]


def test_a_mail_with_only_html_and_one_with_broken_headers(tmp_path: Path) -> None:
    path = tmp_path / "x.eml"
    path.write_bytes(
        b"Subject: =?bad\nDate: soon\nFrom: \xe9\xe8\nContent-Type: text/html\n\n<p>Only <b>HTML</b></p><script>x()</script>"
    )
    (row,), _ = read("eml", path)
    assert (row["text"], row["date"], row["subject"], row["from"]) == ("Only HTML", "soon", "=?bad", "éè")


def test_a_mailbox_gives_each_mail_its_place(tmp_path: Path) -> None:
    path = tmp_path / "x.mbox"
    mails = [bytes(mail(f"subject {i}", f"body {i}\n")) for i in range(3)]
    mails[1] = mails[1].replace(b"body 1", b">From the body\nFrom here 12:00\n\nFrom nowhere")
    path.write_bytes(b"".join(b"From a@b Thu Aug 22 12:36:23 2024\n" + data + b"\n" for data in mails))
    rows, report = read("mbox", path)
    assert [r["subject"] for r in rows] == ["subject 0", "subject 1", "subject 2"] and report.rejects == []
    assert rows[1]["text"] == "From the body\nFrom here 12:00\n\nFrom nowhere"


# ---- notebooks ---------------------------------------------------------------------------------------------------

NOTEBOOK = {
    "metadata": {"language_info": {"name": "Python"}},
    "nbformat": 4,
    "cells": [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": "1 + 1", "outputs": [{"data": {"text/plain": ["2"], "image/png": "AAAA"}}]},
        {"cell_type": "code", "source": "%%bash\nls", "outputs": [{"text": "files\n"}]},
        {"cell_type": "code", "source": ""},
    ],
}


def test_cells_of_a_notebook_and_the_whole_of_it(tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(NOTEBOOK))
    rows, _ = read("notebook", path, outputs=True)
    assert [(r["cell"], r["cell_type"], r["language"], r["output"]) for r in rows] == [
        (1, "markdown", "markdown", None), (2, "code", "python", "2"), (3, "code", "bash", "files\n"),
    ]  # fmt: skip
    (whole,), _ = read("notebook", path, rows="notebook")
    assert whole["text"] == "# Title\nwords\n\n```python\n1 + 1\n```\n\n```bash\n%%bash\nls\n```"


# ---- source code -------------------------------------------------------------------------------------------------


def test_a_folder_of_code_leaves_out_what_nobody_wrote_there(tmp_path: Path) -> None:
    files = {
        "main.py": "print('hi')\n", "src/lib.rs": "fn main() {}\n", "run": "#!/usr/bin/env python3\nprint(1)\n",
        "Makefile": "all:\n", "notes.log": "ignored", "src/keep.log": "#!/bin/sh\n", "node_modules/x/i.js": "vendored",
        "app.min.js": "x", "big.py": "x = 1\n" * 9, "long.js": "x" * 20_000, "empty.py": " \n", "odd.xyz": "what",
        ".gitignore": "*.log\n!keep.log\n/big.py\nbuild*/\n", "builds/x.py": "x", "src/.gitignore": "gen_*.py\n",
        "src/gen_a.py": "x", "gen_b.py": "y = 2\n",
    }  # fmt: skip
    root = tmp_path / "repo"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "data.bin.py").write_bytes(b"\0\1")
    rows, report = read("code", root)
    assert {r["source_file"]: r["language"] for r in rows} == {
        "main.py": "python", "src/lib.rs": "rust", "run": "python", "Makefile": "makefile", "src/keep.log": "shell",
        "gen_b.py": "python",
    }  # fmt: skip
    told = " ".join(report.notes)
    for reason in (
        "kept out by .gitignore",
        "vendored",
        "generated or minified",
        "empty",
        "no text",
        "no known language",
    ):
        assert reason in told, reason
    every, _ = read("code", root, ignored=True, vendored=True)
    assert {"big.py", "builds/x.py", "node_modules/x/i.js", "app.min.js", "src/gen_a.py"} <= {
        r["source_file"] for r in every
    }


def test_one_source_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.go"
    path.write_text("package main\n\nfunc main() {}")
    rows, _ = read("code", path)
    assert rows == [
        {"text": "package main\n\nfunc main() {}", "language": "go", "bytes": 28, "lines": 3, "source_file": "a.go"}
    ]


# ---- pictures ----------------------------------------------------------------------------------------------------


def picture(path: Path, size: tuple[int, int] = (8, 4), kind: str = "PNG") -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "red").save(path, kind)
    return path


def test_pictures_with_captions_from_everywhere(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    one, two = picture(folder / "cats" / "1.png"), picture(folder / "dogs" / "2.jpg", (5, 6), "JPEG")
    picture(folder / "dogs" / "3.webp", (2, 2), "WEBP")
    (folder / "cats" / "1.txt").write_text("a red cat\n")
    lines = [{"file_name": "dogs/2.jpg", "text": "a dog", "score": 3}, {"file_name": "gone.png", "text": "x"}]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "broken\n")
    (folder / "cats" / "bad.png").write_bytes(b"no picture")
    rows, report = read("images", folder)
    assert [(r["source_file"], r["caption"], r["label"], r["width"], r["height"], r["score"]) for r in rows] == [
        ("cats/1.png", "a red cat", "cats", 8, 4, None),
        ("dogs/2.jpg", "a dog", "dogs", 5, 6, 3),
        ("dogs/3.webp", None, "dogs", 2, 2, None),
    ]
    assert (
        rows[0]["image"] == one.read_bytes()
        and rows[1]["format"] == "jpeg"
        and rows[1]["bytes"] == os.path.getsize(two)
    )
    reasons = [reject.reason for reject in report.rejects]
    assert (
        len(reasons) == 3
        and any("gone.png is described" in r for r in reasons)
        and any("bad.png" in r for r in reasons)
    )


def test_large_pictures_are_kept_as_paths(tmp_path: Path) -> None:
    path = picture(tmp_path / "p" / "1.bmp", (100, 100), "BMP")
    (row,), _ = read("images", tmp_path / "p", small_mb=0.001)
    assert row["image"] is None and row["image_path"] == str(path)
    (row,), _ = read("images", tmp_path / "p", small_mb=0.001, store="bytes")
    assert row["image"] == path.read_bytes() and row["image_path"] is None


def test_captions_from_a_csv(tmp_path: Path) -> None:
    picture(tmp_path / "p" / "1.png")
    (tmp_path / "p" / "metadata.csv").write_text('file_name,caption\n1.png,"red, all of it"\n')
    assert read("images", tmp_path / "p")[0][0]["caption"] == "red, all of it"


def test_facts_about_pictures_keep_their_types(tmp_path: Path) -> None:
    facts = {"n": 5, "l": [1, 2], "ok": True, "of": {"x": 1.5}, "none": None, "mixed": 1, "few": 1}
    lines = [{"file_name": "1.png", "text": "t", **facts}, {"file_name": "2.png", "caption": 7, "mixed": "a"}]
    (picture(tmp_path / "p" / "1.png").parent / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    picture(tmp_path / "p" / "2.png")
    rows, report = read("images", tmp_path / "p")
    assert {name: rows[0][name] for name in facts} == {**facts, "mixed": "1"}
    assert (rows[1]["mixed"], rows[1]["n"], rows[1]["caption"]) == ("a", None, "7")
    assert any("“mixed” holds different kinds" in note for note in report.notes)


def test_what_a_metadata_file_says_under_the_names_of_measured_columns_is_kept(tmp_path: Path) -> None:
    facts = {"label": 7, "width": 512, "format": "raw", "format_original": "tiff", "image": "a.tif"}
    lines = [{"file_name": "a/1.png", "text": "t", **facts}]
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    picture(tmp_path / "p" / "a" / "1.png", (8, 4))
    picture(tmp_path / "p" / "b" / "2.png")
    rows, _ = read("images", tmp_path / "p")
    assert (rows[0]["width"], rows[0]["width_original"], rows[0]["label"]) == (8, 512, 7)
    assert (rows[0]["format"], rows[0]["format_original"], rows[0]["format_original_2"]) == ("png", "tiff", "raw")
    assert rows[0]["image_original"] == "a.tif"
    assert rows[1]["label"] is None, "the labels are those of the metadata, as numbers"


def test_items_of_lists_by_their_style_are_items(tmp_path: Path) -> None:
    import docx

    document = docx.Document()
    document.add_paragraph("before")
    document.add_paragraph("one", style="List Bullet")
    document.add_paragraph("two", style="List Number")
    document.add_paragraph("after")
    document.save(str(tmp_path / "x.docx"))
    assert read("docx", tmp_path / "x.docx")[0][0]["text"] == "before\n\n- one\n- two\n\nafter"


@pytest.mark.parametrize(
    "code",
    [
        '<pre><code class="hljs language-python">x = 1</code></pre>',
        '<pre class="lang-python">x = 1</pre>',
        '<div class="highlight highlight-source-python"><pre>x = 1</pre></div>',
    ],
)
def test_code_in_a_page_keeps_its_language(code: str, tmp_path: Path) -> None:
    page = tmp_path / "x.html"
    page.write_text(f"<p>before</p>{code}<pre>plain</pre>")
    assert read("html", page)[0][0]["text"] == "before\n\n```python\nx = 1\n```\n\n```\nplain\n```"


# ---- what all have in common -------------------------------------------------------------------------------------


def good_files(folder: Path) -> list[tuple[str, Path]]:
    buffer = io.BytesIO()
    buffer.write(b"From a@b Thu Aug 22 12:36:23 2024\n" + bytes(mail("s", "t")))
    made = {
        "html": ("a.html", PAGE.encode()), "pdf": ("a.pdf", pdf(["Hello"])), "eml": ("a.eml", bytes(mail("s", "t"))),
        "mbox": ("a.mbox", buffer.getvalue()), "notebook": ("a.ipynb", json.dumps(NOTEBOOK).encode()),
        "code": ("a.py", b"x = 1\n"),
    }  # fmt: skip
    for name, data in made.values():
        (folder / name).write_bytes(data)
    return [(importer_id, folder / name) for importer_id, (name, _) in made.items()] + [
        ("images", picture(folder / "a.png"))
    ]


def test_each_importer_keeps_its_promises_and_reports_progress(tmp_path: Path) -> None:
    for importer_id, path in good_files(tmp_path):
        kind = importer(importer_id)
        rows = check_importer(kind(), path, kind.Params())
        assert all(row["source_file"] == path.name for row in rows), importer_id
        context = FakeContext()
        list(kind().read(path, kind.Params(), FakeReport(), context))
        if importer_id != "code":
            assert context.progress_calls[-1][0] == path.stat().st_size, importer_id


def test_what_is_no_document_is_refused_in_words(tmp_path: Path) -> None:
    for importer_id, path in good_files(tmp_path):
        if importer_id in ("code", "images", "html"):
            continue
        path.write_bytes(b"\x00\x01garbage" * 100)
        with pytest.raises(UserError) as caught:
            read(importer_id, path)
        assert caught.value.remedy and path.name in caught.value.message, importer_id


def test_markdown_in_sections(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text("intro\n\n# A\ntext\n## B ##\n```\n# no heading\n```\n# C\n")
    rows, _ = read("text", path, rows="section")
    assert [(r["heading"], r["line"]) for r in rows] == [(None, 1), ("A", 3), ("A > B", 5), ("C", 9)]
    assert rows[2]["text"] == "## B ##\n```\n# no heading\n```"
