from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.image_compose import (
    batch_images,
    image_batch,
    image_composite_masked,
    image_from_batch,
    image_stitch,
    join_image_with_alpha,
    rebatch_images,
    repeat_image_batch,
    split_image_with_alpha,
)

FAST = settings(max_examples=25)


def picture(height: int = 4, width: int = 6, channels: int = 3, batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(seed))


def flat(value: float, height: int = 2, width: int = 2, channels: int = 3, batch: int = 1) -> torch.Tensor:
    return torch.full((batch, height, width, channels), value)


def test_a_batch_fits_the_second_to_the_first_and_makes_it_opaque() -> None:
    first, second = picture(4, 6, channels=4), picture(8, 20, batch=2)
    joined = image_batch(first, second)
    assert joined.shape == (3, 4, 6, 4)
    assert torch.equal(joined[:1], first)
    assert (joined[1:, ..., 3] == 1).all()


def test_a_batch_keeps_what_is_brighter_than_white() -> None:
    assert image_batch(flat(2.0), flat(1.5, 4, 4))[:, 0, 0, 0].tolist() == [2.0, 1.5]


def test_pictures_are_taken_from_a_batch_as_far_as_there_are_any() -> None:
    image = picture(batch=4)
    assert torch.equal(image_from_batch(image, 1, 2), image[1:3])
    assert torch.equal(image_from_batch(image, 3, 9), image[3:])
    assert torch.equal(image_from_batch(image, 99, 2), image[3:])


def test_repeating_repeats_the_whole_batch_in_order() -> None:
    image = picture(batch=2)
    assert torch.equal(repeat_image_batch(image, 3), torch.cat([image, image, image]))


def test_rebatching_deals_pictures_of_equal_size_out_again() -> None:
    images = [picture(batch=3), picture(batch=2, seed=1), picture(5, 5, batch=1)]
    batches = rebatch_images(images, [2])
    assert [tuple(batch.shape[:3]) for batch in batches] == [(2, 4, 6), (2, 4, 6), (1, 4, 6), (1, 5, 5)]
    assert torch.equal(torch.cat(batches[:3]), torch.cat(images[:2]))


@FAST
@given(st.integers(-8, 8), st.integers(-8, 8), st.booleans(), st.integers(3, 4), st.integers(3, 4))
def test_a_composite_under_a_mask_of_zeros_is_the_destination(
    x: int, y: int, resize: bool, channels: int, source_channels: int
) -> None:
    destination, source = picture(5, 6, channels, batch=2), picture(3, 4, source_channels, seed=1)
    result = image_composite_masked(destination, source, x, y, resize, torch.zeros(1, 7, 7))
    assert torch.equal(result, destination)


def test_a_composite_without_a_mask_shows_the_source_where_it_reaches() -> None:
    result = image_composite_masked(flat(0.0, 3, 4), flat(1.0, 2, 2), 3, -1)
    assert result[0, ..., 0].tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_a_composite_far_outside_changes_nothing() -> None:
    destination = picture()
    assert torch.equal(image_composite_masked(destination, picture(seed=1), 100, -100), destination)


def test_a_grey_mask_mixes_and_is_stretched_to_the_source() -> None:
    result = image_composite_masked(flat(0.0, 2, 4), flat(1.0, 2, 4), mask=torch.tensor([[[0.25]]]))
    assert torch.allclose(result, torch.tensor(0.25))


def test_source_and_mask_repeat_to_the_batch_of_the_destination() -> None:
    sources = torch.cat([flat(0.5), flat(1.0)])
    masks = torch.tensor([1.0, 1.0, 0.0]).view(3, 1, 1)
    result = image_composite_masked(flat(0.0, batch=4), sources, mask=masks)
    assert result[:, 0, 0, 0].tolist() == [0.5, 1.0, 0.0, 1.0]


def test_a_resized_source_covers_the_destination() -> None:
    result = image_composite_masked(flat(0.0, 5, 7), flat(1.0, 2, 2), resize_source=True)
    assert torch.allclose(result, torch.tensor(1.0))


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("right", [[0, 0.2, 1]]),
        ("left", [[1, 0.2, 0]]),
        ("down", [[0], [0.2], [1]]),
        ("up", [[1], [0.2], [0]]),
    ],
)
def test_stitching_puts_the_second_on_the_named_side(direction: str, expected: list[list[float]]) -> None:
    two = image_stitch(flat(0.0, 1, 1), direction, True, 0, "white", flat(0.2, 1, 1))
    three = image_stitch(two, direction, False, 0, "white", flat(1.0, 1, 1))
    assert torch.allclose(three[0, ..., 0], torch.tensor(expected))


def test_stitching_scales_the_second_to_the_height_of_the_first() -> None:
    assert image_stitch(picture(4, 6), "right", True, 0, "white", picture(8, 10)).shape == (1, 4, 11, 3)
    assert image_stitch(picture(4, 6), "down", True, 0, "white", picture(8, 10)).shape == (1, 8, 6, 3)


