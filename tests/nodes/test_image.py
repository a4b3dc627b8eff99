from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from nodes.image import (
    empty_image,
    get_image_size,
    image_crop,
    image_crop_v2,
    image_flip,
    image_pad_for_outpaint,
    image_rotate,
    image_scale,
    image_scale_by,
    image_scale_to_max_dimension,
    image_scale_to_total_pixels,
)

FAST = settings(max_examples=25)
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


def test_a_width_and_a_height_of_zero_change_nothing() -> None:
    image = picture()
    assert image_scale(image, "lanczos", 0, 0) is image
    assert not torch.equal(image_scale(image, "lanczos", 6, 4), image)


def test_center_crop_takes_the_middle_and_disabled_squeezes_everything_in() -> None:
    image = torch.arange(6.0).div(10).view(1, 1, 6, 1).expand(1, 2, 6, 3)
    cut = image_scale(image, "nearest-exact", 2, 2, "center")
    assert cut[0, 0, :, 0].tolist() == pytest.approx([0.2, 0.3])
    squeezed = image_scale(image, "area", 2, 2, "disabled")
    assert squeezed[0, 0, :, 0].tolist() == pytest.approx([0.1, 0.4])


def test_center_crop_of_a_very_flat_target_keeps_a_row() -> None:
    assert image_scale(picture(3, 3), "bilinear", 512, 1, "center").shape == (1, 1, 512, 3)


def row(*values: float, channels: int = 3) -> torch.Tensor:
    """A picture of one row, the same in all channels."""
    return torch.tensor(values, dtype=torch.float32).view(1, 1, -1, 1).repeat(1, 1, 1, channels)


@pytest.mark.parametrize(
    ("sizes", "target", "kept"),
    [((5, 8), (2, 2), slice(2, 6)), ((4, 7), (2, 2), slice(2, 5)), ((4, 9), (3, 3), slice(2, 7))],
)
def test_center_crop_rounds_halves_to_the_even_number(
    sizes: tuple[int, int], target: tuple[int, int], kept: slice
) -> None:
    image = picture(*sizes)
    expected = torch.nn.functional.interpolate(image[:, :, kept].movedim(-1, 1), size=target, mode="bilinear")
    assert torch.equal(image_scale(image, "bilinear", *target, "center"), expected.movedim(1, -1))


def keys(t: float, a: float = -0.75) -> float:
    """The kernel of Keys (1981), "Cubic convolution interpolation for digital image processing", as torch takes it."""
    if abs(t) <= 1:
        return (a + 2) * abs(t) ** 3 - (a + 3) * t**2 + 1
    return a * abs(t) ** 3 - 5 * a * t**2 + 8 * a * abs(t) - 4 * a if abs(t) < 2 else 0.0


def test_bicubic_scaling_overshoots_at_sharp_edges() -> None:
    scaled = image_scale(row(0, 0, 0, 0, 1, 1, 1, 1), "bicubic", 16, 1)[0, 0, :, 0]
    expected = [sum(keys((at + 0.5) / 2 - 0.5 - white) for white in range(4, 12)) for at in range(12)]
    assert scaled[:12].tolist() == pytest.approx(expected, abs=1e-6)
    assert scaled.min() < -0.03
    assert scaled.max() > 1.03


def test_lanczos_goes_through_truncated_bytes_even_at_the_same_size() -> None:
    scaled = image_scale(row(0.1, 0.5, 0.999, 1.5), "lanczos", 4, 1)
    assert (scaled[0, 0, :, 0] * 255).tolist() == pytest.approx([25, 127, 254, 255], abs=1e-4)
    assert image_scale(row(0.1, 0.1), "lanczos", 7, 3).unique().item() == pytest.approx(25 / 255)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_lanczos_is_the_one_of_pillow_on_whole_pictures(channels: int) -> None:
    image = picture(9, 7, channels, batch=2)
    scaled = image_scale(image, "lanczos", 5, 13)
    for ours, one in zip(scaled, image):
        pixels = np.floor(one.numpy() * 255).astype(np.uint8)
        pillow = PillowImage.fromarray(pixels[..., 0] if channels == 1 else pixels)
        resized = np.asarray(pillow.resize((5, 13), PillowImage.Resampling.LANCZOS)).reshape(13, 5, channels)
        assert np.array_equal((ours * 255).round().numpy().astype(np.uint8), resized)


def test_lanczos_weighs_colours_by_alpha() -> None:
    image = torch.tensor([[1.0, 0, 0, 1], [1, 0, 0, 1], [0, 1, 0, 0], [0, 1, 0, 0]]).view(1, 1, 4, 4)
    scaled = image_scale(image, "lanczos", 2, 1)
    assert scaled[0, 0, :, 1].tolist() == [0, 0]  # nothing of the green that nobody sees
    assert 0 < scaled[0, 0, 1, 3] < 0.1
    assert scaled[0, 0, 0, 3] > 0.9


def test_lanczos_shrinks_without_aliasing() -> None:
    stripes = (torch.arange(64) % 2).float().view(1, 1, 64, 1).expand(1, 8, 64, 3)
    assert image_scale(stripes, "lanczos", 8, 8)[:, :, 2:-2].sub(0.5).abs().max() < 0.05


