"""Image encoders: from a picture to what further models are steered by."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from engine.api import (
    Clip,
    ClipVision,
    ClipVisionOutput,
    Conditioning,
    Context,
    ExecutionBlocker,
    Files,
    Image,
    In,
    Model,
    Vae,
    node,
)
from engine.models.errors import CheckpointError
from nodes.loaders import CheckpointName, checkpoint_loader

ClipVisionName = Annotated[str, In(choices=Files("clip_vision"), tip="A file in models/clip_vision.")]


@node("CLIPVisionLoader", category="loaders", display_name="Load CLIP Vision")
def clip_vision_loader(ctx: Context, clip_name: ClipVisionName) -> ClipVision:
    """Load an image encoder: CLIP's vision tower."""
    return ctx.models.vision(ctx.paths.find("clip_vision", clip_name))


@node("CLIPVisionEncode", category="conditioning", display_name="CLIP Vision Encode")
def clip_vision_encode(
    ctx: Context,
    clip_vision: ClipVision,
    image: Image,
    crop: Annotated[
        str, In(choices=("center", "none"), tip="none squeezes the whole picture into a square.")
    ] = "center",
) -> ClipVisionOutput:
    """See pictures (B, H, W, C): one vector (B, P) and tokens (B, T, D) for each."""
    with ctx.models.use(clip_vision) as encoder:
        return encoder.encode(image, crop=crop == "center")


class SeeingCheckpoint(NamedTuple):
    """The parts of a checkpoint that holds an image encoder."""

    MODEL: Model
    CLIP: Clip
    VAE: Vae
    CLIP_VISION: ClipVision


@node("unCLIPCheckpointLoader", category="loaders")
def unclip_checkpoint_loader(ctx: Context, ckpt_name: CheckpointName) -> SeeingCheckpoint:
    """Load a checkpoint of unCLIP: denoiser, text encoder, VAE, and the image encoder whose view the denoiser takes."""
    vision: Any
    try:
        vision = ctx.models.vision(ctx.paths.find("checkpoints", ckpt_name))
    except CheckpointError:
        vision = ExecutionBlocker(f"{ckpt_name} holds no image encoder; load one with CLIPVisionLoader.")
    return SeeingCheckpoint(*checkpoint_loader(ctx, ckpt_name), vision)


@node("unCLIPConditioning", category="conditioning")
def unclip_conditioning(
    conditioning: Conditioning,
    clip_vision_output: ClipVisionOutput,
    strength: Annotated[
        float, In(ge=-10.0, le=10.0, step=0.01, tip="How much of what was seen; 0 leaves it out.")
    ] = 1.0,
    noise_augmentation: Annotated[
        float, In(ge=0.0, le=1.0, step=0.01, tip="More keeps less of the picture that was seen.")
    ] = 0.0,
) -> Conditioning:
    """Let a picture that an image encoder saw steer an unCLIP model; several add up."""
    if strength == 0.0:
        return conditioning
    use = {
        "clip_vision_output": clip_vision_output,
        "strength": strength,
        "noise_augmentation": noise_augmentation,
    }
    return [
        [tokens, {**options, "unclip_conditioning": [*options.get("unclip_conditioning", ()), use]}]
        for tokens, options in conditioning
    ]
