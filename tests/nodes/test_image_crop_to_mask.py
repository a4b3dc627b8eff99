"""Pictures cut to what a mask shows."""

from __future__ import annotations

import pytest
import torch

from nodes.image_crop_to_mask import image_crop_to_mask


def subject(top: int, left: int, height: int, width: int, size: tuple[int, int] = (160, 200)) -> torch.Tensor:
    mask = torch.zeros(1, *size)
    mask[:, top : top + height, left : left + width] = 1
    return mask


def picture(batch: int = 1, channels: int = 3) -> torch.Tensor:
    return torch.rand(batch, 160, 200, channels, generator=torch.Generator().manual_seed(1))


def test_a_cut_at_its_own_size_is_the_pixels() -> None:
    image = picture(2, channels=4)
    cut = image_crop_to_mask(image, subject(30, 40, 64, 64), 64, 64)
    torch.testing.assert_close(cut, image[:, 30:94, 40:104, :3], atol=1e-5, rtol=0)


def test_the_subject_stands_in_the_middle_of_the_colour() -> None:
    image = torch.ones(1, 160, 200, 3)
    cut = image_crop_to_mask(image, subject(30, 40, 64, 32), 64, 64, background="#0000ff")
    assert cut[0, 32, 32].tolist() == cut[0, 32, 17].tolist() == [1, 1, 1]
    assert cut[0, 32, 14].tolist() == cut[0, 32, 50].tolist() == [0, 0, 1]
    smaller = image_crop_to_mask(image, subject(30, 40, 64, 64), 64, 64, pad_factor=2.0)
    assert smaller[0, 32, :, 0].sum() == pytest.approx(32, abs=0.5)


def test_a_cut_past_the_edge_goes_on_in_the_colour() -> None:
    image = torch.ones(1, 160, 200, 3)
    cut = image_crop_to_mask(image, subject(0, 0, 160, 20), 80, 80, background="#ff0000")
    assert cut[0, 40, 3].tolist() == [1, 0, 0]
    assert cut[0, 40, 40].tolist() == [1, 1, 1]


def test_fine_patterns_are_averaged_when_made_smaller() -> None:
    image = torch.zeros(1, 160, 160, 3)
    image[:, ::2] = 1
    cut = image_crop_to_mask(image, torch.ones(1, 160, 160), 64, 64)
    assert (cut - 0.5).abs().max() < 0.3
    assert cut.mean() == pytest.approx(0.5, abs=0.01)


def test_inverted_and_empty_masks_and_those_of_another_size() -> None:
    image, mask = picture(), subject(48, 60, 64, 80)
    upright = image_crop_to_mask(image, mask, 64, 64)
    assert torch.equal(image_crop_to_mask(image, 1 - mask, 64, 64), upright)
    whole = image_crop_to_mask(image, torch.ones(1, 160, 200), 200, 160)
    torch.testing.assert_close(whole, image, atol=1e-5, rtol=0)
    assert torch.equal(image_crop_to_mask(image, torch.zeros(1, 160, 200), 200, 160), whole)
    small = image_crop_to_mask(image, torch.ones(1, 4, 4), 200, 160)
    assert torch.equal(small, whole)


def test_a_mask_grows_and_shrinks_as_a_square() -> None:
    image = picture()
    grown = image_crop_to_mask(image, subject(30, 40, 56, 56), 64, 64, grow_mask=4)
    torch.testing.assert_close(grown, image[:, 26:90, 36:100], atol=1e-5, rtol=0)
    shrunk = image_crop_to_mask(image, subject(30, 40, 72, 72), 64, 64, grow_mask=-4)
    torch.testing.assert_close(shrunk, image[:, 34:98, 44:108], atol=1e-5, rtol=0)


def test_masks_are_one_or_as_many_as_pictures() -> None:
    masks = torch.cat([subject(30, 40, 64, 64), subject(20, 10, 64, 64)])
    image = picture(2)
    cut = image_crop_to_mask(image, masks, 64, 64)
    torch.testing.assert_close(cut[1], image[1, 20:84, 10:74], atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="got 2 masks for 1 pictures"):
        image_crop_to_mask(picture(1), masks)
    with pytest.raises(ValueError, match="background is 'red'"):
        image_crop_to_mask(image, masks, background="red")
