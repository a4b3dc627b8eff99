"""Z-Image and Z-Image-Turbo (Tongyi Lab 2025): a flow over one stream of tokens, under the last layer but one of Qwen3 4B."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.z_image_sizes import LAYOUTS, Z_IMAGE

QWEN3_4B = Tower(
    name="qwen3_4b",
    kind="qwen3",
    prefixes=("text_encoders.qwen3_4b.transformer.",),
    width=2560,
    full_layers=36,
    prompting=Prompting(template="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n", layers=(-2,)),
    styles={"omni": Prompting(template="{}", layers=(-2,))},
)

FAMILY = Family(
    name="z_image",
    title="Z-Image",
    layouts=LAYOUTS,
    network=Z_IMAGE,
    context_dim=2560,
    latent=latent_formats.FLUX,
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=3.0),
    towers=(QWEN3_4B,),
    loader_types=("lumina2", "stable_diffusion"),  # the second is inferred: whose its encoder is by default
    full={},
)
