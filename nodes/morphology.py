"""Shapes in pictures made larger, smaller, smoother, or found by their edges."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from engine.api import Image, In, node

Operation = Literal["erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat"]


@node("Morphology", category="image/postprocessing", display_name="Apply Morphology")
def morphology(
    image: Image,
    operation: Annotated[
        Operation, In(tip="open and close undo each other's growth; the hats are what those take away.")
    ] = "erode",
    kernel_size: Annotated[int, In(ge=3, le=999, step=1, tip="Side of the square in pixels, odd.")] = 3,
) -> Image:
    """Apply grey-scale morphology with a flat square to each channel of pictures (B, H, W, C) (Serra 1982).

    erode takes the least of each neighbourhood, dilate the greatest; open is erode, then dilate, close the reverse; gradient
    is dilate - erode, top_hat what open takes away, bottom_hat what close adds. Nothing beyond the edges counts. Its cost
    does not depend on the size of the square. Raises ValueError for an even size.
    """
    if kernel_size % 2 == 0:
        raise ValueError(
            f"Morphology: kernel_size is {kernel_size}; it must be odd, such as {kernel_size + 1}, to have a middle."
        )
    match operation:
        case "erode":
            return _least(image, kernel_size)
        case "dilate":
            return _greatest(image, kernel_size)
        case "open":
            return _greatest(_least(image, kernel_size), kernel_size)
        case "close":
            return _least(_greatest(image, kernel_size), kernel_size)
        case "gradient":
            return _greatest(image, kernel_size) - _least(image, kernel_size)
        case "top_hat":
            return image - _greatest(_least(image, kernel_size), kernel_size)
        case _:
            return _least(_greatest(image, kernel_size), kernel_size) - image


def _greatest(image: Tensor, size: int) -> Tensor:
    from scipy.ndimage import maximum_filter1d  # slow to import, and only this node wants it

    pixels = maximum_filter1d(image.cpu().numpy(), size, axis=1, mode="nearest")
    return torch.from_numpy(maximum_filter1d(pixels, size, axis=2, mode="nearest")).to(image)


def _least(image: Tensor, size: int) -> Tensor:
    return -_greatest(-image, size)
