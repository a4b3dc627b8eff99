from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.image import (
    empty_image,
    get_image_size,
    image_crop,
    image_flip,
    image_pad_for_outpaint,
    image_rotate,
    image_scale,
    image_scale_by,
    image_scale_to_total_pixels,
)

FAST = settings(max_examples=25, deadline=None)
SIDE = st.integers(1, 9)


def picture(height: int = 4, width: int = 6, channels: int = 3, batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(seed))


def test_an_empty_image_has_the_colour_of_its_hex_number() -> None:
    image = empty_image(3, 2, 4, 0xFF8000)
    assert image.shape == (4, 2, 3, 3)
    assert torch.equal((image[3, 1, 2] * 255).round(), torch.tensor([255.0, 128.0, 0.0]))


def test_an_image_of_many_gigabytes_is_refused_with_its_size() -> None:
    with pytest.raises(ValueError, match=r"\(4096, 16384, 16384, 3\) needs 12288 GiB"):
        empty_image(16384, 16384, 4096)


def test_the_size_is_width_height_and_batch() -> None:
    assert get_image_size(picture(4, 6, batch=3)) == (6, 4, 3)


def test_nearest_scaling_repeats_pixels() -> None:
    image = torch.tensor([0.0, 1.0]).view(1, 1, 2, 1).expand(1, 1, 2, 3)
    assert image_scale(image, "nearest-exact", 4, 1)[0, 0, :, 0].tolist() == [0, 0, 1, 1]


def test_area_scaling_averages() -> None:
    image = torch.tensor([0.0, 1.0, 0.5, 0.5]).view(1, 2, 2, 1).expand(1, 2, 2, 3)
    assert image_scale(image, "area", 1, 1).flatten().tolist() == [0.5] * 3


@pytest.mark.parametrize(
    ("width", "height", "size"), [(0, 8, (8, 12)), (12, 0, (8, 12)), (0, 0, (4, 6)), (5, 7, (7, 5))]
)
def test_a_size_of_zero_keeps_proportions(width: int, height: int, size: tuple[int, int]) -> None:
    assert image_scale(picture(4, 6), "bilinear", width, height).shape[1:3] == size


def test_center_crop_takes_the_middle_and_disabled_squeezes_everything_in() -> None:
    image = torch.arange(6.0).div(10).view(1, 1, 6, 1).expand(1, 2, 6, 3)
    cut = image_scale(image, "nearest-exact", 2, 2, "center")
    assert cut[0, 0, :, 0].tolist() == pytest.approx([0.2, 0.3])
    squeezed = image_scale(image, "area", 2, 2, "disabled")
    assert squeezed[0, 0, :, 0].tolist() == pytest.approx([0.1, 0.4])


def test_center_crop_of_a_very_flat_target_keeps_a_row() -> None:
    assert image_scale(picture(3, 3), "bilinear", 512, 1, "center").shape == (1, 1, 512, 3)


@pytest.mark.parametrize("method", ["bicubic", "lanczos"])
def test_sharp_edges_do_not_overshoot_the_range(method: str) -> None:
    image = torch.zeros(1, 8, 8, 3)
    image[:, :, 4:] = 1.0
    scaled = image_scale(image, method, 29, 31)
    assert scaled.min() == 0
    assert scaled.max() == 1


def test_lanczos_keeps_more_than_eight_bits_and_shrinks_without_aliasing() -> None:
    flat = torch.full((1, 16, 16, 4), 0.12345)
    assert torch.allclose(image_scale(flat, "lanczos", 5, 7), torch.tensor(0.12345), atol=1e-6)
    stripes = (torch.arange(64) % 2).float().view(1, 1, 64, 1).expand(1, 8, 64, 3)
    assert image_scale(stripes, "lanczos", 8, 8)[:, :, 2:-2].sub(0.5).abs().max() < 0.05


