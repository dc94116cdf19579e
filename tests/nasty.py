"""A corpus of files that break importers: ``python -m tests.nasty FOLDER`` writes it.

Each entry says what must come of it: how many rows, how many rejects, or which error. Everything is made here, by hand
where a library would refuse to write it, so the corpus needs no network and is the same on every machine.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import pickle
import sqlite3
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Nasty:
    """A file and what must come of it.

    Attributes:
        name: Its name in the corpus.
        rows: Rows that must be imported; None = any number.
        rejected: Pieces that must be listed as rejects; None = any number.
        error: Words the error must hold, as a regular expression; empty = there must be rows; None = either is fine.
    """

    name: str
    rows: int | None = None
    rejected: int | None = None
    error: str | None = ""


_MAKERS: list[tuple[Nasty, Callable[[Path], None]]] = []


def _add(
    name: str, content: bytes | Callable[[Path], None], rows: int | None = None, *, rejected: int | None = 0,
    error: str | None = "",
) -> None:  # fmt: skip
    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content) if isinstance(content, bytes) else content(path)

    _MAKERS.append((Nasty(name, rows, rejected, error), write))


def make_corpus(folder: Path) -> list[Nasty]:
    """Write all files and return what must come of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for nasty, write in _MAKERS:
        write(folder / nasty.name)
    return [nasty for nasty, _ in _MAKERS]


def _lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


GOOD = _lines([{"text": f"row {i}", "n": i} for i in range(3)])
FAILED: dict[str, Any] = {"rejected": None}

# ---- JSON Lines --------------------------------------------------------------------------------------------------

