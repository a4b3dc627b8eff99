"""FLUX.2 klein 4B (Black Forest Labs 2026): FLUX.2 in a smaller size, under Qwen3 4B, without a guidance as a number."""

from __future__ import annotations

from engine.models.families.base import Family, Prompting, Tower
from engine.models.families.flux2 import LATENT, NOISE, TEXT_TOKENS
from engine.models.networks.flux2_sizes import FLUX2, layouts

QWEN3 = Tower(
    name="qwen3_4b",
    kind="qwen3",
    width=2560,
    full_layers=36,
    prompting=Prompting(
        template="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        layers=(9, 18, 27),
        least=TEXT_TOKENS,
        most=TEXT_TOKENS,
    ),
)
WIDE = 12288
"""Width of the text of klein 9B."""

FAMILY = Family(
    name="flux2_klein",
    title="FLUX.2 klein 4B",
    layouts=layouts(guidance=False, text=lambda width: width != WIDE),
    network=FLUX2,
    context_dim=7680,
    latent=LATENT,
    parameterization=NOISE,
    towers=(QWEN3,),
    loader_types=("flux2",),
    full={"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680},
)
