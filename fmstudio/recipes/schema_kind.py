"""Which kind of dataset columns make, after a transform or a query made them."""

from __future__ import annotations

from collections.abc import Mapping

from fmstudio.api.rows import CANONICAL_COLUMNS, SchemaKind

_BY_COLUMNS: tuple[SchemaKind, ...] = (
    "conversation", "preference", "unpaired_preference", "prompt_completion", "image_caption", "text",
)  # fmt: skip
"""Tried in this order: the more telling come first."""


def schema_kind(columns: Mapping[str, str], known: str = "") -> SchemaKind:
    """The kind that these columns make.

    Args:
        columns: Column → Arrow type, as text.
        known: The kind it was; it stays while its columns are there.
    """
    wanted: tuple[SchemaKind, ...] = tuple(kind for kind in _BY_COLUMNS if kind == known) + _BY_COLUMNS
    return next((kind for kind in wanted if _fits(kind, columns)), "table")


def _fits(kind: SchemaKind, columns: Mapping[str, str]) -> bool:
    needed = CANONICAL_COLUMNS[kind]
    if kind == "preference":  # a prompt may be part of the messages
        needed = ("chosen", "rejected")
    if not all(name in columns for name in needed):
        return False
    if kind == "conversation":
        return "struct<" in columns["messages"] and "role" in columns["messages"]
    if kind == "unpaired_preference":
        return columns["label"] == "bool"
    return kind != "text" or columns["text"] == "string"
