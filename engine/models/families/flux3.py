"""FLUX.3 klein (Black Forest Labs 2026), base and distilled to few steps: a flow over FLUX.2's latents, under Qwen3-VL 4B."""

from __future__ import annotations

from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.families.flux2 import LATENT
from engine.models.networks.flux3_sizes import FLUX3, LAYOUTS

QWEN3_VL = Tower(
    name="qwen3vl_4b",
    kind="qwen3_vl",
    width=2560,
    full_layers=36,
    prompting=Prompting(
        template="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        layers=(4, 8, 12, 16, 20, 24, 28, 32),
        most=8192,
        multiple=80,
        pad_place=1,
    ),
)

FAMILY = Family(
    name="flux3",
    title="FLUX.3 klein",
    layouts=LAYOUTS,
    network=FLUX3,
    context_dim=20480,
    latent=LATENT,
    parameterization=Parameterization(prediction="flow", schedule="flow", timesteps=10_000, shift=6.93),
    towers=(QWEN3_VL,),
    loader_types=("flux3",),
    full={"flow_map": True},
)
