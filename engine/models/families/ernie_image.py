"""ERNIE-Image and ERNIE-Image-Turbo (Baidu 2026): a flow over FLUX.2's latents, under the second last layer of Ministral 3."""

from __future__ import annotations

from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.families.flux2 import LATENT
from engine.models.networks.ernie_image_sizes import ERNIE_IMAGE, LAYOUTS

MINISTRAL = Tower(
    name="ministral3_3b", kind="ministral3", width=3072, prompting=Prompting(template="<s>{}", layers=(-2,))
)

FAMILY = Family(
    name="ernie_image",
    title="ERNIE-Image",
    layouts=LAYOUTS,
    network=ERNIE_IMAGE,
    context_dim=3072,
    latent=LATENT,
    # The shift is inferred: neither tensors nor the library tell it.
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=3.0),
    towers=(MINISTRAL,),
    loader_types=("flux2",),
    full={
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_layers": 36,
        "ffn_hidden_size": 12288,
        "text_in_dim": 3072,
    },
)