_add("empty.jsonl", b"", error="empty")
_add("blank_lines.jsonl", b"\n\n \n\t\n", error="no rows|holds no")
_add("cut.jsonl", GOOD + b'{"text": "cut he', 3, rejected=1)
_add("no_newline_at_end.jsonl", GOOD.rstrip(b"\n"), 3)
_add("carriage_returns.jsonl", GOOD.replace(b"\n", b"\r\n"), 3)
_add("bom.jsonl", b"\xef\xbb\xbf" + GOOD, 3)
_add("utf16.jsonl", GOOD.decode().encode("utf-16"), 3)
_add("utf16_no_mark.jsonl", GOOD.decode().encode("utf-16-le"), 3)
_add("utf32.jsonl", GOOD.decode().encode("utf-32"), 3)
_add("latin1.jsonl", '{"text": "Grüße aus Köln, déjà vu"}\n'.encode("latin-1") * 20, 20)
_add(
    "broken_utf8.jsonl",
    GOOD + "Ü".join(['{"text": "', '"}\n']).encode() + b'{"text": "\xc3\x28 \xff"}\n' + GOOD,
    7,
    rejected=1,
)
_add("lone_surrogate.jsonl", b'{"text": "half \\ud83d character"}\n' + GOOD, 4)
_add("nul_in_text.jsonl", b'{"text": "zero \\u0000 byte"}\n' + GOOD, 4)
_add("raw_nul.jsonl", GOOD + b'{"text": "a\x00b"}\n', None, rejected=None, error=None)
_add("nul_bytes.jsonl", b"\0" * 10_000, error="zero byte|no text")
_add("deep.jsonl", GOOD + b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", 3, rejected=1)
_add("deep_open.jsonl", GOOD + b'{"a":' * 50_000 + b"\n", 3, rejected=1)
_add("duplicate_keys.jsonl", b'{"text": "one", "text": "two"}\n{"text": "three"}\n', None, rejected=None)
_add(
    "huge_number.jsonl",
    b'{"text": "a", "n": 1e400}\n{"text": "b", "n": -1e400}\n{"text": "c", "n": 1}\n',
    None,
    rejected=None,
)
_add(
    "nan.jsonl",
    b'{"text": "a", "n": NaN}\n{"text": "b", "n": -0.0}\n{"text": "c", "n": Infinity}\n',
    None,
    rejected=None,
)
_add("twenty_digits.jsonl", b'{"text": "a", "n": 12345678901234567890}\n{"text": "b", "n": 99999999999999999999}\n', 2)
_add("long_digits.jsonl", b'{"text": "a", "n": ' + b"9" * 6_000 + b"}\n" + GOOD, None, rejected=None)
_add(
    "mixed_types.jsonl",
    b'{"text": 1}\n{"text": "two"}\n{"text": [3]}\n{"text": {"four": 4}}\n{"text": null}\n',
    None,
    rejected=None,
)
_add("mixed_late.jsonl", _lines([{"n": i} for i in range(20_000)]) + b'{"n": "not a number"}\n', 20_001)
_add("scalars.jsonl", b'1\n"two"\n[3]\nnull\n{"text": "four"}\n', None, rejected=None)
_add("wide.jsonl", _lines([{f"column_{i}": i for i in range(3_000)}] * 3), 3)
_add("a_new_column_each_row.jsonl", _lines([{"text": "t", f"c{i}": i} for i in range(1_500)]), 1_500)
_add("big_rows.jsonl", _lines([{"text": "x" * 300_000, "n": i} for i in range(20)]), 20)
_add("odd_names.jsonl", _lines([{"": 1, " ": 2, "a\nb": 3, "💥": 4, '"': 5, "row_id": 6, "ROW_ID": 7}]), 1)
_add(
    "pretty_printed.jsonl",
    json.dumps([{"text": "a"}, {"text": "b"}], indent=2).encode(),
    None,
    rejected=None,
    error=None,
)
_add("really_csv.jsonl", b"text,n\nhello,1\nworld,2\n", None, rejected=None, error="Not valid JSON|line 1")

# ---- JSON --------------------------------------------------------------------------------------------------------

_add("cut.json", b'[{"text": "a"}, {"text": "b"}, {"te', 2, rejected=1)
_add("trailing_comma.json", b'[{"text": "a"}, {"text": "b"},]', 2, rejected=None)
_add("two_documents.json", b'[{"text": "a"}] [{"text": "b"}]', None, rejected=None)
_add("empty_list.json", b"[]", error="no rows")
_add("only_a_number.json", b"42", error=".")
_add("deep.json", b"[" * 200_000 + b"]" * 200_000, error="nested|deep|read")
_add("object_of_rows.json", b'{"version": 1, "data": [{"text": "a"}, {"text": "b"}]}', 2)
_add("garbage.json", bytes(range(1, 256)) * 40, error=".")

# ---- CSV ---------------------------------------------------------------------------------------------------------

_add("empty.csv", b"", error="empty")
_add("only_head.csv", b"text,n\n", error="no rows")
_add("open_quote.csv", b'text,n\n"never closed,1\nmore,2\n', None, rejected=None, error=None)
_add("ragged.csv", b"text,n\na,1\nb\nc,3,too,many\nd,4\n", None, rejected=None)
_add("quoted_newlines.csv", b'text,n\n"one\ntwo\nthree",1\n"a ""quote""",2\n', 2)
_add("duplicate_columns.csv", b"text,text,TEXT,\na,b,c,d\n", 1)
_add("semicolons.csv", "Text;Zahl\nGrüße;1,5\nKöln;2,5\n".encode("cp1252"), 2)
_add("nul.csv", b"text,n\na\x00b,1\nc,2\n", None, rejected=None, error=None)
_add("wide.csv", ",".join(f"c{i}" for i in range(5_000)).encode() + b"\n" + b",".join([b"1"] * 5_000) + b"\n", 1)
_add("formula.csv", b"text,n\n\"=cmd|' /C calc'!A0\",1\n@SUM(1),2\n", 2)
_add("big_field.csv", b"text,n\n" + b"x" * 300_000 + b",1\n", 1)
_add(
    "shift_jis.csv",
    "text,n\n日本語の文章です。こんにちは世界。,1\n漢字とかなの文,2\n".encode("shift_jis") * 1,
    None,
    rejected=None,
)
_add("name with\nnewline and 🐍.csv", b"text,n\na,1\n", 1)
_add("-leading-dash.csv", b"text,n\na,1\n", 1)

# ---- YAML, XML ---------------------------------------------------------------------------------------------------

_LAUGHS = "a0: &a0 [lol, lol, lol]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
_add("billion_laughs.yaml", _LAUGHS.encode(), error="references")
_add("billion_laughs_rows.yaml", f"{_LAUGHS}rows:\n- text: *a9\n".encode(), error="references")
_add("cut.yaml", b"- text: a\n- text: [b\n", 1, rejected=1)
_add("tabs.yaml", b"- text: a\n\t- text: b\n", error="YAML|line")
_add("python_tag.yaml", b'- text: !!python/object/apply:os.system ["echo pwned"]\n', error="YAML|tag")
_add("deep.yaml", b"[" * 20_000 + b"]" * 20_000, error="nested|deep")
_add("self_reference.yaml", b"- &a\n  text: x\n  me: *a\n", error="holds itself")
_XML_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{i} "{f"&lol{i - 1 if i > 1 else chr(0)};" * 10}">'.replace("\0", "") for i in range(1, 10))
    + "]><lolz>&lol9;</lolz>"
)
_add("billion_laughs.xml", _XML_LAUGHS.encode(), None, rejected=None, error=None)
_add("billion_laughs.xhtml", _XML_LAUGHS.encode(), None, rejected=None, error=None)

