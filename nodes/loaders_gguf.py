"""Loaders under the names that a pack of the field for GGUF files has; they load whatever ours do.

Their inputs are inferred: the pack was not at hand. Who has a pack with nodes of these names has those.
"""

from __future__ import annotations

from typing import Annotated

from engine.api import Clip, Context, In, Model, node
from engine.models.families import loader_types
from nodes.loaders import (
    FIELD_TYPES,
    FIELD_TYPES_OF_TWO,
    DenoiserName,
    TextEncoderName,
    denoiser_loader,
    dual_text_encoder_loader,
    quadruple_text_encoder_loader,
    text_encoder_loader,
    triple_text_encoder_loader,
)

_CATEGORY = "advanced/loaders/gguf"
_Kept = Annotated[
    str,
    In(
        choices=("default", "target", "float32", "float16", "bfloat16"),
        tip="Kept for saved workflows; weights are unpacked in float32, and compute as the device does best.",
    ),
]


@node("UnetLoaderGGUF", category=_CATEGORY, display_name="Unet Loader (GGUF)", stand_in=True)
def denoiser_loader_gguf(ctx: Context, unet_name: DenoiserName) -> Model:
    """Load a denoiser that is kept in a file of its own, as UNETLoader does."""
    return denoiser_loader(ctx, unet_name)


@node("UnetLoaderGGUFAdvanced", category=_CATEGORY, display_name="Unet Loader (GGUF/Advanced)", stand_in=True)
def denoiser_loader_gguf_advanced(
    ctx: Context,
    unet_name: DenoiserName,
    dequant_dtype: _Kept = "default",
    patch_dtype: _Kept = "default",
    patch_on_device: Annotated[
        bool, In(tip="Kept for saved workflows; LoRAs are put on where the weights are.")
    ] = False,
) -> Model:
    """Load a denoiser that is kept in a file of its own, as UNETLoader does."""
    return denoiser_loader(ctx, unet_name)


@node("CLIPLoaderGGUF", category=_CATEGORY, display_name="CLIPLoader (GGUF)", stand_in=True)
def text_encoder_loader_gguf(
    ctx: Context,
    clip_name: TextEncoderName,
    type: Annotated[
        str, In(choices=loader_types(1, FIELD_TYPES), tip="The family whose conditioning it makes.")
    ] = "stable_diffusion",
) -> Clip:
    """Load a text encoder that is kept in a file of its own, as CLIPLoader does."""
    return text_encoder_loader(ctx, clip_name, type)


@node("DualCLIPLoaderGGUF", category=_CATEGORY, display_name="DualCLIPLoader (GGUF)", stand_in=True)
def dual_text_encoder_loader_gguf(
    ctx: Context,
    clip_name1: TextEncoderName,
    clip_name2: TextEncoderName,
    type: Annotated[
        str, In(choices=loader_types(2, FIELD_TYPES_OF_TWO), tip="The family whose conditioning they make.")
    ],
) -> Clip:
    """Load the two text encoders of a family, as DualCLIPLoader does."""
    return dual_text_encoder_loader(ctx, clip_name1, clip_name2, type)


@node("TripleCLIPLoaderGGUF", category=_CATEGORY, display_name="TripleCLIPLoader (GGUF)", stand_in=True)
def triple_text_encoder_loader_gguf(
    ctx: Context, clip_name1: TextEncoderName, clip_name2: TextEncoderName, clip_name3: TextEncoderName
) -> Clip:
    """Load the three text encoders of Stable Diffusion 3, as TripleCLIPLoader does."""
    return triple_text_encoder_loader(ctx, clip_name1, clip_name2, clip_name3)


@node("QuadrupleCLIPLoaderGGUF", category=_CATEGORY, display_name="QuadrupleCLIPLoader (GGUF)", stand_in=True)
def quadruple_text_encoder_loader_gguf(
    ctx: Context,
    clip_name1: TextEncoderName,
    clip_name2: TextEncoderName,
    clip_name3: TextEncoderName,
    clip_name4: TextEncoderName,
) -> Clip:
    """Load the four text encoders of HiDream-I1, as QuadrupleCLIPLoader does."""
    return quadruple_text_encoder_loader(ctx, clip_name1, clip_name2, clip_name3, clip_name4)