def test_the_scaled_one_goes_through_truncated_bytes() -> None:
    result = image_stitch(flat(0.1, 1, 1), "right", True, 0, "white", flat(0.1, 1, 1))
    assert result[0, 0, :, 0].tolist() == pytest.approx([0.1, 25 / 255])


@pytest.mark.parametrize(("color", "margin"), [("white", 1), ("black", 0), ("red", 0), ("green", 0), ("blue", 0)])
def test_unequal_sizes_get_margins_in_white_or_black(color: str, margin: float) -> None:
    result = image_stitch(flat(0.5, 4, 1), "right", False, 0, color, flat(0.5, 1, 1, channels=4))
    expected = [[margin] * 4, [0.5] * 4, [margin] * 4, [margin] * 4]
    assert result[0, :, 1].tolist() == expected  # the alpha of a margin is that of its colour
    assert (result[0, :, 0, 3] == 1).all()
    result = image_stitch(flat(0.5, 1, 1), "down", False, 0, color, flat(0.5, 1, 3))
    assert result[0, 0, :, 0].tolist() == [margin, 0.5, margin]


def test_the_shorter_batch_goes_on_with_its_last_picture() -> None:
    two = torch.cat([flat(0.0, 1, 1), flat(0.5, 1, 1)])
    result = image_stitch(two, "right", False, 0, "white", flat(1.0, 1, 1, batch=4))
    assert result[:, 0, :, 0].tolist() == [[0, 1], [0.5, 1], [0.5, 1], [0.5, 1]]


def test_an_odd_gap_gets_one_pixel_more() -> None:
    assert image_stitch(flat(0.0, 1, 1), "right", True, 3, "red", flat(0.0, 1, 1)).shape == (1, 1, 6, 3)


def test_the_gap_beside_a_picture_with_alpha_is_opaque() -> None:
    result = image_stitch(flat(0.0, 1, 1, channels=4), "down", True, 2, "blue", flat(0.0, 1, 1))
    assert result[0, 1:3, 0].tolist() == [[0, 0, 1, 1]] * 2
    assert result[0, 3, 0].tolist() == [0, 0, 0, 1]


def test_the_gap_between_stitched_pictures_has_its_colour() -> None:
    result = image_stitch(flat(0.0, 1, 1), "right", True, 2, "red", flat(0.0, 1, 1))
    assert result[0, 0].tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_stitching_nothing_gives_the_first_back() -> None:
    image = picture()
    assert torch.equal(image_stitch(image), image)


def test_splitting_and_joining_alpha_are_inverse() -> None:
    image = picture(channels=4, batch=2)
    colours, mask = split_image_with_alpha(image)
    assert torch.allclose(mask, 1 - image[..., 3])
    assert torch.allclose(join_image_with_alpha(colours, mask), image, atol=1e-6)


def test_a_picture_without_alpha_is_nowhere_see_through() -> None:
    assert (split_image_with_alpha(picture()).MASK == 0).all()


def test_a_joined_mask_is_stretched() -> None:
    mask = torch.tensor([[[0.0, 1.0]]])
    assert join_image_with_alpha(flat(0.5, 1, 4), mask)[0, 0, :, 3].tolist() == [1, 0.75, 0.25, 0]


@pytest.mark.parametrize(("pictures", "masks", "alphas"), [(3, 2, [1, 0.5, 1]), (1, 2, [1])])
def test_a_joined_mask_repeats_or_is_cut_to_the_pictures(pictures: int, masks: int, alphas: list[float]) -> None:
    result = join_image_with_alpha(flat(0.5, batch=pictures), torch.tensor([0.0, 0.5]).view(2, 1, 1)[:masks])
    assert result[:, 0, 0, 3].tolist() == alphas


def test_linked_pictures_become_one_batch_in_the_order_of_their_names() -> None:
    pictures = {f"image{at}": torch.full((1, 2, 3, 3), at / 16) for at in (0, 10, 2)}
    batch = batch_images(pictures)
    assert batch.shape == (3, 2, 3, 3)
    assert batch[:, 0, 0, 0].tolist() == [0.0, 2 / 16, 10 / 16]


def test_a_batch_takes_size_from_the_first_picture_and_alpha_from_any() -> None:
    first, second = torch.zeros(2, 2, 4, 3), torch.ones(1, 6, 6, 4) * 0.5
    batch = batch_images({"image0": first, "image1": second, "image4": first})
    assert batch.shape == (5, 2, 4, 4)
    assert batch[:, 0, 0, 3].tolist() == [1.0, 1.0, 0.5, 1.0, 1.0]


def test_a_batch_of_one_is_that_one() -> None:
    picture = torch.rand(2, 2, 2, 3)
    assert torch.equal(batch_images({"image0": picture}), picture)
