"""What is learned and what is not: answers with their end-of-turn token, marked by position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fmstudio.api import UserError
from tests.plugins.lora_kit import conversation, write_rows
from tests.tiny_llama import build_tiny_llama

# PEFT 0.21 reads a property that transformers 5.23 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

EOS = 2


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(build_tiny_llama(tmp_path_factory.mktemp("tiny"))[0])


def learned_text(tokenizer: Any, example: Any) -> str:
    text: str = tokenizer.decode([t for t, on in zip(example.tokens, example.learned, strict=True) if on])
    return text


def renderer(tokenizer: Any, max_length: int = 256) -> Any:
    from fmstudio_lora.data import Renderer

    return Renderer(tokenizer, max_length)


def test_the_answer_and_its_end_token_are_learned_and_nothing_else(tokenizer: Any) -> None:
    example = renderer(tokenizer).render_messages(conversation(1))
    assert learned_text(tokenizer, example) == "The number 1 is 1. Thanks.<|im_end|>"
    assert tokenizer.pad_token_id == EOS, "this model pads with its end token, so masking by id would lose it"
    assert example.tokens[-1] == EOS and example.learned[-1]
    first_end = example.tokens.index(EOS)
    assert not example.learned[first_end], "the end token of the user's turn is not learned"


def test_every_answer_of_a_conversation_is_learned(tokenizer: Any) -> None:
    example = renderer(tokenizer).render_messages(conversation(0))
    assert learned_text(tokenizer, example) == "The number 0 is 0.<|im_end|>There, near the river.<|im_end|>"
    assert tokenizer.decode(example.tokens[example.split :]) == "There, near the river.<|im_end|>"
    assert example.prompt == "Where?"


def test_prompt_tokens_are_those_an_engine_would_be_given(tokenizer: Any) -> None:
    turns = conversation(1)
    example = renderer(tokenizer).render_messages(turns)
    prompt = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    assert example.tokens[: example.split] == tokenizer(prompt, add_special_tokens=False).input_ids


def test_a_trailing_question_is_dropped(tokenizer: Any) -> None:
    turns = conversation(1)
    longer = [*turns, {"role": "user", "content": "And then?"}]
    assert renderer(tokenizer).render_messages(longer) == renderer(tokenizer).render_messages(turns)


def test_rows_without_answer_are_counted_with_a_reason(tokenizer: Any, tmp_path: Path) -> None:
    from fmstudio_lora.data import load_examples

    rows = [conversation(1), [{"role": "user", "content": "Hello?"}], [{"role": "assistant", "content": "Hi."}], []]
    loaded = load_examples([write_rows(tmp_path / "a.parquet", rows)], renderer(tokenizer))
    assert len(loaded.examples) == 1
    assert loaded.notes == {"without an answer to a question": 3}


def test_long_rows_are_cut_and_counted(tokenizer: Any, tmp_path: Path) -> None:
    from fmstudio_lora.data import load_examples

    rows = [conversation(3), conversation(1)]
    full = renderer(tokenizer).render_messages(rows[0])
    limit = len(full.tokens) - 3
    loaded = load_examples([write_rows(tmp_path / "a.parquet", rows)], renderer(tokenizer, limit))
    assert loaded.notes == {f"cut to {limit} tokens": 1}
    assert loaded.examples[0].tokens == full.tokens[:limit]


def test_a_row_whose_answer_lies_beyond_the_limit_is_passed_over(tokenizer: Any) -> None:
    assert renderer(tokenizer, 8).render_messages(conversation(1)) == "whose answer starts after 8 tokens"


def test_prompt_and_completion_are_a_conversation(tokenizer: Any, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from fmstudio_lora.data import load_examples

    user, assistant = conversation(1)
    pq.write_table(
        pa.table({"prompt": [user["content"]], "completion": [assistant["content"]]}), tmp_path / "a.parquet"
    )
    loaded = load_examples([tmp_path / "a.parquet"], renderer(tokenizer))
    assert loaded.examples == [renderer(tokenizer).render_messages([user, assistant])]


def test_running_text_is_learned_whole_with_an_end_token(tokenizer: Any, tmp_path: Path) -> None:
    from fmstudio_lora.data import load_examples

    loaded = load_examples([write_rows(tmp_path / "a.parquet", ["Hello river"], "text")], renderer(tokenizer))
    example = loaded.examples[0]
    assert tokenizer.decode(example.tokens) == "Hello river<|im_end|>"
    assert example.learned == [False] + [True] * (len(example.tokens) - 1)


def test_a_model_without_template_gets_the_plain_one_and_still_learns_to_stop(tokenizer: Any) -> None:
    import copy

    bare = copy.deepcopy(tokenizer)
    bare.chat_template = None
    example = renderer(bare).render_messages(conversation(0))
    assert bare.decode(example.tokens).startswith("User: What is number 0?\nAssistant: The number")
    assert learned_text(bare, example) == " The number 0 is 0.<|im_end|> There, near the river.<|im_end|>"


def test_a_table_without_text_columns_is_refused_with_its_columns(tokenizer: Any, tmp_path: Path) -> None:
    from fmstudio_lora.data import load_examples

    file = write_rows(tmp_path / "a.parquet", ["x"], "price")
    with pytest.raises(UserError, match="price"):
        load_examples([file], renderer(tokenizer))
