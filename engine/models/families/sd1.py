"""Stable Diffusion 1 (Rombach et al. 2022)."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.models.families.base import Family, Tower
from engine.models.networks.unet_sizes import U_NET, layouts

FAMILY = Family(
    name="sd1",
    title="Stable Diffusion 1.x",
    layouts=layouts(sized=False, width=lambda width: width not in (0, 1024)),
    network=U_NET,
    heads=8,
    latent=latent_formats.SD,
    towers=(Tower(prefixes=("cond_stage_model.transformer.",), act="quick_gelu"),),
    loader_types=("stable_diffusion",),
    full={"cross_attention_dim": 768},
)
