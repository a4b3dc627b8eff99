"""HiDream-I1 and HiDream-E1 (HiDream.ai 2025): a flow with experts under four text encoders.

E1, which edits pictures, has the tensors of I1: what a conditioning has tells which is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families import flux, sdxl
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.hidream_sizes import DEPTH, HIDREAM, LAYOUTS

if TYPE_CHECKING:
    from engine.models.encoded import Encoded

CLIP_L = msgspec.structs.replace(sdxl.CLIP_L, prefixes=("text_encoders.clip_l.transformer.",))
CLIP_G = msgspec.structs.replace(sdxl.CLIP_G, prefixes=("text_encoders.clip_g.transformer.",))
T5 = msgspec.structs.replace(
    flux.T5,
    folder="text_encoder_3",
    tokenizer_folder="tokenizer_3",
    lora_prefixes=("lora_te3_",),
    least=128,
    padding="masked",
)
LLAMA = Tower(
    name="llama",
    kind="llama",
    prefixes=("text_encoders.llama.transformer.",),
    folder="text_encoder_4",
    tokenizer_folder="tokenizer_4",
    lora_prefixes=("lora_te4_",),
    width=4096,
    full_layers=DEPTH,
    prompting=Prompting(template="<|begin_of_text|>{}", layers=tuple(range(1, DEPTH + 1)), least=128),
)


def join(found: Mapping[str, Encoded]) -> Encoded:
    """Return T5's tokens; beside them both pooled texts as one, and what each layer of Llama gave."""
    from engine.models.networks.four_texts import joined

    return joined(found, {tower.name: tower.width for tower in FAMILY.towers}, DEPTH)


FAMILY = Family(
    name="hidream",
    title="HiDream",
    layouts=LAYOUTS,
    network=HIDREAM,
    context_dim=4096,
    latent=latent_formats.FLUX,
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=3.0),
    towers=(CLIP_L, CLIP_G, T5, LLAMA),
    join=join,
    loader_types=("hidream",),
    full={
        "patch_size": 2,
        "in_channels": 16,
        "caption_channels": (4096, 4096),
        "llama_layers": (*range(32), *[31] * 16),
    },
)
