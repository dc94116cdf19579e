"""Statistics kept in a file beside the version they are of, so that they need not be counted again after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmstudio.core.jsonfile import read_json, write_text
from fmstudio.project.cell_values import decode, encode
from fmstudio.project.statistics_model import Bin, ColumnStatistics, ColumnSummary, Spread

NAME = "statistics.json"
STATES_KEPT = 2
"""States of a version that are kept: as it was published, and with the edits seen last."""
MOST_CHARACTERS = 200_000
"""Longer statistics (of columns with very long values) are counted anew each time."""
FORMAT = 2
_SPREADS = ("values", "characters", "words", "turns", "contents", "items", "tokens")


class StatisticsFile:
    """The file of one version. It can be deleted at any time.

    Args:
        files: The version's row files; statistics of other files are not believed.
        state: Names the edits through which the rows are seen; empty = none.
    """

    def __init__(self, folder: Path, files: Sequence[Path], state: str) -> None:
        self._path = folder / NAME
        facts = [(file.name, file.stat().st_size) for file in files]
        self._key = f"{FORMAT} {state} {facts}"

    def summaries(self) -> list[ColumnSummary] | None:
        """The summaries of all columns; None when they are not there."""
        found = self._read("summaries")
        return None if found is None else [ColumnSummary(**{**one, "histogram": _bins(one)}) for one in found]

    def column(self, name: str) -> ColumnStatistics | None:
        """The statistics of one column; None when they are not there."""
        found = self._read(f"column {name}")
        if found is None:
            return None
        spreads = {key: Spread(**found[key]) for key in _SPREADS if found[key] is not None}
        pairs = {key: tuple((a, b) for a, b in found[key]) for key in ("top", "outliers", "samples")}
        return ColumnStatistics(**{**found, "histogram": _bins(found), **spreads, **pairs})

    def keep(self, name: str, value: list[ColumnSummary] | ColumnStatistics) -> None:
        """Write statistics: those of a column, or (no name) the summaries."""
        plain = [asdict(one) for one in value] if isinstance(value, list) else asdict(value)
        text = encode(plain)
        if len(text) > MOST_CHARACTERS:
            return
        states: dict[str, dict[str, str]] = read_json(self._path, {})
        mine = {**states.pop(self._key, {}), f"column {name}" if name else "summaries": text}
        kept = dict([*states.items(), (self._key, mine)][-STATES_KEPT:])
        try:
            write_text(self._path, encode(kept))
        except OSError:  # a disk that is full or cannot be written costs time the next time, and nothing else
            return

    def _read(self, name: str) -> Any:
        try:
            text = read_json(self._path, {}).get(self._key, {}).get(name)
            return None if text is None else decode(text)
        except (AttributeError, ValueError, TypeError, KeyError):  # damaged: it is counted again
            return None


def _bins(found: dict[str, Any]) -> tuple[Bin, ...]:
    return tuple(Bin(**one) for one in found["histogram"])
