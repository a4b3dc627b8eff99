"""Porter and Duff's operators against other implementations of them."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from nodes.porter_duff import Mode, porter_duff_image_composite


def made(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


SOURCE, DESTINATION = made(2, 5, 7, 3, seed=1), made(2, 5, 7, 3, seed=2)
ABOVE, BELOW = made(2, 5, 7, seed=3), made(2, 5, 7, seed=4)


def composite(mode: str) -> tuple[np.ndarray, np.ndarray]:
    image, mask = porter_duff_image_composite(SOURCE, ABOVE, DESTINATION, BELOW, mode)
    opacity = 1 - mask.numpy()[..., None]
    return image.numpy() * opacity, opacity


def test_source_over_is_pillows() -> None:
    def picture(colours: torch.Tensor, mask: torch.Tensor) -> Image.Image:
        rgba = torch.cat([colours, 1 - mask[..., None]], -1)[0]
        return Image.fromarray((rgba * 255).round().byte().numpy(), "RGBA")

    wanted = np.asarray(Image.alpha_composite(picture(DESTINATION, BELOW), picture(SOURCE, ABOVE))) / 255
    image, mask = porter_duff_image_composite(SOURCE, ABOVE, DESTINATION, BELOW, "SRC_OVER")
    assert np.abs(image[0].numpy() - wanted[..., :3]).max() < 0.02
    assert np.abs(1 - mask[0].numpy() - wanted[..., 3]).max() < 0.01


@pytest.mark.parametrize("mode", [one for one in get_args(Mode) if one not in ("ADD", "CLEAR", "OVERLAY")])
def test_each_operator_is_its_regions(mode: str) -> None:
    """The paper's own picture: a pixel is in the source alone, in the destination alone, in both, or in neither."""
    s, d = SOURCE.numpy(), DESTINATION.numpy()
    sa, da = 1 - ABOVE.numpy()[..., None], 1 - BELOW.numpy()[..., None]
    blends = {"DARKEN": np.minimum(s * sa, d * da), "LIGHTEN": np.maximum(s * sa, d * da)}
    screen = s * sa * da + d * sa * da - s * sa * d * da
    only_source = mode in ("SRC", "SRC_OVER", "DST_OVER", "SRC_OUT", "DST_ATOP", "XOR", "DARKEN", "LIGHTEN", "SCREEN")
    only_destination = mode in (
        "DST",
        "SRC_OVER",
        "DST_OVER",
        "DST_OUT",
        "SRC_ATOP",
        "XOR",
        "DARKEN",
        "LIGHTEN",
        "SCREEN",
    )
    both = {
        **dict.fromkeys(("SRC", "SRC_OVER", "SRC_IN", "SRC_ATOP"), s * sa * da),
        **dict.fromkeys(("DST", "DST_OVER", "DST_IN", "DST_ATOP"), d * sa * da),
        **dict.fromkeys(("SRC_OUT", "DST_OUT", "XOR"), np.zeros_like(s)),
        "MULTIPLY": s * sa * d * da,
        "SCREEN": screen,
        **blends,
    }[mode]
    wanted = both + s * sa * (1 - da) * only_source + d * da * (1 - sa) * only_destination
    in_both = mode not in ("SRC_OUT", "DST_OUT", "XOR")
    wanted_opacity = sa * da * in_both + sa * (1 - da) * only_source + da * (1 - sa) * only_destination
    colours, opacity = composite(mode)
    assert np.allclose(opacity, wanted_opacity, atol=1e-5)
    assert np.allclose(colours, np.minimum(wanted, wanted_opacity), atol=1e-4)


def test_modes_on_opaque_pictures_are_pillows_blends() -> None:
    def picture(colours: torch.Tensor) -> Image.Image:
        return Image.fromarray((colours[0] * 255).round().byte().numpy())

    opaque = torch.zeros(1, 1, 1)
    for mode, blend in {
        "ADD": ImageChops.add,
        "DARKEN": ImageChops.darker,
        "LIGHTEN": ImageChops.lighter,
        "MULTIPLY": ImageChops.multiply,
        "SCREEN": ImageChops.screen,
    }.items():
        image, mask = porter_duff_image_composite(SOURCE[:1], opaque, DESTINATION[:1], opaque, mode)
        wanted = np.asarray(blend(picture(SOURCE), picture(DESTINATION))) / 255
        assert np.abs(image[0].numpy() - wanted).max() < 0.006, mode
        assert not mask.any()
    image, _ = porter_duff_image_composite(SOURCE[:1], opaque, DESTINATION[:1], opaque, "OVERLAY")
    wanted = np.asarray(ImageChops.overlay(picture(DESTINATION), picture(SOURCE))) / 255
    assert np.abs(image[0].numpy() - wanted).max() < 0.01


def test_nothing_is_left_of_clear_and_sizes_are_made_to_fit() -> None:
    image, mask = porter_duff_image_composite(
        made(1, 9, 20, 4, seed=5), made(1, 3, 3, seed=6), DESTINATION, BELOW, "CLEAR"
    )
    assert image.shape == (2, 5, 7, 3)
    assert not image.any()
    assert (mask == 1).all()
