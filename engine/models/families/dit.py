"""DiT (Peebles & Xie 2023): a transformer over latents of Stable Diffusion 1, under one of the thousand classes of ImageNet."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family
from engine.models.networks.dit_sizes import DIT, LAYOUTS

FAMILY = Family(
    name="dit",
    title="DiT",
    layouts=LAYOUTS,
    network=DIT,
    latent=latent_formats.SD,
    gives=2,
    parameterization=Parameterization(schedule="linear", beta_start=1e-4, beta_end=0.02),
    full={},
)
