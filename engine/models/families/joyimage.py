"""JoyAI-Image-Edit and Edit Plus (JD 2026): a flow over Wan's latents, under the last layer of Qwen3-VL 8B without its norm."""

from __future__ import annotations

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.joyimage_sizes import JOYIMAGE, LAYOUTS

QWEN = Tower(
    name="qwen3vl_8b",
    kind="qwen3_vl",
    width=4096,
    prompting=Prompting(
        template="<|im_start|>system\n \\nDescribe the image by detailing the color, shape, size, texture, quantity, text, "
        "spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n"
        "<|im_start|>assistant\n",
        drop=34,
        last_normed=False,
        most=34 + 2048,
        picture="<|vision_start|><|image_pad|><|vision_end|>",
    ),
)

FAMILY = Family(
    name="joyimage",
    title="JoyImage Edit",
    layouts=LAYOUTS,
    network=JOYIMAGE,
    context_dim=4096,
    latent=latent_formats.WAN21,
    # The shift is inferred: neither tensors nor the library tell it, and workflows set none.
    parameterization=Parameterization(prediction="flow", schedule="flow", shift=3.0),
    towers=(QWEN,),
    loader_types=("joyimage",),
    full={},
)
