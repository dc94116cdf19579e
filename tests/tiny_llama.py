"""A seeded tiny llama (about 140 000 weights) as a Hugging Face folder and as a GGUF file with the same weights.

It knows nothing and answers noise, but it has everything a real chat model has: a byte-level BPE tokenizer, special
tokens, a ChatML template. Logits of transformers and llama.cpp agree to about five digits. Building takes about a
second once torch is imported; callers keep one copy per test session.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCAB_SIZE = 448
HIDDEN = 64
LAYERS = 2
HEADS = 4
KV_HEADS = 2
INTERMEDIATE = 192
CONTEXT = 512

# Material for the merges only; any English text does.
_TEXT = (
    "What is your name? My name is Sam and I live near the river.",
    "How do I restart the printer? Hold the button for ten seconds, then wait until the light is green.",
    "The capital of France is Paris. The largest planet is Jupiter, and the smallest one is Mercury.",
    "Tell me something about computers. A computer follows instructions, one after another, very quickly.",
    "user assistant system hello thanks please question answer because there where which would could should",
)


def build_tiny_llama(folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """Build the model below `folder`.

    Returns:
        The Hugging Face folder (``config.json``, ``model.safetensors``, tokenizer) and the F32 GGUF file.
    """
    hf_dir, gguf_path = folder / "hf", folder / "tiny-llama-f32.gguf"
    hf_dir.mkdir(parents=True, exist_ok=True)
    tokenizer_json = _write_tokenizer(hf_dir)
    model = _build_model(seed)
    model.save_pretrained(hf_dir, safe_serialization=True)
    _write_gguf(gguf_path, model.state_dict(), tokenizer_json)
    return hf_dir, gguf_path


def _write_tokenizer(hf_dir: Path) -> dict[str, Any]:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    fast: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        pad_token="<|im_end|>",  # as in SmolLM2: padding and end-of-turn are one token, so masking by id would be wrong
    )
    fast.chat_template = CHATML
    fast.save_pretrained(hf_dir)
    if tokenizer.get_vocab_size() != VOCAB_SIZE:
        raise RuntimeError(f"the tokenizer has {tokenizer.get_vocab_size()} tokens instead of {VOCAB_SIZE}")
    parsed: dict[str, Any] = json.loads(tokenizer.to_str())
    return parsed


def _build_model(seed: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        intermediate_size=INTERMEDIATE,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(config)
        for weight in model.parameters():  # larger than the usual 0.02, so that different prompts differ clearly
            if weight.dim() == 2:
                torch.nn.init.normal_(weight, std=0.12)
    return model


def _write_gguf(path: Path, state: dict[str, Any], tokenizer_json: dict[str, Any]) -> None:
    import gguf

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny-llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCAB_SIZE)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_vocabulary(writer, tokenizer_json)
    for name, tensor in state.items():
        if name != "lm_head.weight":  # tied to the embedding
            writer.add_tensor(_gguf_name(name), _gguf_values(name, tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: Any, tokenizer_json: dict[str, Any]) -> None:
    import gguf

    vocabulary = tokenizer_json["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    kinds = [gguf.TokenType.CONTROL if token in SPECIALS else gguf.TokenType.NORMAL for token in tokens]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in tokenizer_json["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


_GGUF_PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def _gguf_name(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_GGUF_PARTS[rest.removesuffix('.weight')]}.weight"


def _gguf_values(name: str, tensor: Any) -> Any:
    """Rows of q and k are reordered: GGUF's llama pairs neighbouring rotary dimensions, transformers pairs halves."""
    values = tensor.detach().float().numpy()
    heads = HEADS if "q_proj" in name else KV_HEADS if "k_proj" in name else 0
    if not heads:
        return values
    rows, columns = values.shape
    return values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns).copy()
