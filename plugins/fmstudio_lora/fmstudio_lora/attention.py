"""Attention over a pack: each row sees the shared beginning and itself, nothing else.

Registered with transformers as an attention implementation, so the models' own code (projections, rotary positions,
norms) stays in use. Rows are laid into a small padded grid per group just for the two products of attention: on CPUs a
dense mask over the whole pack costs more than all projections together.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmstudio_lora.packing import Group, Pack

NAME = "fmstudio_packed"


class PackedAttention:
    """The attention function of one run; `use` tells it which pack is in the model."""

    def __init__(self) -> None:
        self._pack: Pack | None = None
        self._masks: dict[tuple[int, int | None], Any] = {}

    def register(self, model: Any) -> None:
        """Make `model` compute its attention here."""
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        ALL_ATTENTION_FUNCTIONS.register(NAME, self)
        model.set_attn_implementation(NAME)

    @contextmanager
    def use(self, pack: Pack) -> Iterator[None]:
        """Compute for this pack inside the block (backward included: it uses saved values only)."""
        self._pack, self._masks = pack, {}
        try:
            yield
        finally:
            self._pack, self._masks = None, {}

    def __call__(
        self,
        module: Any,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any,
        scaling: float | None = None,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        softcap: float | None = None,
        **_: Any,
    ) -> tuple[Any, None]:
        """Shapes: query ``(1, heads, n, d)``, key and value ``(1, kv_heads, n, d)``; gives ``(1, n, heads, d)``."""
        import torch

        pack = self._pack
        if pack is None:
            raise RuntimeError("packed attention was called outside `use`")
        kv_heads, heads, d = key.shape[1], query.shape[1], query.shape[-1]
        scale = d**-0.5 if scaling is None else scaling
        window = sliding_window if sliding_window is not None else getattr(module, "sliding_window", None)
        # One row per token, the query heads that share a key head side by side.
        q = (query[0].transpose(0, 1) * scale).reshape(-1, kv_heads, heads // kv_heads, d)
        k, v = key[0].transpose(0, 1), value[0].transpose(0, 1)
        out = torch.empty_like(q) if not q.requires_grad else q.new_zeros(q.shape)
        shared = pack.shared
        if shared:
            mask = self._mask(None, window, q)
            o = _attend(_grid(q[None, :shared]), _grid_kv(k[None, :shared]), _grid_kv(v[None, :shared]), mask, softcap)
            out = out.index_copy(0, torch.arange(shared, device=q.device), _ungrid(o, 1, shared, kv_heads)[0])
        for number, group in enumerate(pack.groups):
            rows, length = group.rows, group.length
            qg, kg, vg = (_lay(x, group) for x in (q, k, v))
            keys, values = _grid_kv(_with_shared(kg, k, shared)), _grid_kv(_with_shared(vg, v, shared))
            o = _attend(_grid(qg), keys, values, self._mask(number, window, q), softcap)
            real = _ungrid(o, rows, length, kv_heads).reshape(rows * length, kv_heads, -1, d)
            out = out.index_copy(0, group.flat, real.index_select(0, group.padded))
        return out.reshape(1, -1, heads, d), None

    def _mask(self, number: int | None, window: int | None, q: Any) -> Any:
        """Additive mask ``(rows, 1, 1, length, shared + length)`` of a group, or of the shared beginning (None)."""
        import torch

        found = self._masks.get((-1 if number is None else number, window))
        if found is not None:
            return found
        pack = self._pack
        assert pack is not None
        first, length, start = (0, pack.shared, 0) if number is None else (pack.shared, pack.groups[number].length, 0)
        ask = torch.arange(first, first + length, device=q.device)[:, None]
        see = torch.arange(start, first + length, device=q.device)[None, :]
        hidden = see > ask
        if window:
            hidden = hidden | (ask - see >= window)
        mask = torch.zeros(hidden.shape, dtype=q.dtype, device=q.device).masked_fill(hidden, torch.finfo(q.dtype).min)
        self._masks[(-1 if number is None else number, window)] = mask
        return mask


def _lay(x: Any, group: Group) -> Any:
    """Tokens ``(n, …)`` → the group's grid ``(rows, length, …)``, zeros where a row is shorter."""
    grid = x.new_zeros((group.rows * group.length, *x.shape[1:]))
    grid = grid.index_copy(0, group.padded, x.index_select(0, group.flat))
    return grid.reshape(group.rows, group.length, *x.shape[1:])


def _with_shared(grid: Any, x: Any, shared: int) -> Any:
    import torch

    if not shared:
        return grid
    return torch.cat([x[None, :shared].expand(grid.shape[0], *(-1 for _ in x.shape)), grid], dim=1)


def _grid(q: Any) -> Any:
    """``(rows, length, kv, per, d)`` → ``(rows · kv, per · length, d)``."""
    rows, length, kv, per, d = q.shape
    return q.permute(0, 2, 3, 1, 4).reshape(rows * kv, per * length, d)


def _ungrid(o: Any, rows: int, length: int, kv: int) -> Any:
    """The inverse of `_grid`: ``(rows, length, kv, per, d)``."""
    return o.reshape(rows, kv, -1, length, o.shape[-1]).permute(0, 3, 1, 2, 4)


def _grid_kv(x: Any) -> Any:
    """``(rows, keys, kv, d)`` → ``(rows · kv, keys, d)``."""
    rows, keys, kv, d = x.shape
    return x.permute(0, 2, 1, 3).reshape(rows * kv, keys, d)


def _attend(q: Any, k: Any, v: Any, mask: Any, softcap: float | None) -> Any:
    import torch

    scores = torch.bmm(q, k.transpose(1, 2))
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    length, keys = mask.shape
    scores = (scores.view(scores.shape[0], -1, length, keys) + mask).view(scores.shape)
    return torch.bmm(torch.softmax(scores, dim=-1, dtype=torch.float32).to(v.dtype), v)