@FAST
@given(SIDE, SIDE, st.sampled_from(["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]), SIDE, SIDE)
def test_scaling_a_flat_picture_gives_the_same_flat_picture(
    h: int, w: int, method: str, width: int, height: int
) -> None:
    scaled = image_scale(torch.full((2, h, w, 3), 0.25), method, width, height, "center")
    assert scaled.shape == (2, height, width, 3)
    assert torch.allclose(scaled, torch.tensor(0.25), atol=1e-6)


def test_scale_by_rounds_and_never_vanishes() -> None:
    assert image_scale_by(picture(5, 7), "bilinear", 1.5).shape == (1, 8, 10, 3)
    assert image_scale_by(picture(5, 7), "bilinear", 0.01).shape == (1, 1, 1, 3)


def test_total_pixels_are_megapixels_of_1024_by_1024() -> None:
    assert image_scale_to_total_pixels(picture(30, 60), "area", 0.02).shape == (1, 102, 205, 3)
    assert image_scale_to_total_pixels(picture(30, 60), "area", 0.02, 64).shape == (1, 128, 192, 3)


def test_a_crop_is_cut_off_at_the_edges_of_the_picture() -> None:
    image = picture(4, 6)
    assert torch.equal(image_crop(image, 2, 3, 1, 1), image[:, 1:4, 1:3])
    assert torch.equal(image_crop(image, 512, 512, 5, 2), image[:, 2:, 5:])


def test_a_crop_outside_the_picture_says_how_large_it_is() -> None:
    with pytest.raises(ValueError, match=r"x=6, y=0, outside the input of 6 × 4 pixels; use x below 6"):
        image_crop(picture(4, 6), 2, 2, 6, 0)


def test_a_crop_does_not_keep_the_whole_picture_in_memory() -> None:
    assert image_crop(picture(64, 64), 2, 2).untyped_storage().nbytes() == 2 * 2 * 3 * 4


@FAST
@given(SIDE, SIDE, st.integers(3, 4), *[st.integers(0, 5)] * 4, st.integers(0, 6))
def test_cropping_what_was_padded_gives_the_picture_back(
    height: int, width: int, channels: int, left: int, top: int, right: int, bottom: int, feathering: int
) -> None:
    image = picture(height, width, channels, batch=2)
    padded, mask = image_pad_for_outpaint(image, left, top, right, bottom, feathering)
    assert padded.shape == (2, height + top + bottom, width + left + right, channels)
    assert mask.shape == (1, *padded.shape[1:3])
    assert torch.equal(image_crop(padded, width, height, left, top), image)
    border = torch.ones_like(mask, dtype=torch.bool)
    border[:, top : top + height, left : left + width] = False
    assert (mask[border] == 1).all()


def test_the_outpainting_mask_falls_quadratically_from_edges_with_a_border() -> None:
    mask = image_pad_for_outpaint(picture(9, 12), left=2, feathering=4).MASK[0]
    assert mask[4].tolist() == pytest.approx([1, 1, 1, 9 / 16, 4 / 16, 1 / 16, 0, 0, 0, 0, 0, 0, 0, 0])
    assert torch.equal(mask, mask[:1].expand_as(mask))


def test_without_room_for_feathering_the_mask_has_a_hard_edge() -> None:
    mask = image_pad_for_outpaint(picture(4, 4), right=1, feathering=2).MASK[0]
    assert mask.tolist() == [[0, 0, 0, 0, 1]] * 4


def test_the_border_is_opaque_grey() -> None:
    padded = image_pad_for_outpaint(picture(2, 2, channels=4), left=1).IMAGE
    assert padded[0, 0, 0].tolist() == [0.5, 0.5, 0.5, 1.0]


@FAST
@given(SIDE, SIDE, st.sampled_from(["x-axis: vertically", "y-axis: horizontally"]))
def test_flipping_twice_gives_the_picture_back(height: int, width: int, method: str) -> None:
    image = picture(height, width)
    assert torch.equal(image_flip(image_flip(image, method), method), image)


def test_flipping_turns_rows_or_columns_around() -> None:
    image = picture(2, 3)
    assert torch.equal(image_flip(image, "x-axis: vertically")[:, 0], image[:, 1])
    assert torch.equal(image_flip(image, "y-axis: horizontally")[:, :, 0], image[:, :, 2])


def test_a_quarter_turn_is_clockwise() -> None:
    image = picture(2, 3)
    turned = image_rotate(image, "90 degrees")
    assert turned.shape == (1, 3, 2, 3)
    assert torch.equal(turned[0, 0, 1], image[0, 0, 0])
    assert torch.equal(turned[0, 0, 0], image[0, 1, 0])


def test_four_quarter_turns_are_none() -> None:
    image = picture(5, 3)
    turned = image_rotate(image_rotate(image, "90 degrees"), "270 degrees")
    assert torch.equal(turned, image_rotate(image, "none"))
    assert torch.equal(image_rotate(image_rotate(image, "180 degrees"), "180 degrees"), image)
