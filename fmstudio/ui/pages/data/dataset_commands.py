"""What the command palette offers for the dataset in front: every action of the page, with its keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fmstudio.ui.pages.data.dataset_tabs import TABS
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
    """Everything that can be done with it."""
    return [*_views(page, dataset), *_rows(page), *_columns(page), *_changes(page, dataset), *_past(page, dataset)]


def _views(page: DataPage, dataset: Dataset) -> list[Command]:
    name = dataset.name
    return [
        Command(f"Filter the rows of {name}", page.focus_filter, "Ctrl+F", "filter"),
        *(
            Command(f"{title} of {name}", partial(page.show_tab, tab), f"Alt+{number}", TAB_ICONS[tab])
            for number, (tab, title) in enumerate(TABS, 1)
        ),
    ]


def _rows(page: DataPage) -> list[Command]:
    """What can be done with the rows, while they are in front."""
    tabs, rows = page.view.tabs, page.view.rows
    if tabs.current != "rows" or page.view.panels.front is not None:
        return []
    table, act = rows.table, rows.commands
    found = [Command("Clear the filter", rows.bar.clear_all, "Esc", "close")] if rows.bar.where() else []
    found += (
        [Command("Back to the current version", partial(rows.show_version, None), "", "history")]
        if rows.version
        else []
    )
    found.append(Command("Read the filter the other way: words or SQL", rows.bar.switch_mode, "", "filter"))
    if rows.can_edit:
        found.append(Command("New row", act.insert, "Ins", "plus"))
    if not table.currentIndex().isValid():
        return found
    found += [
        Command("Find in the chosen row", tabs.inspector.open_find, "", "search"),
        Command("Show the texts of the chosen row as they are, or as Markdown", tabs.inspector.raw.click, "", "file"),
        Command("Lineage of the chosen row", partial(_row_lineage, page), "", "link"),
        Command("Copy the chosen rows as JSON", partial(table.copy_rows, as_json=True), "Ctrl+Shift+C", "copy"),
    ]
    if not rows.can_edit:
        return found
    return [
        *found,
        Command("Edit the cell", table.edit_current, "F2", "edit"),
        Command("Edit the whole row", tabs.inspector.edit, "", "edit"),
        Command("Set the cell to null", act.set_null, "Ctrl+0", "close"),
        Command("Duplicate the chosen rows", act.duplicate, "Ctrl+D", "copy"),
        Command("Drop the chosen rows", act.drop, "Del", "trash"),
        Command("Tag the chosen rows…", act.tag, "T", "edit"),
        Command("Rate the chosen rows up", partial(act.rate, 1), "+", "up"),
        Command("Rate the chosen rows down", partial(act.rate, -1), "-", "down"),
        Command("Take the rating of the chosen rows away", partial(act.rate, None), "0", "close"),
    ]


def _row_lineage(page: DataPage) -> None:
    table = page.view.rows.table
    row_id = table.rows.row_id(table.currentIndex().row())
    if row_id is not None:
        page.view.open_row_lineage(row_id)


def _columns(page: DataPage) -> list[Command]:
    """What can be done with the column of the current cell, and the statistics of every column."""
    rows = page.view.rows
    if page.view.tabs.current != "rows" or page.view.panels.front is not None:
        return []
    current, shown = rows.column_commands.current(), rows.table.rows.shown
    own = rows.column_commands.of(current) if current >= 0 else []
    found = [
        Command(f"Column {shown[current]}: {one.title}", one.run, one.keys, "inspector")
        for one in own
        if one.title and one.can
    ]
    others = [section for section in range(len(shown)) if section != current]
    return [
        *found,
        *(
            Command(
                f"Column {shown[section]}: Statistics…", partial(rows.heads.open_statistics, section), "", "evaluation"
            )
            for section in others
        ),
    ]


def _changes(page: DataPage, dataset: Dataset) -> list[Command]:
    view, name, header = page.view, dataset.name, page.view.header
    return [
        Command(f"Find and replace in {name}…", partial(page.open_transform, "replace"), "Ctrl+H", "search"),
        Command(f"Split {name} into train, validation and test…", partial(page.open_transform, "split"), "", "recipes"),
        Command(f"Change {name}: all changes…", page.open_transform, "Ctrl+T", "edit"),
        *(
            Command(f"Change {name}: {one.title}…", partial(page.open_transform, one.id), "", "edit")
            for one in view.panels.transform.transforms.values()
            if one.id not in OWN_WORDS
        ),
        Command(f"Export {name}…", page.open_export, "Ctrl+E", "export"),
        Command(f"Commit the edits of {name}", view.commit, "Ctrl+S", "save"),
        Command(f"Discard the edits of {name}", view.discard, "", "undo"),
        Command(f"Clean {name} with a recipe…", header.clean.click, "", "clean"),
        *(
            Command(f"Embed {name} with {title}", partial(view.embed_with, embedder), "", "embed")
            for embedder, title in view.embedders()
        ),
        Command(f"Train on {name}…", header.train.click, "", "training"),
        Command(f"Duplicate {name}", partial(view.actions_for.duplicate, dataset), "", "copy"),
        Command(f"Rename {name}…", view.rename, "F2", "edit"),
        Command(f"Delete {name}", view.delete, "", "trash"),
    ]


def _past(page: DataPage, dataset: Dataset) -> list[Command]:
    view, name = page.view, dataset.name
    return [
        Command(f"History of {name}", partial(view.tabs.show_past, "history"), "", "history"),
        Command(f"Versions of {name}: name, branch, restore", partial(view.tabs.show_past, "versions"), "", "history"),
        Command(f"Compare versions of {name}", partial(view.tabs.show_past, "compare"), "", "inspector"),
        Command(f"Lineage of {name}", view.open_lineage, "", "link"),
        Command("Disk use of this project", view.open_disk, "", "memory"),
    ]
