"""Filter: rows that are too short or too long, in characters or words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmstudio.api import Decision, Field, Filter, Params, text_array

if TYPE_CHECKING:
    import pyarrow as pa


class LengthParams(Params):
    """Settings of *Filter by length*; 0 = no limit."""

    min_characters: int = Field(default=1, ge=0, title="Fewest characters", description="0 = no limit.")
    max_characters: int = Field(default=0, ge=0, title="Most characters", description="0 = no limit.")
    min_words: int = Field(default=1, ge=0, title="Fewest words", description="0 = no limit.")
    max_words: int = Field(default=0, ge=0, title="Most words", description="0 = no limit.")
    column: str = Field(default="", title="Column", description="Empty = all the text of the row.")


class LengthFilter(Filter[LengthParams]):
    """Words are runs of characters that are not white space."""

    Params = LengthParams

    def statistics(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Give ``characters`` and ``words``."""
        import pyarrow.compute as pc

        text = text_array(batch, self.params.column)
        trimmed = pc.utf8_trim_whitespace(text)
        words = pc.list_value_length(pc.utf8_split_whitespace(trimmed))
        return {"characters": pc.utf8_length(text), "words": pc.if_else(pc.equal(trimmed, ""), 0, words)}

    def decide(self, statistics: dict[str, pa.Array]) -> Decision:
        """See `Filter.decide`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        reason = pa.nulls(len(statistics["words"]), pa.string())
        for unit in ("words", "characters"):
            fewest, most = getattr(self.params, f"min_{unit}"), getattr(self.params, f"max_{unit}")
            values = statistics[unit]
            if fewest:
                short = f"fewer than {fewest} {unit}" if fewest > 1 else f"no {unit}"
                reason = pc.if_else(pc.less(values, fewest), short, reason)
            if most:
                reason = pc.if_else(pc.greater(values, most), f"more than {most} {unit}", reason)
        return Decision(keep=reason.is_null(), reason=reason)
