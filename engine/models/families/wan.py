"""Wan 2.1 and 2.2 14B (Wan team 2025), VACE and Wan Fun among them: a flow over latents of videos, under UMT5-XXL."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Tower
from engine.models.networks.wan_sizes import WAN, layouts

UMT5 = Tower(
    name="umt5xxl",
    kind="umt5",
    prefixes=("text_encoders.umt5xxl.transformer.",),
    width=4096,
    full_layers=24,
    least=512,
    padding="zero",
)
# The shift is inferred, from workflows that set it to the same.
FLOW = Parameterization(prediction="flow", schedule="flow", shift=8.0)

FAMILY = Family(
    name="wan",
    title="Wan",
    layouts=layouts(channels=latent_formats.WAN21.channels),
    network=WAN,
    context_dim=4096,
    latent=latent_formats.WAN21,
    parameterization=FLOW,
    towers=(UMT5,),
    loader_types=("wan",),
    full={},
)
