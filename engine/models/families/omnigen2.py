"""OmniGen2 (Wu et al. 2025): a flow over FLUX.1's latents, under Qwen2.5-VL 3B and pictures to go by."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.omnigen2_sizes import LAYOUTS, OMNIGEN2

QWEN = Tower(
    name="qwen25_3b",
    kind="qwen2_5_vl",
    width=2048,
    full_layers=36,
    prompting=Prompting(
        template="<|im_start|>system\nYou are a helpful assistant that generates high-quality images based on user "
        "instructions.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n",
    ),
)

FAMILY = Family(
    name="omnigen2",
    title="OmniGen2",
    layouts=LAYOUTS,
    network=OMNIGEN2,
    context_dim=2048,
    latent=latent_formats.FLUX,
    # The shift is inferred: its authors' grows with the picture, to 3.2 at 1024 × 1024 pixels.
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=2.6),
    towers=(QWEN,),
    loader_types=("omnigen2",),
    full={
        "in_channels": 16,
        "out_channels": 16,
        "hidden_size": 2520,
        "inner": 10240,
        "num_layers": 32,
        "num_refiner_layers": 2,
        "num_attention_heads": 21,
        "num_kv_heads": 7,
        "axes": (40, 40, 40),
        "text_feat_dim": 2048,
    },
)
