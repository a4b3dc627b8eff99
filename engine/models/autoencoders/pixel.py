"""No autoencoder at all: pictures are their own latents. No file holds one, so its source has no digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.datatypes import latent_formats
from engine.models.handles import Source, VaeHandle
from engine.models.shapes import Facts, Shapes

if TYPE_CHECKING:
    from torch import Tensor

MODULE: Final = "torch.nn:Identity"
CODEC: Final = "engine.models.pixels:PixelCodec"
LATENT: Final = latent_formats.PIXELS
NAME: Final = "pixel_space"
"""What loaders call it."""

HANDLE: Final = VaeHandle(source=Source(NAME, ""), family="", kind="pixel", latent=latent_formats.PIXELS)


def is_there(shapes: Shapes) -> bool:
    """Say no: it has no tensors."""
    return False


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return no arguments."""
    return {}


def space(config: Facts) -> tuple[int, int]:
    """Return the three colours of a pixel, and that a latent pixel is one."""
    return 3, 1


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return nothing."""
    return {}
