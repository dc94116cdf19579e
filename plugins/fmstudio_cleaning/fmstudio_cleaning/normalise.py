"""Mapper: one way to write the same text (Unicode form, white space, invisible characters).

Leaves alone what may carry meaning: zero-width joiners (emoji, Persian, Indic scripts), tabs, indentation, emphasis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fmstudio.api import Field, Mapper, Params
from fmstudio_cleaning.columns import change_matching, map_text, text_columns

if TYPE_CHECKING:
    import pyarrow as pa

_CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x{84}\x{86}-\x{9F}]"
_INVISIBLE = r"[\x{AD}\x{200B}\x{2060}\x{FEFF}]"
_LINE_ENDS = r"\r\n?|\x{85}|\x{2028}|\x{2029}"
_SPACES = r"[\x{A0}\x{1680}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}]"
_BEFORE_LINE_END = r"[ \t]+\n"
_EMPTY_LINES = r"\n{3,}"
_RUNS = r"[ \t]{2,}|\t"
_AT_ENDS = r"^\s|\s$"


class NormaliseParams(Params):
    """Settings of *Normalise text*."""

    form: Literal["NFC", "NFKC", "none"] = Field(
        default="NFC",
        title="Unicode form",
        description="NFC joins letters and accents; NFKC also replaces look-alikes (① → 1, ﬁ → fi).",
    )
    whitespace: Literal["tidy", "collapse", "keep"] = Field(
        default="tidy",
        title="White space",
        description="“tidy” keeps indentation; “collapse” makes one space of every run, which ruins code.",
    )
    control: bool = Field(default=True, title="Remove control characters", description="All but tab and line ends.")
    invisible: bool = Field(
        default=True,
        title="Remove invisible characters",
        description="Zero-width space, word joiner, byte order mark, soft hyphen.",
    )
    column: str = Field(default="", title="Column", description="Empty = all the text of the row.")


class NormaliseText(Mapper[NormaliseParams]):
    """Rewrites text in one normal form; rows that already are stay byte for byte the same."""

    Params = NormaliseParams

    def map(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """See `Mapper.map`."""
        import pyarrow as pa

        changed = set(text_columns(batch, self.params.column))
        arrays = [
            map_text(array, self._normalise) if name in changed else array
            for name, array in zip(batch.schema.names, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)

    def setup(self) -> None:
        """See `Operator.setup`."""
        spaced = [_LINE_ENDS, _SPACES, _BEFORE_LINE_END, _EMPTY_LINES, _AT_ENDS]
        wanted = [_CONTROL] * self.params.control + [_INVISIBLE] * self.params.invisible
        wanted += spaced * (self.params.whitespace != "keep") + [_RUNS] * (self.params.whitespace == "collapse")
        self._any = "|".join(wanted)

    def _normalise(self, text: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        if self.params.form != "none":
            text = pc.utf8_normalize(text, form=self.params.form)
        return change_matching(text, self._any, self._tidy) if self._any else text

    def _tidy(self, text: pa.Array) -> pa.Array:
        if self.params.control:
            text = _replaced(text, _CONTROL, "")
        if self.params.invisible:
            text = _replaced(text, _INVISIBLE, "")
        if self.params.whitespace != "keep":
            text = self._spaced(text)
        # What stood between a letter and its accent may be gone now.
        return text if self.params.form == "none" else _composed(text, self.params.form)

    def _spaced(self, text: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        text = _replaced(text, _LINE_ENDS, "\n")
        text = _replaced(text, _SPACES, " ")
        if self.params.whitespace == "collapse":
            text = _replaced(text, _RUNS, " ")
            text = _replaced(text, r"\n ", "\n")
        text = _replaced(text, _BEFORE_LINE_END, "\n")
        text = _replaced(text, _EMPTY_LINES, "\n\n")
        # The end first: what stands at the start depends on whether more than one line is left.
        text = pc.utf8_rtrim_whitespace(text)
        return pc.utf8_ltrim(text, "\n ") if self.params.whitespace == "collapse" else _left(text)


def _left(text: pa.Array) -> pa.Array:
    """Remove empty lines at the start, and the first line's spaces only when it is the only line."""
    import pyarrow.compute as pc

    text = pc.utf8_ltrim(text, "\n")
    return pc.if_else(pc.match_substring(text, "\n"), text, pc.utf8_ltrim_whitespace(text))


def _composed(text: pa.Array, form: str) -> pa.Array:
    import pyarrow.compute as pc

    return pc.utf8_normalize(text, form=form)


def _replaced(text: pa.Array, pattern: str, replacement: str) -> pa.Array:
    import pyarrow.compute as pc

    return pc.replace_substring_regex(text, pattern, replacement)
