"""FLUX.2 klein, 4B and 9B (Black Forest Labs 2026): FLUX.2 in smaller sizes, under Qwen3, without a guidance as a number."""

from __future__ import annotations

from engine.models.families.base import Family
from engine.models.families.flux2 import LATENT, NOISE
from engine.models.networks.flux2_sizes import FLUX2, layouts

FAMILY = Family(
    name="flux2_klein",
    title="FLUX.2 klein",
    layouts=layouts(guidance=False),
    network=FLUX2,
    latent=LATENT,
    parameterization=NOISE,
    towers=(),
    loader_types=("flux2",),
)
