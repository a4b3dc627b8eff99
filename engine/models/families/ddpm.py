"""Networks of pictures under no conditioning: DDPM (Ho et al. 2020), and DDIM with the same weights (Song et al. 2020)."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family
from engine.models.networks.pixel_unet_sizes import LAYOUTS, PIXEL_U_NET

FAMILY = Family(
    name="ddpm",
    title="DDPM",
    layouts=LAYOUTS,
    network=PIXEL_U_NET,
    latent=latent_formats.PIXELS,
    parameterization=Parameterization(schedule="linear", beta_start=1e-4, beta_end=0.02, clip=1.0),
    towers=(),
)
