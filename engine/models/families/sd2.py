"""Stable Diffusion 2: open_clip's text encoder one layer early, and two models of the same names and shapes.

The 512 base predicts eps and the 768 model v. They are told apart as the field does it, by how far the biases of one
normalisation are spread; inpainting and depth checkpoints (9 and 5 input channels) were trained on the base.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Tower
from engine.models.networks.unet_sizes import U_NET, layouts
from engine.models.shapes import Shapes, Spread

V_SPREAD = 0.09
"""It predicts v if the last first normalisation's biases deviate by more than this, else eps."""

_SPREAD_TENSORS = (
    "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias",
    "output_blocks.11.1.transformer_blocks.0.norm1.bias",
    "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias",
)
"""The same tensor in the original and in the diffusers naming."""


def prediction(
    base: Parameterization, shapes: Shapes, unet: Mapping[str, Any], spread: Spread | None
) -> Parameterization:
    """Return `base`, with v for a U-Net of 4 input channels whose biases are spread as those of v are."""
    name = next((name for name in _SPREAD_TENSORS if name in shapes), None)
    is_v = unet["in_channels"] == 4 and name is not None and spread is not None and spread(name) > V_SPREAD
    return msgspec.structs.replace(base, prediction="v") if is_v else base


FAMILY = Family(
    name="sd2",
    title="Stable Diffusion 2.x",
    layouts=layouts(sized=False, width=lambda width: width == 1024),
    network=U_NET,
    context_dim=1024,
    head_dim=64,
    latent=latent_formats.SD,
    towers=(
        Tower(
            prefixes=("cond_stage_model.model.",),
            act="gelu",
            open_clip=True,
            pad="zero",
            stop_at=-2,
            full_layers=24,
            width=1024,
        ),
    ),
    prediction=prediction,
    loader_types=("stable_diffusion",),
    full={"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
)
