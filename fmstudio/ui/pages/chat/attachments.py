"""Files, pictures and rows that travel with a question: never executed, bounded in size. For any thread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api.errors import UserError

if TYPE_CHECKING:
    from PySide6.QtGui import QImage

MAX_BYTES = 2 << 20
"""Bytes of one attached text; more than any context this engine allocates."""
MOST_ROWS = 200
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
MOST_IMAGE_BYTES = 64 << 20
LONGEST_SIDE = 1_280
"""Pixels; larger pictures are made smaller: models that read pictures do the same."""


def read_file(path: Path) -> dict[str, Any]:
    """Read a file as an attachment: a picture, or a text.

    Raises:
        UserError: It is neither, or too large.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return read_text(path)
    from PySide6.QtGui import QImageReader

    if path.stat().st_size > MOST_IMAGE_BYTES:
        raise UserError(
            f"“{path.name}” is larger than {MOST_IMAGE_BYTES >> 20} MB.", remedy="Attach a smaller picture."
        )
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)
    image = reader.read()
    if image.isNull():
        raise UserError(f"“{path.name}” cannot be read as a picture: {reader.errorString()}.")
    return image_attachment(path.name, image)


def image_attachment(name: str, image: QImage) -> dict[str, Any]:
    """A picture as an attachment: name, kind, size and a data URI, no larger than models look at."""
    from PySide6.QtCore import QBuffer, QByteArray, QIODevice, Qt

    if max(image.width(), image.height()) > LONGEST_SIDE:
        smooth = Qt.TransformationMode.SmoothTransformation
        image = image.scaled(LONGEST_SIDE, LONGEST_SIDE, Qt.AspectRatioMode.KeepAspectRatio, smooth)
    kind = "PNG" if image.hasAlphaChannel() else "JPEG"
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, kind, -1 if kind == "PNG" else 88)  # type: ignore[call-overload]
    uri = f"data:image/{kind.lower()};base64,{bytes(data.toBase64().data()).decode()}"
    return {"name": name, "kind": "image", "data": uri, "width": image.width(), "height": image.height()}


def read_text(path: Path) -> dict[str, Any]:
    """Read a text file as an attachment: name, kind and text.

    Raises:
        UserError: It is no text, or too large.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(
                f"“{path.name}” is larger than {MAX_BYTES >> 20} MB.",
                remedy="Import it on the Data page and attach rows of it.",
            )
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"“{path.name}” cannot be read: {error.strerror or error}.") from error
    for encoding in ("utf-8-sig", "utf-16") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return {"name": path.name, "kind": "text", "text": text}
    raise UserError(f"“{path.name}” is no text file.", remedy="Import documents on the Data page, then attach rows.")


def read_rows(name: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows of a dataset as an attachment: JSON Lines.

    Raises:
        UserError: There are too many.
    """
    if len(rows) > MOST_ROWS:
        raise UserError(f"{len(rows):,} rows are too many to attach.", remedy=f"Choose at most {MOST_ROWS}.")
    lines = [
        json.dumps({c: row.get(c) for c in columns if row.get(c) is not None}, ensure_ascii=False, default=str)
        for row in rows
    ]
    return {
        "name": f"{name} ({len(rows)} {'row' if len(rows) == 1 else 'rows'}).jsonl",
        "kind": "rows",
        "text": "\n".join(lines),
    }
