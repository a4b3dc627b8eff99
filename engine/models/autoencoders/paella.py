"""Stable Cascade's stage A (Rampas et al. 2022, Paella; Pernias et al. 2023): its sizes, read off names and shapes. No torch.

The table of codes that it was trained with is in its files, and is not used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.datatypes import latent_formats
from engine.models.shapes import Facts, Shapes

if TYPE_CHECKING:
    from torch import Tensor

MODULE: Final = "diffusers.pipelines.deprecated.wuerstchen.modeling_paella_vq_model:PaellaVQModel"
CODEC: Final = "engine.models.autoencoder_paella:PaellaCodec"
LATENT: Final = latent_formats.CASCADE_B
_CODES: Final = {"vquantizer.codebook.weight": "vquantizer.embedding.weight"}
"""The original's name, and the library's."""


def is_there(shapes: Shapes) -> bool:
    """Say whether these are stage A's tensors, in the original or diffusers naming."""
    return "in_block.1.weight" in shapes and any(name in shapes for pair in _CODES.items() for name in pair)


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return PaellaVQModel's arguments; KeyError for a tensor that is not there."""
    first, channels = shapes["in_block.1.weight"][:2]
    last, latent = shapes["up_blocks.0.0.weight"][:2]
    levels = round(math.log2(last / first)) + 1
    blocks = sum(name.startswith("up_blocks.") and name.endswith(".gammas") for name in shapes)
    codes = next(shapes[name] for pair in _CODES.items() for name in pair if name in shapes)
    return {
        "in_channels": channels // 4,
        "out_channels": shapes["out_block.0.weight"][0] // 4,
        "levels": levels,
        "bottleneck_blocks": blocks - (levels - 1),
        "embed_dim": last,
        "latent_channels": latent,
        "num_vq_embeddings": codes[0],
    }


def space(config: Facts) -> tuple[int, int]:
    """Return the latents' channels and downscale: each level halves the sides."""
    return int(config["latent_channels"]), 2 ** int(config["levels"])


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under PaellaVQModel's names."""
    return {_CODES.get(name, name): value for name, value in tensors.items()}
