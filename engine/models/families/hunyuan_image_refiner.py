"""HunyuanImage 2.1's refiner (Tencent 2025): a flow that goes by a picture with noise on it, under HunyuanImage's texts."""

from __future__ import annotations

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families import hunyuan_image
from engine.models.networks.hunyuan_image_sizes import REFINER_LAYOUTS

FAMILY = msgspec.structs.replace(
    hunyuan_image.FAMILY,
    name="hunyuan_image_refiner",
    title="HunyuanImage 2.1 refiner",
    layouts=REFINER_LAYOUTS,
    latent=latent_formats.HUNYUAN_IMAGE_REFINER,
    # The shift is inferred: neither tensors nor the library's class tell it.
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=4.0),
    full={
        "in_channels": 128,
        "num_attention_heads": 26,
        "patch_size": (1, 1, 1),
        "guidance_embeds": True,
        "rope_axes_dim": (16, 56, 56),
    },
)
