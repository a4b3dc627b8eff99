"""How far a sampler is, as a picture: by a tiny decoder when one is there and wanted, else by the latent's colours."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from engine.api import Context
from engine.datatypes.latent_formats import tiny_decoder_name
from engine.datatypes.parameterization import LatentFormat
from engine.models.errors import ModelError
from engine.models.handles import ModelHandle
from engine.models.tiny_decoder import find_tiny_decoder
from engine.sampling.previews import first_picture, preview, preview_side, resized, to_pixels
from engine.sampling.samplers.steps import StepInfo

log = logging.getLogger("safelight.previews")


def preview_of(ctx: Context, model: ModelHandle, step: StepInfo) -> Any:
    """Return a uint8 picture (H, W, 3) of the prediction of x_0 at this step, made as `ctx.preview_method` says."""
    file = _decoder_file(ctx, model.latent)
    if file is not None:
        try:
            return _decoded(ctx, file, step, model.latent)
        except ModelError as error:
            log.warning("%s Previews are made of the latent's colours instead.", error)
    return preview(step, model.latent)


def _decoder_file(ctx: Context, latent_format: LatentFormat) -> Path | None:
    name = tiny_decoder_name(latent_format) if ctx.preview_method in ("auto", "taesd") else None
    return find_tiny_decoder(ctx.paths, name) if name is not None else None


@torch.no_grad()
def _decoded(ctx: Context, file: Path, step: StepInfo, latent_format: LatentFormat) -> Any:
    decoder = ctx.models.tiny_decoder(file)
    latent = first_picture(step.denoised)
    side = preview_side(latent, latent_format)
    most = (
        side // latent_format.downscale
    )  # of a large latent the decoder sees means: detail beyond the preview is lost
    latent = resized(latent, most) if max(latent.shape[-2:]) > most else latent
    weights = next(decoder.parameters())
    picture = decoder(latent[None].to(weights.device, weights.dtype))[0].float()
    return to_pixels(resized(picture, side))
