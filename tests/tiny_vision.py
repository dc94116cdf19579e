"""A seeded tiny CLIP with a LLaVA projector for the tiny llama, as torch modules and as a projector file (mmproj).

Keys and tensor names are those llama.cpp's clip.cpp asks for with the projector type ``mlp``.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from tests.tiny_llama import HIDDEN

WIDTH, LAYERS, HEADS, INNER = 32, 2, 2, 64
SIZE, PATCH = 28, 14
N_PATCHES = (SIZE // PATCH) ** 2
MEAN, STD = (0.5, 0.4, 0.3), (0.3, 0.25, 0.2)

_LAYER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out", "layer_norm1": "ln1", "layer_norm2": "ln2", "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}  # fmt: skip
_TOP = {
    "embeddings.class_embedding": "v.class_embd", "embeddings.patch_embedding.weight": "v.patch_embd.weight",
    "embeddings.position_embedding.weight": "v.position_embd.weight", "pre_layrnorm.weight": "v.pre_ln.weight",
    "pre_layrnorm.bias": "v.pre_ln.bias",
}  # fmt: skip


def build_vision(seed: int = 0) -> tuple[Any, Any]:
    """The tower and the projector, with weights large enough that pictures differ clearly."""
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        image_size=SIZE, patch_size=PATCH, projection_dim=HIDDEN, hidden_act="quick_gelu",
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tower: Any = CLIPVisionModel(config).eval()
        projector: Any = torch.nn.Sequential(
            torch.nn.Linear(WIDTH, HIDDEN), torch.nn.GELU(), torch.nn.Linear(HIDDEN, HIDDEN)
        )
        for weight in [*tower.parameters(), *projector.parameters()]:
            if weight.dim() >= 2:
                torch.nn.init.normal_(weight, std=0.15)
    return tower, projector


def see(tower: Any, projector: Any, pixels: Any) -> Any:
    """What the language model gets of a picture: ``(N_PATCHES, HIDDEN)``. `pixels`: uint8, ``(SIZE, SIZE, 3)``."""
    import torch

    values = (torch.tensor(pixels).float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.no_grad():
        states = tower(values.permute(2, 0, 1)[None], output_hidden_states=True).hidden_states[-2]
        return projector(states[0, 1:])


def write_projector(path: Path, tower: Any, projector: Any, *, width: int = HIDDEN) -> Path:
    """Write the projector file."""
    import gguf

    writer = gguf.GGUFWriter(str(path), "clip")
    writer.add_name("tiny-vision")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    for key, value in {
        "embedding_length": WIDTH, "feed_forward_length": INNER, "block_count": LAYERS, "projection_dim": width,
        "attention.head_count": HEADS, "image_size": SIZE, "patch_size": PATCH,
    }.items():  # fmt: skip
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", list(MEAN))
    writer.add_array("clip.vision.image_std", list(STD))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for name, tensor in tower.state_dict().items():
        short = name.removeprefix("vision_model.")
        if new := _name(short):
            writer.add_tensor(new, tensor.detach().float().numpy())
    for index in (0, 2):
        for part in ("weight", "bias"):
            writer.add_tensor(f"mm.{index}.{part}", getattr(projector[index], part).detach().float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _name(name: str) -> str:
    if name in _TOP:
        return _TOP[name]
    if not name.startswith("encoder.layers."):
        return ""
    _, _, layer, rest = name.split(".", 3)
    module, _, part = rest.rpartition(".")
    return f"v.blk.{layer}.{_LAYER[module]}.{part}"


def picture(seed: int, size: int = SIZE) -> Any:
    """Random pixels, uint8 of ``(size, size, 3)``."""
    import numpy as np

    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def png(pixels: Any, kind: str = "PNG") -> bytes:
    """The pixels as a file."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()
