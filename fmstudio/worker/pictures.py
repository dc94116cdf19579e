"""Pictures among the first rows, made small enough for the answer to a request."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from fmstudio.core.detection import is_image

SIDE = 320
MOST_PIXELS = 64_000_000
"""Larger pictures stay words; they could be made to take gigabytes."""
MOST_BYTES = 20_000_000
"""So much of a preview's pictures is decoded: it must not take seconds."""


def small_pictures(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give ``row`` (from 0), ``column`` and ``data`` (a JPEG or PNG in base64) of each picture there is room for."""
    return list(_found(rows))


def _found(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    room = MOST_BYTES
    for number, row in enumerate(rows):
        for name, value in row.items():
            if isinstance(value, bytes) and is_image(value) and len(value) <= room:
                room -= len(value)
                if data := _small(value):
                    yield {"row": number, "column": name, "data": base64.b64encode(data).decode()}


def _small(value: bytes) -> bytes:
    """The picture with no side longer than `SIDE`; nothing when it cannot be read."""
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(value)) as image:
                if image.width * image.height > MOST_PIXELS:
                    return b""
                image.thumbnail((SIDE, SIDE))
                turned = ImageOps.exif_transpose(image)
                is_opaque = turned.mode in ("RGB", "L", "CMYK", "YCbCr")
                made = io.BytesIO()
                turned.convert("RGB" if is_opaque else "RGBA").save(made, "JPEG" if is_opaque else "PNG")
                return made.getvalue()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return b""
