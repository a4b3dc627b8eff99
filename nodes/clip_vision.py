"""Image encoders: from a picture to what further models are steered by."""

from __future__ import annotations

from typing import Annotated

from engine.api import ClipVision, ClipVisionOutput, Context, Files, Image, In, node

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
