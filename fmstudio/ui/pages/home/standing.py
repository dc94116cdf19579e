"""Where a project stands, counted in the store, and the best thing to do next. No widgets."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError
from fmstudio.core.paths import home

if TYPE_CHECKING:
    from fmstudio.project import Project

SAMPLE_FILE = ("data", "english", "tech_support.yml")
SAMPLE_TITLE = "Sample project"


@dataclass(frozen=True, slots=True)
class Standing:
    """Counts of one project."""

    datasets: int
    rows: int
    cleaned: int
    dropped: int
    embedded: int
    adapters: int
    conversations: int
    ratings: int
    newest: str


@dataclass(frozen=True, slots=True)
class NextAction:
    """What to do now: a sentence, the words on the button, and the page with its arguments."""

    title: str
    text: str
    button: str
    page_id: str
    args: dict[str, Any]


def measure(project: Project) -> Standing:
    """Count; call off the main thread."""
    datasets = project.datasets.all()
    versions = [v for d in datasets for v in project.datasets.versions(d.id) if v.parent is not None]
    cleaned = {v.dataset_id for v in versions}
    return Standing(
        datasets=len(datasets),
        rows=sum(d.rows for d in datasets),
        cleaned=len(cleaned),
        dropped=sum(v.dropped for v in versions),
        embedded=sum(any(c.is_side for c in d.columns) for d in datasets),
        adapters=sum(m.kind == "adapter" for m in project.models.all()),
        conversations=len(project.chats.conversations()),
        ratings=len(project.chats.ratings()),
        newest=datasets[-1].id if datasets else "",
    )


def next_action(standing: Standing) -> NextAction:
    """The step of the loop that is missing first."""
    dataset = {"dataset_id": standing.newest}
    if not standing.datasets:
        return NextAction(
            "Bring in some data", "A file of conversations, questions and answers, or texts: JSONL, CSV, Parquet, YAML.",
            "Choose a file…", "data", {"choose": True},
        )  # fmt: skip
    if not standing.cleaned:
        return NextAction(
            "See what cleaning would do", "Duplicates and broken text teach a model the wrong thing. Preview first.",
            "Preview a recipe", "recipes", dataset,
        )  # fmt: skip
    if not standing.adapters:
        return NextAction(
            "Train an adapter", "A small LoRA adapter learns your answers; the base model stays as it is.",
            "Set up training", "training", dataset,
        )  # fmt: skip
    if not standing.conversations:
        return NextAction(
            "Talk to the result", "Compare the base model with your adapter, and rate what they say.",
            "Open the chat", "chat", {},
        )  # fmt: skip
    if not standing.embedded:
        return NextAction(
            "Make your data searchable by meaning", "Embedding gives each row a place; rows that mean the same lie close.",
            "Embed a dataset", "data", {**dataset, "embed": True},
        )  # fmt: skip
    return NextAction(
        "Rate some answers", "Each rating is kept with all that is needed to say the answer again.",
        "Open the chat", "chat", {},
    )  # fmt: skip


def sample_file() -> Path:
    """The sample dataset, which arrives inside the package chatterbot-corpus.

    Raises:
        UserError: The package is not installed; the remedy is the install line.
    """
    spec = importlib.util.find_spec("chatterbot_corpus")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place).joinpath(*SAMPLE_FILE)
        if path.is_file():
            return path
    raise UserError("The sample data is not installed.", remedy="Run: pip install 'fmstudio[demo]'")


def sample_folder() -> Path:
    """Where the sample project is, or will be."""
    return home() / "projects" / "sample"
