"""AuraFlow 0.1 to 0.3 (fal 2024): a flow over the latents of Stable Diffusion XL, under a T5 that was trained on the Pile."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family
from engine.models.networks.auraflow_sizes import AURAFLOW, LAYOUTS

FAMILY = Family(
    name="auraflow",
    title="AuraFlow",
    layouts=LAYOUTS,
    network=AURAFLOW,
    context_dim=2048,
    latent=latent_formats.SDXL,
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=1.73),
    towers=(),
    loader_types=(),
)
