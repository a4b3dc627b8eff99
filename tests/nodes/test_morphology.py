"""Morphology against scipy's own operators and Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from scipy import ndimage

from nodes.morphology import morphology

NOISE = torch.rand(2, 17, 23, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [3, 7, 41])
@pytest.mark.parametrize(
    ("operation", "reference"),
    [
        ("erode", ndimage.grey_erosion),
        ("dilate", ndimage.grey_dilation),
        ("gradient", ndimage.morphological_gradient),
    ],
)
def test_one_step_is_scipys(operation: str, reference: object, size: int) -> None:
    found = morphology(NOISE, operation, size)
    for batch in range(2):
        for channel in range(4):
            wanted = reference(NOISE[batch, ..., channel].numpy(), size=(size, size), mode="nearest")
            assert np.allclose(found[batch, ..., channel].numpy(), wanted)


def test_two_steps_are_pillows() -> None:
    pixels = (NOISE[0, ..., 0] * 255).byte()
    image = (pixels.float() / 255)[None, ..., None]
    opened = Image.fromarray(pixels.numpy()).filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))
    closed = Image.fromarray(pixels.numpy()).filter(ImageFilter.MaxFilter(3)).filter(ImageFilter.MinFilter(3))
    inner = (slice(2, -2), slice(2, -2))  # Pillow counts what lies beyond the edges otherwise

    def found(operation: str) -> np.ndarray:
        return (morphology(image, operation, 3)[0, ..., 0] * 255).round().numpy()[inner]

    plain, least, most = (np.asarray(one, dtype=float)[inner] for one in (pixels.numpy(), opened, closed))
    assert np.array_equal(found("open"), least)
    assert np.array_equal(found("close"), most)
    assert np.array_equal(found("top_hat"), plain - least)
    assert np.array_equal(found("bottom_hat"), most - plain)


def test_an_even_square_has_no_middle() -> None:
    with pytest.raises(ValueError, match="must be odd, such as 5"):
        morphology(NOISE, "erode", 4)
