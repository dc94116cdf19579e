"""What a user can set on each transform. Forms and the command line are made from these models.

``control`` in a field's JSON schema says what a form may offer for it: ``column``, ``columns``, ``sql``, ``text``
(several lines), ``dataset`` or ``datasets``. It is a hint; every field can also be typed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fmstudio.api import ROW_ID, Params

Output = Literal["version", "dataset"]
CastType = Literal["text", "whole number", "number", "true or false", "date", "date and time"]
SplitMethod = Literal["random", "stratified", "grouped", "near duplicates", "time"]


def _hint(control: str, **more: Any) -> dict[str, Any]:
    return {"control": control, **more}


Column = Annotated[str, Field(min_length=1, json_schema_extra=_hint("column"))]
OptionalColumn = Annotated[str, Field(json_schema_extra=_hint("column"))]
Columns = Annotated[list[str], Field(json_schema_extra=_hint("columns"))]
Condition = Annotated[str, Field(min_length=1, json_schema_extra=_hint("sql"))]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1, title="Seed", description="Another seed chooses other rows.")]
NewName = Annotated[
    str, Field(title="Name", description="Name of the new dataset; empty = named after this one.", max_length=200)
]


class ComputeParams(Params):
    """A column from a SQL expression, or from a text with ``{{column}}`` in it."""

    column: Column = Field(title="Column", description="The column to write; a new one, or one to replace.")
    expression: str = Field(
        default="",
        title="SQL expression",
        description="Computes the value of each row from its columns, e.g. length(text).",
        json_schema_extra=_hint("sql"),
    )
    template: str = Field(
        default="",
        title="Template",
        description="Text in which {{column}} stands for the value, e.g. Question: {{prompt}}. Instead of an expression.",
        json_schema_extra=_hint("text"),
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.expression.strip()) == bool(self.template):
            raise ValueError("Give either a SQL expression or a template")
        if self.column.casefold() == ROW_ID:
            raise ValueError(f"“{ROW_ID}” names each row for life and cannot be computed")
        return self


class ReplaceParams(Params):
    """Find and replace in text, also inside messages."""

    find: str = Field(min_length=1, title="Find", description="The text or regular expression to look for.")
    replacement: str = Field(
        default="",
        title="Replace with",
        description="May be empty. With a regular expression, $1 or \\1 stands for its first group and $0 for all.",
    )
    column: OptionalColumn = Field(
        default="", title="Column", description="Empty = all columns with text, also the contents of messages."
    )
    regex: bool = Field(
        default=False, title="Regular expression", description="RE2 syntax: fast on any text, without look-around."
    )
    ignore_case: bool = Field(default=False, title="Ignore case", description="“Cat” also finds “cat”.")
    whole_word: bool = Field(default=False, title="Whole words", description="“cat” does not find “concat”.")


class FilterParams(Params):
    """Keep the rows that match."""

    where: Condition = Field(title="Keep rows where", description="SQL condition, e.g. length(text) > 100.")


class DeleteWhereParams(Params):
    """Delete the rows that match."""

    where: Condition = Field(title="Delete rows where", description="SQL condition, e.g. text IS NULL.")


class SplitRowsParams(Params):
    """One row becomes several."""

    column: Column = Field(title="Column", description="The column whose text is split.")
    at: Literal["paragraph", "line", "separator", "regex"] = Field(
        default="paragraph", title="Split at", description="Empty lines, line ends, a text, or a regular expression."
    )
    separator: str = Field(
        default="",
        title="Separator",
        description="The text or regular expression to split at; it is taken away. \\n is a line end, \\t a tab.",
    )
    output: Output = Field(
        default="version",
        title="Makes",
        description="The next version: the first part keeps its row, the others come at the end. "
        "A new dataset: the parts stand in order.",
    )
    name: NewName = ""

    @model_validator(mode="after")
    def _has_separator(self) -> Self:
        if self.at in ("separator", "regex") and not self.separator:
            raise ValueError("Give the separator to split at")
        return self


class SplitParams(Params):
    """Train, validation and test."""

    train: float = Field(default=0.8, ge=0, title="Train", description="Share of the rows.")
    validation: float = Field(
        default=0.1, ge=0, title="Validation", description="Share of the rows; 0 = no such split."
    )
    test: float = Field(default=0.1, ge=0, title="Test", description="Share of the rows; 0 = no such split.")
    method: SplitMethod = Field(
        default="random",
        title="Method",
        description="random: each row by itself, and it stays there when rows are added. stratified: each value of the "
        "column in the same shares. grouped: rows with one value of the column stay together. near duplicates: rows "
        "with nearly the same text stay together. time: the oldest rows train, the newest test.",
    )
    column: OptionalColumn = Field(
        default="",
        title="Column",
        description="What to stratify, group or order by; for near duplicates the text to compare, empty = all text.",
    )
    similarity: float = Field(
        default=0.7,
        ge=0.3,
        le=1,
        title="Similarity",
        description="Share of common word triples from which two texts are near duplicates.",
        json_schema_extra={"advanced": True},
    )
    seed: Seed = 0
    output: Literal["column", "datasets"] = Field(
        default="column", title="Makes", description="A column “split” in the next version, or a dataset for each."
    )
    name: NewName = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.method in ("stratified", "grouped", "time") and not self.column:
            raise ValueError(f"Name the column for the method “{self.method}”")
        if sum(1 for share in (self.train, self.validation, self.test) if share > 0) < 2:
            raise ValueError("Give two splits or more a share above 0")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Split → share; they sum to 1, whatever was given."""
        given = {"train": self.train, "validation": self.validation, "test": self.test}
        total = sum(given.values())
        return {name: share / total for name, share in given.items() if share > 0}