# ---- binary tables -----------------------------------------------------------------------------------------------


def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b", "c"], "n": [1, 2, 3]}), target)
    return target.getvalue()


def _arrow() -> bytes:
    import pyarrow as pa

    target = io.BytesIO()
    table = pa.table({"text": ["a", "b", "c"]})
    with pa.ipc.new_file(target, table.schema) as writer:
        writer.write_table(table)
    return target.getvalue()


def _sqlite(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (text TEXT, n INTEGER)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(f"row {i}", i) for i in range(2_000)])
    connection.commit()
    connection.close()


def _cut_sqlite(path: Path) -> None:
    _sqlite(path)
    path.write_bytes(path.read_bytes()[:6_000])


def _xlsx(path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    for row in [("text", "n"), ("a", 1), ("=1/0", 2), ("c", 1e300), (None, None), ("e", 5)]:
        sheet.append(row)
    book.save(path)
    book.close()


_add("good.parquet", lambda p: p.write_bytes(_parquet()) and None, 3)
_add("cut.parquet", lambda p: p.write_bytes(_parquet()[:-20]) and None, error=".")
_add(
    "damaged.parquet",
    lambda p: p.write_bytes(_parquet()[:30] + b"\xff" * 60 + _parquet()[90:]) and None,
    None,
    **FAILED,
    error=None,
)
_add("only_magic.parquet", b"PAR1PAR1", error=".")
_add("cut.arrow", lambda p: p.write_bytes(_arrow()[:-40]) and None, None, rejected=None, error=None)
_add("cut.sqlite", _cut_sqlite, None, rejected=None, error=None)
_add("not_really.sqlite", b"SQLite format 3\0" + b"\1" * 4_000, error=".")
_add("not_really.duckdb", b"\0" * 8 + b"DUCK" + b"\xff" * 5_000, error=".")
_add("formulas.xlsx", _xlsx, None, rejected=None)
_add("not_really.xlsx", b"PK\x03\x04 but not much of a ZIP file", error=".")
_add("not_really.ods", b"PK\x05\x06" + b"\0" * 18, error=".")

# ---- documents ---------------------------------------------------------------------------------------------------


def pdf(pages: list[str], *, extra: str = "") -> bytes:
    """Write a PDF by hand: one text a page; an empty text is a page without any."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {extra}>>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else "0 0 100 100 re f"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out, places = b"%PDF-1.4\n", []
    for number, item in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{item}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    head = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return out + f"{head}startxref\n{len(out)}\n%%EOF\n".encode()


_ENCRYPT = (
    b"trailer\n<< /Size 8 /Root 1 0 R /Encrypt << /Filter /Standard /V 2 /R 3 /Length 128 /P -3904 /O <"
    + b"41" * 32 + b"> /U <" + b"42" * 32 + b"> >> /ID [<" + b"43" * 16 + b"><" + b"43" * 16 + b">] >>"
)  # fmt: skip


def _encrypted_pdf() -> bytes:
    plain = pdf(["secret", "page"])
    at, end = plain.index(b"trailer"), plain.index(b"startxref")
    return plain[:at] + _ENCRYPT + b"\n" + plain[end:]


def _docx(body: str, *, head: str = "") -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        namespace = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
        xml = f'<?xml version="1.0"?>{head}<w:document xmlns:w="{namespace}"><w:body>{body}</w:body></w:document>'
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", xml)
    return target.getvalue()


_DOCX_LAUGHS = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
_add("good.pdf", pdf(["Hello", "World"]), 2)
_add("scanned.pdf", pdf(["", ""]), error="no text")
_add("half_scanned.pdf", pdf(["Hello", "", "World"]), 2, rejected=1)
_add("cut.pdf", pdf(["Hello", "World"])[:300], None, rejected=None, error=None)
_add("no_pages.pdf", pdf([]), error=".")
_add("garbage.pdf", b"%PDF-1.7\n" + b"\xde\xad\xbe\xef" * 2_000, error="PDF")
_add("encrypted.pdf", _encrypted_pdf(), error="encrypted")
_add("javascript.pdf", pdf(["Hello"], extra="/OpenAction << /S /JavaScript /JS (app.alert(1)) >> "), 1)
_add("good.docx", _docx("<w:p><w:r><w:t>Hello</w:t></w:r></w:p>"), 1)
_add("empty.docx", _docx(""), error="no text")
_add("cut_xml.docx", _docx("<w:p><w:r><w:t>Hello"), error="damaged")
_add("billion_laughs.docx", _docx("<w:p><w:r><w:t>&b;</w:t></w:r></w:p>", head=_DOCX_LAUGHS), error="entities")
_add(
    "nested_tables.docx",
    _docx("<w:tbl><w:tr><w:tc>" * 150 + "<w:p/>" + "</w:tc></w:tr></w:tbl>" * 150),
    error="no text",
)
_add("no_document.docx", lambda p: _zip(p, {"readme.txt": b"hi"}), error="no Word document")
_add("old_word.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2_000, error="encrypted|old")
_add("cut.docx", _docx("<w:p/>" * 500)[:200], error="damaged")
_add("no_text.html", b"<html><body><script>alert(1)</script></body></html>", error="no text")
_add("tag_soup.html", b"<p>Hello <b>wor<i>ld</b></i><table><tr><td>x<p>unclosed <!-- comment", 1)
_add("deep.html", b"<div>" * 20_000 + b"deep" + b"</div>" * 20_000, 1)
_add("latin1.html", "<meta charset=iso-8859-1><p>Grüße aus Köln</p>".encode("latin-1"), 1)
_add("wrong_charset.html", '<meta charset="utf-99"><p>Grüße</p>'.encode(), 1)
_add("rot13.html", b'<meta charset="rot13"><p>Hello</p>', 1)

# ---- mail and notebooks ------------------------------------------------------------------------------------------


def mail(subject: str, text: str) -> EmailMessage:
    """Make a plain message."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", subject
    message["Date"] = "Thu, 22 Aug 2024 12:36:23 +0200"
    message.set_content(text)
    return message


_BAD_HEADERS = b"From: =?utf-8?q?broken\nTo: <<<>>>,,;@@\nDate: yesterday\nContent-Type: text/plain; charset=nope\n\nBody \xff\xfe\n"
_add("bad_headers.eml", _BAD_HEADERS, 1)
_add("no_headers.eml", b"Just some words.\nAnd more.\n", error="no e-mail")
_add(
    "bad_base64.eml",
    b"Subject: x\nContent-Transfer-Encoding: base64\nContent-Type: text/plain\n\n!!!not base64!!!\n",
    1,
)
_add("codec_bomb.eml", b"Subject: x\nContent-Type: text/plain; charset=zip\n\nbody\n", 1)
_add("no_boundary.eml", b"Subject: x\nContent-Type: multipart/mixed\n\n--??\n\nlost\n", 1)
_add(
    "deep_multipart.eml",
    b"Subject: deep\n"
    + b"".join(f"Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n".encode() for i in range(300)),
    1,
)
_add("nul.eml", b"Subject: a\0b\n\nzero \0 byte\n", 1)
_add(
    "good.mbox",
    b"".join(b"From a@b Thu Aug 22 12:36:23 2024\n" + bytes(mail(f"s{i}", "text")) + b"\n" for i in range(5)),
    5,
)
_add(
    "one_bad.mbox",
    b"From a@b Thu Aug 22 12:36:23 2024\n" + _BAD_HEADERS + b"\nFrom c@d Thu Aug 22 12:36:23 2024\nSubject: ok\n\nhi\n",
    2,
)
_add("quoted_from.mbox", b"From a@b Thu Aug 22 12:36:23 2024\nSubject: x\n\n>From here on\nFrom now to 12:00\n", 1)
_add("no_mail.mbox", b"nothing\nhere\n", error="no mailbox")
_add("cut.ipynb", b'{"cells": [{"cell_type": "code", "source": ["a =', error="line 1")
_add("no_cells.ipynb", b'{"metadata": {}}', error="no notebook")
_add(
    "odd_cells.ipynb",
    json.dumps({"cells": [1, {"source": 5}, {"source": ["x = 1\n"]}, {"cell_type": "code"}]}).encode(),
    1,
    rejected=3,
)
_add("deep.ipynb", b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", error="notebook")

# ---- compressed and archives -------------------------------------------------------------------------------------


def _zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def _zipped(**files: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def _tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Make a TAR member of any kind."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _zip_link(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.jsonl", GOOD)
        link = zipfile.ZipInfo("passwords.txt")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")


def _encrypted_zip(path: Path) -> None:
    data = bytearray(_zipped(**{"good.jsonl": GOOD, "other.jsonl": GOOD}))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.rindex(magic) + offset
        data[at] |= 1
    path.write_bytes(bytes(data))


def _zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.writestr("good.jsonl", GOOD)
        with archive.open("bomb.jsonl", "w", force_zip64=True) as file:
            for _ in range(120):
                file.write(b"0" * (1 << 20))


def _huge_pax(path: Path) -> None:
    head = member("x", tarfile.XHDTYPE)
    head.size = 2 << 30
    path.write_bytes(head.tobuf(tarfile.PAX_FORMAT) + b"\0" * 2_048)


_PICKLE = pickle.dumps({"text": "hello", "rows": list(range(100))}, 4)
_ELF = b"\x7fELF\x02\x01\x01" + b"\0" * 200
_EXE = b"MZ\x90\0\x03" + b"\0" * 200

_add(
    "cut.jsonl.gz",
    gzip.compress(_lines([{"text": os.urandom(8).hex(), "n": i} for i in range(5_000)]))[:-300],
    None,
    rejected=None,
)
_add("not_really.jsonl.gz", GOOD, 3, rejected=None, error=None)
_add("good.txt.bz2", bz2.compress(b"one\n\ntwo\n"), 2)
_add("good.html.gz", gzip.compress(b"<p>Hello world</p>"), 1)
_add("bomb.txt.gz", lambda p: p.write_bytes(_gzip_bomb()) and None, None, rejected=None, error=".")
_add("good.zip", _zipped(**{"a.jsonl": GOOD, "b.jsonl": GOOD}), 6)
_add("empty.zip", _zipped(), error="no file")
_add("cut.zip", _zipped(**{"a.jsonl": GOOD})[:-30], 3, rejected=1)
_add("cut_within.zip", _zipped(**{"a.jsonl": GOOD})[:60], error="ends within it")
_add(
    "traversal.zip",
    lambda p: _zip(p, {"../../evil.jsonl": GOOD, "/abs.jsonl": GOOD, "C:\\x.jsonl": GOOD, "ok.jsonl": GOOD}),
    3,
    rejected=3,
)
_add("link.zip", _zip_link, 3, rejected=1)
_add("encrypted.zip", _encrypted_zip, 3, rejected=1)
_add("bomb.zip", _zip_bomb, 3, rejected=1)
_add("same_name.zip", lambda p: _zip(p, {"A.jsonl": GOOD, "a.jsonl": GOOD}), 3, rejected=1)
_add(
    "pickles.zip",
    _zipped(
        **{
            "a.jsonl": GOOD,
            "m.pkl": _PICKLE,
            "weights.bin": _PICKLE,
            "b.jsonl": _PICKLE,
            "x.npy": b"\x93NUMPY\x01\0v\0{'descr': '|O', }",
        }
    ),
    3,
    rejected=4,
)
_add(
    "programs.zip",
    _zipped(**{"a.jsonl": GOOD, "run.exe": _EXE, "lib.so": _ELF, "data.csv": _ELF, "run.sh": b"#!/bin/sh\nrm -rf ~\n"}),
    3,
    rejected=4,
)
_add("nested.zip", _zipped(**{"in.zip": _zipped(**{"a.jsonl": GOOD})}), 3)
_add(
    "nested_too_deep.zip",
    _zipped(**{"a.jsonl": GOOD, "in.zip": _zipped(**{"in.zip": _zipped(**{"a.jsonl": GOOD})})}),
    3,
    rejected=1,
)
_add("two_shapes.zip", _zipped(**{"a.jsonl": GOOD * 5, "users.csv": b"user,age\nx,1\n"}), 15)
_add("system_files.zip", _zipped(**{"__MACOSX/._a.jsonl": b"\0\5\x16\7", ".DS_Store": b"\0\0\0\1", "a.jsonl": GOOD}), 3)
_add("one_broken.zip", _zipped(**{"a.jsonl": GOOD, "b.parquet": b"PAR1 no", "c.jsonl": GOOD}), 6, rejected=1)
_add("good.tar.gz", lambda p: _tar(p, [(member("a.jsonl"), GOOD), (member("b.jsonl"), GOOD)], "w:gz"), 6)
_add("cut.tar.gz", lambda p: _cut_tar(p), 3, rejected=1)
_add(
    "links.tar",
    lambda p: _tar(p, [
        (member("a.jsonl"), GOOD), (member("s", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (member("h", tarfile.LNKTYPE, "../../x"), b""), (member("fifo", tarfile.FIFOTYPE), b""),
        (member("null", tarfile.CHRTYPE), b""), (member("../up.jsonl"), GOOD), (member("/etc/abs.jsonl"), GOOD),
    ]),
    3, rejected=6,
)  # fmt: skip
_add("huge_header.tar", _huge_pax, error="header")
_add("not_really.tar", b"nothing like a tape archive\n" * 40, None, rejected=None, error=None)
_add("only_images.zip", _zipped(**{f"{i}.png": b"\x89PNG\r\n\x1a\nbroken" for i in range(3)}), error="picture")


def _gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b"0" * (1 << 20)) for _ in range(120)) + packer.flush()


def _cut_tar(path: Path) -> None:
    noise = os.urandom(60_000).hex().encode()
    _tar(path, [(member("a.jsonl"), GOOD), (member("b.txt"), noise)], "w:gz")
    path.write_bytes(path.read_bytes()[:-30_000])


# ---- things that are no data, folders, odd places ----------------------------------------------------------------

_add("data.pkl", _PICKLE, error="pickle")
_add("pickle.jsonl", _PICKLE, error="pickle")
_add("program.csv", _ELF, error="program")
_add("objects.npy", b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", error="NumPy")
_add("noise.bin", struct.pack("<1000d", *range(1_000)), error=".")
_add("no_suffix", GOOD, 3)
_add("picture.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, error="picture")
_add(
    "bomb.png",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 1 << 30, 1 << 30, 8, 2, 0, 0, 0) + b"\0\0\0\0",
    error="picture",
)


def _mixed_folder(path: Path) -> None:
    path.mkdir()
    (path / "a.jsonl").write_bytes(GOOD)
    (path / "b.jsonl").write_bytes(GOOD)
    (path / "empty.jsonl").write_bytes(b"")
    (path / "trash.bin").write_bytes(b"\0\1\2")
    (path / "loop").symlink_to(path)
    (path / "dangling.jsonl").symlink_to(path / "nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(path / "pipe.jsonl")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _unreadable(path: Path) -> None:
    path.write_bytes(GOOD)
    path.chmod(0)


_add("folder.csv", _mixed_folder, 6, rejected=None)
_add("empty_folder", lambda p: p.mkdir(), error="no file")
_add("nowhere.jsonl", lambda p: None, error="not there")
_add("link_to_itself.jsonl", lambda p: p.symlink_to(p), error="not there")
if hasattr(os, "mkfifo"):
    _add("pipe.jsonl", _fifo, error="ordinary")
_add("forbidden.jsonl", _unreadable, None, rejected=None, error=None)


if __name__ == "__main__":
    for made in make_corpus(Path(sys.argv[1])):
        print(made)
