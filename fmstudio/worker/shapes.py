"""`Shape`: files of a folder or archive that are alike and become one dataset."""

from __future__ import annotations

from dataclasses import dataclass

from fmstudio.api import Part
from fmstudio.core.words import plural
from fmstudio.worker.sources import Source

_ALIKE = 0.5
"""Share of common column names from which two tables are of one shape (Jaccard); optional fields differ between files."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Files of one family whose columns are much the same; of documents, which are all alike, there are no columns."""

    family: str
    columns: frozenset[str]
    members: list[Source]

    def takes(self, family: str, columns: frozenset[str]) -> bool:
        """Whether a file is of this shape."""
        known = self.columns
        return family == self.family and (known == columns or len(known & columns) >= _ALIKE * len(known | columns))

    @property
    def id(self) -> str:
        """Place of the first file in the folder or archive."""
        return self.members[0].name.partition("/")[2]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(source.size for source in self.members)

    @property
    def part(self) -> Part:
        """What the user chooses it by."""
        others = len(self.members) - 1
        more = f" and {plural(others, 'more file')}" if others else ""
        return Part(self.id, self.id + more, detail=self._told)

    @property
    def left_out(self) -> str:
        """A note for when it is not read."""
        names = ", ".join(source.name for source in self.members[:3]) + ("" if len(self.members) <= 3 else ", …")
        count = plural(len(self.members), "file")
        return (
            f"Left out: {count} of another shape ({self._told}): {names}. Choose it among the tables to import it, too."
        )

    @property
    def _told(self) -> str:
        names = sorted(self.columns)
        return f"columns {', '.join(names[:6])}{', …' if len(names) > 6 else ''}" if names else "documents"
