"""Wan 2.2 5B (Wan team 2025): Wan's network over the latents of its second autoencoder, where what is given has no noise."""

from __future__ import annotations

import msgspec

from engine.datatypes import latent_formats
from engine.models.families import wan
from engine.models.families.base import Family
from engine.models.networks.wan_sizes import WAN, layouts

FAMILY = Family(
    name="wan22",
    title="Wan 2.2 5B",
    layouts=layouts(channels=latent_formats.WAN22.channels),
    network=msgspec.structs.replace(WAN, call="engine.models.networks.wan:Wan22Network"),
    context_dim=4096,
    latent=latent_formats.WAN22,
    parameterization=wan.FLOW,
    towers=(wan.UMT5,),
    full={"in_channels": 48, "out_channels": 48, "num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30},
)
