"""Sana 1 and 1.5 (Xie et al. 2024, 2025): a flow over latents 32 times smaller, under the last layer of Gemma 2 2B."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.sana_sizes import LAYOUTS, SANA

GEMMA2_2B = Tower(
    name="gemma2_2b",
    kind="gemma2",
    width=2304,
    full_layers=26,
    prompting=Prompting(template="<bos>{}", most=300),
)

FAMILY = Family(
    name="sana",
    title="Sana",
    layouts=LAYOUTS,
    network=SANA,
    context_dim=2304,
    latent=latent_formats.SANA,
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=3.0),
    towers=(GEMMA2_2B,),
    loader_types=("sana",),
    full={"num_layers": 60, "qk_norm": "rms_norm_across_heads"},
)
