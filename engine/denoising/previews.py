"""Rough pictures of a latent: cheap enough to make while sampling goes on.

By a tiny decoder when one is there and wanted, else by the latent's colours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.datatypes.latent_formats import tiny_decoder_name, with_colours
from engine.datatypes.parameterization import LatentFormat
from engine.models.errors import ModelError
from engine.models.handles import ModelHandle
from engine.models.tiny_decoder import TinyDecoder, find_tiny_decoder
from engine.sampling.noise_schedule import from_network_space
from engine.sampling.samplers.steps import StepInfo

if TYPE_CHECKING:
    from engine.models.manager import ModelManager
    from engine.paths import Paths

log = logging.getLogger("safelight.previews")

MIN_SIDE, MAX_SIDE = 256, 512
"""The longer side of a preview in pixels: that of the picture itself, within these bounds."""


class Watched(Protocol):
    """The node that a run is in, as far as the run knows it: the part of a node's context that tells of its progress."""

    @property
    def models(self) -> ModelManager:
        """The models of this device."""
        ...

    @property
    def paths(self) -> Paths:
        """Where files are."""
        ...

    @property
    def preview_method(self) -> str:
        """How intermediate pictures are wanted: `auto`, `none`, `latent2rgb` or `taesd`."""
        ...

    def progress(self, value: float, total: float) -> None:
        """Report `value` of `total` done; raises to cancel."""
        ...

    def preview(self, image: Any) -> None:
        """Show a picture (H, W, 3), or what a function of no arguments makes."""
        ...

    def warn(self, message: str) -> None:
        """Tell the person something that does not stop the run."""
        ...


class PreviewMaker:
    """Makes the previews of one sampling run, as the node's `preview_method` says. Looks for nothing before it is called."""

    def __init__(self, node: Watched, model: ModelHandle) -> None:
        self._node = node
        self._format = model.latent
        self._decode: Callable[[Tensor], Tensor] | None = None
        self._looked = False

    def __call__(self, step: StepInfo) -> NDArray[np.uint8]:
        """Return a picture (H, W, 3) of the prediction of x_0 at this step."""
        if not self._looked:
            self._looked = True
            self._decode = self._tiny_decoder()
        on_cpu = self._decode is not None and self._node.models.device == "cpu"
        return preview(step, self._format, self._decode, MIN_SIDE if on_cpu else MAX_SIDE)

    def _tiny_decoder(self) -> Callable[[Tensor], Tensor] | None:
        name = tiny_decoder_name(self._format) if self._node.preview_method in ("auto", "taesd") else None
        file = find_tiny_decoder(self._node.paths, name) if name is not None else None
        try:
            decoder: TinyDecoder | None = self._node.models.tiny_decoder(file) if file is not None else None
        except ModelError as error:
            log.warning("%s Previews are made of the latent's colours instead.", error)
            return None
        return decoder.decode if decoder is not None else None


def latent_to_rgb(
    latent: Tensor, latent_format: LatentFormat, *, scaled: bool = False, max_side: int | None = None
) -> NDArray[np.uint8]:
    """Return a picture (h, w, 3) of a latent (C, h, w), or of the first of (B, C, …, h, w), one pixel each.

    With the format's `rgb_factors`, or those of the known space that it is, it is their linear map; without, the first
    three channels, each stretched over its range. `scaled` says that the latent is in the network's space (as a callback
    sees it) rather than the VAE's. `max_side` bounds the size in pixels.
    """
    picture = first_picture(latent)
    if max_side is not None and max(picture.shape[-2:]) > max_side:
        picture = resized(picture, max_side)
    return to_pixels(_colours(picture, with_colours(latent_format), scaled))


def preview(
    step: StepInfo,
    latent_format: LatentFormat,
    decode: Callable[[Tensor], Tensor] | None = None,
    decoded_side: int = MAX_SIDE,
) -> NDArray[np.uint8]:
    """Return what the picture looks like so far, (H, W, 3): the prediction of x_0 at this step, enlarged to be looked at.

    `decode` maps latents (1, C, h, w) of the network to pictures (1, 3, H, W) in 0..1; without it colours are the format's
    own. A large latent is shrunk first, for `decode` to a picture of `decoded_side`: it is not worth computing more.
    """
    latent = first_picture(step.denoised)
    longer = max(latent.shape[-2:])
    side = min(max(MIN_SIDE, longer * latent_format.downscale), MAX_SIDE)
    most = min(side, decoded_side) // latent_format.downscale if decode is not None else side
    latent = resized(latent, most) if longer > most else latent
    rgb = _colours(latent, with_colours(latent_format), True) if decode is None else decode(latent[None])[0]
    return to_pixels(resized(rgb, side))


def first_picture(latent: Tensor) -> Tensor:
    """Return the first picture (C, h, w) of a latent (C, h, w) or (B, C, h, w), the first frame of (B, C, T, h, w), float32."""
    picture = latent.detach()
    picture = picture if picture.dim() == 3 else picture[0]
    picture = picture if picture.dim() == 3 else picture[:, 0]
    return picture.to(torch.float32)


def resized(picture: Tensor, side: int) -> Tensor:
    """Return a picture (C, h, w) with a longer side of `side`: means of areas when it shrinks, linear between pixels else."""
    longer = max(picture.shape[-2:])
    if longer == side:
        return picture
    size = [max(1, round(length * side / longer)) for length in picture.shape[-2:]]
    mode = "area" if longer > side else "bilinear"
    return functional.interpolate(picture[None], size=size, mode=mode)[0]


def to_pixels(rgb: Tensor) -> NDArray[np.uint8]:
    """Return colours (3, h, w) in 0..1 as bytes (h, w, 3); what is no number is black."""
    pixels = rgb.nan_to_num(0.0).clamp(0.0, 1.0).mul(255.0).round().to(torch.uint8)
    array: NDArray[np.uint8] = pixels.permute(1, 2, 0).contiguous().cpu().numpy()
    return array


def _colours(picture: Tensor, latent_format: LatentFormat, scaled: bool) -> Tensor:
    if not latent_format.rgb_factors:
        return _stretched(picture)
    raw = from_network_space(picture, latent_format) if scaled else picture
    factors = torch.tensor(latent_format.rgb_factors, device=raw.device)
    bias = torch.tensor(latent_format.rgb_bias, device=raw.device)
    return torch.einsum("chw,cr->rhw", raw, factors) + bias[:, None, None]


def _stretched(picture: Tensor) -> Tensor:
    channels = picture[:3] if picture.shape[0] >= 3 else picture[:1].expand(3, -1, -1)
    low, high = channels.amin(dim=(1, 2), keepdim=True), channels.amax(dim=(1, 2), keepdim=True)
    return (channels - low) / (high - low).clamp(min=1e-6)
