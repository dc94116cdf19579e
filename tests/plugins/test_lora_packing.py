"""The fast pieces compute what PEFT and transformers compute: rows in a pack do not see each other."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest

from tests.plugins import lora_kit  # noqa: F401 - puts the plugin on the path
from tests.tiny_llama import VOCAB_SIZE, build_tiny_llama

# PEFT 0.21 reads a property that transformers 5.23 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_llama(tmp_path_factory.mktemp("tiny"))[0]


def examples(n: int, shared: int, seed: int = 1) -> list[Any]:
    """Random rows that begin alike, of very different lengths."""
    from fmstudio_lora.data import Example

    rng = random.Random(seed)
    start = [rng.randrange(3, VOCAB_SIZE) for _ in range(shared)]
    made = []
    for i in range(n):
        own = [rng.randrange(3, VOCAB_SIZE) for _ in range(3 + (i * 7) % 40)]
        tokens = start + own
        learned = [at >= shared + 1 and (at % 3 != 0 or at == len(tokens) - 1) for at in range(len(tokens))]
        made.append(Example(tokens, learned, "", shared + 1))
    return made


def peft_model(folder: Path) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    )
    made: Any = get_peft_model(model, config)
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return made


def one_by_one(model: Any, rows: list[Any]) -> tuple[float, dict[str, Any]]:
    """Summed loss and gradients, each row alone, by plain transformers and PEFT."""
    import torch
    from torch.nn.functional import cross_entropy

    total = torch.zeros(())
    for row in rows:
        ids = torch.tensor([row.tokens])
        logits = model(input_ids=ids).logits[0, :-1]
        on = torch.tensor(row.learned[1:])
        total = total + cross_entropy(logits[on], ids[0, 1:][on], reduction="sum")
    total.backward()
    return total.item(), gradients(model)


def packed(model: Any, rows: list[Any], max_tokens: int) -> tuple[float, dict[str, Any], int]:
    """The same through packs and the fused projection."""
    from fmstudio_lora.attention import PackedAttention
    from fmstudio_lora.fused import fuse_lora
    from fmstudio_lora.loop import Run, _loss
    from fmstudio_lora.packing import pack, plan
    from fmstudio_lora.params import LoraParams

    attention = PackedAttention()
    attention.register(model.get_base_model())
    assert fuse_lora(model) == 14
    run = Run(model, attention, rows, [], LoraParams(), Path(), "")
    total = 0.0
    chosen = plan(rows, max_tokens)
    assert sorted(i for part in chosen for i in part) == list(range(len(rows)))
    for part in chosen:
        loss = _loss(run, pack(rows, part, model.device))
        loss.backward()
        total += loss.item()
    return total, gradients(model), len(chosen)


def gradients(model: Any) -> dict[str, Any]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("shared", "max_tokens"), [(0, 512), (9, 512), (9, 96), (1, 64)])
def test_losses_and_gradients_of_packs_are_those_of_single_rows(folder: Path, shared: int, max_tokens: int) -> None:
    import torch

    model = peft_model(folder)
    rows = examples(11, shared)
    alone, expected = one_by_one(copy.deepcopy(model), rows)
    together, got, n_packs = packed(model, rows, max_tokens)
    assert n_packs > 1 or max_tokens == 512
    assert together == pytest.approx(alone, rel=1e-5)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_changing_one_row_changes_no_other_rows_loss(folder: Path) -> None:
    import torch

    from fmstudio_lora.attention import PackedAttention
    from fmstudio_lora.data import Example
    from fmstudio_lora.packing import pack

    model = peft_model(folder).get_base_model()
    attention = PackedAttention()
    attention.register(model)
    rows = examples(4, 5)
    other = Example([*rows[0].tokens[:-2], 7, 8], rows[0].learned, "", 6)

    def hidden(first: Any) -> Any:
        batch = pack([first, *rows[1:]], range(4), "cpu")
        with torch.no_grad(), attention.use(batch):
            states = model.model(input_ids=batch.tokens, position_ids=batch.positions, use_cache=False)
        return states.last_hidden_state[0].index_select(0, batch.source), batch.owner

    before, owner = hidden(rows[0])
    after, _ = hidden(other)
    assert torch.equal(before[owner != 0], after[owner != 0])
    assert not torch.equal(before[owner == 0], after[owner == 0])


def test_the_shared_beginning_goes_through_the_model_once() -> None:
    from fmstudio_lora.packing import pack

    rows = examples(6, 20)
    batch = pack(rows, range(6), "cpu")
    assert batch.shared == 20
    assert batch.tokens.numel() == batch.row_tokens - 5 * 20
    assert batch.n_learned == sum(row.n_learned for row in rows)


def test_a_sliding_window_hides_what_lies_further_back(folder: Path) -> None:
    import torch

    from fmstudio_lora.attention import PackedAttention
    from fmstudio_lora.packing import pack

    rows = examples(3, 6)
    batch = pack(rows, range(3), "cpu")
    n = batch.tokens.numel()
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, heads, n, 8) for heads in (4, 2, 2))
    attention = PackedAttention()
    with attention.use(batch):
        got, _ = attention(object(), q, k, v, None, sliding_window=4)
    start = 6
    for row in rows:
        own = list(range(start, start + len(row.tokens) - 6))
        start = own[-1] + 1
        at = torch.tensor([*range(6), *own])
        place = torch.arange(len(at))
        seen = (place[None] <= place[:, None]) & (place[:, None] - place[None] < 4)
        expected = torch.nn.functional.scaled_dot_product_attention(
            q[:, :, at], k[:, :, at], v[:, :, at], attn_mask=seen, enable_gqa=True
        )
        torch.testing.assert_close(got[0, at], expected[0].transpose(0, 1), rtol=1e-4, atol=1e-5)
