"""`TransformKind`: a transform with its parameters, and `Plan`: what it does to the rows, as SQL.

A plan is run the same way for a preview of a few rows and for the job over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fmstudio.api import Params
from fmstudio.core.checking import make_params

if TYPE_CHECKING:
    from fmstudio.recipes.transforms.scope import Scope

Makes = Literal["version", "dataset", "datasets"]

REASON = "__reason"
"""Control column: why a row is dropped; missing = it stays."""

CHANGED = "__changed"
"""Control column: number of cells of the row that change."""

FAILED = "__failed"
"""Control column: what cannot be done to the row; not missing = the transform stops there."""

LOST = "__lost"
"""Control column: a value of the row that does not fit and is left empty; missing = none."""

TARGET = "__target"
"""Control column: the output that takes the row, where there are several."""

SPLIT = "split"
"""Column of the result in which a row's split stands; exports and training use it."""

CONTROL = (REASON, CHANGED, FAILED, LOST, TARGET)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a transform does.

    Attributes:
        kept: SQL of rows that keep their ``row_id``, with the new columns and any control columns; empty = none do.
        fresh: SQL queries, one after another, of rows that get new ids, in the order given; they have no ``row_id``.
        notes: What the user should know, in words.
        warnings: The same, where it is not to be overlooked: something is overwritten, or is done otherwise than typed.
        unit: What is counted as changed.
        is_aligned: Whether a row of the result is one row of the dataset, so that before and after stand side by side.
        fresh_rows: Number of rows of ``fresh`` where it is known; None = they have to be counted.
        shows: SQL condition over ``kept`` for the rows worth showing in a preview; empty = the first ones.
        is_part: Whether ``kept`` holds some of the rows only, for a preview to estimate from.
    """

    kept: str
    fresh: Sequence[str] = ()
    notes: Sequence[str] = ()
    unit: Literal["cells", "rows"] = "rows"
    is_aligned: bool = True
    fresh_rows: int | None = None
    shows: str = ""
    warnings: Sequence[str] = ()
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class TransformKind:
    """A transform.

    Attributes:
        Params: Model of its parameters; forms are made from its JSON schema.
        makes: What it makes with its default parameters; see `made`.
        plan: Plans it over the rows of a scope.
        words: What it does with these parameters, for the history.
        others: Names the other datasets it reads.
    """

    id: str
    title: str
    description: str
    Params: type[Params]
    makes: Makes
    plan: Callable[[Scope, Any], Plan] = field(repr=False)
    words: Callable[[Any], str] = field(repr=False)
    others: Callable[[Any], Sequence[str]] = field(default=lambda params: (), repr=False)

    def parse(self, values: Mapping[str, Any]) -> Any:
        """Make the parameters.

        Raises:
            UserError: One is missing, misspelt or out of bounds; the message names it.
        """
        return make_params(self, dict(values), self.title)

    def made(self, params: Any) -> Makes:
        """What it makes with these parameters: the next version, a new dataset, or several."""
        output = getattr(params, "output", None)
        return {"version": "version", "column": "version", "dataset": "dataset", "datasets": "datasets"}.get(
            output or self.makes, self.makes
        )  # type: ignore[return-value]
