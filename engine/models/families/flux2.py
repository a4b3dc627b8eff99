"""FLUX.2 dev (Black Forest Labs 2025): a flow over the pixels of a latent of 128 channels, under Mistral Small 3.

It was distilled to take its guidance as a number, which is how it is told from klein.
"""

from __future__ import annotations

import math

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.flux2_sizes import FLUX2, layouts

LATENT = latent_formats.FLUX2
"""Two by two pixels of the autoencoder's latent are one, and each channel has mean 0 and variance 1."""

NOISE = Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=math.exp(2.02))
"""The field's shift (inferred). Flux2Scheduler works out its authors', e^2.0234 at 1024 × 1024 pixels in 50 steps."""

TEXT_TOKENS = 512
"""Of every prompt, template and padding with it."""

_SYSTEM = (
    "You are an AI that reasons about image descriptions. You give structured responses focusing on object relationships, "
    "object\nattribution and actions without speculation."
)

MISTRAL = Tower(
    name="mistral3_24b",
    kind="mistral",
    width=5120,
    full_layers=40,
    prompting=Prompting(
        template=f"<s>[SYSTEM_PROMPT]{_SYSTEM}[/SYSTEM_PROMPT][INST]{{}}[/INST]",
        layers=(10, 20, 30),
        least=TEXT_TOKENS,
        most=TEXT_TOKENS,
        side="left",
    ),
)

FAMILY = Family(
    name="flux2",
    title="FLUX.2 dev",
    layouts=layouts(guidance=True),
    network=FLUX2,
    context_dim=15360,
    latent=LATENT,
    parameterization=NOISE,
    towers=(MISTRAL,),
    loader_types=("flux2",),
    full={},
)
