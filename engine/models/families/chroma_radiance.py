"""Chroma Radiance (Lodestone Rock 2025): Chroma in pictures themselves, predicting the velocity or the picture."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.models.families import chroma
from engine.models.families.base import Family
from engine.models.networks.radiance_sizes import LAYOUTS, RADIANCE

FAMILY = Family(
    name="chroma_radiance",
    title="Chroma Radiance",
    layouts=LAYOUTS,
    network=RADIANCE,
    context_dim=4096,
    latent=latent_formats.PIXELS,
    parameterization=chroma.FAMILY.parameterization,
    towers=chroma.FAMILY.towers,
    loader_types=("chroma",),
    full={
        "num_layers": 19,
        "num_single_layers": 38,
        "attention_head_dim": 128,
        "num_attention_heads": 24,
        "joint_attention_dim": 4096,
        "axes_dims_rope": (16, 56, 56),
        "approximator_num_channels": 64,
        "approximator_hidden_dim": 5120,
        "approximator_layers": 5,
        "pixel_layers": 4,
        "pixel_width": 64,
        "pixel_ratio": 4,
        "frequencies": 8,
    },
)
