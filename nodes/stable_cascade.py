"""Stable Cascade: empty latents for both of its stages, and the first one's result for the second."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch

from engine.api import Conditioning, Context, Image, In, Latent, Out, Vae, node
from engine.media.bounds import bounded
from engine.media.resizing import resize_images
from engine.models.latent_spaces import space_of, with_samples
from nodes.conditioning import with_options
from nodes.dimensions import MAX_RESOLUTION, BatchSize

Side = Annotated[int, In(ge=256, le=MAX_RESOLUTION, step=8, tip="Pixels of the picture to be.")]
Compression = Annotated[
    int, In(ge=4, le=128, step=1, options={"advanced": True}, tip="Pixels a side for one of stage C's latent.")
]
_SMALL_C, _SMALL_B = 16, 2
"""Pixels a side of a picture that is to be made larger, for one of each stage's latent."""

_STAGE_B = 4
"""Pixels a side for one of stage B's latent."""


class BothStages(NamedTuple):
    """An empty latent for each stage."""

    stage_c: Annotated[Latent, Out(name="stage_c")]
    stage_b: Annotated[Latent, Out(name="stage_b")]


@node("StableCascade_EmptyLatentImage", category="latent/stable_cascade")
def empty_latents_of_stable_cascade(
    width: Side = 1024,
    height: Side = 1024,
    compression: Compression = 42,
    batch_size: BatchSize = 1,
) -> BothStages:
    """Make zeros to start from: (batch_size, 16, height / compression, width / compression) and (…, 4, height / 4, width / 4)."""
    shapes = [(16, height // compression, width // compression), (4, height // _STAGE_B, width // _STAGE_B)]
    stage_c, stage_b = ({"samples": torch.zeros(bounded(batch_size, *shape))} for shape in shapes)
    return BothStages(stage_c, stage_b)


@node("StableCascade_StageC_VAEEncode", category="latent/stable_cascade")
def encode_for_stage_c(ctx: Context, image: Image, vae: Vae, compression: Compression = 42) -> BothStages:
    """Encode a picture to stage C's latent, resized so that `compression` pixels are one of it; stage B's stays empty."""
    height, width = image.shape[1:3]
    factor = vae.latent.downscale
    columns, rows = (max(1, side // compression) for side in (width, height))
    fitted = resize_images(image[..., :3], columns * factor, rows * factor, "bicubic", "center")
    with ctx.models.use(vae) as autoencoder:
        stage_c = with_samples({}, autoencoder.encode(fitted), space_of(vae))
    empty = torch.zeros(bounded(len(image), 4, height // _STAGE_B, width // _STAGE_B))
    return BothStages(stage_c, {"samples": empty})


class SuperResolution(NamedTuple):
    """What a control network for super-resolution sees, and empty latents of the picture that it is for."""

    controlnet_input: Annotated[Image, Out(name="controlnet_input")]
    stage_c: Annotated[Latent, Out(name="stage_c")]
    stage_b: Annotated[Latent, Out(name="stage_b")]


@node("StableCascade_SuperResolutionControlnet", category="_for_testing/stable_cascade", experimental=True)
def super_resolution_of_stable_cascade(ctx: Context, image: Image, vae: Vae) -> SuperResolution:
    """Encode a picture (B, H, W, C) for a control network of super-resolution: its latent with channels last, (B, h, w, c).

    With zeros for both stages, (B, 16, H / 16, W / 16) and (B, 4, H / 2, W / 2).
    """
    height, width = image.shape[1:3]
    with ctx.models.use(vae) as autoencoder:
        seen = autoencoder.encode(image[..., :3])
    shapes = [(16, height // _SMALL_C, width // _SMALL_C), (4, height // _SMALL_B, width // _SMALL_B)]
    stage_c, stage_b = ({"samples": torch.zeros(bounded(len(image), *shape))} for shape in shapes)
    return SuperResolution(seen.movedim(1, -1), stage_c, stage_b)


@node("StableCascade_StageB_Conditioning", category="conditioning/stable_cascade")
def stage_b_conditioning(conditioning: Conditioning, stage_c: Latent) -> Conditioning:
    """Give stage B what stage C made, to make the larger latent of."""
    return with_options(conditioning, stable_cascade_prior=stage_c["samples"])
