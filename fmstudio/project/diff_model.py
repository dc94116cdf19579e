"""What a difference between two versions is told in: counts, shares of operations, rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fmstudio.project.diff_shifts import Shift

DiffKind = Literal["all", "added", "removed", "changed"]
RowKind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class StepShare:
    """A step of an operation, as it was counted when it ran: rows it dropped (with reasons), changed and made."""

    number: int
    title: str
    dropped: int
    changed: int
    made: int
    reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class OperationShare:
    """What one operation between the two versions has to do with the difference.

    Attributes:
        title: What was done, in words.
        operation: Kind: recipe, transform, commit, update, branch, edit (what waits for a commit).
        added, removed, changed: Rows of this difference that it added, removed, changed. A row may be in several shares.
        version: The version it made; 0 for edits that wait for a commit, or that another operation folded in first.
        dataset_id: Whose version.
        operation_id: In the operation log; 0 when it is not there.
        steps: Its steps.
        is_taken_back: Only the version before went through it; the difference takes it back.
        is_known: False when the files are gone that would tell; the counts are then 0.
    """

    title: str
    operation: str
    added: int
    removed: int
    changed: int
    version: int = 0
    dataset_id: str = ""
    operation_id: int = 0
    steps: tuple[StepShare, ...] = ()
    is_taken_back: bool = False
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class DiffSummary:
    """The difference in numbers, all of them counted.

    Attributes:
        columns_changed: Column → rows in which it changed, the most first.
        columns_retyped: Column, type before, type after.
        by_operation: What did it, in order.
        notes: What should be said besides: branches, files that are gone.
    """

    before: str
    after: str
    rows_before: int
    rows_after: int
    added: int
    removed: int
    changed: int
    unchanged: int
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    columns_changed: tuple[tuple[str, int], ...] = ()
    columns_retyped: tuple[tuple[str, str, str], ...] = ()
    by_operation: tuple[OperationShare, ...] = ()
    shifts: tuple[Shift, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiffRow:
    """A row that differs.

    Attributes:
        before, after: The whole row on each side; None where it is not there.
        columns: Names of the columns that changed.
        reason: Why it was removed, when a step said so.
        operations: Titles of the operations that did it, in order.
    """

    row_id: int
    kind: RowKind
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    columns: tuple[str, ...] = ()
    reason: str = ""
    operations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiffPage:
    """Rows of the difference from `offset` on, by ``row_id``; `total` counts all that were asked for."""

    rows: tuple[DiffRow, ...]
    offset: int
    total: int
    columns: tuple[str, ...] = ()
