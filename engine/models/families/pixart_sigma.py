"""PixArt-Σ (Chen et al. 2024): PixArt-α's network over the latents of Stable Diffusion XL, for longer texts."""

from __future__ import annotations

import msgspec

from engine.datatypes import latent_formats
from engine.models.families import pixart_alpha
from engine.models.networks.pixart_sizes import layouts

FAMILY = msgspec.structs.replace(
    pixart_alpha.FAMILY,
    name="pixart_sigma",
    title="PixArt-Σ",
    layouts=layouts(alpha=False),
    latent=latent_formats.SDXL,
    full=pixart_alpha.FULL | {"use_additional_conditions": False},
)
