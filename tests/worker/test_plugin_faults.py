"""Plugins that fail in every way: listed as failed, everything else works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import fmstudio, fmstudio_json, write_plugin, write_slow_importer

TABLE = '[[importer]]\nid = "{0}"\ntitle = "{0}"\nclass = "{0}_code:Bad"\nsuffixes = [".{0}"]\n'


@pytest.fixture
def bad_plugins(own_home: Path) -> Path:
    """Four plugins: one raises at import, one kills its process, one has a broken manifest, one works."""
    write_plugin(own_home, "raises", TABLE.format("raises"), "raise RuntimeError('my own fault')")
    write_plugin(own_home, "kills", TABLE.format("kills"), "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    broken = write_plugin(own_home, "broken", "", "")
    (broken / "plugin.toml").write_text("id = [unclosed", "utf-8")
    write_slow_importer(own_home)
    return own_home


def health(*flags: str) -> dict[str, dict[str, object]]:
    return {p["id"]: p for p in fmstudio_json("plugins", *flags)["plugins"]}


def test_failed_plugins_are_listed_and_the_others_work(bad_plugins: Path) -> None:
    found = health()
    assert "my own fault" in str(found["raises"]["error"])
    assert "SIGKILL" in str(found["kills"]["error"])
    assert "not valid TOML" in str(found["broken"]["error"])
    assert found["slow"]["health"] == "ok"
    assert all(p["health"] == "ok" for p in found.values() if p["source"] == "built-in"), found


def test_safe_mode_leaves_third_party_plugins_out(bad_plugins: Path) -> None:
    found = health("--safe-mode")
    assert found["slow"]["health"] == "off"
    assert found["raises"]["health"] == "off"
    assert found["fmstudio_formats"]["health"] == "ok"


def test_an_importer_that_dies_fails_its_job_only(bad_plugins: Path, tmp_path: Path) -> None:
    (tmp_path / "x.kills").write_text("x", "utf-8")
    project = str(tmp_path / "project")
    fmstudio_json("project", "new", project)
    died = fmstudio("import", str(tmp_path / "x.kills"), "--project", project)
    assert died.returncode == 1
    assert "SIGKILL" in died.stderr
    assert "Traceback" not in died.stderr
    good = tmp_path / "good.slow"
    good.write_text("3", "utf-8")
    assert fmstudio_json("import", str(good), "--project", project)["rows"] == 3
