"""Recipes: named lists of cleaning steps, how they are checked, and the executor that runs them over Arrow batches."""

from fmstudio.recipes.executor import Result, run_recipe
from fmstudio.recipes.preview import preview
from fmstudio.recipes.recipe import Recipe, Step
from fmstudio.recipes.stages import BoundStep, bind, stages

__all__ = ["BoundStep", "Recipe", "Result", "Step", "bind", "preview", "run_recipe", "stages"]
