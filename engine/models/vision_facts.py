"""What an image encoder's tensors say about it: CLIP's vision tower (Radford et al. 2021) or SigLIP's (Zhai et al. 2023).

By names and shapes alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from engine.models.shapes import count

PREFIX = "vision_model."
CLIP, SIGLIP, SIGLIP2 = "clip", "siglip", "siglip2"
"""Kinds of image encoders; the last is SigLIP 2 for pictures of any shape (Tschannen et al. 2025, NaFlex)."""

_GREY = (0.5, 0.5, 0.5)
MEANS = {CLIP: (0.48145466, 0.4578275, 0.40821073), SIGLIP: _GREY, SIGLIP2: _GREY}
DEVIATIONS = {CLIP: (0.26862954, 0.26130258, 0.27577711), SIGLIP: _GREY, SIGLIP2: _GREY}
"""Of the colours that each kind was trained with."""

_SIDES = {(27, 14): 384}
"""Patches a side and their pixels → the side of the picture, where patches do not cover all of it."""

_HEADS = {768: 12, 1024: 16, 1152: 16, 1280: 16, 1664: 16}
"""Width → heads of the towers that are about: ViT-B, L, So400m, H and bigG."""

_LARGE = 1024
"""OpenAI's towers, up to this width, use the quick form of GELU; those of open_clip, all wider, the exact one."""

Shape = tuple[int, ...]


def vision_kind(shapes: Mapping[str, Shape]) -> str:
    """Return the kind of an image encoder: SigLIP's has no token for the picture as a whole, SigLIP 2's takes patches as rows."""
    table = f"{PREFIX}embeddings.position_embedding.weight"
    if table in shapes and len(shapes.get(f"{PREFIX}embeddings.patch_embedding.weight", ())) == 2:
        return SIGLIP2
    return SIGLIP if table in shapes and f"{PREFIX}embeddings.class_embedding" not in shapes else CLIP


def siglip_config(shapes: Mapping[str, Shape], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Return SiglipVisionConfig's arguments for the tensors of a file.

    `hints` may hold `heads`, `act` and `image_size`, which no shape tells. Raises KeyError naming a tensor that is missing.
    """
    width, _, patch, _ = shapes[f"{PREFIX}embeddings.patch_embedding.weight"]
    side = math.isqrt(shapes[f"{PREFIX}embeddings.position_embedding.weight"][0])
    layer = f"{PREFIX}encoder.layers."
    return {
        "hidden_size": width,
        "intermediate_size": shapes[f"{layer}0.mlp.fc1.weight"][0],
        "num_hidden_layers": count(shapes, layer),
        "num_attention_heads": int(hints.get("heads", _HEADS.get(width, max(1, width // 64)))),
        "image_size": int(hints.get("image_size", _SIDES.get((side, patch), side * patch))),
        "patch_size": patch,
        "hidden_act": str(hints.get("act", "gelu_pytorch_tanh")),
        "vision_use_head": f"{PREFIX}head.probe" in shapes,
    }


def siglip2_config(shapes: Mapping[str, Shape], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Return Siglip2VisionConfig's arguments for the tensors of a file; `hints` may hold `heads` and `act`.

    Raises KeyError naming a tensor that is missing.
    """
    width, values = shapes[f"{PREFIX}embeddings.patch_embedding.weight"]
    layer = f"{PREFIX}encoder.layers."
    return {
        "hidden_size": width,
        "intermediate_size": shapes[f"{layer}0.mlp.fc1.weight"][0],
        "num_hidden_layers": count(shapes, layer),
        "num_attention_heads": int(hints.get("heads", _HEADS.get(width, max(1, width // 64)))),
        "patch_size": math.isqrt(values // 3),
        "num_patches": shapes[f"{PREFIX}embeddings.position_embedding.weight"][0],
        "hidden_act": str(hints.get("act", "gelu_pytorch_tanh")),
        "vision_use_head": f"{PREFIX}head.probe" in shapes,
    }


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
