"""Ideogram 4 (Ideogram 2026): a flow over FLUX.2's latents, under thirteen layers of Qwen3-VL 8B.

A second network of the same shape, which was trained without text, is what guidance goes away from.
"""

from __future__ import annotations

from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.families.flux2 import LATENT
from engine.models.networks.ideogram4_sizes import IDEOGRAM4, LAYOUTS

QWEN = Tower(
    name="qwen3vl_8b",
    kind="qwen3_vl",
    width=4096,
    prompting=Prompting(
        template="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        layers=(1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 36),
        last_normed=False,
        most=2048,
        cut="prompt",
    ),
)

FAMILY = Family(
    name="ideogram4",
    title="Ideogram 4",
    layouts=LAYOUTS,
    network=IDEOGRAM4,
    context_dim=13 * 4096,
    latent=LATENT,
    # Its levels are made for it (Ideogram4Scheduler), so that they are shifted by nothing is inferred.
    parameterization=Parameterization(prediction="flow", schedule="flow"),
    towers=(QWEN,),
    loader_types=("ideogram4",),
    full={},
)
