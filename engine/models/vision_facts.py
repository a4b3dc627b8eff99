"""What an image encoder's tensors say about it: CLIP's vision tower (Radford et al. 2021), by names and shapes alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

PREFIX = "vision_model."

_HEADS = {768: 12, 1024: 16, 1280: 16, 1664: 16}
"""Width → heads of the towers that are about: ViT-B, L, H and bigG."""

_LARGE = 1024
"""OpenAI's towers, up to this width, use the quick form of GELU; those of open_clip, all wider, the exact one."""

Shape = tuple[int, ...]


def vision_config(shapes: Mapping[str, Shape], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Return CLIPVisionConfig's arguments for the tensors of a file.

    `hints` may hold `heads` and `act`, which no shape tells. Raises KeyError naming a tensor that is missing.
    """
    width, _, patch, _ = shapes[f"{PREFIX}embeddings.patch_embedding.weight"]
    places = shapes[f"{PREFIX}embeddings.position_embedding.weight"][0]
    layer = f"{PREFIX}encoder.layers."
    layers = {name[len(layer) :].split(".")[0] for name in shapes if name.startswith(layer)}
    return {
        "hidden_size": width,
        "intermediate_size": shapes[f"{layer}0.mlp.fc1.weight"][0],
        "projection_dim": shapes["visual_projection.weight"][0],
        "num_hidden_layers": len(layers),
        "num_attention_heads": int(hints.get("heads", _HEADS.get(width, max(1, width // 64)))),
        "image_size": math.isqrt(places - 1) * patch,
        "patch_size": patch,
        "hidden_act": str(hints.get("act", "quick_gelu" if width <= _LARGE else "gelu")),
    }
