"""How pictures travel in messages inside the app: their files under ``images``, a mark in the text where each belongs."""

from __future__ import annotations

from typing import Any

PICTURE_MARK = "\ufffc"
"""Unicode's object replacement character. Readers of messages take it out of what people write."""


def images_of(message: Any) -> list[bytes]:
    """The files of a message's pictures, in the order of the marks in its text."""
    return list(message.get("images") or ())
