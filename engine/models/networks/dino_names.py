"""Names and sizes of DINOv2's tensors, as its authors write them. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.renaming import apart, substituted
from engine.models.shapes import count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.shapes import Shapes

_HEAD = 64
_NAMES = [
    (r"^patch_embed\.proj\.", "proj."),
    (r"^blocks\.", "layers."),
    (r"\.attn\.proj\.", ".attention.o_proj."),
    (r"\.attn\.qkv\.", ".attention.in_proj_"),
    (r"\.ls([12])\.gamma$", r".layer_scale\1.lambda1"),
    (r"\.mlp\.w12\.", ".mlp.weights_in."),
    (r"\.mlp\.w3\.", ".mlp.weights_out."),
]


def sizes(shapes: Shapes, head: int = _HEAD) -> dict[str, Any]:
    """Return `Dino`'s arguments for tensors without prefix; KeyError for one that is not there."""
    places, patches = shapes["pos_embed"], shapes["patch_embed.proj.weight"]
    gated = "blocks.0.mlp.w12.weight" in shapes
    return {
        "width": places[2],
        "layers": count(shapes, "blocks."),
        "heads": max(1, places[2] // head),
        "patch": patches[-1],
        "grid": math.isqrt(places[1] - 1),
        "inner": shapes["blocks.0.mlp.w12.weight" if gated else "blocks.0.mlp.fc1.weight"][0],
        "gated": gated,
    }


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors without prefix under the names of `Dino`."""
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        place = substituted(name, _NAMES)
        found |= apart(place, value) if ".in_proj_" in place else {place: value}
    return found
