"""Recipes: steps in a row, previewed on real rows before they run."""

from fmstudio.ui.pages.recipes.page import RecipesPage

__all__ = ["RecipesPage"]
