"""Krea 2 and Krea 2 Turbo (Krea AI 2026): a flow over tokens of two by two latent pixels, under twelve layers of Qwen3-VL 4B."""

from __future__ import annotations

import math

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.models.families.base import Family
from engine.models.networks.krea2_sizes import KREA2, LAYOUTS

FAMILY = Family(
    name="krea2",
    title="Krea 2",
    layouts=LAYOUTS,
    network=KREA2,
    context_dim=12 * 2560,
    latent=LatentFormat(channels=16, scale=1.0),
    # Turbo's shift at every size, and that of the model before distillation at its largest.
    parameterization=Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=math.exp(1.15)),
    towers=(),
    patch=2,
    loader_types=("krea2",),
)
