"""Anima (CircleStone Labs 2026): a flow over Wan's latents by Cosmos Predict2's transformer, under Qwen3 0.6B and T5's tokens."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.anima_sizes import ANIMA, LAYOUTS

QWEN = Tower(
    name="qwen3_06b",
    kind="qwen3",
    width=1024,
    prompting=Prompting(most=512, least=1),
    spells={"t5xxl_ids": ("t5", 32128)},
)

FAMILY = Family(
    name="anima",
    title="Anima",
    layouts=LAYOUTS,
    network=ANIMA,
    context_dim=1024,
    latent=latent_formats.WAN21,
    # The shift is inferred: neither tensors nor the library tell it, and workflows set none.
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=3.0),
    towers=(QWEN,),
    loader_types=("stable_diffusion",),
    full={
        "transformer": {
            "in_channels": 16,
            "out_channels": 16,
            "num_attention_heads": 16,
            "num_layers": 28,
            "extra_pos_embed_type": None,
        },
        "text_conditioner": {"num_layers": 6},
    },
)
