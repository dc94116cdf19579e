"""Hugging Face datasets saved to disk (`save_to_disk`): read by Arrow alone, so nothing in the folder is ever run.

The folder holds `state.json` with the names of its Arrow files and `dataset_info.json` with the features; a
DatasetDict holds `dataset_dict.json` with the names of its splits, a folder each (`datasets` 5.2,
`arrow_dataset.py` and `dataset_dict.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmstudio.api import Field, Importer, ImportReport, Params, Part, Reject, TaskContext, UserError
from fmstudio.api import Params as AnyParams
from fmstudio_formats.arrow_file import read_arrow
from fmstudio_formats.arrow_plain import pieces
from fmstudio_formats.hf_features import decoded

if TYPE_CHECKING:
    import pyarrow as pa


class HfParams(Params):
    """Settings of the importer of saved datasets."""

    part: str = Field(default="", title="Split", description="Name of one split; empty = all, with a column “split”.")


class HfDatasetImporter(Importer):
    """Reads folders that hold `dataset_info.json` or `dataset_dict.json`."""

    Params = HfParams

    def parts(self, path: Path, ctx: TaskContext) -> list[Part]:
        """See `Importer.parts`."""
        splits = _splits(path)
        return [Part(name, name, _rows(folder), "split") for name, folder in splits.items() if name]

    def read(self, path: Path, params: AnyParams, report: ImportReport, ctx: TaskContext) -> Iterator[pa.RecordBatch]:
        """See `Importer.read`."""
        assert isinstance(params, HfParams)
        splits = _splits(path)
        if params.part and params.part not in splits:
            names = ", ".join(name for name in splits if name) or "none"
            raise UserError(f"{path.name} has no split “{params.part}”.", remedy=f"Its splits: {names}.")
        chosen = {params.part: splits[params.part]} if params.part else splits
        total = sum(file.stat().st_size for folder in chosen.values() for file in _data_files(folder))
        done = 0
        for name, folder in chosen.items():
            for file in _data_files(folder):
                yield from _file(file, folder, "" if params.part else name, report, ctx, done, total)
                done += file.stat().st_size


def _file(
    file: Path, folder: Path, split: str, report: ImportReport, ctx: TaskContext, done: int, total: int
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    features = _features(folder)
    try:
        for batch, at in read_arrow(file, report):
            ctx.check_cancelled()
            ctx.progress(done + at, total, "bytes read")
            for piece in pieces(batch):
                named = decoded(piece, features)
                if split and "split" not in named.schema.names:
                    named = named.append_column("split", pa.repeat(pa.scalar(split), named.num_rows))
                yield named
    except UserError as error:
        report.reject(Reject(f"{folder.name}/{file.name}: {error}"))


def _splits(path: Path) -> dict[str, Path]:
    """Give name and folder of each split; one without a name for a plain dataset.

    Raises:
        UserError: The folder is no saved dataset.
    """
    if path.is_file():  # the marker itself was chosen
        path = path.parent
    if not path.is_dir():
        raise UserError(f"{path} is not there.", remedy="Choose the folder of a saved dataset.")
    listed = _json(path / "dataset_dict.json").get("splits")
    if isinstance(listed, list):
        found = {str(name): path / str(name) for name in listed if _is_plain(str(name)) and (path / str(name)).is_dir()}
        if found:
            return found
    if _data_files(path):
        return {"": path}
    raise UserError(
        f"{path.name} is no dataset saved to disk: it names no Arrow files.",
        remedy="Choose the folder that save_to_disk wrote, with dataset_info.json and data-….arrow in it.",
    )


def _data_files(folder: Path) -> list[Path]:
    """The Arrow files that `state.json` names, or all there are when it is missing; none outside the folder."""
    listed = _json(folder / "state.json").get("_data_files")
    if isinstance(listed, list):
        names = [str(item.get("filename", "")) for item in listed if isinstance(item, dict)]
        files = [folder / name for name in names if _is_plain(name)]
    else:
        files = sorted(folder.glob("*.arrow"))
    return [file for file in files if file.is_file() and not file.is_symlink()]


def _is_plain(name: str) -> bool:
    return bool(name) and Path(name).name == name and name not in (".", "..")


def _features(folder: Path) -> dict[str, Any]:
    features = _json(folder / "dataset_info.json").get("features")
    return features if isinstance(features, dict) else {}


def _rows(folder: Path) -> int | None:
    splits = _json(folder / "dataset_info.json").get("splits")
    counts = [split.get("num_examples") for split in splits.values()] if isinstance(splits, dict) else []
    named = splits.get(folder.name) if isinstance(splits, dict) else None
    if isinstance(named, dict) and isinstance(named.get("num_examples"), int):
        return int(named["num_examples"])
    return counts[0] if len(counts) == 1 and isinstance(counts[0], int) else None


def _json(path: Path) -> dict[str, Any]:
    """Read a small description; an empty one when it is missing.

    Raises:
        UserError: It is damaged.
    """
    if not path.is_file() or path.stat().st_size > 64 << 20:
        return {}
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path.parent.name}/{path.name} is damaged: {error}.", remedy="Save the dataset again."
        ) from error
    return value if isinstance(value, dict) else {}
