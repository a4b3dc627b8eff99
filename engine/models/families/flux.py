"""FLUX.1 dev and schnell (Black Forest Labs 2024): a flow over tokens of two by two latent pixels, under T5 and a pooled CLIP-L.

dev was distilled to take its guidance as a number, and its levels are shifted; schnell has neither. They are told apart by the
tensors of that embedding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Tower
from engine.models.networks.flux_sizes import FLUX, LAYOUTS
from engine.models.shapes import Shapes, Spread

if TYPE_CHECKING:
    from engine.models.encoded import Encoded

CLIP_L = Tower(
    prefixes=("text_encoders.clip_l.transformer.",),
    lora_prefixes=("lora_te1_", "lora_te_", "lycoris_te1_"),
    act="quick_gelu",
)
T5 = Tower(
    name="t5xxl",
    kind="t5",
    prefixes=("text_encoders.t5xxl.transformer.",),
    folder="text_encoder_2",
    tokenizer_folder="tokenizer_2",
    lora_prefixes=("lora_te2_", "lora_te3_"),
    width=4096,
    full_layers=24,
    least=256,
)


def prediction(
    base: Parameterization, shapes: Shapes, config: Mapping[str, Any], spread: Spread | None
) -> Parameterization:
    """Return `base` for dev; without the shift for a network that takes no guidance."""
    return base if config["guidance_embeds"] else msgspec.structs.replace(base, shift=1.0)


def join(found: Mapping[str, Encoded]) -> Encoded:
    """Return T5's tokens, and the pooled text of CLIP-L."""
    return found["t5xxl"]._replace(options=found["clip_l"].options)


FAMILY = Family(
    name="flux",
    title="FLUX.1",
    layouts=LAYOUTS,
    network=FLUX,
    context_dim=4096,
    latent=latent_formats.FLUX,
    parameterization=Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=math.exp(1.15)),
    towers=(CLIP_L, T5),
    join=join,
    patch=2,
    prediction=prediction,
    loader_types=("flux",),
    full={},
)
