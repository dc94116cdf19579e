"""Pictures of a message, decoded with bounds: a small file may claim to be a picture that fills all memory."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from typing import Final

from fmstudio.api import UserError

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MOST_PIXELS: Final = 50_000_000
LONGEST_SIDE: Final = 2048
"""Larger pictures are made smaller: no projector looks closer."""
_KINDS = "PNG, JPEG, WebP, GIF or BMP"


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels, three bytes each, row by row; `digest` is the SHA-256 of them and of the size."""

    width: int
    height: int
    data: bytes
    digest: str


def decode_picture(data: bytes, number: int) -> Picture:
    """Decode the first frame, upright.

    Args:
        number: Counted from 1, for the message.

    Raises:
        UserError: It is damaged, of another kind, or too large.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large sizes; the bound below is ours
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                width, height = opened.size
                if width * height > MOST_PIXELS:
                    raise UserError(
                        f"Picture {number} has {width:,} × {height:,} pixels; at most {MOST_PIXELS:,} are read.",
                        remedy="Make it smaller.",
                    )
                opened.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # JPEG: decode no more than is needed
                image = ImageOps.exif_transpose(opened).convert("RGBA" if _has_alpha(opened) else "RGB")
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"Picture {number} cannot be read ({type(error).__name__}).", remedy=f"Give a whole {_KINDS} file."
        ) from error
    if image.mode == "RGBA":  # on white, as a page shows it
        flat = Image.new("RGB", image.size, (255, 255, 255))
        flat.paste(image, mask=image.getchannel("A"))
        image = flat
    if max(image.size) > LONGEST_SIDE:
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    pixels = image.tobytes()
    digest = hashlib.sha256(f"{image.width}x{image.height}:".encode() + pixels).hexdigest()
    return Picture(image.width, image.height, pixels, digest)


def _has_alpha(image: object) -> bool:
    return getattr(image, "mode", "") in ("RGBA", "LA", "PA") or "transparency" in getattr(image, "info", {})
