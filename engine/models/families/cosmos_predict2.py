"""Cosmos Predict 2 for pictures, 2B and 14B (NVIDIA 2025): a flow over Wan's latents, under T5 11B of 2020."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Tower
from engine.models.networks.cosmos_sizes import COSMOS, LAYOUTS

OLD_T5 = Tower(name="t5xxl", kind="t5", width=1024, full_layers=24, least=512, padding="zero")

FAMILY = Family(
    name="cosmos_predict2",
    title="Cosmos Predict 2",
    layouts=LAYOUTS,
    network=COSMOS,
    context_dim=1024,
    latent=latent_formats.WAN21,
    parameterization=Parameterization(prediction="share", schedule="share_time", sigma_min=0.002, sigma_max=80.0),
    towers=(OLD_T5,),
    loader_types=("cosmos",),
    full={
        "num_attention_heads": 40,
        "num_layers": 36,
        "rope_scale": (1.0, 4.0, 4.0),
        "extra_pos_embed_type": None,
    },
)
