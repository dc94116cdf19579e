"""BERT encoders as GGUF files: a seeded tiny one, and any folder of the kind transformers writes.

Names and settings follow llama.cpp's converter (its ``BertModel``): whole words get the mark ``▁``, pieces lose ``##``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WIDTH, LAYERS, HEADS, CONTEXT = 32, 2, 4, 128
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MEAN, CLS = 1, 2

_TOP = {
    "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
}  # fmt: skip
_LAYER = {
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}  # fmt: skip


def build_tiny_bert(folder: Path, *, pooling: int = MEAN, seed: int = 0) -> tuple[Path, Path]:
    """Build below `folder`; give the Hugging Face folder (with a tokenizer) and the GGUF file."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    hf = folder / "bert"
    hf.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,?!"
    words = ["the", "printer", "river", "capital", "of", "france", "is", "where", "my", "light", "what", "name"]
    vocab = [*SPECIALS, *letters, *(f"##{c}" for c in letters[:36]), *words]
    (hf / "vocab.txt").write_text("\n".join(vocab) + "\n")
    tokenizer: Any = BertTokenizerFast(vocab=str(hf / "vocab.txt"), do_lower_case=True)
    tokenizer.save_pretrained(hf)
    config = BertConfig(
        vocab_size=len(vocab), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=2 * WIDTH, max_position_embeddings=CONTEXT, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = BertModel(config, add_pooling_layer=False)
        for weight in model.parameters():
            if weight.dim() == 2:
                torch.nn.init.normal_(weight, std=0.3)
    model.eval().save_pretrained(hf, safe_serialization=True)
    return hf, write_bert_gguf(hf, folder / f"tiny-bert-{pooling}.gguf", pooling=pooling)


def write_bert_gguf(folder: Path, path: Path, *, pooling: int = MEAN) -> Path:
    """Write a BERT folder (``config.json``, ``model.safetensors``, ``vocab.txt`` or ``tokenizer.json``) as F32 GGUF."""
    import gguf
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    vocab = _vocab(folder)
    writer = gguf.GGUFWriter(str(path), "bert")
    writer.add_name(folder.name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType(pooling))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([_piece(token) for token in vocab])
    writer.add_token_types([3 if token in SPECIALS else 1 for token in vocab])
    writer.add_token_type_count(config.get("type_vocab_size", 2))
    ids = {token: number for number, token in enumerate(vocab)}
    writer.add_bos_token_id(ids["[CLS]"])
    writer.add_sep_token_id(ids["[SEP]"])
    writer.add_unk_token_id(ids["[UNK]"])
    writer.add_pad_token_id(ids["[PAD]"])
    writer.add_mask_token_id(ids["[MASK]"])
    for name, values in load_file(folder / "model.safetensors").items():
        if not name.startswith("pooler.") and "position_ids" not in name:
            writer.add_tensor(_gguf_name(name), values.astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocab(folder: Path) -> list[str]:
    if (folder / "vocab.txt").is_file():
        return (folder / "vocab.txt").read_text("utf-8").split("\n")[:-1]
    found: dict[str, int] = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    return sorted(found, key=found.__getitem__)


def _piece(token: str) -> str:
    if token in SPECIALS or (token.startswith("[") and token.endswith("]")):
        return token
    return token[2:] if token.startswith("##") else f"▁{token}"


def _gguf_name(name: str) -> str:
    module, _, part = name.rpartition(".")
    if module in _TOP:
        return f"{_TOP[module]}.{part}"
    _, _, layer, inside = module.split(".", 3)
    return f"blk.{layer}.{_LAYER[inside]}.{part}"
