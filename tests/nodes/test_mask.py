from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import grey_dilation, grey_erosion

from engine.sampling.masks import mask_bounds, resolve_area
from nodes.mask import (
    crop_mask,
    feather_mask,
    grow_mask,
    image_color_to_mask,
    image_to_mask,
    invert_mask,
    mask_composite,
    mask_to_image,
    solid_mask,
    threshold_mask,
)

FAST = settings(max_examples=25)


def random_mask(height: int = 5, width: int = 7, batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, height, width, generator=torch.Generator().manual_seed(seed))


def rows(*values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[None]


def test_a_solid_mask_has_one_value_everywhere() -> None:
    mask = solid_mask(0.25, 3, 2)
    assert mask.shape == (1, 2, 3)
    assert (mask == 0.25).all()


def test_inverting_twice_gives_the_mask_back() -> None:
    mask = random_mask()
    assert torch.allclose(invert_mask(invert_mask(mask)), mask, atol=1e-6)
    assert torch.equal(invert_mask(torch.ones(1, 2, 2)), torch.zeros(1, 2, 2))


def test_a_cropped_mask_is_cut_off_at_the_edges() -> None:
    mask = random_mask(5, 7)
    assert torch.equal(crop_mask(mask, 2, 1, 3, 2), mask[:, 1:3, 2:5])
    assert torch.equal(crop_mask(mask[0], 5, 4, 99, 99), mask[:, 4:, 5:])


def test_a_crop_outside_the_mask_says_how_large_it_is() -> None:
    with pytest.raises(ValueError, match=r"CropMask: .* x=0, y=5, outside the input of 7 × 5"):
        crop_mask(random_mask(5, 7), 0, 5, 1, 1)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("multiply", [0.0, 0.2, 0.48]),
        ("add", [0.8, 0.9, 1.0]),
        ("subtract", [0.0, 0.0, 0.2]),
        ("and", [0.0, 0.0, 1.0]),
        ("or", [1.0, 1.0, 1.0]),
        ("xor", [1.0, 1.0, 0.0]),
    ],
)
def test_masks_combine_by_operation(operation: str, expected: list[float]) -> None:
    result = mask_composite(rows([0.0, 0.4, 0.8]), rows([0.8, 0.5001, 0.6]), 0, 0, operation)
    assert result[0, 0].tolist() == pytest.approx(expected, abs=1e-3)


def test_masks_combine_only_where_they_overlap() -> None:
    result = mask_composite(torch.ones(1, 3, 3), torch.zeros(2, 2, 2), 2, 1, "multiply")
    assert result.shape == (2, 3, 3)
    assert result[1].tolist() == [[1, 1, 1], [1, 1, 0], [1, 1, 0]]


def test_a_mask_combined_far_outside_changes_nothing() -> None:
    mask = random_mask()
    assert torch.equal(mask_composite(mask, torch.zeros(1, 2, 2), 100, 0, "and"), mask)


def test_feathering_rises_in_equal_steps_from_the_left_and_the_top() -> None:
    assert feather_mask(torch.ones(1, 4, 6), left=2)[0, 0].tolist() == [0.5, 1, 1, 1, 1, 1]
    assert feather_mask(torch.ones(1, 4, 6), top=4)[0, :, 0].tolist() == [0.25, 0.5, 0.75, 1]


def test_feathering_at_the_right_and_the_bottom_darkens_the_first_pixel_instead_of_the_last_step() -> None:
    mask = feather_mask(torch.ones(1, 2, 8), right=4)
    assert mask[0, 1].tolist() == [0.25, 1, 1, 1, 1, 1, 0.75, 0.5]
    mask = feather_mask(torch.ones(2, 8, 2), bottom=4)
    assert mask[1, :, 0].tolist() == [0.25, 1, 1, 1, 1, 1, 0.75, 0.5]


def test_feathering_on_all_sides_multiplies() -> None:
    mask = feather_mask(torch.ones(1, 1, 6), left=3, right=3)[0, 0]
    assert mask.tolist() == pytest.approx([1 / 9, 2 / 3, 1, 1, 1, 2 / 3])
    assert feather_mask(torch.ones(1, 3, 3), right=1, bottom=2)[0].tolist() == [[0.5] * 3, [1] * 3, [1] * 3]


def test_feathering_wider_than_the_mask_is_as_wide_as_the_mask() -> None:
    assert feather_mask(torch.ones(1, 1, 4), left=100)[0, 0].tolist() == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert feather_mask(torch.ones(1, 1, 4), right=100)[0, 0].tolist() == pytest.approx([0.25, 1.0, 0.75, 0.5])


@FAST
@given(st.integers(-16, 16), st.booleans(), st.integers(0, 99))
def test_growing_is_grey_morphology(expand: int, tapered: bool, seed: int) -> None:
    mask = random_mask(6, 9, batch=2, seed=seed)
    corner = 0 if tapered else 1
    footprint = np.array([[corner, 1, corner], [1, 1, 1], [corner, 1, corner]])
    expected = mask.numpy()
    morph = grey_dilation if expand > 0 else grey_erosion
    for _ in range(abs(expand)):
        expected = np.stack([morph(one, footprint=footprint) for one in expected])
    assert np.array_equal(grow_mask(mask, expand, tapered).numpy(), expected)


def test_growing_without_end_fills_the_mask_in_bounded_time() -> None:
    mask = torch.zeros(1, 8, 8)
    mask[0, 0, 0] = 1
    assert (grow_mask(mask, 16384, True) == 1).all()
    assert (grow_mask(mask, -16384, False) == 0).all()


def test_the_threshold_itself_is_below() -> None:
    assert threshold_mask(rows([0.4, 0.5, 0.6]), 0.5)[0, 0].tolist() == [0, 0, 1]


def test_a_mask_shown_as_a_picture_and_taken_back_is_the_same() -> None:
    mask = random_mask(batch=2)
    image = mask_to_image(mask)
    assert image.shape == (2, 5, 7, 3)
    for channel in ("red", "green", "blue"):
        assert torch.equal(image_to_mask(image, channel), mask)


def test_alpha_is_taken_only_from_pictures_that_have_it() -> None:
    image = torch.rand(1, 2, 2, 4)
    assert torch.equal(image_to_mask(image, "alpha"), image[..., 3])
    with pytest.raises(ValueError, match="3 channels and no alpha"):
        image_to_mask(image[..., :3], "alpha")


def test_a_colour_is_found_where_it_is_exact_to_eight_bits() -> None:
    image = torch.tensor([[255, 128, 0], [255, 129, 0], [254.6, 128.3, 0.2]]).div(255).view(1, 1, 3, 3)
    assert image_color_to_mask(image, 0xFF8000)[0, 0].tolist() == [1, 0, 1]


def test_the_bounds_of_a_single_pixel_reach_eight_down_and_to_the_right() -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[0, 0, 5, 3] = 0.5
    assert mask_bounds(mask) == (8, 8, 5, 3)
    assert resolve_area(mask_bounds(mask.roll((25, 25), (2, 3))), 32, 32) == (2, 4, 30, 28)
