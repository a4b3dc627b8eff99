"""ERNIE-Image and ERNIE-Image-Turbo (Baidu 2026): a flow over FLUX.2's latents, under the second last layer of Ministral 3."""

from __future__ import annotations

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.models.families.base import Family
from engine.models.networks.ernie_image_sizes import ERNIE_IMAGE, LAYOUTS

FAMILY = Family(
    name="ernie_image",
    title="ERNIE-Image",
    layouts=LAYOUTS,
    network=ERNIE_IMAGE,
    context_dim=3072,
    latent=LatentFormat(channels=128, downscale=16, scale=1.0),
    # The shift is inferred: neither tensors nor the library tell it.
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=3.0),
    towers=(),
)
