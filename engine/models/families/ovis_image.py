"""Ovis-Image (AIDC 2025): a flow built as FLUX.1's, under the language model of Ovis 2.5."""

from __future__ import annotations

import math

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family
from engine.models.networks.ovis_sizes import LAYOUTS, OVIS

FAMILY = Family(
    name="ovis_image",
    title="Ovis-Image",
    layouts=LAYOUTS,
    network=OVIS,
    context_dim=2048,
    latent=latent_formats.FLUX,
    parameterization=Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=math.exp(1.15)),
    towers=(),
    patch=2,
    loader_types=("ovis",),
)
