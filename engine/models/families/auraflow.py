"""AuraFlow 0.1 to 0.3 (fal 2024): a flow over the latents of Stable Diffusion XL, under a T5 that was trained on the Pile."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Tower
from engine.models.networks.auraflow_sizes import AURAFLOW, LAYOUTS

PILE_T5_XL = Tower(
    name="pile_t5xl",
    kind="umt5",
    prefixes=("text_encoders.pile_t5xl.transformer.",),
    width=2048,
    full_layers=24,
    least=256,
    padding="zero",
)

FAMILY = Family(
    name="auraflow",
    title="AuraFlow",
    layouts=LAYOUTS,
    network=AURAFLOW,
    context_dim=2048,
    latent=latent_formats.SDXL,
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=1.73),
    towers=(PILE_T5_XL,),
    full={},
)
