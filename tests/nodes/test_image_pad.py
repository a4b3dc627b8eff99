"""Borders of a colour or of the mirror image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nodes.image_pad import pad_image

DIMENSIONS = {"padding_type": "pad dimensions", "left": 1, "top": 2, "right": 3, "bottom": 9}
RED = {"padding_style": "color", "color": "#ff0000", "feathering": 0}
MIRROR = {"padding_style": "mirror image"}


def picture(height: int = 4, width: int = 5, channels: int = 3) -> torch.Tensor:
    return torch.rand(2, height, width, channels, generator=torch.Generator().manual_seed(1))


def test_a_colour_goes_around_and_the_picture_stays() -> None:
    image = picture(channels=4)
    padded = pad_image(image, DIMENSIONS, RED)
    assert padded.shape == (2, 15, 9, 4)
    assert torch.equal(padded[:, 2:6, 1:6], image)
    assert padded[1, 0, 0].tolist() == padded[0, -1, -1].tolist() == [1, 0, 0, 1]


def test_a_mirror_image_is_numpys_reflection_however_wide() -> None:
    image = picture()
    padded = pad_image(image, DIMENSIONS, MIRROR)
    assert np.array_equal(padded.numpy(), np.pad(image.numpy(), ((0, 0), (2, 9), (1, 3), (0, 0)), mode="reflect"))
    one = pad_image(image[:, :1, :1], DIMENSIONS, MIRROR)
    assert torch.equal(one, image[:, :1, :1].expand(2, 12, 5, 3))


def test_a_factor_and_a_multiple_are_split_evenly_with_the_odd_pixel_after() -> None:
    image = picture(10, 21)
    padded = pad_image(image, {"padding_type": "pad by multiplier", "multiplier": 1.5}, RED)
    assert padded.shape[1:3] == (15, 32)
    assert torch.equal(padded[:, 2:12, 5:26], image)
    padded = pad_image(image, {"padding_type": "pad to multiple", "multiple": 8}, RED)
    assert padded.shape[1:3] == (16, 24)
    assert torch.equal(padded[:, 3:13, 1:22], image)


def test_nothing_to_add_gives_the_picture_itself() -> None:
    image = picture(8, 16)
    assert pad_image(image, {"padding_type": "pad to multiple", "multiple": 8}, RED) is image


def test_feathering_fades_the_padded_edges_alone() -> None:
    way = {"padding_type": "pad dimensions", "left": 1, "top": 0, "right": 0, "bottom": 0}
    padded = pad_image(torch.ones(1, 3, 6, 3), way, {**RED, "feathering": 3})
    assert padded[0, 1, :, 1].tolist() == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert (padded[..., 0] == 1).all()


def test_what_is_no_colour_is_refused() -> None:
    with pytest.raises(ValueError, match=r"PadImageNode: color is 'red'"):
        pad_image(picture(), DIMENSIONS, {**RED, "color": "red"})
