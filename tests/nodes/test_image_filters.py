from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from scipy.ndimage import gaussian_filter

from nodes.image_filters import (
    _with_bayer_pattern,
    canny,
    gaussian_blur,
    image_add_noise,
    image_blend,
    image_blur,
    image_invert,
    image_quantize,
    image_sharpen,
)


def picture(height: int = 8, width: int = 10, channels: int = 3, batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(seed))


def pixel(value: float, channels: int = 3) -> torch.Tensor:
    return torch.full((1, 1, 1, channels), value)


def test_inverting_turns_all_channels_around() -> None:
    image = picture(channels=4)
    assert torch.equal(image_invert(image), 1 - image)
    assert torch.allclose(image_invert(image_invert(image)), image, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "below", "above", "expected"),
    [
        ("normal", 0.2, 0.6, 0.6),
        ("multiply", 0.5, 0.4, 0.2),
        ("screen", 0.5, 0.4, 0.7),
        ("overlay", 0.25, 0.4, 0.2),
        ("overlay", 0.75, 0.4, 0.7),
        ("soft_light", 0.5, 0.25, 0.375),
        ("soft_light", 0.64, 0.75, 0.72),
        ("soft_light", 0.25, 1.0, 0.5),
        ("difference", 0.2, 0.6, 0.0),
        ("difference", 0.6, 0.2, 0.4),
    ],
)
def test_a_blend_mode_follows_its_formula(mode: str, below: float, above: float, expected: float) -> None:
    assert image_blend(pixel(below), pixel(above), 1.0, mode).mean() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("mode", "below", "above", "share", "expected"),
    [
        ("difference", 0.2, 0.6, 0.25, 0.05),  # 0.75 × 0.2 + 0.25 × -0.4: cut to the range only in the end
        ("difference", 0.2, 0.6, 0.5, 0.0),
        ("difference", 0.6, 0.2, 0.5, 0.5),
        ("screen", 0.5, 0.4, 0.25, 0.55),
        ("normal", 1.5, 0.5, 0.5, 1.0),
    ],
)
def test_a_share_of_the_blend_is_mixed_in_and_cut_to_the_range(
    mode: str, below: float, above: float, share: float, expected: float
) -> None:
    assert image_blend(pixel(below), pixel(above), share, mode).mean() == pytest.approx(expected, abs=1e-6)


def test_alpha_is_blended_like_the_colours() -> None:
    below, above = pixel(0.8, 4), pixel(0.5, 4)
    assert image_blend(below, above, 1.0, "multiply").unique().item() == pytest.approx(0.4)
    assert image_blend(below, above[..., :3], 1.0, "multiply")[0, 0, 0].tolist() == pytest.approx([0.4, 0.4, 0.4, 0.8])


def test_blending_with_a_share_of_zero_changes_nothing() -> None:
    image = picture(channels=4)
    assert torch.equal(image_blend(image, picture(3, 3, seed=1), 0.0, "screen"), image)


def test_blending_fits_the_size_and_repeats_the_shorter_batch() -> None:
    result = image_blend(picture(4, 4), picture(9, 12, batch=3, seed=1), 1.0, "normal")
    assert result.shape == (3, 4, 4, 3)
    assert not torch.equal(result[0], result[1])


@pytest.mark.parametrize(("radius", "sigma"), [(1, 1.0), (3, 0.5), (5, 2.0)])
def test_a_blur_is_a_gaussian_cut_off_at_the_radius(radius: int, sigma: float) -> None:
    image = picture(12, 15, batch=2)
    blurred = image_blur(image, radius, sigma)
    for ours, one in zip(blurred, image):
        for channel in range(3):
            plane = one[..., channel].double().numpy()
            theirs = gaussian_filter(plane, sigma * radius, mode="mirror", radius=radius)
            assert np.abs(ours[..., channel].numpy() - theirs).max() < 1e-5


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5), (2, 3), (4, 1)])
def test_a_picture_smaller_than_the_radius_can_be_blurred(height: int, width: int) -> None:
    flat = torch.full((1, height, width, 4), 0.3)
    assert torch.allclose(gaussian_blur(flat, 31, 10.0), flat, atol=1e-6)


def test_sharpening_adds_ten_alpha_of_what_the_blur_takes() -> None:
    image = picture() * 0.2 + 0.4
    expected = image + 10 * 0.05 * (image - image_blur(image, 2, 1.0))
    assert torch.allclose(image_sharpen(image, 2, 1.0, 0.05), expected, atol=1e-6)
    assert torch.equal(image_sharpen(image, 2, 1.0, 0.0), image)


def test_a_pixel_is_sharpened_as_written_out() -> None:
    image = torch.full((1, 3, 3, 4), 0.5)
    image[0, 1, 1] = 0.6
    bell = [np.exp(-0.5), 1.0, np.exp(-0.5)]
    middle = 1 / sum(bell) ** 2  # the share of a pixel in its own blur
    expected = 0.6 + 10 * 0.02 * 0.1 * (1 - middle)
    assert image_sharpen(image, 1, 1.0, 0.02)[0, 1, 1].tolist() == pytest.approx([expected] * 4)


def test_sharpening_and_blurring_treat_alpha_like_the_colours() -> None:
    image = picture(channels=3)
    image = torch.cat([image, image[..., :1]], dim=-1)
    for changed in (image_sharpen(image, 2, 0.7, 0.3), image_blur(image, 2, 0.7)):
        assert torch.equal(changed[..., 3], changed[..., 0])


