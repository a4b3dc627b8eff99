"""HunyuanImage 2.1 and its distilled kin (Tencent 2025): a flow over latents 32 times smaller, under Qwen2.5-VL and ByT5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.hunyuan_image_sizes import HUNYUAN_IMAGE, LAYOUTS

if TYPE_CHECKING:
    from engine.models.encoded import Encoded

QWEN = Tower(
    name="qwen25_7b",
    kind="qwen2_5_vl",
    width=3584,
    full_layers=28,
    prompting=Prompting(
        template="<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, "
        "spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>",
        drop=34,
        most=34 + 1000,
        layers=(-3,),
    ),
)
BYT5 = Tower(
    name="byt5_small",
    kind="byt5",
    folder="text_encoder_2",
    tokenizer_folder="tokenizer_2",
    lora_prefixes=("lora_te2_",),
    width=1472,
    full_layers=12,
    padding="masked",
    glyphs=True,
)


def join(found: Mapping[str, Encoded]) -> Encoded:
    """Return Qwen2.5-VL's tokens, and beside them ByT5's of what is to be written, where there is something."""
    from engine.models.networks.hunyuan_image import GLYPHS

    text, written = found["qwen25_7b"], found.get("byt5_small")
    if written is None or not written.context.shape[1]:
        return text
    return text._replace(options={**text.options, GLYPHS: written.context})


FAMILY = Family(
    name="hunyuan_image",
    title="HunyuanImage 2.1",
    layouts=LAYOUTS,
    network=HUNYUAN_IMAGE,
    context_dim=3584,
    latent=latent_formats.HUNYUAN_IMAGE,
    # The shift is inferred: neither tensors nor the library's class tell it.
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=5.0),
    towers=(QWEN, BYT5),
    join=join,
    loader_types=("hunyuan_image",),
    full={"text_embed_2_dim": 1472},
)
