"""FLUX.2 klein 9B (Black Forest Labs 2026): as 4B, under Qwen3 8B."""

from __future__ import annotations

import msgspec

from engine.models.families import flux2_klein
from engine.models.networks.flux2_sizes import layouts

QWEN3 = msgspec.structs.replace(flux2_klein.QWEN3, name="qwen3_8b", width=4096)

FAMILY = msgspec.structs.replace(
    flux2_klein.FAMILY,
    name="flux2_klein_9b",
    title="FLUX.2 klein 9B",
    layouts=layouts(guidance=False, text=lambda width: width == flux2_klein.WIDE),
    context_dim=flux2_klein.WIDE,
    towers=(QWEN3,),
    full={"num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "joint_attention_dim": 12288},
)
