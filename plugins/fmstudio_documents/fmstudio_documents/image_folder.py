"""Pictures: a row for each, with its size and caption. Only headers are opened; no picture is decoded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import Field, Importer, ImportReport, Params, Reject, TaskContext, UserError
from fmstudio_documents.captions import METADATA, Captions
from fmstudio_documents.rows import batched, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""The only ones Pillow may try: others start outside programs or are rarely tested."""
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_LARGEST = 64 << 20


class ImageParams(Params):
    """Settings of the picture importer."""

    store: Literal["small", "bytes", "path"] = Field(
        default="small",
        title="Store",
        description="small: pictures up to the size below are kept in the dataset, of larger ones the path; "
        "bytes: all pictures; path: none.",
    )
    small_mb: float = Field(default=2.0, gt=0, le=64, title="Small up to (MB)")


class ImageFolderImporter(Importer):
    """Reads a folder of pictures, or one picture."""

    Params = ImageParams

    def read(self, path: Path, params: Any, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        import pyarrow as pa

        pictures, captions = _look(path, report)
        if not pictures:
            raise UserError(f"{path.name} holds no pictures.", remedy=f"Pictures are {', '.join(_SUFFIXES)}.")
        labels = {picture.parent for picture in pictures}
        more = [name for name in captions.columns if name != "caption"]
        kinds = {"image": "binary", "image_path": "string", "caption": "string"}
        kinds |= {"label": "string"} if len(labels) > 1 and "label" not in more else {}
        kinds |= {"width": "int64", "height": "int64", "format": "string", "bytes": "int64", "source_file": "string"}
        schema = pa.schema([*schema_of(**kinds), *captions.fields(more)])
        yield from batched(_rows(path, pictures, captions, params, report, ctx), schema)
        _tell(captions, path, report)


def _look(path: Path, report: ImportReport) -> tuple[list[Path], Captions]:
    captions = Captions(report)
    if path.is_file():
        return [path], captions
    pictures: list[Path] = []
    others = 0
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(files):
            file = Path(folder) / name
            lower = name.lower()
            if lower in METADATA:
                captions.read(file)
            elif lower.endswith(_SUFFIXES) and not name.startswith("._"):
                pictures.append(file)
            elif not name.startswith(".") and file.suffix.lower() not in (".txt", ".caption"):
                others += 1
    if others:
        report.note(f"Left out: {others} files that are no pictures.")
    return pictures, captions


def _rows(
    root: Path, pictures: list[Path], captions: Captions, params: ImageParams, report: ImportReport, ctx: TaskContext
) -> Iterator[dict[str, Any]]:
    sizes = [picture.stat().st_size for picture in pictures]
    done, total = 0, sum(sizes)
    for picture, size in zip(pictures, sizes, strict=True):
        ctx.check_cancelled()
        place = picture.relative_to(root).as_posix() if root.is_dir() else picture.name
        try:
            facts = _header(picture)
            image = picture.read_bytes() if _is_stored(size, params) else None
        except (OSError, ValueError, SyntaxError, MemoryError, OverflowError) as error:
            report.reject(Reject(f"{place} is no picture that can be read ({_words(error)}).", raw=place))
        else:
            folder = picture.parent.relative_to(root).as_posix() if root.is_dir() else ""
            told = {"bytes": size, "source_file": place}
            if "label" not in captions.columns:  # else the metadata says the labels, as in Hugging Face's ImageFolder
                told["label"] = folder if folder not in ("", ".") else None
            stored = {"image": image, "image_path": None if image else str(picture)}
            yield {**stored, **facts, **told, **captions.of(picture)}
        done += size
        ctx.progress(done, total, "bytes read")


def _is_stored(size: int, params: ImageParams) -> bool:
    largest = {"small": params.small_mb * 1e6, "bytes": _LARGEST, "path": -1}[params.store]
    return size <= largest


def _header(picture: Path) -> dict[str, Any]:
    """Size and format from the first bytes.

    Raises:
        OSError, ValueError, SyntaxError: It is no picture, or declares an absurd size.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(picture, formats=_FORMATS) as image:
                return {"width": image.width, "height": image.height, "format": str(image.format).lower()}
        except Image.DecompressionBombError as error:
            raise ValueError("it claims a size that would fill the memory") from error


def _words(error: BaseException) -> str:
    return "no known format" if "cannot identify" in str(error) else str(error) or type(error).__name__


def _tell(captions: Captions, root: Path, report: ImportReport) -> None:
    for place in captions.left_over():
        name = place.relative_to(root).as_posix() if place.is_relative_to(root) else place.name
        report.reject(Reject(f"{name} is described but not there.", raw=name))
