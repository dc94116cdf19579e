"""The sample data: conversations that arrive inside an installed package, so that nothing has to be downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fmstudio.api.errors import UserError

PACKAGE = "chatterbot_corpus"


def sample_files() -> list[Path]:
    """YAML files of the English chatterbot corpus (BSD licence; package chatterbot-corpus).

    Raises:
        UserError: The package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        files = sorted((Path(place) / "data" / "english").glob("*.yml"))
        if files:
            return files
    raise UserError("The sample data is not installed.", remedy="Run: pip install chatterbot-corpus==1.3.3")
