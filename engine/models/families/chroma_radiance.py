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
)
