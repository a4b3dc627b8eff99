"""LongCat-Image and LongCat-Image-Edit (Meituan 2025): a flow built as FLUX.1's, under Qwen2.5-VL 7B.

Both have the same tensors: what a conditioning has tells whether there is a picture to edit.
"""

from __future__ import annotations

import math

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family
from engine.models.networks.longcat_sizes import LAYOUTS, LONGCAT

FAMILY = Family(
    name="longcat_image",
    title="LongCat-Image",
    layouts=LAYOUTS,
    network=LONGCAT,
    context_dim=3584,
    latent=latent_formats.FLUX,
    parameterization=Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=math.exp(1.15)),
    towers=(),
    patch=2,
    loader_types=("longcat_image",),
)
