"""Sizes by shape and area, and those of FLUX.1 Kontext."""

from __future__ import annotations

import pytest
import torch

from nodes.resolutions import KONTEXT_SIZES, flux_kontext_image_scale, resolution_selector


@pytest.mark.parametrize(
    ("ratio", "megapixels", "multiple", "size"),
    [
        ("1:1 (Square)", 1.0, 8, (1024, 1024)),
        ("1:1 (Square)", 2.0, 8, (1448, 1448)),  # 1448.15
        ("16:9 (Widescreen)", 1.0, 8, (1368, 768)),  # 1365.33 is 170.67 eights
        ("16:9 (Widescreen)", 0.4, 32, (864, 480)),  # 863.5 and 485.7, which is 15.18 times 32
        ("9:16 (Portrait Widescreen)", 1.0, 16, (768, 1360)),  # 85.33 times 16
        ("21:9 (Ultrawide)", 1.0, 8, (1568, 672)),  # 1564.2 is 195.53 eights, 670.4 is 83.8
        ("2:3 (Portrait Photo)", 0.1, 128, (256, 384)),  # 264.4 and 396.6
    ],
)
def test_a_size_has_the_area_and_the_shape_to_the_nearest_multiple(ratio, megapixels, multiple, size) -> None:
    assert resolution_selector(ratio, megapixels, None, multiple) == size


@pytest.mark.parametrize("size", KONTEXT_SIZES)
def test_a_picture_of_a_size_of_kontext_keeps_its_size(size: tuple[int, int]) -> None:
    width, height = size
    assert flux_kontext_image_scale(torch.zeros(1, height // 16, width // 16, 3)).shape == (1, height, width, 3)


def test_the_shape_that_is_nearest_is_taken_and_the_rest_cut_at_the_middle() -> None:
    # 3:1 is wider than the widest, 1568 × 672; of 30 columns 23.3 stay, so that the outer ones are gone.
    picture = torch.zeros(1, 10, 30, 3)
    picture[:, :, :3] = picture[:, :, -3:] = 1.0
    scaled = flux_kontext_image_scale(picture)
    assert scaled.shape == (1, 672, 1568, 3)
    assert scaled.max() == 0.0