class SampleParams(Params):
    """Some of the rows, chosen by chance."""

    rows: int = Field(default=0, ge=0, title="Rows", description="How many; 0 = use the share.")
    share: float = Field(default=0.1, gt=0, le=1, title="Share", description="Share of all rows, when “Rows” is 0.")
    stratify_by: OptionalColumn = Field(
        default="", title="Stratify by", description="Column whose values keep their shares; empty = none."
    )
    seed: Seed = 0
    output: Output = Field(
        default="dataset",
        title="Makes",
        description="A new dataset, or the next version (the other rows are kept as dropped).",
    )
    name: NewName = ""


class MergeParams(Params):
    """This dataset's rows and those of others, one after another."""

    datasets: list[str] = Field(
        min_length=1, title="Datasets", description="Those to append, in order.", json_schema_extra=_hint("datasets")
    )
    source_column: bool = Field(
        default=True, title="Note the source", description="A column “source_dataset” says where each row is from."
    )
    output: Output = Field(default="dataset", title="Makes", description="A new dataset, or this one's next version.")
    name: NewName = ""


class JoinParams(Params):
    """Columns of another dataset, beside the rows they belong to."""

    dataset: str = Field(
        min_length=1, title="Dataset", description="Where the columns are from.", json_schema_extra=_hint("dataset")
    )
    key: Column = Field(title="Key", description="Column of this dataset; several with commas between.")
    other_key: str = Field(default="", title="Their key", description="Column of the other; empty = the same name.")
    how: Literal["left", "inner"] = Field(
        default="left", title="Rows without a match", description="left: stay, with empty cells. inner: are dropped."
    )
    columns: list[str] = Field(
        default=[], title="Columns to add", description="Columns of the other dataset; empty = all."
    )
    suffix: str = Field(
        default="_2", min_length=1, title="Suffix", description="Added to their columns whose names are here already."
    )
    output: Output = Field(default="version", title="Makes", description="The next version, or a new dataset.")
    name: NewName = ""

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        if not self.key.replace(",", " ").strip():
            raise ValueError("Name the key")
        return self


class SortParams(Params):
    """The rows in another order, as a new dataset."""

    order_by: Condition = Field(
        title="Order by", description="Columns or expressions, e.g. language, length(text) DESC."
    )
    name: NewName = ""


class RenameColumnsParams(Params):
    """Other names for columns."""

    names: dict[str, str] = Field(
        min_length=1, title="New names", description='Old name to new name, as JSON, e.g. {"body": "text"}.'
    )


class DropColumnsParams(Params):
    """Take columns away."""

    columns: Columns = Field(min_length=1, title="Columns", description="Those to take away.")


class CastParams(Params):
    """Another type for a column."""

    columns: Columns = Field(min_length=1, title="Columns", description="Those to change.")
    type: CastType = Field(title="Type", description="What they shall hold.")
    on_failure: Literal["empty cell", "drop row", "stop"] = Field(
        default="stop",
        title="A value that does not fit",
        description="stop: nothing is changed. empty cell: the value is lost here, the version before still has it. "
        "drop row: the row is kept as dropped.",
    )
