"""A dropped file finds its natural home by what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmstudio.ui.dropped import find_home


def _file(folder: Path, name: str, content: bytes = b"x") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "notes.txt", "odd.bin"])
def test_files_are_data(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, name)
    home = find_home([path])
    assert (home.page_id, home.args) == ("data", {"files": [path]})


def test_yaml_is_a_recipe_only_with_steps_at_the_top(tmp_path: Path) -> None:
    recipe = _file(tmp_path, "r.yaml", b"name: x\nsteps:\n- operator: y\n")
    data = _file(tmp_path, "d.yml", b"conversations:\n- - steps: no\n")
    assert find_home([recipe]).page_id == "recipes"
    assert find_home([data]).page_id == "data"


def test_models_are_known_by_name_magic_and_folder(tmp_path: Path) -> None:
    _file(tmp_path, "hf/config.json", b"{}")
    _file(tmp_path, "peft/adapter_config.json", b"{}")
    for path in (
        _file(tmp_path, "m.gguf"),
        _file(tmp_path, "blob", b"GGUF\x03"),
        _file(tmp_path, "model.safetensors"),
        str(tmp_path / "hf"),
        str(tmp_path / "peft"),
    ):
        assert find_home([path]).page_id == "models", path


def test_an_address_of_a_gguf_begins_a_download_and_others_an_import() -> None:
    address = "https://example.org/bird-Q4_K_M.gguf?download=true"
    home = find_home([address])
    assert (home.page_id, home.args) == ("models", {"address": address})
    assert find_home(["https://example.org/rows.jsonl"]).page_id == "data"


def test_a_project_folder_is_opened(tmp_path: Path) -> None:
    _file(tmp_path, "p/project.toml")
    assert find_home([str(tmp_path / "p")]).page_id == "project"


def test_another_folder_is_refused_with_a_reason(tmp_path: Path) -> None:
    home = find_home([str(tmp_path)])
    assert home.page_id == "" and tmp_path.name in home.reason
