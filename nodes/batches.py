"""Several latents or masks as one batch, and the size of a latent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Annotated, Any, Final, NamedTuple

import torch

from engine.api import Growing, In, Latent, Mask, Out, WithUi, node
from engine.media.resizing import as_masks, fit_mask
from nodes.latent import latent_batch

_LATENTS: Final = {"input": {"required": {"latent": ["LATENT", {}]}}, "min": 1, "max": 50, "prefix": "latent"}
_MASKS: Final = {"input": {"required": {"mask": ["MASK", {}]}}, "min": 1, "max": 50, "prefix": "mask"}


class Size(NamedTuple):
    """How large a latent is, in its own pixels."""

    width: int
    height: int
    frames: int
    batch_size: int


@node("GetLatentSize", category="latent", display_name="Get Image/Video Latent Size")
def get_latent_size(latent: Latent) -> WithUi[Size]:
    """Give width, height, frames and number of a latent (B, C, h, w) or (B, C, T, h, w), in latent pixels.

    A latent of a picture has one frame. Of several streams together the first counts.
    """
    samples: Any = latent["samples"]
    if getattr(samples, "is_nested", False):
        samples = samples.unbind()[0]
    elif isinstance(samples, list | tuple):
        samples = samples[0]
    shape = samples.shape
    size = Size(shape[-1], shape[-2] if len(shape) > 3 else 1, shape[-3] if len(shape) > 4 else 1, shape[0])
    text = f"{size.width} × {size.height}, frames: {size.frames}, batch: {size.batch_size}"
    return WithUi(*size, ui={"text": [text]})


@node("BatchLatentsNode", category="latent/batch", display_name="Batch Latents")
def batch_latents(
    latents: Annotated[Growing, In(tip="Latents, or batches of them, in their order.", options={"template": _LATENTS})],
) -> Annotated[Latent, Out(name="output")]:
    """Put all linked batches of latents (B, C, h, w) behind one another, scaled to the size of the first.

    Each keeps the noise that it has by itself (`batch_index`). Raises ValueError for latents of other channels.
    """
    linked = _in_order(latents, "latent")
    return reduce(latent_batch, linked) if len(linked) > 1 else linked[0]


@node("BatchMasksNode", category="mask", display_name="Batch Masks")
def batch_masks(
    masks: Annotated[Growing, In(tip="Masks, or batches of them, in their order.", options={"template": _MASKS})],
) -> Mask:
    """Put all linked masks (B, H, W) behind one another, stretched bilinearly to the size of the first."""
    linked = [as_masks(mask) for mask in _in_order(masks, "mask")]
    height, width = linked[0].shape[-2:]
    return torch.cat([fit_mask(mask, height, width).to(linked[0]) for mask in linked])


def _in_order(group: Mapping[str, Any], prefix: str) -> list[Any]:
    return [group[name] for name in sorted(group, key=lambda name: int(name.removeprefix(prefix)))]
