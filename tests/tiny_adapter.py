"""A seeded LoRA adapter in GGUF form for the tiny llama of `tests.tiny_llama`: it knows nothing, but changes answers."""

from __future__ import annotations

from pathlib import Path

from tests.tiny_llama import HIDDEN, LAYERS


def build_tiny_adapter(
    path: Path, *, seed: int = 0, strength: float = 0.5, architecture: str = "llama", hidden: int = HIDDEN
) -> Path:
    """Write random rank-4 pairs for the query and output projections of every layer."""
    import gguf
    import numpy as np

    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for layer in range(LAYERS):
        for part in ("attn_q", "attn_output"):
            name = f"blk.{layer}.{part}.weight"
            writer.add_tensor(f"{name}.lora_a", random.normal(0, strength, (4, hidden)).astype(np.float32))
            writer.add_tensor(f"{name}.lora_b", random.normal(0, strength, (hidden, 4)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
