"""Fast pieces for training an adapter on frozen weights: the LoRA projection and the loss, each as one autograd step.

Both compute what PEFT and transformers compute (a test holds them together), with less memory traffic: frozen weights
get no gradient, the adapter's product is added in place, logits exist only for learned tokens and only in slices.
"""

from __future__ import annotations

import types
from typing import Any

SLICE = 256
"""Learned tokens per slice of logits: 256 × 49 152 fp32 values are 50 MB."""


def _functions() -> tuple[Any, Any]:
    import torch
    from torch.nn import functional

    class LoraProjection(torch.autograd.Function):
        """``x W' + bias + scale · (x A') B'`` with A and B in fp32 and the rest in the type of x."""

        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, bias: Any, a: Any, b: Any, scale: float) -> Any:
            flat = x.reshape(-1, x.shape[-1])
            a_low, b_low = a.to(x.dtype), (b * scale).to(x.dtype)
            out = functional.linear(flat, weight, bias)
            inner = flat @ a_low.t()
            out.addmm_(inner, b_low.t())
            ctx.save_for_backward(flat, inner, weight, a_low, b_low)
            ctx.scale = scale
            return out.view(*x.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            flat, inner, weight, a_low, b_low = ctx.saved_tensors
            g = grad.reshape(-1, grad.shape[-1])
            g_inner = g @ b_low
            g_a = (g_inner.t() @ flat).float()
            g_b = (g.t() @ inner).float().mul_(ctx.scale)
            g_x = None
            if ctx.needs_input_grad[0]:
                g_x = (g @ weight).addmm_(g_inner, a_low).view(*grad.shape[:-1], -1)
            return g_x, None, None, g_a, g_b, None

    class HeadLoss(torch.autograd.Function):
        """Summed cross-entropy of a frozen head; its gradient is made on the way forward, slice by slice."""

        @staticmethod
        def forward(ctx: Any, hidden: Any, weight: Any, target: Any, softcap: float | None) -> Any:
            total = torch.zeros((), dtype=torch.float64, device=hidden.device)
            grads = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
            for start in range(0, hidden.shape[0], SLICE):
                piece = slice(start, start + SLICE)
                raw = (hidden[piece] @ weight.t()).float()
                logits = torch.tanh(raw / softcap) * softcap if softcap else raw
                wanted = target[piece, None]
                norm = torch.logsumexp(logits, dim=-1, keepdim=True)
                total += (norm - logits.gather(1, wanted)).double().sum()
                if grads is not None:
                    g = logits.sub(norm).exp_()
                    g.scatter_add_(1, wanted, torch.full_like(wanted, -1, dtype=g.dtype))
                    if softcap:
                        g *= 1 - (logits / softcap) ** 2
                    grads[piece] = g.to(hidden.dtype) @ weight
            if grads is not None:
                ctx.save_for_backward(grads)
            return total.float()

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (grads,) = ctx.saved_tensors
            return grads * grad.to(grads.dtype), None, None, None

    return LoraProjection, HeadLoss


def fuse_lora(model: Any) -> int:
    """Give every plain LoRA layer of a PEFT model the fused projection; returns how many got it.

    Layers with dropout, DoRA or anything else special keep PEFT's own code.
    """
    from peft.tuners.lora.layer import Linear as LoraLinear
    from torch import nn

    projection, _ = _functions_cached()

    def forward(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if self.disable_adapters or self.merged:
            return self.base_layer(x)
        a, b = self.lora_A["default"].weight, self.lora_B["default"].weight
        base = self.base_layer
        return projection.apply(x, base.weight, base.bias, a, b, self.scaling["default"])

    count = 0
    module: Any
    for module in model.modules():
        if not isinstance(module, LoraLinear) or type(module.base_layer) is not nn.Linear:
            continue
        if isinstance(module.lora_dropout["default"], nn.Identity):
            setattr(module, "forward", types.MethodType(forward, module))  # noqa: B010 - of this instance alone
            count += 1
    return count


def head_loss(hidden: Any, weight: Any, target: Any, softcap: float | None = None) -> Any:
    """Summed negative log-likelihood (nats) of `target` ``(n,)`` given `hidden` ``(n, d)``; a scalar."""
    _, loss = _functions_cached()
    return loss.apply(hidden, weight, target, softcap)


_cache: list[tuple[Any, Any]] = []


def _functions_cached() -> tuple[Any, Any]:
    if not _cache:
        _cache.append(_functions())
    return _cache[0]
