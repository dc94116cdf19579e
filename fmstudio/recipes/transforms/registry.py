"""The registry of transforms, in the order in which menus show them."""

from __future__ import annotations

from fmstudio.api import UserError
from fmstudio.core.checking import nearest
from fmstudio.recipes.transforms import params as p
from fmstudio.recipes.transforms.columns import plan_cast, plan_drop, plan_rename
from fmstudio.recipes.transforms.combine import plan_join, plan_merge
from fmstudio.recipes.transforms.compute import plan_compute
from fmstudio.recipes.transforms.kind import TransformKind
from fmstudio.recipes.transforms.replace import plan_replace
from fmstudio.recipes.transforms.rows import plan_delete, plan_filter, plan_sort, plan_split_rows
from fmstudio.recipes.transforms.sample import plan_sample
from fmstudio.recipes.transforms.split import plan_split


def _short(text: str, most: int = 60) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= most else one_line[: most - 1] + "…"


def _replace_words(params: p.ReplaceParams) -> str:
    where = f" in {params.column}" if params.column.strip() else ""
    find, replacement = _short(params.find, 30), _short(params.replacement, 30)
    return f"Replace “{find}” by “{replacement}”{where}" if replacement else f"Remove “{find}”{where}"


def _split_words(params: p.SplitParams) -> str:
    shares = ", ".join(f"{name} {share * 100:.3g}%" for name, share in params.shares.items())
    by = f" {params.method} by {params.column}" if params.column else f" {params.method}"
    return f"Split{by} ({shares})"


def _sample_words(params: p.SampleParams) -> str:
    by = f", stratified by {params.stratify_by}" if params.stratify_by else ""
    return f"Sample {params.rows:,} rows{by}" if params.rows else f"Sample {params.share:.3g} of the rows{by}"


def _rename_words(params: p.RenameColumnsParams) -> str:
    return "Rename " + ", ".join(f"{old} to {new}" for old, new in params.names.items())


_KINDS = (
    TransformKind(
        "compute", "Compute column", "A column from a SQL expression, or from a text with {{column}} in it.",
        p.ComputeParams, "version", plan_compute, lambda q: f"Compute {q.column}",
    ),
    TransformKind(
        "replace", "Find and replace", "In one column or all, also inside messages; text or regular expression.",
        p.ReplaceParams, "version", plan_replace, _replace_words,
    ),
    TransformKind(
        "filter", "Keep rows", "Keep the rows that match a condition; the others are kept as dropped.",
        p.FilterParams, "version", plan_filter, lambda q: f"Keep rows where {_short(q.where)}",
    ),
    TransformKind(
        "delete_where", "Delete rows", "Delete the rows that match a condition; they are kept as dropped.",
        p.DeleteWhereParams, "version", plan_delete, lambda q: f"Delete rows where {_short(q.where)}",
    ),
    TransformKind(
        "split_rows", "Split rows", "Make several rows of one, at paragraphs, lines or a separator.",
        p.SplitRowsParams, "version", plan_split_rows, lambda q: f"Split rows at each {q.at} of {q.column}",
    ),
    TransformKind(
        "split", "Train, validation and test", "By chance, stratified, by groups, by near-duplicates or by time.",
        p.SplitParams, "version", plan_split, _split_words,
    ),
    TransformKind(
        "sample", "Sample", "Some of the rows by chance, the same ones for the same seed.",
        p.SampleParams, "dataset", plan_sample, _sample_words,
    ),
    TransformKind(
        "merge", "Merge datasets", "Append the rows of other datasets; columns are matched by name.",
        p.MergeParams, "dataset", plan_merge, lambda q: f"Merge with {', '.join(q.datasets)}", lambda q: q.datasets,
    ),
    TransformKind(
        "join", "Join", "Put columns of another dataset beside the rows with the same key.",
        p.JoinParams, "version", plan_join, lambda q: f"Join with {q.dataset} over {q.key}", lambda q: [q.dataset],
    ),
    TransformKind(
        "sort", "Sort", "The rows in another order, as a new dataset.",
        p.SortParams, "dataset", plan_sort, lambda q: f"Sort by {_short(q.order_by)}",
    ),
    TransformKind(
        "rename_columns", "Rename columns", "Other names for columns.",
        p.RenameColumnsParams, "version", plan_rename, _rename_words,
    ),
    TransformKind(
        "drop_columns", "Drop columns", "Take columns away.",
        p.DropColumnsParams, "version", plan_drop, lambda q: f"Drop {', '.join(q.columns)}",
    ),
    TransformKind(
        "cast", "Change type", "Another type for columns; what does not fit is counted and shown.",
        p.CastParams, "version", plan_cast, lambda q: f"Change {', '.join(q.columns)} to {q.type}",
    ),
)  # fmt: skip

TRANSFORMS: dict[str, TransformKind] = {kind.id: kind for kind in _KINDS}


def find_transform(transform: str) -> TransformKind:
    """A transform by its id.

    Raises:
        UserError: There is none.
    """
    if transform not in TRANSFORMS:
        raise UserError(f"There is no transform “{transform}”.", remedy=nearest(transform, list(TRANSFORMS)))
    return TRANSFORMS[transform]