@FAST
@given(SIDE, SIDE, st.sampled_from(["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]), SIDE, SIDE)
def test_scaling_a_flat_picture_gives_the_same_flat_picture(
    h: int, w: int, method: str, width: int, height: int
) -> None:
    scaled = image_scale(torch.full((2, h, w, 3), 0.2), method, width, height, "center")
    assert scaled.shape == (2, height, width, 3)
    assert torch.allclose(scaled, torch.tensor(0.2), atol=1e-6)


def test_scale_by_rounds_and_never_vanishes() -> None:
    assert image_scale_by(picture(5, 7), "bilinear", 1.5).shape == (1, 8, 10, 3)
    assert image_scale_by(picture(5, 7), "bilinear", 0.01).shape == (1, 1, 1, 3)


def test_total_pixels_are_megapixels_of_1024_by_1024() -> None:
    assert image_scale_to_total_pixels(picture(30, 60), "area", 0.02).shape == (1, 102, 205, 3)
    assert image_scale_to_total_pixels(picture(30, 60), "area", 0.02, 64).shape == (1, 128, 192, 3)


def test_total_pixels_are_a_whole_number() -> None:
    assert image_scale_to_total_pixels(picture(5, 26), "nearest-exact", 0.01).shape == (1, 45, 233, 3)  # of 10485.76


def test_a_crop_is_cut_off_at_the_edges_of_the_picture() -> None:
    image = picture(4, 6)
    assert torch.equal(image_crop(image, 2, 3, 1, 1), image[:, 1:4, 1:3])
    assert torch.equal(image_crop(image, 512, 512, 5, 2), image[:, 2:, 5:])


@pytest.mark.parametrize(("x", "y"), [(6, 0), (99, 99)])
def test_a_crop_outside_the_picture_begins_at_its_last_pixel(x: int, y: int) -> None:
    image = picture(4, 6)
    assert torch.equal(image_crop(image, 2, 2, x, y), image[:, min(y, 3) :, 5:][:, :2])


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


def test_distances_count_from_zero_at_the_left_and_the_top_and_from_one_at_the_right_and_the_bottom() -> None:
    across = image_pad_for_outpaint(picture(9, 9), left=1, right=1, feathering=4).MASK[0, 4]
    down = image_pad_for_outpaint(picture(9, 9), top=1, bottom=1, feathering=4).MASK[0, :, 4]
    expected = [1, 1, 9 / 16, 4 / 16, 1 / 16, 0, 0, 1 / 16, 4 / 16, 9 / 16, 1]
    assert across.tolist() == pytest.approx(expected)
    assert down.tolist() == pytest.approx(expected)


def test_in_a_corner_the_nearer_edge_counts() -> None:
    mask = image_pad_for_outpaint(picture(5, 5), left=1, top=1, feathering=2).MASK[0, 1:, 1:]
    assert mask[:3, :3].tolist() == [[1, 1, 1], [1, 0.25, 0.25], [1, 0.25, 0]]


def test_without_room_for_feathering_the_mask_has_a_hard_edge() -> None:
    mask = image_pad_for_outpaint(picture(4, 4), right=1, feathering=2).MASK[0]
    assert mask.tolist() == [[0, 0, 0, 0, 1]] * 4


def test_the_border_is_half_of_everything_alpha_too() -> None:
    padded = image_pad_for_outpaint(picture(2, 2, channels=4), left=1).IMAGE
    assert padded[0, 0, 0].tolist() == [0.5, 0.5, 0.5, 0.5]


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


@pytest.mark.parametrize(
    ("height", "width", "largest", "size"),
    [(20, 10, 8, (8, 4)), (10, 20, 8, (4, 8)), (10, 10, 8, (8, 8)), (3, 30, 4, (1, 4)), (10, 15, 100, (67, 100))],
)
def test_the_longer_side_becomes_what_is_asked_for(
    height: int, width: int, largest: int, size: tuple[int, int]
) -> None:
    assert image_scale_to_max_dimension(torch.zeros(2, height, width, 3), "area", largest).shape == (2, *size, 3)


def test_a_longer_side_of_no_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="use at least 1"):
        image_scale_to_max_dimension(torch.zeros(1, 2, 2, 3), "area", 0)


@pytest.mark.parametrize(
    ("region", "rows", "columns"),
    [((1, 2, 3, 2), (2, 4), (1, 4)), ((4, 3, 99, 99), (3, 5), (4, 6)), ((50, 60, 2, 2), (4, 5), (5, 6))],
)
def test_a_region_is_cut_out_and_kept_within_the_picture(region, rows, columns) -> None:
    picture = torch.rand(2, 5, 6, 3)
    box = dict(zip(("x", "y", "width", "height"), region))
    assert torch.equal(image_crop_v2(picture, box), picture[:, slice(*rows), slice(*columns)])


@pytest.mark.parametrize("region", [{"x": 1, "y": 1}, {"x": -1, "y": 0, "width": 1, "height": 1}, [0, 0, 1, 1], None])
def test_what_is_no_region_is_refused(region) -> None:
    with pytest.raises(ValueError, match=r"ImageCropV2: crop_region is .* width and height from 1"):
        image_crop_v2(torch.zeros(1, 2, 2, 3), region)
