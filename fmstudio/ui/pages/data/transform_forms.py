"""Forms for transforms: their JSON schemas with the columns and datasets there are, and what is still to be filled in.

Asks nothing of the project and draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Text", ("replace", "split_rows")),
    ("Columns", ("compute", "rename_columns", "cast", "drop_columns")),
    ("Rows", ("filter", "delete_where", "sample", "sort")),
    ("Datasets", ("split", "merge", "join")),
)
"""How menus group the transforms; one that is not here stands under “More”."""
OTHER_COLUMNS = ("other_key", "columns")
"""Fields of a join that mean columns of the other dataset."""
NOTHING = {"replace": "all text", "split": "none", "sample": "none"}
"""What an empty column means, by transform."""


@dataclass(frozen=True, slots=True)
class TransformInfo:
    """A transform as menus and forms need it."""

    id: str
    title: str
    description: str
    schema: dict[str, Any]


def load_transforms() -> dict[str, TransformInfo]:
    """All transforms, in the registry's order. Imports the store's modules: call it off the main thread."""
    from fmstudio.recipes.transforms import TRANSFORMS

    return {
        kind.id: TransformInfo(kind.id, kind.title, kind.description, kind.Params.model_json_schema())
        for kind in TRANSFORMS.values()
    }


def grouped(transforms: Mapping[str, TransformInfo]) -> list[tuple[str, list[TransformInfo]]]:
    """Title of a group → its transforms, none left out."""
    known = {name for _, names in GROUPS for name in names}
    rest = tuple(name for name in transforms if name not in known)
    return [
        (title, found)
        for title, names in (*GROUPS, ("More", rest))
        if (found := [transforms[name] for name in names if name in transforms])
    ]


def form_schema(info: TransformInfo, columns: Sequence[str], others: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The schema of a transform's form.

    Args:
        columns: Columns of the dataset.
        others: Other dataset → its columns.
    """
    schema = dict(info.schema)
    properties = {}
    for name, raw in schema.get("properties", {}).items():
        properties[name] = {**raw, **_control(info, name, raw, columns, others)}
    schema["properties"] = properties
    return schema


def _control(
    info: TransformInfo,
    name: str,
    raw: Mapping[str, Any],
    columns: Sequence[str],
    others: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    hint = raw.get("control")
    if info.id == "rename_columns" and name == "names":
        return {"control": "names", "suggestions": list(columns), "description": "Write a new name beside the old one."}
    if info.id == "join" and name in OTHER_COLUMNS:
        return {"control": "typed" if name == "other_key" else "checks", "suggestions": []}
    if hint == "column":
        is_open = info.id in ("compute", "join")
        empty = () if is_open or "default" not in raw else ("",)
        wanted = "typed" if is_open else "choice"
        return {"control": wanted, "suggestions": [*empty, *columns], "nothing": NOTHING.get(info.id, "none")}
    if hint == "columns":
        return {"control": "checks", "suggestions": list(columns)}
    if hint == "dataset":
        return {"control": "choice", "suggestions": list(others), "nothing": "choose one"}
    if hint == "datasets":
        return {"control": "checks", "suggestions": list(others)}
    return {}


def missing(schema: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """Titles of parameters that have to be given and are not yet."""
    found = []
    for name, raw in schema.get("properties", {}).items():
        must = name in schema.get("required", ()) or raw.get("minLength", 0) or raw.get("minItems", 0)
        if must and values.get(name) in (None, "", [], {}):
            found.append(str(raw.get("title", name)))
    return found
