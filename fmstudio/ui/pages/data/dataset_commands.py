"""What the command palette offers for the dataset in front."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fmstudio.ui.pages.data.dataset_view import TABS
from fmstudio.ui.palette import Command

if TYPE_CHECKING:
    from fmstudio.project.datasets import Dataset
    from fmstudio.ui.pages.data.page import DataPage

TAB_ICONS = {
    "rows": "data", "search": "search", "sql": "keyboard", "versions": "history", "dropped": "drop", "rejects": "warning",
}  # fmt: skip
OWN_WORDS = ("replace", "split")
"""Transforms that are named here in words of their own."""


def dataset_commands(page: DataPage, dataset: Dataset) -> list[Command]:
    """Everything that can be done with it, with its keys."""
    view, name, header = page.view, dataset.name, page.view.header
    return [
        Command(f"Filter the rows of {name}", page.focus_filter, "Ctrl+F", "filter"),
        *(
            Command(f"{title} of {name}", partial(page.show_tab, tab), f"Alt+{number}", TAB_ICONS[tab])
            for number, (tab, title) in enumerate(TABS, 1)
        ),
        Command(f"Find and replace in {name}…", partial(page.open_transform, "replace"), "Ctrl+H", "search"),
        Command(f"Split {name} into train, validation and test…", partial(page.open_transform, "split"), "", "recipes"),
        Command(f"Change {name}: all changes…", page.open_transform, "Ctrl+T", "edit"),
        *(
            Command(f"Change {name}: {one.title}…", partial(page.open_transform, one.id), "", "edit")
            for one in view.transform.transforms.values()
            if one.id not in OWN_WORDS
        ),
        Command(f"Export {name}…", page.open_export, "Ctrl+E", "export"),
        Command(f"Commit the edits of {name}", view.commit, "Ctrl+S", "save"),
        Command(f"Discard the edits of {name}", header.pending.discard_wanted.emit, "", "undo"),
        Command(f"Clean {name} with a recipe…", header.clean.click, "", "clean"),
        Command(f"Train on {name}…", header.train.click, "", "training"),
        Command(f"Lineage of {name}", view.open_lineage, "", "link"),
        Command("Disk use of this project", view.open_disk, "", "memory"),
        Command(f"Duplicate {name}", partial(view.actions_for.duplicate, dataset), "", "copy"),
        Command(f"Rename {name}…", view.rename, "F2", "edit"),
        Command(f"Delete {name}", view.delete, "", "trash"),
    ]
