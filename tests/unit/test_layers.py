"""What import-linter cannot see: plugins import nothing of the app but its contract, and never one another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from fmstudio.core.paths import first_party_plugins

HEAVY = {"torch", "transformers", "peft", "trl", "llama_cpp", "sentence_transformers", "wordllama", "pyarrow", "numpy"}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("folder", [p.parent for p in sorted(first_party_plugins().glob("*/plugin.toml"))], ids=str)
def test_a_plugin_knows_the_contract_only(folder: Path) -> None:
    others = {p.name for p in first_party_plugins().iterdir()} - {folder.name}
    for path in folder.rglob("*.py"):
        for name in imports(ast.parse(path.read_text("utf-8"))):
            top = name.split(".")[0]
            assert top not in others, f"{path} imports the plugin {top}"
            assert top != "fmstudio" or name == "fmstudio.api" or name.startswith("fmstudio.api."), f"{path}: {name}"


def test_the_contract_imports_nothing_heavy() -> None:
    """Whoever describes a plugin pays for pydantic, not for machine learning."""
    import subprocess
    import sys

    code = f"import sys, fmstudio.api; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
