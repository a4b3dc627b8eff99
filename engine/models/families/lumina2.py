"""Lumina-Image 2 (Qin et al. 2025) and its kin (NetaYume): a flow under the last layer but one of Gemma 2 2B."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.lumina2_sizes import LAYOUTS, LUMINA2

GEMMA2_2B = Tower(
    name="gemma2_2b",
    kind="gemma2",
    prefixes=("text_encoders.gemma2_2b.transformer.",),
    width=2304,
    full_layers=26,
    prompting=Prompting(template="<bos>{}", layers=(-2,)),
)

FAMILY = Family(
    name="lumina2",
    title="Lumina 2",
    layouts=LAYOUTS,
    network=LUMINA2,
    context_dim=2304,
    latent=latent_formats.FLUX,
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=6.0),
    towers=(GEMMA2_2B,),
    loader_types=("lumina2",),
    full={"cap_feat_dim": 2304},
)
