"""XML: what repeats is a row, whatever program wrote it; what is broken or dangerous harms nothing."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import UserError
from fmstudio.api.testing import FakeReport
from tests.plugins.reading import file, read

POSTS = """<?xml version="1.0" encoding="utf-8"?>
<posts>
  <row Id="4" PostTypeId="1" Score="-2" Body="&lt;p&gt;How?&lt;/p&gt;" Zip="01234" />
  <row Id="7" PostTypeId="2" ParentId="4" Score="508" Body="So." Zip="99999999999999999999" />
</posts>"""
FEED = """<rss><channel><title>all</title>
<item><title>One</title><category>a</category><category>b</category><text>Some <b>bold</b> words</text></item>
<item><title>Two</title><guid isPermaLink="false">7</guid></item>
</channel></rss>"""


def test_attributes_are_cells_and_whole_numbers_are_numbers_where_nothing_is_lost(tmp_path: Path) -> None:
    report = FakeReport()
    rows = read("xml", file(tmp_path / "Posts.xml", POSTS), report)
    assert rows == [
        {"Id": 4, "PostTypeId": 1, "Score": -2, "Body": "<p>How?</p>", "Zip": "01234", "ParentId": None},
        {"Id": 7, "PostTypeId": 2, "Score": 508, "Body": "So.", "Zip": "9" * 20, "ParentId": 4},
    ]
    assert "Each <row> is a row." in report.notes


def test_elements_are_cells_lists_and_objects_and_text_with_marks_in_it_stays_text(tmp_path: Path) -> None:
    report = FakeReport()
    rows = read("xml", file(tmp_path / "x.xml", FEED), report)
    first, second = ({name: value for name, value in row.items() if value is not None} for row in rows)
    assert first == {"title": "One", "category": ["a", "b"], "text": "Some bold words"}
    assert second == {"title": "Two", "guid": {"isPermaLink": "false", "text": "7"}}
    assert "Each <item> is a row; what stands outside is left out." in report.notes


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("<a><b>x</b></a>", [{"text": "x"}]),
        ("<a><b x='1'/><c/><b x='2'/></a>", [{"x": 1}, {"x": 2}]),
        ("<a><b><c>1</c><c>2</c></b></a>", [{"text": 1}, {"text": 2}]),
        ("<a x='1'/>", [{"x": 1}]),
        ("<a><b t='p'><t>q</t></b><b/></a>", [{"t": "q", "t_2": "p"}, {"text": ""}]),
    ],
)
def test_shapes(content: str, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    found = read("xml", file(tmp_path / "x.xml", content))
    assert [{k: v for k, v in row.items() if v is not None} for row in found] == rows


def test_the_rows_can_be_named(tmp_path: Path) -> None:
    path = file(tmp_path / "x.xml", "<a><b><c n='1'/><c n='2'/></b><b><c n='3'/></b></a>")
    assert read("xml", path, rows="a/b/c") == [{"n": 1}, {"n": 2}, {"n": 3}]
    with pytest.raises(UserError, match="no element a/x"):
        read("xml", path, rows="a/x")


def test_a_cut_file_gives_its_whole_rows_and_the_place(tmp_path: Path) -> None:
    report = FakeReport()
    text = '<posts>\n<row Id="1"/>\n<row Id="2"/>\n<row Id="3'
    assert read("xml", file(tmp_path / "x.xml", text), report) == [{"Id": 1}, {"Id": 2}]
    (reject,) = report.rejects
    assert reject.line == 4 and reject.byte == text.index('<row Id="3')


@pytest.mark.parametrize("codec", ["utf-16", "iso-8859-1", "utf-8-sig"])
def test_other_encodings_and_compression(codec: str, tmp_path: Path) -> None:
    text = f'<?xml version="1.0" encoding="{codec.removesuffix("-sig")}"?><a><b>Größe und Öl für Köln</b><b>y</b></a>'
    assert read("xml", file(tmp_path / "x.xml", text.encode(codec)))[0] == {"text": "Größe und Öl für Köln"}
    packed = file(tmp_path / "x.xml.gz", gzip.compress(text.encode(codec)))
    assert read("xml", packed)[0] == {"text": "Größe und Öl für Köln"}


@pytest.mark.parametrize(
    "declared",
    ['<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">', '<!ENTITY b SYSTEM "file:///etc/passwd">', '<!ENTITY % b "x">'],
)
def test_entities_of_its_own_are_refused(declared: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="declares entities"):
        read("xml", file(tmp_path / "x.xml", f"<!DOCTYPE x [{declared}]><x><y>&b;</y></x>"))


def test_what_is_no_xml_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not XML"):
        read("xml", file(tmp_path / "x.xml", "no XML at all"))


def test_ten_thousand_levels_end_nothing(tmp_path: Path) -> None:
    text = "<a>" + "<b>" * 10_000 + "x" + "</b>" * 10_000 + "</a>"
    rows = read("xml", file(tmp_path / "x.xml", text))
    assert len(rows) == 1
