"""Transforms: what can be done to the rows and columns of a dataset, each with its parameters and its plan in SQL.

`TRANSFORMS` is the registry; forms are made from ``TRANSFORMS[id].Params.model_json_schema()``. Running a plan is the
business of `fmstudio.recipes.transform_run`, previewing it that of `fmstudio.recipes.transform_preview`.
"""

from __future__ import annotations

from fmstudio.recipes.transforms.kind import Makes, Plan, TransformKind
from fmstudio.recipes.transforms.registry import TRANSFORMS, find_transform

__all__ = ["TRANSFORMS", "Makes", "Plan", "TransformKind", "find_transform"]
