"""What base and trained model say of held-out rows, as `EvalRecord`s: the yardstick an engine is compared with.

Computed in fp32 with the adapter as it was saved, by transformers' own attention and cache: none of the fast pieces of
training take part, so a fault in them would show.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from fmstudio.api import EvalRecord, TaskContext
from fmstudio_lora.data import Example

BATCH = 32


def records(
    model: Any, examples: Sequence[Example], *, ends: Sequence[int], max_new_tokens: int, ctx: TaskContext
) -> list[EvalRecord]:
    """Ask a PEFT model, adapter on and off.

    Args:
        ends: Token ids that end a turn.
        max_new_tokens: Longest greedy answer.
    """
    made: list[EvalRecord] = []
    total = len(examples)
    for start in range(0, total, BATCH):
        part = examples[start : start + BATCH]
        ctx.progress(start, total, "held-out answers")
        top1, nll = _forced(model, part, adapter=True)
        _, nll_base = _forced(model, part, adapter=False)
        greedy = _greedy(model, part, ends, max_new_tokens, ctx, adapter=True)
        greedy_base = _greedy(model, part, ends, max_new_tokens, ctx, adapter=False)
        for i, example in enumerate(part):
            made.append(
                EvalRecord(
                    prompt=example.prompt,
                    prompt_tokens=example.tokens[: example.split],
                    answer_tokens=example.tokens[example.split :],
                    top1=top1[i],
                    greedy=greedy[i],
                    greedy_base=greedy_base[i],
                    nll=nll[i],
                    nll_base=nll_base[i],
                )
            )
    ctx.progress(total, total, "held-out answers")
    return made


def _switch(model: Any, adapter: bool) -> Any:
    return nullcontext() if adapter else model.disable_adapter()


def _forced(model: Any, examples: Sequence[Example], *, adapter: bool) -> tuple[list[list[int]], list[float]]:
    """Teacher-forced: the likeliest token at each answer position, and the mean loss of the answer."""
    import torch

    top1: list[list[int]] = []
    nll: list[float] = []
    with torch.inference_mode(), _switch(model, adapter):
        for example in examples:
            ids = torch.tensor([example.tokens], device=model.device)
            logits = model(input_ids=ids, use_cache=False).logits[0, example.split - 1 : -1].float()
            target = ids[0, example.split :]
            top1.append(logits.argmax(-1).tolist())
            nll.append(float(torch.nn.functional.cross_entropy(logits, target)))
    return top1, nll


def _greedy(
    model: Any, examples: Sequence[Example], ends: Sequence[int], max_new: int, ctx: TaskContext, *, adapter: bool
) -> list[list[int]]:
    import torch
    from transformers import GenerationConfig, StoppingCriteriaList

    prompts = [example.tokens[: example.split] for example in examples]
    longest = max(map(len, prompts))
    # Padding goes to the left, masked by position: the token id used for it has no meaning.
    ids = torch.tensor([[ends[0]] * (longest - len(p)) + p for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=model.device)

    def stop(input_ids: Any, scores: Any, **_: Any) -> Any:
        ctx.check_cancelled()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=max_new, do_sample=False, eos_token_id=list(ends), pad_token_id=ends[0], use_cache=True
    )
    with torch.inference_mode(), _switch(model, adapter):
        out = model.generate(
            input_ids=ids, attention_mask=mask, generation_config=config, stopping_criteria=StoppingCriteriaList([stop])
        )
    return [_until_end(answer, ends) for answer in out[:, longest:].tolist()]


def _until_end(tokens: list[int], ends: Sequence[int]) -> list[int]:
    for i, token in enumerate(tokens):
        if token in ends:
            return tokens[: i + 1]
    return tokens
