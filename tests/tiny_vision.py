"""A seeded tiny SigLIP with a LLaVA projector for the tiny llama, as torch modules and as a projector file (mmproj).

Keys and tensor names are those llama.cpp's clip.cpp asks for with the projector type ``mlp``. SigLIP and not CLIP, for the
llama.cpp of llama-cpp-python 0.3.36 puts CLIP's class token behind the patches and so differs from transformers itself.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from tests.tiny_llama import HIDDEN

WIDTH, LAYERS, HEADS, INNER = 32, 2, 2, 64
SIZE, PATCH, EPSILON = 28, 14, 1e-6
N_PATCHES = (SIZE // PATCH) ** 2
MEAN, STD = (0.5, 0.4, 0.3), (0.3, 0.25, 0.2)

_LAYER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out", "layer_norm1": "ln1", "layer_norm2": "ln2", "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}  # fmt: skip
_TOP = {
    "embeddings.patch_embedding.weight": "v.patch_embd.weight", "embeddings.patch_embedding.bias": "v.patch_embd.bias",
    "embeddings.position_embedding.weight": "v.position_embd.weight",
}  # fmt: skip


def build_vision(seed: int = 0) -> tuple[Any, Any]:
    """The tower and the projector, with weights large enough that pictures differ clearly."""
    import torch
    from transformers import SiglipVisionConfig, SiglipVisionModel

    config = SiglipVisionConfig(
        hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        image_size=SIZE, patch_size=PATCH, hidden_act="gelu_pytorch_tanh", layer_norm_eps=EPSILON, vision_use_head=False,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tower: Any = SiglipVisionModel(config).eval()
        projector: Any = torch.nn.Sequential(
            torch.nn.Linear(WIDTH, HIDDEN), torch.nn.GELU("tanh"), torch.nn.Linear(HIDDEN, HIDDEN)
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
        return projector(states[0])


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
    writer.add_bool("clip.use_gelu", True)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", EPSILON)
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
