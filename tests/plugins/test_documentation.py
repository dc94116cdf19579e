"""The examples in the plugin author's page are real: each plugin is written out, loaded and used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fmstudio.core.paths import resource
from fmstudio.plugin_manager import PluginManager

PAGE = resource("help", "writing-plugins.md")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def documented_plugins(own_home: Path) -> PluginManager:
    """The plugins of the page, in the user's plugin folder."""
    operator_toml, *other_tomls = blocks("toml")
    operator_code, *other_codes, _ = blocks("python")
    written = [("shout", operator_toml, operator_code)]
    for name, manifest, code in zip(("lines", "cards"), other_tomls, other_codes, strict=True):
        head = f'id = "{name}"\nname = "{name}"\nversion = "1"\napi = 1\ndescription = "{name}"\n'
        written.append((name, head + manifest, code))
    for name, manifest, code in written:
        folder = own_home / "plugins" / name
        folder.mkdir(parents=True)
        (folder / "plugin.toml").write_text(manifest, "utf-8")
        (folder / f"{name}.py").write_text(code, "utf-8")
    return PluginManager()


def test_the_operator_of_the_page_keeps_its_promises(documented_plugins: PluginManager) -> None:
    cls = documented_plugins.contribution("operator", "no_shouting").load()
    names: dict[str, Any] = {"NoShouting": cls, "ShoutParams": cls.Params}
    exec(blocks("python")[-1], names)  # the page's own test
    import pyarrow as pa

    batch = pa.RecordBatch.from_pydict({"row_id": [0, 1], "text": ["quiet", "LOUD"]})
    operator = cls(cls.Params())
    decision = operator.decide(operator.statistics(batch))
    assert decision.keep.to_pylist() == [True, False]
    assert decision.reason.to_pylist() == [None, "too many capital letters"]


def test_the_importer_of_the_page_reads_and_rejects(documented_plugins: PluginManager, tmp_path: Path) -> None:
    from fmstudio.api.testing import FakeContext, FakeReport

    cls = documented_plugins.contribution("importer", "lines").load()
    path = tmp_path / "x.lines"
    path.write_bytes(b"good\n\xff\xfe bad\nalso good\n")
    report = FakeReport()
    rows = [r["text"] for b in cls().read(path, cls.Params(), report, FakeContext()) for r in b.to_pylist()]
    assert rows == ["good", "also good"]
    assert [r.line for r in report.rejects] == [2]


def test_the_importer_of_the_page_begins_at_its_marks(documented_plugins: PluginManager, tmp_path: Path) -> None:
    from fmstudio.api.testing import FakeContext, FakeReport, check_importer

    cls = documented_plugins.contribution("importer", "lines").load()
    path = tmp_path / "x.lines"
    path.write_bytes(b"a line\n" * 400_000 + b"\xff\n")
    importer = cls()
    assert len(check_importer(importer, path, cls.Params())) == 400_000
    assert importer.mark is not None
    report = FakeReport()
    importer.mark = {"byte": path.stat().st_size - 2, "line": 400_001}
    list(importer.read(path, cls.Params(), report, FakeContext()))
    assert [r.line for r in report.rejects] == [400_001]


def test_the_exporter_of_the_page_writes_and_leaves_out(documented_plugins: PluginManager, tmp_path: Path) -> None:
    import pyarrow as pa

    from fmstudio.api.testing import check_dataset_exporter

    cls = documented_plugins.contribution("dataset_exporter", "cards").load()
    rows = pa.RecordBatch.from_pydict({"prompt": ["q", None], "completion": ["a", "b"]})
    assert check_dataset_exporter(cls, cls.Params(), [rows], tmp_path).read_text("utf-8") == "q :: a\n"


def test_every_link_between_help_pages_leads_somewhere() -> None:
    for page in resource("help").glob("*.md"):
        for target in re.findall(r"\]\(([a-z-]+\.md)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
