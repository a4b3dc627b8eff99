"""HiDream-I1 and HiDream-E1 (HiDream.ai 2025): a flow with experts under four text encoders.

E1, which edits pictures, has the tensors of I1: what a conditioning has tells which is meant.
"""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family
from engine.models.networks.hidream_sizes import HIDREAM, LAYOUTS

FAMILY = Family(
    name="hidream",
    title="HiDream",
    layouts=LAYOUTS,
    network=HIDREAM,
    context_dim=4096,
    latent=latent_formats.FLUX,
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=3.0),
    towers=(),
    loader_types=("hidream",),
)
