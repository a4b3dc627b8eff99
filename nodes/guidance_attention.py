"""Guidance by what attention does: perturbed, looked at, or guided itself."""

from __future__ import annotations

from typing import Annotated

from engine.api import In, Model, node
from engine.denoising.inside.base import check_unet, with_patch
from engine.denoising.inside.normalized import check_attention
from engine.denoising.model_steering import NORMALIZED, PERTURBED, SELF
from engine.models.errors import ModelError
from engine.models.families import family_named


@node("PerturbedAttentionGuidance", category="model_patches/unet", display_name=None)
def perturbed_attention_guidance(
    model: Model,
    scale: Annotated[float, In(ge=0, le=100, step=0.01, round=0.01, tip="How far away; 0 is nothing.")] = 3.0,
) -> Model:
    """Guide away from what a U-Net predicts whose middle looks at each place alone (PAG; Ahn et al. 2024), for sounder structure.

    It takes one more prediction for the positive prompt in each step, and adds `scale` times the difference to it, with or
    without a negative prompt. For Stable Diffusion 1, 2 and XL. At scale 0 the model comes back as it is.
    """
    _check_middle(model, "PerturbedAttentionGuidance")
    return model if scale == 0.0 else model.with_option(PERTURBED, [*model.options.get(PERTURBED, ()), scale])


@node("SelfAttentionGuidance", category="_for_testing", display_name="Self-Attention Guidance", experimental=True)
def self_attention_guidance(
    model: Model,
    scale: Annotated[
        float, In(ge=-2, le=5, step=0.01, tip="How far away; 0 is nothing.", options={"advanced": True})
    ] = 0.5,
    blur_sigma: Annotated[
        float,
        In(ge=0, le=10, step=0.1, tip="How blurred, in latent pixels; 0 is not at all.", options={"advanced": True}),
    ] = 2.0,
) -> Model:
    """Guide away from what a U-Net predicts once the places that it looks at most are blurred (SAG; Hong et al. 2023).

    It takes one more prediction for the negative prompt in each step (for the positive one where a guider has no other), and
    that for the negative prompt at cfg 1 too. For Stable Diffusion 1, 2 and XL. Latents of 4 pixels a side or less, and negative
    prompts for a part of the picture, are left as they are. At scale 0 the model comes back as it is.
    """
    _check_middle(model, "SelfAttentionGuidance")
    return model if scale == 0.0 else model.with_option(SELF, [*model.options.get(SELF, ()), [scale, blur_sigma]])


@node("NAGuidance", category="advanced/guidance", display_name="Normalized Attention Guidance", experimental=True)
def na_guidance(
    model: Model,
    nag_scale: Annotated[
        float,
        In(ge=0, le=50, step=0.1, tip="How far from the negative prompt; 1 is nothing.", options={"advanced": True}),
    ] = 5.0,
    nag_alpha: Annotated[
        float, In(ge=0, le=1, step=0.01, tip="Share of the guided attention; 0 is nothing.", options={"advanced": True})
    ] = 0.5,
    nag_tau: Annotated[
        float, In(ge=1, le=10, step=0.01, tip="How many times longer it may get.", options={"advanced": True})
    ] = 1.5,
) -> Model:
    """Let a negative prompt count within attention, so that it counts at cfg 1 and for distilled models (NAG; Chen et al. 2025).

    The prediction for the negative prompt is made in each step. Attention to the text is guided: that of its own in Stable
    Diffusion 1, 2, XL, Anima, Cosmos, HunyuanDiT, PixArt, Sana and Wan, that of the picture's tokens in FLUX, Chroma, Stable
    Diffusion 3, Qwen-Image, Ovis-Image and LongCat-Image (inferred from the paper's code: which, and that it is before the layer
    after attention). Where the two prompts are not predicted in one call (texts of other lengths), what attention gave for the
    negative one is kept meanwhile, which takes memory. At alpha 0 or scale 1 the model comes back as it is.
    """
    check_attention(model, "NAGuidance")
    if nag_alpha == 0.0 or nag_scale == 1.0:
        return model
    return with_patch(model, NORMALIZED, scale=nag_scale, alpha=nag_alpha, tau=nag_tau)


def _check_middle(model: Model, name: str) -> None:
    check_unet(model, name, "middle with self-attention over places of the picture alone")
    if "Attn" not in str(model.config.get("mid_block_type", "UNetMidBlock2DCrossAttn")):
        raise ModelError(
            f"{name}: model: {model.source.path} is {family_named(model.family).title} of a slim kind, whose middle has no "
            "attention. Load a whole one, or leave this node out."
        )
