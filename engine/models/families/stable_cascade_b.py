"""Stable Cascade, stage B (Pernias et al. 2023; Stability AI 2024): the latent of stage A's autoencoder, of stage C's latent."""

from __future__ import annotations

import msgspec

from engine.datatypes.parameterization import LatentFormat
from engine.models.families import stable_cascade_c
from engine.models.families.base import Family
from engine.models.networks.cascade_sizes import LAYOUTS_B, STAGE_B

FAMILY = Family(
    name="stable_cascade_b",
    title="Stable Cascade stage B",
    layouts=LAYOUTS_B,
    network=STAGE_B,
    latent=LatentFormat(downscale=4, scale=1 / 0.43),
    parameterization=msgspec.structs.replace(stable_cascade_c.FAMILY.parameterization, shift=1.0),
    towers=(stable_cascade_c.CLIP_G,),
)
