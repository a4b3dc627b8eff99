"""Ideogram 4 (Ideogram 2026): a flow over FLUX.2's latents, under thirteen layers of Qwen3-VL 8B.

A second network of the same shape, which was trained without text, is what guidance goes away from.
"""

from __future__ import annotations

from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family
from engine.models.families.flux2 import LATENT
from engine.models.networks.ideogram4_sizes import IDEOGRAM4, LAYOUTS

FAMILY = Family(
    name="ideogram4",
    title="Ideogram 4",
    layouts=LAYOUTS,
    network=IDEOGRAM4,
    context_dim=13 * 4096,
    latent=LATENT,
    # Its levels are made for it (Ideogram4Scheduler), so that they are shifted by nothing is inferred.
    parameterization=Parameterization(prediction="flow", schedule="flow"),
    towers=(),
    loader_types=("ideogram4",),
)
