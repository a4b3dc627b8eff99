"""Stable Diffusion 3 and 3.5 (Esser et al. 2024): a flow under three text encoders, of which files may leave out T5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families import flux, sdxl
from engine.models.families.base import Family
from engine.models.networks.sd3_sizes import LAYOUTS, MMDIT

if TYPE_CHECKING:
    from engine.models.encoded import Encoded

TEXT_WIDTH = 4096
"""Of T5, to which the tokens of the CLIP towers are filled up with zeros."""

CLIP_L = msgspec.structs.replace(sdxl.CLIP_L, prefixes=("text_encoders.clip_l.transformer.",))
CLIP_G = msgspec.structs.replace(sdxl.CLIP_G, prefixes=("text_encoders.clip_g.transformer.",))
T5 = msgspec.structs.replace(
    flux.T5, folder="text_encoder_3", tokenizer_folder="tokenizer_3", lora_prefixes=("lora_te3_",), least=77
)


def join(found: Mapping[str, Encoded]) -> Encoded:
    """Return the tokens of both CLIP towers side by side, then those of T5; and both pooled texts side by side."""
    from engine.models.networks.three_texts import joined

    return joined(found, TEXT_WIDTH)


FAMILY = Family(
    name="sd3",
    title="Stable Diffusion 3",
    layouts=LAYOUTS,
    network=MMDIT,
    context_dim=4096,
    latent=latent_formats.SD3,
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=3.0),
    towers=(CLIP_L, CLIP_G, T5),
    join=join,
    loader_types=("sd3",),
    full={
        "in_channels": 16,
        "num_layers": 38,
        "num_attention_heads": 38,
        "caption_projection_dim": 2432,
        "joint_attention_dim": 4096,
        "dual_attention_layers": tuple(range(13)),
        "qk_norm": "rms_norm",
    },
)
