"""From a recipe to running operators: bind each step to its class and parameters, and cut the steps into stages.

A stage is a run of steps that need one pass over the rows. A deduplicator must have seen every row before the next step
may begin, so it ends its stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmstudio.api import Annotator, Deduplicator, Expander, Filter, Mapper, Operator, UserError
from fmstudio.core.checking import make_params, nearest
from fmstudio.recipes.recipe import Recipe

if TYPE_CHECKING:
    from fmstudio.plugin_manager import PluginManager

_KINDS = (Annotator, Filter, Mapper, Expander, Deduplicator)


@dataclass(frozen=True)
class BoundStep:
    """A step with its operator, ready for `setup`.

    Attributes:
        number: 1-based place in the recipe.
        operator_id, title: Of the contribution.
    """

    number: int
    operator_id: str
    title: str
    operator: Operator[Any]


def bind(recipe: Recipe, plugins: PluginManager) -> list[BoundStep]:
    """Make all operators of a recipe, without setting them up.

    Raises:
        UserError: The recipe is empty, an operator is unknown or a parameter is wrong; names step and field.
    """
    if not recipe.steps:
        raise UserError("The recipe has no steps.", remedy="Add a step.")
    known = [c.id for c in plugins.contributions("operator")]
    bound = []
    for number, step in enumerate(recipe.steps, 1):
        if step.operator not in known:
            raise UserError(
                f"Step {number}: there is no operator “{step.operator}”.", remedy=nearest(step.operator, known)
            )
        contribution = plugins.contribution("operator", step.operator)
        kind = contribution.load()
        if not (isinstance(kind, type) and issubclass(kind, _KINDS)):
            raise UserError(f"Step {number}: “{step.operator}” is no operator of a known kind.")
        params = make_params(kind, step.params, f"Step {number} ({step.operator})")
        bound.append(BoundStep(number, step.operator, contribution.title, kind(params)))
    return bound


def stages(steps: Sequence[BoundStep]) -> list[list[BoundStep]]:
    """Cut steps after each deduplicator."""
    cut: list[list[BoundStep]] = [[]]
    for step in steps:
        cut[-1].append(step)
        if isinstance(step.operator, Deduplicator):
            cut.append([])
    return [stage for stage in cut if stage]