def test_noise_is_the_seeds_and_falls_on_all_channels() -> None:
    image = torch.full((2, 8, 8, 4), 0.5)
    noise = torch.randn(2, 8, 8, 4, generator=torch.Generator().manual_seed(3))
    assert torch.equal(image_add_noise(image, 3, 0.1), (image + 0.1 * noise).clamp(0, 1))
    assert not torch.equal(image_add_noise(image, 3, 0.1), image_add_noise(image, 4, 0.1))
    assert torch.equal(image_add_noise(image, 2**64 - 1, 0.0), image)


@pytest.mark.parametrize("dither", ["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"])
@pytest.mark.parametrize("colors", [1, 4])
def test_quantizing_leaves_no_more_colours_than_asked_for(dither: str, colors: int) -> None:
    image = picture(16, 17, channels=4, batch=2)
    reduced = image_quantize(image, colors, dither)
    assert reduced.shape == image.shape
    assert torch.equal(reduced[..., 3], image[..., 3])
    for one in reduced:
        assert len(one[..., :3].reshape(-1, 3).unique(dim=0)) <= colors


def greys(*levels: float) -> torch.Tensor:
    """A picture whose rows repeat `levels` of 255."""
    return torch.tensor(levels).div(255).view(1, 1, -1, 1).repeat(1, len(levels), 1, 3)


def test_quantizing_truncates_to_bytes_first() -> None:
    assert (image_quantize(greys(10.9, 99.9), 2)[0, 0, :, 0] * 255).tolist() == pytest.approx([10, 99])


@pytest.mark.parametrize(
    ("order", "matrix"),
    [
        (2, [[0, 2], [3, 1]]),
        (4, [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]),
    ],
)
def test_an_ordered_pattern_spreads_over_512_levels_by_the_number_of_colours(
    order: int, matrix: list[list[int]]
) -> None:
    picture = PillowImage.fromarray(np.full((order, order, 3), 128, np.uint8))
    shifted = np.asarray(_with_bayer_pattern(picture, order, 8))[..., 0]
    share = (np.array(matrix) + 0.5) / order**2 - 0.5
    assert np.array_equal(shifted, np.floor(128 + 512 / 8 * share + 0.5))


def test_an_ordered_pattern_goes_by_the_colours_there_are() -> None:
    dithered = image_quantize(greys(100, 140), 256, "bayer-2")  # two colours, so it adds -96, 32, 96 and -32
    assert (dithered[0, ..., 0] * 255).round().tolist() == [[100, 140], [140, 100]]


@pytest.mark.parametrize("dither", ["floyd-steinberg", "bayer-8"])
def test_dithering_keeps_the_average_that_plain_quantizing_loses(dither: str) -> None:
    ramp = torch.linspace(0, 1, 64).view(1, 1, 64, 1).expand(1, 64, 64, 3).contiguous()
    mean = ramp[:, :, 16:32].mean()
    plain = (image_quantize(ramp, 2, "none")[:, :, 16:32].mean() - mean).abs()
    dithered = (image_quantize(ramp, 2, dither)[:, :, 16:32].mean() - mean).abs()
    assert dithered < plain


def square(level: float = 1.0) -> torch.Tensor:
    image = torch.zeros(1, 24, 24, 3)
    image[:, 8:16, 8:16] = level
    return image


def test_edges_are_a_thin_closed_line_around_a_square() -> None:
    edges = canny(square(), 0.2, 0.5)[0, ..., 0]
    assert set(edges.unique().tolist()) == {0.0, 1.0}
    assert edges[12, :].sum() == 2
    assert edges[:, 12].sum() == 2
    assert edges[10:14, 10:14].sum() == 0
    assert edges[:6].sum() == edges[:, 18:].sum() == 0


DISC = """\
....................
....................
....................
......#######.......
.....##.....##......
....##.......##.....
....#.........#...##
....#.........#...#.
....#.........#.....
....#.........#.....
....#.........#.....
....##.......##.....
.....##.....##......
......#######.......
....................
....................
"""


def test_edges_are_those_that_kornia_draws() -> None:
    y, x = torch.meshgrid(torch.arange(16), torch.arange(20), indexing="ij")
    disc, corner = (x - 9) ** 2 + (y - 8) ** 2 < 30, x + y > 24
    image = (0.8 * disc + 0.2 * corner)[None, ..., None].repeat(1, 1, 1, 3)
    drawn = ["".join("#" if edge else "." for edge in line) for line in canny(image, 0.1, 0.5)[0, ..., 0]]
    assert drawn == DISC.splitlines()  # by kornia 0.9.0, of two equally strong neighbours the left or upper one


def test_weak_edges_count_only_where_they_touch_strong_ones() -> None:
    weak = square(0.2)
    assert canny(weak, 0.1, 0.9).sum() == 0
    assert canny(weak, 0.1, 0.2).sum() > 0
    fading = torch.linspace(1, 0.25, 24).view(1, 24, 1, 1).expand(1, 24, 24, 3).clone()
    fading[:, :, :12] = 0
    assert canny(fading, 0.3, 0.9)[0, -3, :, 0].sum() == 1
    assert canny(fading, 0.89, 0.9)[0, -3, :, 0].sum() == 0


def test_edge_thresholds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match=r"low_threshold 0.8 is above high_threshold 0.4"):
        canny(square(), 0.8, 0.4)
