"""HunyuanDiT 1.0 to 1.2 (Li et al. 2024): a diffusion transformer over Stable Diffusion XL's latents, under BERT and mT5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from engine.datatypes import latent_formats
from engine.datatypes.parameterization import Parameterization
from engine.models.families.base import Family, Prompting, Tower
from engine.models.networks.hunyuan_dit_sizes import HUNYUAN_DIT, LAYOUTS
from engine.models.shapes import Shapes, Spread

if TYPE_CHECKING:
    from engine.models.encoded import Encoded

BERT = Tower(
    name="hydit_clip",
    kind="bert",
    prefixes=("text_encoders.hydit_clip.transformer.",),
    width=1024,
    full_layers=24,
    least=77,
    padding="masked",
    prompting=Prompting(most=77),
)
MT5 = Tower(
    name="mt5xl",
    kind="mt5",
    prefixes=("text_encoders.mt5xl.transformer.",),
    folder="text_encoder_2",
    tokenizer_folder="tokenizer_2",
    lora_prefixes=("lora_te2_",),
    width=2048,
    full_layers=24,
    least=256,
    padding="masked",
    prompting=Prompting(most=256),
)
OLD_NOISE = 0.03
"""The last beta of 1.0 and 1.1, which are told sizes; 1.2 ends at 0.018."""


def join(found: Mapping[str, Encoded]) -> Encoded:
    """Return BERT's tokens, and beside them mT5's with their own mask."""
    from engine.models.networks.hunyuan_dit import T5, T5_MASK

    text, more = found["hydit_clip"], found.get("mt5xl")
    kept = {name: value for name, value in text.options.items() if name != "pooled_output"}
    if more is not None:
        kept[T5] = more.context
        if (mask := more.options.get("attention_mask")) is not None:
            kept[T5_MASK] = mask
    return text._replace(options=kept)


def prediction(
    base: Parameterization, shapes: Shapes, config: Mapping[str, Any], spread: Spread | None
) -> Parameterization:
    """Return the noise of the version: those that are told sizes are older."""
    old = config["use_style_cond_and_image_meta_size"]
    return msgspec.structs.replace(base, beta_end=OLD_NOISE) if old else base


FAMILY = Family(
    name="hunyuan_dit",
    title="HunyuanDiT",
    layouts=LAYOUTS,
    network=HUNYUAN_DIT,
    context_dim=1024,
    latent=latent_formats.SDXL,
    parameterization=Parameterization(prediction="v", schedule="scaled_linear", beta_start=0.00085, beta_end=0.018),
    towers=(BERT, MT5),
    join=join,
    gives=2,
    prediction=prediction,
    full={
        "in_channels": 4,
        "patch_size": 2,
        "hidden_size": 1408,
        "num_layers": 40,
        "mlp_ratio": 4.3637,
        "use_style_cond_and_image_meta_size": False,
    },
)
